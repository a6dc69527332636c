//! The entries: a thousand of each kind, so that `redis-benchmark -r 1000` finds them too.

use anyhow::{Context as _, Result};
use redis::{Pipeline, pipe};
use serde_json::{Value, json};

use crate::support::connection::entry;
use crate::support::redis::Redis;

/// How many ids there are of each kind.
pub const COUNT: usize = 1_000;

/// The length of an entry, in bytes, unless its kind says otherwise.
const LENGTH: usize = 900;

/// What an id stands for. It is told by its fourth group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An entry is there.
    Hit,
    /// None is.
    Miss,
    /// An entry of so many times 512 bytes is there.
    Sized(u8),
}

impl Kind {
    /// An id of this kind; 12 decimal digits of it are the number.
    pub fn id(self, number: usize) -> String {
        format!("{}{number:012}", self.prefix())
    }

    /// What all ids of this kind begin with.
    pub fn prefix(self) -> String {
        let group = match self {
            Self::Hit => 0x9f00,
            Self::Miss => 0x9e00,
            Self::Sized(size) => 0x9d00 + u16::from(size),
        };
        format!("0192f3a4-5b6c-7d8e-{group:x}-")
    }

    /// The length of an entry.
    pub fn length(self) -> usize {
        match self {
            Self::Hit | Self::Miss => LENGTH,
            Self::Sized(size) => usize::from(size) * 512,
        }
    }

    /// Every id.
    pub fn ids(self) -> impl Iterator<Item = String> {
        (0..COUNT).map(move |number| self.id(number))
    }

    /// The entry of an id: its credentials are as long as it takes.
    pub fn entry(self, id: &str) -> Value {
        let mut entry = entry(id);
        let missing = self.length().saturating_sub(entry.to_string().len());
        let data = &mut entry["credentials"]["encrypted_data"];
        *data = format!(
            "{}{}",
            data.as_str().unwrap_or_default(),
            "A".repeat(missing)
        )
        .into();
        entry
    }

    /// Stores the entries of this kind, for longer than any benchmark takes.
    pub fn store(self, redis: &Redis) -> Result<()> {
        self.store_all(redis, self.ids())
    }

    /// The same of any ids.
    pub fn store_all(self, redis: &Redis, ids: impl Iterator<Item = String>) -> Result<()> {
        let set = |pipe: &mut Pipeline, id: String| {
            let value = self.entry(&id).to_string();
            pipe.set_ex(key(&id), value, 24 * 60 * 60).ignore();
        };
        let mut pipe = pipe();
        ids.for_each(|id| set(&mut pipe, id));
        pipe.query(&mut redis.connection())
            .context("Redis does not take the entries")
    }
}

/// The key of an entry.
pub fn key(id: &str) -> String {
    format!("provider:conn:{id}")
}

/// The summary of a connection whose entry is there.
pub fn summary(id: &str) -> Value {
    let mut summary = entry(id);
    let credentials = summary["credentials"].take();
    let computed = json!({
        "is_connected": true,
        "needs_reauthentication": false,
        "credentials_expired": false,
        "credentials_expiring_soon": false,
        "can_sync": true,
        "credential_type": credentials["credential_type"],
        "credentials_expire_at": credentials["expires_at"],
    });
    if let (Value::Object(summary), Value::Object(computed)) = (&mut summary, computed) {
        summary.remove("credentials");
        summary.extend(computed);
    }
    summary
}
