//! The ids of cached connections, page by page.

use std::fmt;
use std::num::NonZeroU64;

use crate::connection::Id;
use crate::redis::{Error, Keyspace, Redis};

/// A page has about this many ids.
const PAGE: usize = 100;

/// Redis looks at this many keys in one command, and does nothing else meanwhile.
const KEYS: u32 = 100;

/// A page takes at most this many commands, even in a Redis that holds much else.
const COMMANDS: usize = 20;

/// Where a page begins. The default is the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor(u64);

impl Cursor {
    /// Reads a cursor as `Display` writes it.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<NonZeroU64>().ok().map(Self::from)
    }
}

impl From<NonZeroU64> for Cursor {
    fn from(cursor: NonZeroU64) -> Self {
        Self(cursor.get())
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A page of ids.
pub struct IdPage {
    /// In no order. An id may be on two pages.
    pub ids: Vec<Id>,
    /// Where the next page begins. None at the end.
    pub next: Option<Cursor>,
}

/// Reads a page. It looks at no more keys than [`KEYS`] times [`COMMANDS`], and for no more than half
/// of the time. So a page may be empty although another one follows.
pub(super) async fn read(
    redis: &Redis,
    keyspace: &Keyspace,
    begin: Cursor,
) -> Result<IdPage, Error> {
    let pattern = keyspace.entries_pattern();
    let mut page = IdPage {
        ids: Vec::new(),
        next: Some(begin),
    };
    let deadline = redis.deadline();
    for command in 0..COMMANDS {
        // A command that is sent with no time left would look like a Redis that does not answer.
        let goes_on = page.ids.len() < PAGE && (command == 0 || !deadline.is_half_over());
        let Some(Cursor(cursor)) = page.next.filter(|_| goes_on) else {
            break;
        };
        let (keys, next) = redis.scan(cursor, &pattern, KEYS, &deadline).await?;
        page.ids
            .extend(keys.iter().filter_map(|key| keyspace.id_of(key)));
        page.next = next.map(Cursor::from);
    }
    Ok(page)
}
