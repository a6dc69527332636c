//! The key-value store of the host (`spin:key-value/key-value@3.0.0`), which its instances share.
//!
//! The component works without it: what cannot be read is not there. A store that fails is logged once.

use std::cell::{Cell, RefCell};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use spin_sdk::key_value::{Error, Store};

use crate::log;
use crate::rt::deadline::Timer;

/// A store, opened when it is first needed.
pub(crate) struct EdgeStore {
    label: String,
    timer: Rc<Timer>,
    timeout: Duration,
    state: RefCell<State>,
    /// Whether the last call failed.
    fails: Cell<bool>,
}

enum State {
    Closed,
    Open(Rc<Store>),
    /// The host does not grant it, or does not have it.
    Unusable,
}

/// The store did not confirm that it took a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotSet;

/// Values by key. Tests have a store of their own, to decide the order of calls.
pub(crate) trait KeyValue {
    /// Reads a value. Returns none if there is none, or if the store fails.
    async fn get(&self, key: &str) -> Option<Vec<u8>>;
    /// Sets a value. A store that cannot be opened has nothing to replace.
    async fn set(&self, key: &str, value: &[u8]) -> Result<(), NotSet>;
}

impl EdgeStore {
    /// Returns the store with this label. Each call may take as long as `timeout`.
    pub(crate) fn new(label: &str, timer: Rc<Timer>, timeout: Duration) -> Self {
        Self {
            label: label.to_owned(),
            timer,
            timeout,
            state: RefCell::new(State::Closed),
            fails: Cell::new(false),
        }
    }

    async fn open(&self) -> Result<Rc<Store>, Error> {
        match &*self.state.borrow() {
            State::Open(store) => return Ok(Rc::clone(store)),
            State::Unusable => return Err(Error::AccessDenied),
            State::Closed => {}
        }
        let opened = Store::open(&self.label).await.map(Rc::new);
        *self.state.borrow_mut() = match &opened {
            Ok(store) => State::Open(Rc::clone(store)),
            Err(Error::AccessDenied | Error::NoSuchStore) => State::Unusable,
            Err(_) => State::Closed,
        };
        opened
    }

    async fn call<T>(
        &self,
        call: Pin<&mut dyn Future<Output = Result<T, Error>>>,
    ) -> Option<Result<T, Error>> {
        let called = self.timer.deadline(self.timeout).race(call).await;
        let reason = match &called {
            Some(Ok(_)) => None,
            Some(Err(Error::AccessDenied)) => Some(
                "the host does not grant it: add edge_cache_store to key_value_stores in spin.toml",
            ),
            Some(Err(Error::NoSuchStore)) => Some("the host has no store of that label"),
            Some(Err(_)) => Some("it answered with an error"),
            None => Some("it did not answer in time"),
        };
        if let Some(reason) = reason
            && !self.fails.get()
        {
            log::event(
                log::Event::EdgeCacheFailed,
                &[("store", &self.label), ("reason", &reason)],
            );
        }
        self.fails.set(reason.is_some());
        called
    }
}

impl KeyValue for EdgeStore {
    async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let get = pin!(async { self.open().await?.get(key).await });
        self.call(get).await?.ok()?
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), NotSet> {
        let set = pin!(async { self.open().await?.set(key, value).await });
        match self.call(set).await {
            Some(Ok(())) => Ok(()),
            _ if matches!(*self.state.borrow(), State::Unusable) => Ok(()),
            _ => Err(NotSet),
        }
    }
}
