//! How the cost of a lookup grows with the size of the entry and with the size of a batch.

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::entries::Kind;
use crate::peer::{CACHE, Peer};
use crate::setup::Setup;
use crate::support::redis::Redis;
use crate::support::service::{BASE, path};
use crate::wrk::{Load, Sample, get, post};

/// Sizes of entries, in units of 512 bytes.
const SIZES: [u8; 4] = [1, 4, 16, 64];

/// Numbers of ids in a batch.
const BATCHES: [usize; 4] = [1, 10, 100, 1_000];

/// What was measured, with one caller.
pub struct Growth {
    /// By the length of the entry.
    pub sizes: Vec<(usize, Sample)>,
    /// By the number of ids in a batch.
    pub batches: Vec<(usize, Sample)>,
}

/// Measures the component as it is.
pub fn measure(setup: &Setup, redis: &Redis, peers: &[Peer]) -> Result<Growth> {
    let peer = peers.iter().find(|peer| peer.row.name == CACHE);
    let server = peer.and_then(|peer| peer.server.as_ref());
    let port = server.context("the component does not run")?.port;
    let run = |name: &str, requests: Vec<String>| -> Result<Sample> {
        let load = Load::new(setup, name, requests, 200)?;
        load.warm_up(setup, port, 1)?;
        load.run(setup, port, 1)
    };
    let mut sizes = Vec::new();
    for size in SIZES {
        let kind = Kind::Sized(size);
        kind.store(redis)?;
        let requests = kind.ids().map(|id| get(&path(&id))).collect();
        let length = kind.entry(&kind.id(0)).to_string().len();
        sizes.push((length, run(&format!("{length}-bytes"), requests)?));
    }
    let mut batches = Vec::new();
    for count in BATCHES {
        let ids: Vec<_> = Kind::Hit.ids().collect();
        let batch = |ids: &[String]| {
            post(
                &format!("{BASE}/lookup"),
                &json!({ "ids": ids }).to_string(),
            )
        };
        let requests = ids.chunks_exact(count).map(batch).collect();
        batches.push((count, run(&format!("{count}-ids"), requests)?));
    }
    Ok(Growth { sizes, batches })
}
