//! What the host keeps for one instance of the component.

use std::sync::Arc;

use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    WasiHttpCtx,
    p3::{WasiHttpCtxView, WasiHttpView},
};

use crate::{
    bindings::spin,
    key_value::KeyValue,
    limits::Limits,
    log::{LogSink, LogStream},
    outbound_http::OutboundHttp,
    redis::Redis,
    variables::Variables,
};

/// What a store holds: the state behind the interfaces one instance imports. Dropping it closes
/// the instance's Redis connections.
pub struct HostState {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound_http: OutboundHttp,
    table: ResourceTable,
    redis: Redis,
    key_value: KeyValue,
    variables: Arc<Variables>,
    pub(crate) limits: Limits,
}

impl HostState {
    pub(crate) fn new(
        redis: Redis,
        key_value: KeyValue,
        outbound_http: OutboundHttp,
        variables: Arc<Variables>,
        log: &LogSink,
        limits: Limits,
    ) -> Self {
        Self {
            wasi: WasiCtx::builder()
                .stdout(LogStream::new(log.clone()))
                .stderr(LogStream::new(log.clone()))
                .build(),
            http: WasiHttpCtx::new(),
            outbound_http,
            table: ResourceTable::new(),
            redis,
            key_value,
            variables,
            limits,
        }
    }

    /// Offers everything a component may import to `linker`.
    pub(crate) fn link(linker: &mut Linker<Self>) -> wasmtime::Result<()> {
        wasmtime_wasi::p2::add_to_linker_async(linker)?;
        wasmtime_wasi::p3::add_to_linker(linker)?;
        wasmtime_wasi_http::p3::add_to_linker(linker)?;
        spin::redis::redis::add_to_linker::<_, HasSelf<Redis>>(linker, |state| &mut state.redis)?;
        spin::key_value::key_value::add_to_linker::<_, HasSelf<KeyValue>>(linker, |state| {
            &mut state.key_value
        })?;
        spin::variables::variables::add_to_linker::<_, HasSelf<Arc<Variables>>>(linker, |state| {
            &mut state.variables
        })
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for HostState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.outbound_http,
        }
    }
}
