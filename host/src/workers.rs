//! The instances that serve requests: how long each lives and how many requests it is given.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::time::{Sleep, sleep};
use wasmtime::{Store, StoreContextMut, component::GuestTaskId};
use wasmtime_wasi_http::{
    handler::{
        HandlerState, Instance, Proxy, ShouldAccept, ViewFn, WorkerExpiration, WorkerState,
        WorkerStatus,
    },
    p3::{WasiHttpView as _, bindings::ServicePre},
};

use crate::{component::AppComponent, log::LogSink, state::HostState};

/// How instances are reused; see the options of `spin up` with the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceReuse {
    /// An instance is dropped after this many requests.
    pub max_instance_reuse_count: usize,
    /// How many requests an instance is given at a time.
    pub max_instance_concurrent_reuse_count: usize,
    /// An instance is dropped when it had nothing to do for so long.
    pub idle_instance_timeout: Duration,
    /// A request fails after so long, and its instance takes no more. Without a value it never
    /// does.
    pub request_timeout: Option<Duration>,
}

impl Default for InstanceReuse {
    /// Spin's defaults.
    fn default() -> Self {
        Self {
            max_instance_reuse_count: 128,
            max_instance_concurrent_reuse_count: 16,
            idle_instance_timeout: Duration::from_secs(1),
            request_timeout: None,
        }
    }
}

/// Creates instances of one component for [`wasmtime_wasi_http::handler::ProxyHandler`], with which Spin, too,
/// serves WASI 0.3 components.
pub(crate) struct Workers {
    pub(crate) component: Arc<AppComponent>,
    pub(crate) service: ServicePre<HostState>,
    /// Asked once for each instance.
    pub(crate) reuse: Arc<dyn Fn() -> InstanceReuse + Send + Sync>,
}

impl HandlerState for Workers {
    type StoreData = HostState;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<HostState, Expiration, Worker>> {
        let mut store = self.component.new_store();
        let service = self.service.instantiate_async(&mut store).await?;
        let reuse = (self.reuse)();
        Ok(Instance {
            store,
            proxy: Proxy::P3(service),
            view: ViewFn::P3(HostState::http),
            expiration: Expiration {
                idle_timeout: reuse.idle_instance_timeout,
                request_timeout: reuse.request_timeout.unwrap_or(Duration::MAX),
                sleep: Box::pin(sleep(Duration::MAX)),
            },
            state: Worker {
                reuse,
                log: self.component.log().clone(),
            },
        })
    }
}

/// Ends an instance that is idle, or whose requests take too long.
pub(crate) struct Expiration {
    idle_timeout: Duration,
    request_timeout: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl WorkerExpiration for Expiration {
    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context,
        status: WorkerStatus,
        start: Instant,
    ) -> Poll<()> {
        let timeout = match status {
            WorkerStatus::Idle => self.idle_timeout,
            WorkerStatus::Requests | WorkerStatus::PostReturn => self.request_timeout,
        };
        let Some(deadline) = start.checked_add(timeout) else {
            return Poll::Pending;
        };
        if self.sleep.deadline() != deadline.into() {
            self.sleep.as_mut().reset(deadline.into());
        }
        self.sleep.as_mut().poll(context)
    }
}

/// Decides which requests an instance takes.
pub(crate) struct Worker {
    reuse: InstanceReuse,
    log: LogSink,
}

impl WorkerState for Worker {
    type StoreData = HostState;
    type RequestId = ();

    fn should_accept_request(&self, concurrent_count: usize, total_count: usize) -> ShouldAccept {
        if total_count >= self.reuse.max_instance_reuse_count {
            ShouldAccept::Never
        } else if concurrent_count >= self.reuse.max_instance_concurrent_reuse_count {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, HostState>,
        _: (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        Box::pin(sleep(self.reuse.request_timeout.unwrap_or(Duration::MAX)))
    }

    fn drop(&self, store: Store<HostState>, result: wasmtime::Result<()>) {
        if let Err(error) = result {
            self.log.line(&format!("worker failed: {error:?}"));
        }
        drop(store);
    }
}
