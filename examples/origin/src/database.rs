//! The connections, in SQLite. The rules of an entry that SQL can say are rules of the table.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use anyhow::{Result, ensure};
use rusqlite::{OptionalExtension as _, Row, named_params};
use serde_json::Value;

use crate::{
    connection::{Connection, Credentials, timestamp},
    generate,
};

const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS connections (
        id TEXT PRIMARY KEY CHECK (length(id) = 36),
        user_id TEXT NOT NULL CHECK (length(user_id) = 36),
        provider_id TEXT NOT NULL CHECK (length(provider_id) = 36),
        provider_slug TEXT NOT NULL CHECK (length(provider_slug) BETWEEN 1 AND 50),
        status TEXT NOT NULL CHECK (status IN
            ('pending', 'active', 'expired', 'revoked', 'failed', 'disconnected')),
        alias TEXT CHECK (length(alias) <= 100),
        encrypted_data TEXT CHECK (encrypted_data <> ''),
        credential_type TEXT CHECK (credential_type IN
            ('oauth2', 'api_key', 'link_token', 'certificate', 'file_import', 'custom')),
        expires_at TEXT,
        connected_at TEXT,
        last_sync_at TEXT,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        CHECK (status <> 'active' OR encrypted_data IS NOT NULL),
        CHECK ((encrypted_data IS NULL) = (credential_type IS NULL))
    ) STRICT, WITHOUT ROWID";

/// Locked for a lookup of one row, which takes microseconds: less than handing it to a thread
/// that may block.
pub(crate) struct Database(Mutex<rusqlite::Connection>);

impl Database {
    /// Opens the file, or a database in memory, and fills it if it is empty.
    pub(crate) fn open(file: Option<&Path>, connections: u32) -> Result<Self> {
        let mut database = match file {
            Some(file) => rusqlite::Connection::open(file)?,
            None => rusqlite::Connection::open_in_memory()?,
        };
        database.execute(TABLE, [])?;
        if count(&database)? == 0 {
            let transaction = database.transaction()?;
            for n in 1..=connections {
                store(&transaction, &generate::connection(n))?;
            }
            transaction.commit()?;
        }
        Ok(Self(Mutex::new(database)))
    }

    pub(crate) fn count(&self) -> Result<u64> {
        self.with(count)
    }

    pub(crate) fn get(&self, id: &str) -> Result<Option<Connection>> {
        self.with(|database| find(database, "id = ?", id))
    }

    /// The first connection that is not this one.
    pub(crate) fn other(&self, id: &str) -> Result<Option<Connection>> {
        self.with(|database| find(database, "id <> ? ORDER BY id LIMIT 1", id))
    }

    pub(crate) fn put(&self, connection: &Connection) -> Result<()> {
        self.with(|database| store(database, connection))
    }

    /// Changes the fields that are in `changes`, and when the connection was updated. False if
    /// there is no such connection.
    pub(crate) fn update(&self, id: &str, changes: &Value) -> Result<bool> {
        let changes = serde_json::from_value::<serde_json::Map<_, _>>(changes.clone())?;
        self.with(|database| {
            let Some(mut connection) = find(database, "id = ?", id)? else {
                return Ok(false);
            };
            connection.updated_at = timestamp(jiff::Timestamp::now().as_microsecond());
            let mut entry = serde_json::to_value(connection)?;
            for (field, value) in changes {
                entry[field] = value;
            }
            let connection: Connection = serde_json::from_value(entry)?;
            ensure!(connection.id == id, "the id cannot be changed");
            store(database, &connection)?;
            Ok(true)
        })
    }

    /// False if there was no such connection.
    pub(crate) fn remove(&self, id: &str) -> Result<bool> {
        self.with(|database| {
            Ok(database.execute("DELETE FROM connections WHERE id = ?", [id])? > 0)
        })
    }

    fn with<T>(&self, action: impl FnOnce(&rusqlite::Connection) -> Result<T>) -> Result<T> {
        action(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn count(database: &rusqlite::Connection) -> Result<u64> {
    let count: i64 =
        database.query_row("SELECT count(*) FROM connections", [], |row| row.get(0))?;
    Ok(count.try_into()?)
}

fn find(database: &rusqlite::Connection, which: &str, id: &str) -> Result<Option<Connection>> {
    let query = format!("SELECT * FROM connections WHERE {which}");
    Ok(database.query_row(&query, [id], read).optional()?)
}

fn read(row: &Row) -> rusqlite::Result<Connection> {
    let encrypted_data: Option<String> = row.get("encrypted_data")?;
    let credentials = encrypted_data.map(|encrypted_data| {
        Ok::<_, rusqlite::Error>(Credentials {
            encrypted_data,
            credential_type: row.get("credential_type")?,
            expires_at: row.get("expires_at")?,
        })
    });
    Ok(Connection {
        id: row.get("id")?,
        user_id: row.get("user_id")?,
        provider_id: row.get("provider_id")?,
        provider_slug: row.get("provider_slug")?,
        status: row.get("status")?,
        alias: row.get("alias")?,
        credentials: credentials.transpose()?,
        connected_at: row.get("connected_at")?,
        last_sync_at: row.get("last_sync_at")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

fn store(database: &rusqlite::Connection, connection: &Connection) -> Result<()> {
    let credentials = connection.credentials.as_ref();
    database.execute(
        "INSERT OR REPLACE INTO connections VALUES (:id, :user_id, :provider_id, :provider_slug,
            :status, :alias, :encrypted_data, :credential_type, :expires_at, :connected_at,
            :last_sync_at, :created_at, :updated_at)",
        named_params! {
            ":id": connection.id,
            ":user_id": connection.user_id,
            ":provider_id": connection.provider_id,
            ":provider_slug": connection.provider_slug,
            ":status": connection.status,
            ":alias": connection.alias,
            ":encrypted_data": credentials.map(|credentials| &credentials.encrypted_data),
            ":credential_type": credentials.map(|credentials| &credentials.credential_type),
            ":expires_at": credentials.and_then(|credentials| credentials.expires_at.as_ref()),
            ":connected_at": connection.connected_at,
            ":last_sync_at": connection.last_sync_at,
            ":created_at": connection.created_at,
            ":updated_at": connection.updated_at,
        },
    )?;
    Ok(())
}
