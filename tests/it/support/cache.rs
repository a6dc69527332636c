//! The WIT interface `cache`, called on the lean component.

use std::sync::Arc;
use std::thread::panicking;

use provider_connection_cache_host::wasmtime::{self, Store};
use provider_connection_cache_host::{App, Grants, HostState, LogSink};

use super::redis::{Redis, unique_prefix};
use super::{Variables, lean_component, options, secrets, variables};

mod bindings {
    provider_connection_cache_host::wasmtime::component::bindgen!({
        path: "wit",
        world: "provider-connection-cache",
        wasmtime_crate: provider_connection_cache_host::wasmtime,
        exports: { default: async | store },
        additional_derives: [PartialEq],
    });
}

pub use self::bindings::exports::provider::connection_cache::cache::Guest as Functions;
pub use self::bindings::provider::connection_cache::types::*;

type Outcome<T> = Result<T, Error>;

/// One instance of the lean component. A trap fails the test.
pub struct Cache {
    store: Store<HostState>,
    exports: bindings::ProviderConnectionCache,
    app: Arc<App>,
    log: LogSink,
    prefix: String,
}

impl Cache {
    /// An instance over this Redis, with keys under a prefix of its own.
    pub async fn over(redis: &Redis) -> Self {
        Self::with(redis, &[]).await
    }

    /// As [`Cache::over`], with more variables.
    pub async fn with(redis: &Redis, more: &[(&str, &str)]) -> Self {
        let prefix = unique_prefix();
        let mut variables = variables(redis, &[("key_prefix", prefix.as_str())]);
        variables.extend(
            more.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let allowed = ["redis_address", "origin_address"];
        let allowed = allowed
            .iter()
            .filter_map(|name| variables.get(*name).cloned());
        let allowed = allowed.collect();
        Self::start(variables, allowed).await
    }

    /// An instance with just these variables, which may open just these addresses.
    pub async fn start(variables: Variables, allowed_outbound_hosts: Vec<String>) -> Self {
        let log = LogSink::memory();
        let prefix = variables.get("key_prefix").cloned().unwrap_or_default();
        let app = App::from_component(
            &lean_component(),
            &Grants {
                allowed_outbound_hosts,
                ..Grants::default()
            },
            options(variables, &log),
        )
        .expect("the component loads");
        Self::instance_of(Arc::new(app), log, prefix).await
    }

    /// Another instance of this application, with this log and this prefix of its keys.
    pub async fn instance_of(app: Arc<App>, log: LogSink, prefix: String) -> Self {
        let mut store = app.new_store();
        let exports = bindings::ProviderConnectionCache::instantiate_async(
            &mut store,
            app.component(),
            app.linker(),
        )
        .await
        .expect("the component starts");
        Self {
            store,
            exports,
            app,
            log,
            prefix,
        }
    }

    /// The instance, and its functions.
    pub fn parts(&mut self) -> (&mut Store<HostState>, &Functions) {
        let functions = self.exports.provider_connection_cache_cache();
        (&mut self.store, functions)
    }

    /// The most memory it had so far, in bytes.
    pub fn peak_memory(&self) -> usize {
        self.app.peak_memory()
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.log.contents()
    }

    /// `get-summary` for each id, all at the same time.
    pub async fn summaries_at_once(
        &mut self,
        ids: &[String],
    ) -> Vec<Outcome<Option<ProviderConnectionSummary>>> {
        let Self { store, exports, .. } = self;
        let cache = exports.provider_connection_cache_cache();
        let calls = async |accessor: &wasmtime::component::Accessor<HostState>| {
            let call = |id: &String| cache.call_get_summary(accessor, id.clone());
            futures_util::future::join_all(ids.iter().map(call)).await
        };
        let results = store.run_concurrent(calls).await.expect("no trap");
        let result = |result: wasmtime::Result<_>| result.expect("get_summary trapped");
        results.into_iter().map(result).collect()
    }

    /// `get` and `lookup` at the same time.
    pub async fn get_and_look_up(
        &mut self,
        id: &str,
    ) -> (Option<ProviderConnection>, LookupResult) {
        let Self { store, exports, .. } = self;
        let cache = exports.provider_connection_cache_cache();
        let calls = async |accessor: &wasmtime::component::Accessor<HostState>| {
            let get = cache.call_get(accessor, id.to_owned());
            futures_util::future::join(get, cache.call_lookup(accessor, id.to_owned())).await
        };
        let (get, lookup) = store.run_concurrent(calls).await.expect("no trap");
        let get = get.expect("get trapped").expect("no error");
        (get, lookup.expect("lookup trapped").expect("no error"))
    }

    /// `get-many` so often at the same time.
    pub async fn get_many_at_once(
        &mut self,
        times: usize,
        ids: &[String],
    ) -> Vec<Outcome<Vec<Option<ProviderConnection>>>> {
        let Self { store, exports, .. } = self;
        let cache = exports.provider_connection_cache_cache();
        let calls = async |accessor: &wasmtime::component::Accessor<HostState>| {
            let call = |_| cache.call_get_many(accessor, ids.to_vec());
            futures_util::future::join_all((0..times).map(call)).await
        };
        let results = store.run_concurrent(calls).await.expect("no trap");
        let result = |result: wasmtime::Result<_>| result.expect("get_many trapped");
        results.into_iter().map(result).collect()
    }

    /// `set-many` of these so often at the same time, each beside `get-many` of the ids.
    pub async fn set_and_get_many_at_once(
        &mut self,
        times: usize,
        connections: &[ProviderConnection],
        ids: &[String],
    ) -> Vec<(Outcome<()>, Outcome<Vec<Option<ProviderConnection>>>)> {
        let Self { store, exports, .. } = self;
        let cache = exports.provider_connection_cache_cache();
        let calls = async |accessor: &wasmtime::component::Accessor<HostState>| {
            let call = |_| {
                let set = cache.call_set_many(accessor, connections.to_vec(), None);
                futures_util::future::join(set, cache.call_get_many(accessor, ids.to_vec()))
            };
            futures_util::future::join_all((0..times).map(call)).await
        };
        let results = store.run_concurrent(calls).await.expect("no trap");
        let result = |(set, get): (wasmtime::Result<_>, wasmtime::Result<_>)| {
            let set = set.expect("set_many trapped");
            (set, get.expect("get_many trapped"))
        };
        results.into_iter().map(result).collect()
    }

    /// `ready`, which does not fail.
    pub async fn ready(&mut self) -> Readiness {
        let Self { store, exports, .. } = self;
        let cache = exports.provider_connection_cache_cache();
        let call = async |accessor: &wasmtime::component::Accessor<HostState>| {
            cache.call_ready(accessor).await
        };
        let ready = store.run_concurrent(call).await.expect("no trap");
        let ready = ready.expect("ready trapped");
        secrets::assert_none("ready", &format!("{ready:?}"));
        ready
    }

    /// Lets it go on with what it does beside its calls.
    pub async fn wait(&mut self, duration: std::time::Duration) {
        let pause = async |_: &wasmtime::component::Accessor<HostState>| {
            tokio::time::sleep(duration).await;
        };
        self.store.run_concurrent(pause).await.expect("no trap");
    }

    /// The key under which the entry of a connection must be.
    pub fn key(&self, id: &str) -> String {
        match self.prefix.as_str() {
            "" => format!("provider:conn:{id}"),
            prefix => format!("{prefix}:provider:conn:{id}"),
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        if !panicking() {
            secrets::assert_none("the log", &self.log());
        }
    }
}

/// One method for each function of the interface.
macro_rules! functions {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $result:ty, $call:ident;)+) => {
        impl Cache {
            $(pub async fn $name(&mut self, $($argument: $kind),*) -> Outcome<$result> {
                let Self { store, exports, .. } = self;
                let cache = exports.provider_connection_cache_cache();
                $(let $argument = $argument.to_owned();)*
                let call = async |accessor: &wasmtime::component::Accessor<HostState>| {
                    cache.$call(accessor, $($argument),*).await
                };
                let result = store.run_concurrent(call).await;
                let result = result.and_then(|result| result);
                let result = result.expect(concat!(stringify!($name), " trapped"));
                if let Err(error) = &result {
                    secrets::assert_none(stringify!($name), &format!("{error:?}"));
                }
                result
            })+
        }
    };
}

