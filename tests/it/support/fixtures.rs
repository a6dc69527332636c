//! What the existing application wrote and read: `tests/fixtures`.

use std::fs;

use serde_json::Value;

use super::in_repository;

/// An entry as the existing application writes it.
pub struct StoredEntry {
    pub name: String,
    pub key: String,
    pub ttl_seconds: u32,
    pub value: String,
}

impl StoredEntry {
    /// The id in its key.
    pub fn id(&self) -> &str {
        self.key
            .strip_prefix("provider:conn:")
            .expect("a key as in the design")
    }

    /// Its value, parsed.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.value).expect("JSON")
    }
}

/// `reference-entries.json`.
pub fn reference_entries() -> Vec<StoredEntry> {
    let rows = rows("tests/fixtures/reference-entries.json", "entries");
    assert_eq!(rows.len(), 19, "every row must be there");
    let entry = |row: &Value| StoredEntry {
        name: text(&row["name"]),
        key: text(&row["key"]),
        ttl_seconds: row["ttl_seconds"]
            .as_u64()
            .and_then(|ttl| ttl.try_into().ok())
            .unwrap(),
        value: text(&row["value"]),
    };
    rows.iter().map(entry).collect()
}

/// A stored value and what the existing application reads from it.
pub struct DecodingCase {
    pub name: String,
    pub value: String,
    pub read_as: Option<Value>,
}

/// The id under which the rows of `reference-decoding.json` are stored.
pub const DECODING_ID: &str = "0192f3a4-5b6c-7d8e-9f00-000000000001";

/// `reference-decoding.json`.
pub fn reference_decoding() -> Vec<DecodingCase> {
    let rows = rows("tests/fixtures/reference-decoding.json", "cases");
    assert_eq!(rows.len(), 43, "every row must be there");
    let case = |row: &Value| DecodingCase {
        name: text(&row["name"]),
        value: text(&row["value"]),
        read_as: Some(row["read_as"].clone()).filter(|read| !read.is_null()),
    };
    rows.iter().map(case).collect()
}

fn rows(path: &str, name: &str) -> Vec<Value> {
    let file = fs::read_to_string(in_repository(path)).expect("the fixture");
    let file: Value = serde_json::from_str(&file).expect("JSON");
    file[name].as_array().expect("rows").clone()
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}
