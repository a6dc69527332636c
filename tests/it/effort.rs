//! What a request takes, counted: the same on every machine. Benchmarks measure what that costs.

use std::cell::RefCell;
use std::fmt;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use provider_connection_cache_host::wasmtime::Store;
use provider_connection_cache_host::wasmtime::component::Accessor;
use provider_connection_cache_host::wasmtime_wasi_http::p3::bindings::Service;
use provider_connection_cache_host::{App, AppOptions, HostState, LogSink};
use serde_json::json;

use crate::support::connection::{entry, id};
use crate::support::handler::handle;
use crate::support::redis::Redis;
use crate::support::service::{BASE, READ_TOKEN, WRITE_TOKEN, path};
use crate::support::{in_repository, options, spin_component, variables};

/// What one request takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Effort {
    /// WebAssembly instructions that the component executes.
    instructions: u64,
    /// How often the host enters the component.
    entries: u64,
    /// Functions of the host that the component calls.
    calls: u64,
    /// Streams and futures that are made.
    streams: u64,
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            instructions,
            entries,
            calls,
            streams,
        } = self;
        write!(f, "{instructions:>9} {entries:>7} {calls:>7} {streams:>7}")
    }
}

/// A kind of request, and the most that it may take. The number of instructions goes down with each
/// improvement, and up by decision alone: a limit that is more than 2 % too high fails as well.
struct Kind {
    name: &'static str,
    request: fn() -> Request<Full<Bytes>>,
    status: u16,
    most: Effort,
}

const fn most(instructions: u64, entries: u64, calls: u64, streams: u64) -> Effort {
    Effort {
        instructions,
        entries,
        calls,
        streams,
    }
}

const KINDS: [Kind; 7] = [
    Kind {
        name: "hit",
        request: || get(&path(&id(1))),
        status: 200,
        most: most(147_213, 6, 13, 4),
    },
    Kind {
        name: "hit, view=full",
        request: || {
            request(
                "GET",
                &format!("{}?view=full", path(&id(1))),
                WRITE_TOKEN,
                "",
            )
        },
        status: 200,
        most: most(145_420, 6, 12, 4),
    },
    Kind {
        name: "miss",
        request: || get(&path(&id(1_000))),
        status: 404,
        most: most(72_779, 6, 13, 4),
    },
    Kind {
        name: "batch of 100",
        request: || {
            let ids: Vec<_> = (0..100).map(id).collect();
            let body = json!({ "ids": ids }).to_string();
            request("POST", &format!("{BASE}/lookup"), READ_TOKEN, &body)
        },
        status: 200,
        most: most(8_428_099, 7, 18, 7),
    },
    Kind {
        name: "PUT",
        request: || {
            request(
                "PUT",
                &path(&id(1)),
                WRITE_TOKEN,
                &entry(&id(1)).to_string(),
            )
        },
        status: 204,
        most: most(142_743, 5, 19, 5),
    },
    Kind {
        name: "DELETE",
        request: || request("DELETE", &path(&id(1_001)), WRITE_TOKEN, ""),
        status: 404,
        most: most(70_345, 6, 14, 4),
    },
    Kind {
        name: "unauthorized",
        request: || request("GET", &path(&id(1)), "", ""),
        status: 401,
        most: most(50_281, 4, 9, 4),
    },
];

fn get(path: &str) -> Request<Full<Bytes>> {
    request("GET", path, READ_TOKEN, "")
}

fn request(method: &str, path: &str, token: &str, body: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(format!("http://localhost{path}"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Full::new(body.to_owned().into()))
        .expect("a request")
}

thread_local! {
    /// What is counted on this thread.
    static COUNTED: RefCell<Option<Effort>> = const { RefCell::new(None) };
}

/// Counts what wasmtime says of itself, by the beginnings of its messages.
struct Messages;

impl log::Log for Messages {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        COUNTED.with_borrow(Option::is_some)
    }

    fn log(&self, record: &log::Record<'_>) {
        COUNTED.with_borrow_mut(|counted| {
            let Some(counted) = counted else { return };
            let message = record.args().to_string();
            let begins = |with| message.starts_with(with);
            counted.entries += u64::from(begins("enter RuntimeInstance"));
            counted.calls += u64::from(begins("new host task"));
            counted.streams += u64::from(begins("new transmit: state"));
        });
    }

    fn flush(&self) {}
}

/// An instance of the component.
struct Instance {
    store: Store<HostState>,
    service: Service,
}

impl Instance {
    async fn over(redis: &Redis) -> Self {
        let _there = spin_component();
        let tokens = [("read_token", READ_TOKEN), ("write_token", WRITE_TOKEN)];
        let options = AppOptions {
            counts_instructions: true,
            ..options(variables(redis, &tokens), &LogSink::memory())
        };
        let app = App::load(&in_repository("spin.toml"), options).expect("it loads");
        let mut store = app.new_store();
        let service = Service::instantiate_async(&mut store, app.component(), app.linker()).await;
        let service = service.expect("the component starts");
        Self { store, service }
    }

    async fn effort(&mut self, kind: &Kind) -> Effort {
        let Self { store, service } = self;
        let before = store.get_fuel().expect("it counts");
        COUNTED.set(Some(Effort::default()));
        let answer = async |accessor: &Accessor<HostState>| {
            handle(accessor, service, (kind.request)()).await
        };
        let (status, _) = store.run_concurrent(answer).await.expect("no trap");
        assert_eq!(status, kind.status, "{}", kind.name);
        let counted = COUNTED.take().unwrap_or_default();
        Effort {
            instructions: before - store.get_fuel().expect("it counts"),
            ..counted
        }
    }
}

/// On one thread, so that the order of events is the same on every machine.
#[tokio::test]
async fn a_request_takes_no_more_than_it_should() {
    log::set_logger(&Messages).expect("no other test has one");
    log::set_max_level(log::LevelFilter::Trace);
    let redis = Redis::start(&[]);
    for number in 0..100 {
        let id = id(number);
        redis.set(&format!("provider:conn:{id}"), entry(&id).to_string());
    }
    let mut instance = Instance::over(&redis).await;
    let mut wrong = Vec::new();
    println!("{:16} instructions entries calls streams", "");
    for kind in &KINDS {
        // The first ones also connect, and some come upon the timer or the counts. The end of a request is part of
        // the next one.
        let mut efforts = Vec::new();
        for _ in 0..20 {
            efforts.push(instance.effort(kind).await);
        }
        let least = efforts.into_iter().min().expect("there are some");
        println!("{:16} {least}", kind.name);
        let Effort { instructions, .. } = kind.most;
        let is_right = (instructions * 98 / 100..=instructions).contains(&least.instructions)
            && least
                == Effort {
                    instructions: least.instructions,
                    ..kind.most
                };
        if !is_right {
            wrong.push(format!("{}: {least}, not {}", kind.name, kind.most));
        }
    }
    log::set_max_level(log::LevelFilter::Off);
    assert!(wrong.is_empty(), "{wrong:#?}");
}
