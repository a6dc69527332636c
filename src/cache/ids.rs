//! Which connections are cached, page by page.

use std::num::NonZeroU64;

use super::keys::Names;
use crate::connection::Id;
use crate::redis::{Failure, Redis};

/// How many ids make a page, about.
const PAGE: usize = 100;

/// How many keys Redis looks at in one command, and does nothing else meanwhile.
const KEYS: u32 = 100;

/// How many commands one page may take, in a Redis that holds much else.
const COMMANDS: usize = 20;

/// Where a page begins: at the start, or where the last one said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor(u64);

impl Cursor {
    /// Reads a cursor as it is written by `Display`.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<NonZeroU64>().ok().map(Self::from)
    }
}

impl From<NonZeroU64> for Cursor {
    fn from(cursor: NonZeroU64) -> Self {
        Self(cursor.get())
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Some of the ids.
pub struct Page {
    /// The ids, in no order. One may be on two pages.
    pub ids: Vec<Id>,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor>,
}

/// The page that begins here. It looks at no more keys than [`KEYS`] times [`COMMANDS`], and for no
/// more than half of the time there is: there may be no id on it although there is a next one.
pub async fn page(redis: &Redis, names: &Names, begin: Cursor) -> Result<Page, Failure> {
    let pattern = names.entries_pattern();
    let mut page = Page {
        ids: Vec::new(),
        next: Some(begin),
    };
    let deadline = redis.deadline();
    for command in 0..COMMANDS {
        // A command that is sent when there is no time left would be taken for a Redis that does
        // not answer.
        let goes_on = page.ids.len() < PAGE && (command == 0 || !deadline.is_half_over());
        let Some(Cursor(cursor)) = page.next.filter(|_| goes_on) else {
            break;
        };
        let (keys, next) = redis.scan(cursor, &pattern, KEYS, &deadline).await?;
        page.ids
            .extend(keys.iter().filter_map(|key| names.id_of(key)));
        page.next = next.map(Cursor::from);
    }
    Ok(page)
}
