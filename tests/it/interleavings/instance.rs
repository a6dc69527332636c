//! An instance of the component, and the calls that it answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use provider_connection_cache_host::HostState;
use provider_connection_cache_host::wasmtime::component::Accessor;
use provider_connection_cache_host::wasmtime_wasi_http::p3::bindings::Service;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::model::{Condition, Effect, Outcome, Seen};
use crate::support::cache::{
    Cache, Error, Functions, LookupResult, Precondition, ProviderConnection, Removal,
    SourcedLookupResult,
};
use crate::support::connection::{entry as json, from_json, id};
use crate::support::handler::HttpInstance;
use crate::support::redis::Redis;

/// Longer than any run, counted in its steps.
const TTL: std::time::Duration = std::time::Duration::from_secs(1_000_000);

/// A call of the interface. What is written is a value: the alias of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `lookup-sourced`.
    Lookup,
    /// `get-summary`, which the edge cache may answer.
    Summary,
    /// `get-many` of both connections.
    GetBoth,
    Set(&'static str),
    /// `set-many` of both connections.
    SetBoth(&'static str),
    /// `set-if` the entry has the revision of the first value.
    Replace(&'static str, &'static str),
    /// `set-if` there is no entry.
    Create(&'static str),
    Delete,
    DeleteBoth,
    /// `delete-if` the entry has the revision of this value.
    DeleteIf(&'static str),
    /// By way of the middleware: the application behind it is to write this.
    Put(&'static str),
}

/// What a call came to.
#[derive(Debug)]
pub enum Said {
    Saw(Seen),
    /// Nothing of the connection: the origin failed, or Redis did not answer.
    Nothing,
    Wrote(Outcome),
    /// A removal of what was there.
    Removed,
    /// A removal of nothing.
    FoundNothing,
}

/// The connection that has this value, as JSON.
pub fn entry_of(number: usize, value: &str) -> String {
    let mut entry = json(&id(number));
    entry["alias"] = value.into();
    entry.to_string()
}

fn connection(number: usize, value: &str) -> ProviderConnection {
    from_json(&serde_json::from_str(&entry_of(number, value)).expect("JSON"))
}

/// The revision of each value.
#[derive(Default)]
pub struct Revisions(BTreeMap<&'static str, String>);

impl Revisions {
    /// Asks the component, which alone knows.
    pub async fn learn(redis: &Redis) -> Self {
        let mut cache = Cache::over(redis).await;
        let mut revisions = BTreeMap::new();
        for value in ["v0", "v1", "v2"] {
            let stored = cache.set(&connection(1, value), None).await;
            stored.expect("Redis answers");
            if let Ok(LookupResult::Hit(entry)) = cache.lookup(&id(1)).await {
                revisions.insert(value, entry.revision);
            }
        }
        Self(revisions)
    }

    fn is(&self, value: &str) -> Precondition {
        Precondition::Revision(self.0[value].clone())
    }
}

fn saw(alias: Option<String>) -> Said {
    Said::Saw(alias.map_or(Seen::Nothing, Seen::Value))
}

fn wrote<T>(result: Result<T, Error>, done: impl FnOnce(T) -> Said) -> Said {
    // Whether it took effect is not known.
    result.map_or(Said::Wrote(Outcome::Unknown), done)
}

impl Call {
    /// What it writes, and under which condition.
    pub fn effect(self) -> Option<(Effect, Option<Condition>)> {
        let put = |value: &str| Effect::Put {
            value: value.to_owned(),
            ttl: TTL,
        };
        let holds = |value: &str| Some(Condition::Holds(value.to_owned()));
        match self {
            // When the application writes, the world sees.
            Self::Lookup | Self::Summary | Self::GetBoth | Self::Put(_) => None,
            Self::Set(value) | Self::SetBoth(value) => Some((put(value), None)),
            Self::Replace(old, new) => Some((put(new), holds(old))),
            Self::Create(value) => Some((put(value), Some(Condition::HoldsNothing))),
            Self::Delete | Self::DeleteBoth => Some((Effect::Delete, None)),
            Self::DeleteIf(value) => Some((Effect::Delete, holds(value))),
        }
    }

    async fn make(
        self,
        accessor: &Accessor<HostState>,
        cache: &Functions,
        revisions: &Revisions,
    ) -> Said {
        const TRAP: &str = "no trap";
        let id = id(1);
        let both = || vec![self::id(1), self::id(2)];
        let set = |done| match done {
            true => Said::Wrote(Outcome::Acknowledged),
            false => Said::Wrote(Outcome::Refused),
        };
        let deleted = |existed| match existed {
            true => Said::Removed,
            false => Said::FoundNothing,
        };
        match self {
            Self::Lookup => {
                let found = cache.call_lookup_sourced(accessor, id).await.expect(TRAP);
                match found.expect("a valid id") {
                    SourcedLookupResult::Hit(hit) => saw(hit.entry.connection.alias),
                    SourcedLookupResult::NotFound(_) => Said::Saw(Seen::NotFound),
                    SourcedLookupResult::Miss => Said::Saw(Seen::Nothing),
                    _ => Said::Nothing,
                }
            }
            Self::Summary => {
                let found = cache.call_get_summary(accessor, id).await.expect(TRAP);
                saw(found.expect("a valid id").and_then(|found| found.alias))
            }
            Self::GetBoth => {
                let found = cache.call_get_many(accessor, both()).await.expect(TRAP);
                let found = found.expect("valid ids").into_iter();
                let mut aliases = found.map(|found| found.and_then(|found| found.alias));
                let (one, other) = (aliases.next().flatten(), aliases.next().flatten());
                match one == other {
                    true => saw(one),
                    false => Said::Saw(Seen::Torn),
                }
            }
            Self::Set(value) => {
                let call = cache.call_set(accessor, connection(1, value), None);
                wrote(call.await.expect(TRAP), |()| set(true))
            }
            Self::SetBoth(value) => {
                let connections = vec![connection(1, value), connection(2, value)];
                let call = cache.call_set_many(accessor, connections, None);
                wrote(call.await.expect(TRAP), |()| set(true))
            }
            Self::Replace(old, new) => {
                let call = cache.call_set_if(accessor, connection(1, new), None, revisions.is(old));
                wrote(call.await.expect(TRAP), set)
            }
            Self::Create(value) => {
                let none = Precondition::NoEntry;
                let call = cache.call_set_if(accessor, connection(1, value), None, none);
                wrote(call.await.expect(TRAP), set)
            }
            Self::Delete => wrote(cache.call_delete(accessor, id).await.expect(TRAP), deleted),
            Self::DeleteBoth => {
                let call = cache.call_delete_many(accessor, both());
                wrote(call.await.expect(TRAP), |count| deleted(count > 0))
            }
            Self::DeleteIf(value) => {
                let call = cache.call_delete_if(accessor, id, revisions.is(value));
                wrote(call.await.expect(TRAP), |removal| match removal {
                    Removal::Removed => Said::Removed,
                    Removal::Absent => Said::FoundNothing,
                    Removal::PreconditionFailed => Said::Wrote(Outcome::Refused),
                })
            }
            Self::Put(_) => unreachable!("the middleware is none of these instances"),
        }
    }
}

type Asked = (Call, oneshot::Sender<Said>);

/// What an instance answers calls with.
pub enum Guest {
    Cache(Box<Cache>, Arc<Revisions>),
    Middleware(HttpInstance),
}

/// A running instance. It dies when this is dropped, and its connections with it.
pub struct Instance {
    calls: UnboundedSender<Asked>,
    task: JoinHandle<()>,
}

impl Instance {
    pub fn run(component: Guest) -> Self {
        let (calls, asked) = unbounded_channel();
        let task = tokio::spawn(answer(component, asked));
        Self { calls, task }
    }

    /// Makes a call.
    pub fn call(&self, call: Call) -> oneshot::Receiver<Said> {
        let (said, receiver) = oneshot::channel();
        self.calls.send((call, said)).expect("the instance lives");
        receiver
    }

    /// Returns true if it ended, which it only does with a trap.
    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone, Copy)]
enum Exports<'a> {
    Cache(&'a Functions, &'a Revisions),
    Middleware(&'a Service),
}

/// Answers calls at the same time. What the instance does beside them goes on.
async fn answer(mut component: Guest, mut asked: UnboundedReceiver<Asked>) {
    let (store, exports) = match &mut component {
        Guest::Cache(cache, revisions) => {
            let (store, functions) = cache.parts();
            (store, Exports::Cache(functions, revisions))
        }
        Guest::Middleware(it) => (&mut it.store, Exports::Middleware(&it.service)),
    };
    let answer = async |accessor: &Accessor<HostState>| {
        let mut calls = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some((call, said)) = asked.recv() => calls.push(async move {
                    let _gone = said.send(match exports {
                        Exports::Cache(functions, revisions) => {
                            call.make(accessor, functions, revisions).await
                        }
                        Exports::Middleware(service) => call.request(accessor, service).await,
                    });
                }),
                Some(()) = calls.next(), if !calls.is_empty() => {}
                else => return,
            }
        }
    };
    store.run_concurrent(answer).await.expect("no trap");
}