functions! {
    get(id: &str) -> Option<ProviderConnection>, call_get;
    get_many(ids: &[String]) -> Vec<Option<ProviderConnection>>, call_get_many;
    get_summary(id: &str) -> Option<ProviderConnectionSummary>, call_get_summary;
    exists(id: &str) -> bool, call_exists;
    lookup(id: &str) -> LookupResult, call_lookup;
    lookup_sourced(id: &str) -> SourcedLookupResult, call_lookup_sourced;
    set(connection: &ProviderConnection, ttl_seconds: Option<u32>) -> (), call_set;
    set_if(connection: &ProviderConnection, ttl_seconds: Option<u32>, precondition: &Precondition) -> bool, call_set_if;
    set_many(connections: &[ProviderConnection], ttl_seconds: Option<u32>) -> (), call_set_many;
    delete(id: &str) -> bool, call_delete;
    delete_if(id: &str, precondition: &Precondition) -> Removal, call_delete_if;
    delete_many(ids: &[String]) -> u32, call_delete_many;
    ping() -> Duration, call_ping;
    inspect(id: &str) -> Inspection, call_inspect;
    inspect_many(ids: &[String]) -> Vec<Inspection>, call_inspect_many;
    list_ids(cursor: Option<String>) -> IdPage, call_list_ids;
    stats(hours: u32) -> Vec<HourStats>, call_stats;
}
