//! A batch to write, as it will be stored.

use crate::connection::{Id, InvalidField, ProviderConnection, entry};

/// At most 1,000 connections to store at once, of at most 16 MiB together: their entries.
///
/// Encoded as soon as they have come, a connection and its entry are in memory at the same time for
/// one of them and not for all.
pub struct EncodedBatch {
    pub(super) ids: Vec<Id>,
    pub(super) entries: Vec<Vec<u8>>,
    bytes: usize,
}

impl EncodedBatch {
    /// The largest size of all entries together. On its way to Redis a batch is in memory twice.
    const MAX_BYTES: usize = 16 << 20;

    /// Encodes the connections. They came in the argument `connections`.
    pub fn new(connections: Vec<ProviderConnection>) -> Result<Self, InvalidField> {
        let too_large = |rule| InvalidField {
            field: "connections",
            rule,
        };
        if connections.len() > super::Batch::<Id>::MAX {
            return Err(too_large("at most 1,000"));
        }
        let mut batch = Self {
            ids: Vec::with_capacity(connections.len()),
            entries: Vec::with_capacity(connections.len()),
            bytes: 0,
        };
        for connection in connections {
            let mut entry = entry::encode(&connection);
            // The encoder grows by doubling.
            entry.shrink_to_fit();
            batch.bytes += entry.len();
            if batch.bytes > Self::MAX_BYTES {
                return Err(too_large("at most 16 MiB together, as JSON"));
            }
            batch.ids.push(connection.fields().id);
            batch.entries.push(entry);
        }
        Ok(batch)
    }

    /// Returns the size of the entries, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
