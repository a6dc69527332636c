//! The state that an instance keeps between its calls.

use std::rc::Rc;

use futures_util::future::LocalBoxFuture;

use crate::cache::Cache;
use crate::config::{CacheConfig, Variable, Variables};
use crate::log::{self, checked};
use crate::origin::Upstream;
use crate::rt::deadline::Timer;

/// The cache, with the connections to Redis that all calls share.
pub struct Instance {
    /// The cache.
    pub cache: Rc<Cache>,
    /// The timer of everything in flight.
    pub(crate) timer: Rc<Timer>,
    /// Whether lookups over HTTP say what they spent their time on.
    pub(crate) server_timing: bool,
}

impl Instance {
    /// Configures an instance by the variables of the host.
    pub fn configured(upstream: &Upstream) -> LocalBoxFuture<'_, Self> {
        Box::pin(async move {
            log::panics();
            let mut variables = Variables::read().await;
            if let Some(url) = upstream.default_url {
                variables.set_default(Variable::OriginUrl, url);
            }
            let timer = Rc::<Timer>::default();
            let config = checked(CacheConfig::try_from(&variables));
            let server_timing = config.as_ref().is_ok_and(|config| config.server_timing);
            Self {
                server_timing,
                cache: Cache::new(config, upstream, &timer),
                timer,
            }
        })
    }
}
