//! `spin:key-value/key-value@3.0.0`, over SQLite.
//!
//! As in Spin, and unlike what the interface's functions, all `async`, suggest: a call that waits for
//! SQLite, or for another's call, keeps its thread meanwhile, and nothing else of its instance runs.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    mem::size_of,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
};
use wasmtime::{
    StoreContextMut,
    component::{
        Accessor, Destination, FutureReader, HasSelf, Resource, ResourceTable, StreamProducer,
        StreamReader, StreamResult,
    },
};

use crate::{
    bindings::spin::key_value::key_value::{Error, Host, HostStore, HostStoreWithStore},
    limits::check_buffered,
    sqlite::{Database, Store},
};

/// How many keys are read ahead of who lists them.
const KEYS_AHEAD: usize = 4;

/// The stores a component may open, by their labels.
pub(crate) type GrantedStores = BTreeMap<String, Arc<Database>>;

/// The key-value stores of one instance.
pub(crate) struct KeyValue {
    granted: Arc<GrantedStores>,
    open: ResourceTable,
}

impl KeyValue {
    pub(crate) fn new(granted: Arc<GrantedStores>) -> Self {
        let mut open = ResourceTable::new();
        // Spin's, of which no component sees the end.
        open.set_max_capacity(u32::MAX as usize);
        Self { granted, open }
    }
}

fn store<T>(
    accessor: &Accessor<T, HasSelf<KeyValue>>,
    store: Resource<Store>,
) -> Result<Store, Error> {
    accessor.with(|mut access| {
        let store = access.get().open.get(&store);
        store.cloned().map_err(|_| Error::NoSuchStore)
    })
}

/// As Spin words it.
fn other(error: impl Debug) -> Error {
    Error::Other(format!("{error:?}"))
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        other(error)
    }
}

impl Host for KeyValue {}

impl HostStore for KeyValue {
    fn drop(&mut self, store: Resource<Store>) -> wasmtime::Result<()> {
        self.open.delete(store)?;
        Ok(())
    }
}

impl<T: Send> HostStoreWithStore<T> for HasSelf<KeyValue> {
    async fn open(accessor: &Accessor<T, Self>, label: String) -> Result<Resource<Store>, Error> {
        // One that is granted exists: the application would not have been loaded otherwise.
        let database = accessor.with(|mut access| access.get().granted.get(&label).cloned());
        let store = database.ok_or(Error::AccessDenied)?.open(&label)?;
        accessor.with(|mut access| {
            let open = &mut access.get().open;
            open.push(store).map_err(|_| Error::StoreTableFull)
        })
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        this: Resource<Store>,
        key: String,
    ) -> Result<Option<Vec<u8>>, Error> {
        let value = store(accessor, this)?.get(&key)?;
        let bytes = size_of::<Option<Vec<u8>>>() + value.as_ref().map_or(0, Vec::len);
        check_buffered(bytes).map_err(Error::Other)?;
        Ok(value)
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        this: Resource<Store>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), Error> {
        Ok(store(accessor, this)?.set(&key, &value)?)
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        this: Resource<Store>,
        key: String,
    ) -> Result<(), Error> {
        Ok(store(accessor, this)?.delete(&key)?)
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        this: Resource<Store>,
        key: String,
    ) -> Result<bool, Error> {
        Ok(store(accessor, this)?.get(&key)?.is_some())
    }

    /// Until the last key is taken, or the stream dropped, all other calls of all instances wait.
    async fn get_keys(
        accessor: &Accessor<T, Self>,
        this: Resource<Store>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        let store = store(accessor, this)?;
        let (key, keys) = mpsc::channel(KEYS_AHEAD);
        let (end, ended) = oneshot::channel();
        spawn_blocking(move || {
            let sent = store.keys(|next| {
                check_buffered(next.len()).map_err(Error::Other)?;
                key.blocking_send(next).map_err(other)
            });
            // Nobody has to ask how it ended.
            let _ = end.send(sent);
        });
        accessor.with(|mut access| {
            let keys = StreamReader::new(&mut access, Keys(keys))?;
            Ok((keys, FutureReader::new(&mut access, ended)?))
        })
    }
}

/// A stream of keys.
struct Keys(mpsc::Receiver<String>);

impl<D> StreamProducer<D> for Keys {
    type Item = String;
    type Buffer = Option<String>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        context: &mut Context,
        store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, String, Option<String>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if destination.remaining(store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        match self.0.poll_recv(context) {
            Poll::Ready(Some(key)) => {
                destination.set_buffer(Some(key));
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Ready(None) => Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
        }
    }
}
