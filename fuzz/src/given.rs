//! What `openapi.json` says of ids.

use std::sync::LazyLock;

use regex_lite::Regex;
use serde_json::Value;

/// A UUID that no input of the corpus has.
pub const OTHER_ID: &str = "ffffffff-ffff-4fff-bfff-ffffffffffff";

static OPENAPI: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../src/http/openapi.json");
    serde_json::from_str(text).expect("it is JSON")
});

static UUID: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = OPENAPI["components"]["schemas"]["Uuid"]["pattern"].as_str();
    Regex::new(pattern.expect("a pattern")).expect("an expression")
});

/// The UUID that the text is a spelling of, lower-case and hyphenated.
pub fn uuid(text: &str) -> Option<String> {
    if !UUID.is_match(text) {
        return None;
    }
    let text = text.to_lowercase();
    let digits = text.strip_prefix("urn:uuid:").unwrap_or(&text);
    let digits: String = digits.chars().filter(char::is_ascii_hexdigit).collect();
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]);
    Some(parts.join("-"))
}

/// The ids that a lookup of this body asks for, each once; none if it is not as it must be.
pub fn ids(value: &Value) -> Option<Vec<String>> {
    let schema = &OPENAPI["components"]["schemas"]["LookupRequest"]["properties"]["ids"];
    let bound = |name: &str| schema[name].as_u64().expect("a number");
    let texts = value["ids"].as_array()?;
    if !(bound("minItems")..=bound("maxItems")).contains(&(texts.len() as u64)) {
        return None;
    }
    let mut ids = Vec::new();
    for text in texts {
        let id = uuid(text.as_str()?)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Some(ids)
}
