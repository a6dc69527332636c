//! What one instance of the component keeps between its calls.

use std::cell::OnceCell;
use std::rc::Rc;

use crate::cache::Cache;
use crate::config::{CacheConfig, ConfigError, Variables};
use crate::deadline::Timer;
use crate::log;
#[cfg(feature = "http")]
use crate::tokens::Tokens;

thread_local! {
    static INSTANCE: OnceCell<Rc<Instance>> = const { OnceCell::new() };
}

/// The cache, and who may call it over HTTP.
pub struct Instance {
    /// The cache, with the connections to Redis that all calls share.
    pub cache: Cache,
    /// Ends what takes too long.
    pub timer: Rc<Timer>,
    /// Who may call; nobody, if a variable is wrong.
    #[cfg(feature = "http")]
    pub tokens: Result<Tokens, ConfigError>,
}

impl Instance {
    /// This instance, configured at the first call.
    pub async fn get() -> Rc<Self> {
        if let Some(instance) = INSTANCE.with(|cell| cell.get().cloned()) {
            return instance;
        }
        let instance = Rc::new(Self::configured().await);
        // Another call may have read the variables meanwhile: the first to come here
        // sets up the instance, so that there is one set of connections.
        INSTANCE.with(|cell| Rc::clone(cell.get_or_init(|| instance)))
    }

    /// A new one, of the configuration that the host has.
    pub async fn configured() -> Self {
        log::panics();
        let variables = Variables::read().await;
        let timer = Rc::<Timer>::default();
        Self {
            cache: Cache::new(checked(CacheConfig::try_from(&variables)), &timer),
            timer,
            #[cfg(feature = "http")]
            tokens: checked(Tokens::try_from(&variables)),
        }
    }
}

/// The same, and if it is a mistake, the log says so.
fn checked<T>(configured: Result<T, ConfigError>) -> Result<T, ConfigError> {
    if let Err(error) = &configured {
        let variable = error.variable.name();
        log::event(
            log::Event::BadConfiguration,
            &[("variable", &variable), ("reason", error)],
        );
    }
    configured
}
