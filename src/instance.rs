//! What one instance of the component keeps between its calls.

use std::cell::OnceCell;
use std::rc::Rc;

use crate::cache::Cache;
use crate::config::{Config, Tokens, Variables};
use crate::log;

thread_local! {
    static INSTANCE: OnceCell<Rc<Instance>> = const { OnceCell::new() };
}

/// The cache, and who may call it over HTTP.
pub struct Instance {
    /// The cache, with the connections to Redis that all calls share.
    pub cache: Cache,
    /// Who may call.
    pub tokens: Tokens,
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
        let config = Config::from(Variables::read().await);
        if let Err(error) = &config.cache {
            log::line(&error.to_string());
        }
        Self {
            cache: Cache::new(config.cache),
            tokens: config.tokens,
        }
    }
}
