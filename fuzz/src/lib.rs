//! What must hold for any input. Each function takes arbitrary bytes and panics if something
//! does not hold: the fuzzer calls it (`make fuzz`), and the tests replay the corpus in
//! `seeds/`, where every input that once made one panic has its place too.
//!
//! The other opinion is never our own code: a plain `serde_json::Value` on JSON, `jiff` on dates and
//! times, the pattern in `openapi.json` on UUIDs.

#![allow(clippy::expect_used, reason = "a panic is how a finding is told")]

mod given;
mod json;
mod message;

use std::collections::BTreeSet;

use provider_connection_cache::connection::entry::{
    DecodeError, decode_given, decode_stored, encode,
};
use provider_connection_cache::connection::{Id, ProviderConnection, Timestamp};
use provider_connection_cache::http::body;
use serde_json::Value;

pub use self::message::request;
use crate::json::Judged;

/// Entry decoding: what is stored and what is handed in.
pub fn entry(bytes: &[u8]) {
    let given = decode_given(bytes);
    match json::judge(bytes) {
        Judged::Object { repeats, .. } => {
            if repeats {
                assert_eq!(given, Err(DecodeError::RepeatedName));
            }
            let as_object = given.as_ref().err();
            assert!(!matches!(
                as_object,
                Some(DecodeError::NotAnObject | DecodeError::NotJson(_))
            ));
        }
        Judged::Other => assert_eq!(given, Err(DecodeError::NotAnObject)),
        Judged::NotJson => assert!(matches!(given, Err(DecodeError::NotJson(_)))),
    }
    if let Ok(connection) = given {
        // Nothing can be stored that would be read as another connection, or not at all.
        let id = connection.fields().id;
        assert_eq!(
            decode_stored(id, &encode(&connection)).as_ref(),
            Ok(&connection)
        );
        match decode_stored(id, bytes) {
            Ok(stored) => assert_eq!(stored, connection),
            Err(_) => assert!(given::has_a_urn_in_upper_case(bytes)),
        }
        let other = Id::parse("id", given::OTHER_ID).expect("a UUID");
        if other != id {
            assert_eq!(
                decode_stored(other, &encode(&connection)),
                Err(DecodeError::OtherId)
            );
        }
    }
}

/// What is read and written again reads the same, to us and to others.
pub fn round_trip(bytes: &[u8]) {
    let Some(connection) = read(bytes) else {
        return;
    };
    let written = encode(&connection);
    let again = decode_given(&written).expect("what we write can be handed in");
    assert_eq!(again, connection);
    assert_eq!(encode(&again), written);
    // What no rule changes is as it came.
    let (Ok(before), Ok(after)) = (
        serde_json::from_slice::<Value>(bytes),
        serde_json::from_slice::<Value>(&written),
    ) else {
        panic!("what we read and write is JSON");
    };
    for field in ["provider_slug", "status"] {
        assert_eq!(before[field], after[field]);
    }
    let alias = before["alias"].as_str().filter(|alias| !alias.is_empty());
    assert_eq!(alias, after["alias"].as_str());
    let secret = |value: &Value| value["credentials"]["encrypted_data"].clone();
    assert_eq!(secret(&before), secret(&after));
    for field in ["connected_at", "last_sync_at", "created_at", "updated_at"] {
        let (before, after) = (before[field].as_str(), after[field].as_str());
        assert_eq!(before.is_some(), after.is_some());
        if let (Some(before), Some(after)) = (before, after) {
            assert_eq!(given::instant(before), given::instant(after));
        }
    }
}

/// What is stored in these bytes, whatever id it is stored under.
fn read(bytes: &[u8]) -> Option<ProviderConnection> {
    let value = serde_json::from_slice::<Value>(bytes).ok()?;
    let id = Id::parse("id", value["id"].as_str()?).ok()?;
    decode_stored(id, bytes).ok()
}

/// Bodies of `POST /lookup`: taken exactly if they are as `openapi.json` says.
pub fn lookup(bytes: &[u8]) {
    let taken = body::ids(bytes);
    let wanted = match json::judge(bytes) {
        Judged::NotJson | Judged::Other | Judged::Object { repeats: true, .. } => None,
        Judged::Object { value, .. } => given::ids(&value),
    };
    match (taken, wanted) {
        (Err(_), None) => {}
        (Ok(taken), Some(wanted)) => {
            let taken: Vec<_> = taken.iter().map(Id::to_string).collect();
            assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), taken.len());
            assert_eq!(taken, wanted);
        }
        (taken, wanted) => panic!("taken: {}, wanted: {}", taken.is_ok(), wanted.is_some()),
    }
}

/// Timestamps: read exactly if they are as docs/entries.md says, and as the instant that they say.
pub fn timestamp(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let read = Timestamp::parse(text);
    let micros = |timestamp: Timestamp| {
        let (seconds, nanoseconds) = timestamp.parts();
        i128::from(seconds) * 1_000_000 + i128::from(nanoseconds / 1_000)
    };
    assert_eq!(read.map(micros), given::instant(text));
    let Some(timestamp) = read else {
        return;
    };
    assert!((Timestamp::MIN..=Timestamp::MAX).contains(&timestamp));
    let written = timestamp.to_string();
    assert_eq!(Timestamp::parse(&written), Some(timestamp));
    let (seconds, nanoseconds) = timestamp.parts();
    assert_eq!(Timestamp::from_parts(seconds, nanoseconds), Some(timestamp));
    assert_eq!(given::instant(&written), given::instant(text));
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn replay(target: fn(&[u8]), seeds: &str) {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("seeds")
            .join(seeds);
        let mut count = 0;
        for file in fs::read_dir(directory).expect("the seeds") {
            let path = file.expect("a file").path();
            let seed = fs::read(&path).expect("a seed");
            let held = std::panic::catch_unwind(|| target(&seed));
            assert!(held.is_ok(), "it is {}", path.display());
            count += 1;
        }
        assert!(count > 10, "{count} seeds");
    }

    #[test]
    fn entry_holds_for_the_corpus() {
        replay(entry, "entry");
    }

    #[test]
    fn round_trip_holds_for_the_corpus() {
        replay(round_trip, "entry");
    }

    #[test]
    fn lookup_holds_for_the_corpus() {
        replay(lookup, "lookup");
    }

    #[test]
    fn request_holds_for_the_corpus() {
        replay(request, "request");
    }

    #[test]
    fn timestamp_holds_for_the_corpus() {
        replay(timestamp, "timestamp");
    }

    /// The corpus begins with what the existing application wrote and how it reads.
    #[test]
    fn every_fixture_is_a_seed() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let seeds = fs::read_dir(root.join("seeds/entry")).expect("the seeds");
        let seeds: BTreeSet<_> = seeds
            .map(|file| fs::read(file.expect("a file").path()).expect("a seed"))
            .collect();
        for (file, rows) in [("entries", "entries"), ("decoding", "cases")] {
            let path = root.join(format!("../tests/fixtures/reference-{file}.json"));
            let fixture = fs::read(path).expect("the fixture");
            let fixture: Value = serde_json::from_slice(&fixture).expect("JSON");
            for row in fixture[rows].as_array().expect("rows") {
                let value = row["value"].as_str().expect("text").as_bytes();
                assert!(seeds.contains(value), "{} is no seed", row["name"]);
            }
        }
    }
}
