//! What a request takes, counted: the same on every machine. Benchmarks measure what that costs.

use std::cell::RefCell;
use std::fmt;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, Response};
use provider_connection_cache_host::wasmtime::component::Accessor;
use provider_connection_cache_host::{AppOptions, HostState, LogSink};
use serde_json::json;
use tokio::time::sleep;

use crate::support::connection::{entry, id};
use crate::support::handler::{HttpInstance, handle};
use crate::support::redis::Redis;
use crate::support::service::{BASE, READ_TOKEN, WRITE_TOKEN, path};
use crate::support::{options, variables};

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

impl Effort {
    fn is_like(&self, other: &Self) -> bool {
        let instructions = self.instructions;
        let same = Self {
            instructions,
            ..*other
        };
        instructions.abs_diff(other.instructions) * 33 <= other.instructions && *self == same
    }
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

/// A kind of request, and what it takes. Instructions may differ by 3 %: a number goes down with each
/// improvement, and up by decision alone.
struct Kind {
    name: &'static str,
    request: Request<Full<Bytes>>,
    status: u16,
    edge_cache: bool,
    takes: Effort,
}

impl Kind {
    fn new(
        name: &'static str,
        request: Request<Full<Bytes>>,
        status: u16,
        [instructions, entries, calls, streams]: [u64; 4],
    ) -> Self {
        Self {
            name,
            request,
            status,
            edge_cache: false,
            takes: Effort {
                instructions,
                entries,
                calls,
                streams,
            },
        }
    }

    fn all() -> [Self; 8] {
        let one = path(&id(1));
        let full = format!("{one}?view=full");
        let stored = entry(&id(1)).to_string();
        let ids: Vec<_> = (0..BATCH).map(id).collect();
        let ids = json!({ "ids": ids }).to_string();
        let get = |path: &str| request("GET", path, READ_TOKEN, "");
        let in_edge_cache = Self {
            edge_cache: true,
            ..Self::new("hit in the edge cache", get(&one), 200, [128_000, 4, 13, 4])
        };
        let missing = path(&id(BATCH));
        let batch = request("POST", &format!("{BASE}/lookup"), READ_TOKEN, &ids);
        let put = request("PUT", &one, WRITE_TOKEN, &stored);
        let delete = request("DELETE", &missing, WRITE_TOKEN, "");
        let full = request("GET", &full, WRITE_TOKEN, "");
        [
            Self::new("hit", get(&one), 200, [125_800, 6, 13, 4]),
            in_edge_cache,
            Self::new("hit, view=full", full, 200, [124_000, 6, 12, 4]),
            Self::new("miss", get(&missing), 404, [56_000, 6, 13, 4]),
            Self::new("batch of 100", batch, 200, [7_950_000, 7, 18, 7]),
            Self::new("PUT", put, 204, [123_000, 5, 19, 5]),
            Self::new("DELETE", delete, 404, [53_500, 6, 14, 4]),
            Self::new(
                "unauthorized",
                request("GET", &one, "", ""),
                401,
                [33_800, 4, 9, 4],
            ),
        ]
    }
}

/// So many entries are in Redis.
const BATCH: usize = 100;

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

impl HttpInstance {
    async fn over(redis: &Redis, edge_cache: bool) -> Self {
        let given = [
            ("read_token", READ_TOKEN),
            ("write_token", WRITE_TOKEN),
            ("edge_cache_ttl_ms", if edge_cache { "60000" } else { "0" }),
        ];
        Self::new(AppOptions {
            counts_instructions: true,
            ..options(variables(redis, &given), &LogSink::memory())
        })
        .await
    }

    async fn answer(&mut self, kind: &Kind) -> Response<Bytes> {
        let Self { store, service } = self;
        let answer = async |accessor: &Accessor<HostState>| {
            handle(accessor, service, kind.request.clone()).await
        };
        let answer = store.run_concurrent(answer).await.expect("no trap");
        assert_eq!(answer.status(), kind.status, "{}", kind.name);
        answer
    }

    /// Asks until the edge cache answers: it takes an answer in once that has gone out.
    async fn until_kept(&mut self, kind: &Kind) {
        let is_kept = |answer: Response<Bytes>| {
            let status = answer.headers()["cache-status"].as_bytes();
            status.ends_with(b"detail=edge")
        };
        let start = Instant::now();
        while !is_kept(self.answer(kind).await) {
            assert!(start.elapsed() < Duration::from_secs(60), "never kept");
            let pause = async |_: &Accessor<HostState>| sleep(Duration::from_millis(5)).await;
            self.store.run_concurrent(pause).await.expect("no trap");
        }
    }

    async fn effort(&mut self, kind: &Kind) -> Effort {
        let before = self.store.get_fuel().expect("it counts");
        COUNTED.set(Some(Effort::default()));
        self.answer(kind).await;
        let counted = COUNTED.take().unwrap_or_default();
        Effort {
            instructions: before - self.store.get_fuel().expect("it counts"),
            ..counted
        }
    }
}

/// On one thread, so that the order of events is the same on every machine.
#[tokio::test]
async fn each_kind_of_request_takes_what_it_should() {
    log::set_logger(&Messages).expect("no other test has one");
    log::set_max_level(log::LevelFilter::Trace);
    let redis = Redis::start(&[]);
    for number in 0..BATCH {
        let id = id(number);
        redis.set(&format!("provider:conn:{id}"), entry(&id).to_string());
    }
    let mut wrong = Vec::new();
    println!("{:22} instructions entries calls streams", "");
    for kind in Kind::all() {
        let mut instance = HttpInstance::over(&redis, kind.edge_cache).await;
        if kind.edge_cache {
            instance.until_kept(&kind).await;
        }
        // The first ones also connect, and some come upon the timer or the counts. The end of a request is part of
        // the next one.
        let mut efforts = Vec::new();
        for _ in 0..20 {
            efforts.push(instance.effort(&kind).await);
        }
        let least = efforts.into_iter().min().expect("there are some");
        println!("{:22} {least}", kind.name);
        if !least.is_like(&kind.takes) {
            wrong.push(format!("{}: {least}, not {}", kind.name, kind.takes));
        }
    }
    log::set_max_level(log::LevelFilter::Off);
    assert!(wrong.is_empty(), "{wrong:#?}");
}
