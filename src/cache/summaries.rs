//! Summaries kept nearer than Redis: by the instance in its memory, and by the host in its store.

mod edge_cache;
#[cfg(test)]
mod interleavings;
mod near_cache;
mod slot;

use std::rc::Rc;
use std::time::Duration;

use strum::IntoStaticStr;

pub(super) use self::near_cache::Hasher;

use self::edge_cache::EdgeCache;
use self::near_cache::NearCache;
use self::slot::Answer;
use super::lookup::{Entry, Lookup, Outcome};
use crate::config::CacheConfig;
use crate::connection::{Id, Summary};
use crate::edge_store::{EdgeStore, NotSet};
use crate::redis::Keyspace;
use crate::rt::clock::now;
use crate::rt::deadline::Timer;
use crate::rt::random;
use crate::rt::task::spawn_after_answer;

/// Where a summary was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum Level {
    /// In the memory of the instance.
    Near,
    /// In the store of the host.
    Edge,
}

/// What is known of a connection without asking Redis.
pub(super) enum Known {
    Summary {
        summary: Summary,
        level: Level,
        /// Whether Redis should be asked again once the lookup has been answered.
        due: bool,
    },
    /// There is no such connection.
    NotFound,
    /// Nothing. The connection may have been `written` through this host.
    Nothing { written: bool },
}

impl Known {
    /// Returns true if the store of the host knew it.
    pub(super) fn is_from_edge(&self) -> bool {
        match self {
            Self::Summary { level, .. } => *level == Level::Edge,
            Self::NotFound => true,
            Self::Nothing { .. } => false,
        }
    }
}

/// The near cache and the edge cache, each if it is configured.
#[derive(Default)]
pub(super) struct Summaries {
    near: Option<NearCache>,
    edge: Option<Rc<EdgeCache<EdgeStore>>>,
    negative_ttl: Duration,
}

/// The moment before a read of Redis whose result will be kept.
#[derive(Clone)]
pub(super) struct ReadStart {
    near: Option<near_cache::ReadStart>,
    edge: Option<edge_cache::ReadStart>,
}

impl Summaries {
    pub(super) fn new(config: &CacheConfig, keyspace: &Keyspace, timer: &Rc<Timer>) -> Self {
        let timeout = config.redis.timeout;
        let edge = config.edge_cache.as_ref().map(|edge| EdgeCache {
            store: EdgeStore::new(&edge.store, Rc::clone(timer), timeout / 2),
            keyspace: keyspace.clone(),
            slots: edge.entries,
            ttl: edge.ttl,
            refresh: 2 * timeout,
        });
        let origin = config.origin.as_ref();
        let negative_ttl = origin.and_then(|origin| origin.policy.negative_ttl);
        Self {
            near: config.near_cache.as_ref().map(NearCache::new),
            edge: edge.map(Rc::new),
            negative_ttl: negative_ttl.map(|ttl| ttl.duration()).unwrap_or_default(),
        }
    }

    /// Returns true if reads of Redis must find out how long an entry lives.
    pub(super) fn are_kept(&self) -> bool {
        self.near.is_some() || self.edge.is_some()
    }

    /// Returns true if the instance keeps summaries in its memory.
    pub(super) fn has_near(&self) -> bool {
        self.near.is_some()
    }

    /// Returns the summary in the memory of the instance.
    pub(super) fn near(&self, id: Id) -> Option<Summary> {
        let summary = self.near.as_ref()?.get(id)?;
        Some(summary.at(now()))
    }

    pub(super) async fn get(&self, id: Id) -> Known {
        if let Some(summary) = self.near(id) {
            return Known::Summary {
                summary,
                level: Level::Near,
                due: false,
            };
        }
        match &self.edge {
            // In a box, for lookups without an edge cache would carry it along.
            Some(edge) => Box::pin(edge.get(id, now())).await,
            None => Known::Nothing { written: false },
        }
    }

    /// Returns true if this caller, and no other of the host, should ask Redis again.
    pub(super) async fn begin_refresh(&self, id: Id) -> bool {
        match &self.edge {
            Some(edge) => edge.begin_refresh(id, now()).await,
            None => false,
        }
    }

    /// Marks the moment before a read of one connection.
    pub(super) async fn begin(&self, id: Id) -> ReadStart {
        ReadStart {
            edge: match &self.edge {
                Some(edge) => Some(Box::pin(edge.begin(id, now())).await),
                None => None,
            },
            ..self.begin_near()
        }
    }

    /// Marks the moment before a read whose result only the instance keeps.
    pub(super) fn begin_near(&self) -> ReadStart {
        ReadStart {
            near: self.near.as_ref().map(NearCache::begin),
            edge: None,
        }
    }

    /// Keeps the result of a read. The store takes it after the lookup has been answered.
    pub(super) fn keep(&self, start: &ReadStart, id: Id, found: &Lookup<Rc<Entry>>) {
        if start.near.is_none() && start.edge.is_none() {
            return;
        }
        let entry = match found {
            Lookup::Hit(entry) => Some(entry),
            Lookup::NotFound => None,
            Lookup::Forwarded(forward) if forward.overtaken => return,
            Lookup::Forwarded(forward) => match &forward.outcome {
                Outcome::Stored(entry) => Some(entry),
                Outcome::NotFound => None,
                _ => return,
            },
            Lookup::Absent(_) => return,
        };
        let summary = entry.map(|entry| entry.connection.clone().summarize(now()));
        let lifetime = match entry {
            Some(entry) => entry.remaining,
            None => Some(self.negative_ttl),
        };
        if let (Some(near), Some(start), Some(summary)) = (&self.near, start.near, &summary) {
            near.keep(start, summary, lifetime);
        }
        if let (Some(edge), Some(start)) = (&self.edge, start.edge.clone()) {
            let edge = Rc::clone(edge);
            let answer = summary.map_or(Answer::NotFound(id), |summary| {
                Answer::Summary(Box::new(summary))
            });
            spawn_after_answer(async move { edge.keep(start, id, answer, lifetime).await });
        }
    }

    /// Drops a connection that was written from the memory of the instance.
    pub(super) fn forget_near(&self, id: Id) {
        if let Some(near) = &self.near {
            near.forget(id);
        }
    }

    /// Drops connections that were written from the store of the host.
    pub(super) async fn forget(&self, ids: &[Id]) -> Result<(), NotSet> {
        if let Some(edge) = &self.edge {
            for id in ids {
                edge.forget(*id, random::number()).await?;
            }
        }
        Ok(())
    }
}
