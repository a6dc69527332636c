//! Key-value stores in SQLite: what Spin's runtime configuration calls the type `spin`.
//!
//! As in Spin: all instances share one connection behind a lock, which the first `open` makes. Each
//! call keeps its thread until SQLite is done, and tokio has another thread, if there is one, go on with
//! the tasks that waited there. In a file, each `set` and `delete` is synced before it returns.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use rusqlite::{Connection, Result, params};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
};

/// Spin's, in whose files it is found.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS spin_key_value (
    store TEXT NOT NULL,
    key   TEXT NOT NULL,
    value BLOB NOT NULL,

    PRIMARY KEY (store, key)
)";

/// One database, whose connection is made when it is needed.
pub(crate) struct Database {
    /// Without a value it is in memory.
    file: Option<PathBuf>,
    connection: OnceLock<Arc<Mutex<Connection>>>,
}

impl Database {
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        Self {
            file,
            connection: OnceLock::new(),
        }
    }

    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Opens the store of this label, which need not exist. Must be called on a runtime, as all that
    /// blocks here.
    pub(crate) fn open(&self, label: &str) -> Result<Store> {
        let connection = block(|| self.connection())?;
        Ok(Store {
            label: label.into(),
            connection: Arc::clone(connection),
        })
    }

    fn connection(&self) -> Result<&Arc<Mutex<Connection>>> {
        if let Some(connection) = self.connection.get() {
            return Ok(connection);
        }
        // Of those that two make at the same time, one is kept.
        let new = self.connect()?;
        Ok(self.connection.get_or_init(|| new))
    }

    fn connect(&self) -> Result<Arc<Mutex<Connection>>> {
        let connection = match &self.file {
            Some(file) => Connection::open(file)?,
            None => Connection::open_in_memory()?,
        };
        connection.execute(TABLE, [])?;
        Ok(Arc::new(Mutex::new(connection)))
    }
}

/// Does what blocks. A runtime with one thread has no other to go on.
fn block<T>(what: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => what(),
        _ => block_in_place(what),
    }
}

/// What stands behind the resource `store`.
#[derive(Clone)]
pub struct Store {
    label: Arc<str>,
    connection: Arc<Mutex<Connection>>,
}

impl Store {
    pub(crate) fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        block(|| {
            self.lock()
                .prepare_cached("SELECT value FROM spin_key_value WHERE store=$1 AND key=$2")?
                .query_map([&self.label, key], |row| row.get(0))?
                .next()
                .transpose()
        })
    }

    pub(crate) fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        block(|| {
            self.lock()
                .prepare_cached(
                    "INSERT INTO spin_key_value (store, key, value) VALUES ($1, $2, $3)
                     ON CONFLICT(store, key) DO UPDATE SET value=$3",
                )?
                .execute(params![&self.label, key, value])
                .map(drop)
        })
    }

    pub(crate) fn delete(&self, key: &str) -> Result<()> {
        block(|| {
            self.lock()
                .prepare_cached("DELETE FROM spin_key_value WHERE store=$1 AND key=$2")?
                .execute([&self.label, key])
                .map(drop)
        })
    }

    /// Gives `take` one key after the other until it fails. The connection is locked until then. Blocks
    /// without telling tokio.
    pub(crate) fn keys<E: From<rusqlite::Error>>(
        &self,
        mut take: impl FnMut(String) -> Result<(), E>,
    ) -> Result<(), E> {
        let connection = self.lock();
        let mut select =
            connection.prepare_cached("SELECT key FROM spin_key_value WHERE store=$1")?;
        let mut rows = select.query([&self.label])?;
        while let Some(row) = rows.next()? {
            take(row.get(0)?)?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
