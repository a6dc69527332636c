//! What `openapi.json` says of ids, `docs/entries.md` of timestamps, and RFC 9110 of entity tags.

use std::sync::LazyLock;

use jiff::civil::{DateTime, date};
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

/// Whether an id may be in a spelling that a caller may use, and a stored entry may not.
pub fn has_a_urn_in_upper_case(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let fields = serde_json::from_str::<Value>(&text).unwrap_or_default();
    ["id", "user_id", "provider_id"].iter().any(|field| {
        let id = fields[field].as_str().unwrap_or_default();
        id.to_lowercase().starts_with("urn:") && !id.starts_with("urn:uuid:")
    })
}

static TIMESTAMP: LazyLock<Regex> = LazyLock::new(|| {
    let date = "([0-9]{4}-[0-9]{2}-[0-9]{2})";
    let time = "([0-9]{2}:[0-9]{2}(?::[0-9]{2}([.,][0-9]+)?)?)";
    let offset = "([+-])([0-9]{2})(?::?([0-9]{2})|:([0-9]{2}):([0-9]{2})([.,][0-9]+)?)";
    Regex::new(&format!("^{date}[Tt _]{time}(?:Z|{offset})$")).expect("an expression")
});

/// The microseconds from the epoch to the instant that a text says, if it says one.
pub fn instant(text: &str) -> Option<i128> {
    let parts = TIMESTAMP.captures(text)?;
    let part = |at: usize| parts.get(at).map_or("", |part| part.as_str());
    let number = |at: usize| part(at).parse().unwrap_or(0);
    let micros = |at: usize| {
        let digits = part(at).get(1..).unwrap_or_default();
        format!("{digits:0<6}")[..6].parse().unwrap_or(0)
    };
    let time = part(2).strip_suffix(part(3)).unwrap_or_default();
    // To Python no minute has 61 seconds, and no year is 0.
    if time.ends_with(":60") && time.len() == 8 || part(1).starts_with("0000") {
        return None;
    }
    let local: DateTime = format!("{}T{time}", part(1)).parse().ok()?;
    let local = local
        .duration_since(date(1970, 1, 1).at(0, 0, 0, 0))
        .as_micros()
        + micros(3);
    let (hours, minutes, seconds) = (number(5), number(6) + number(7), number(8));
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let offset = (hours * 3_600 + minutes * 60 + seconds) * 1_000_000 + micros(9);
    let instant = if part(4) == "-" {
        local + offset
    } else {
        local - offset
    };
    // The years 1 to 9999.
    (-62_135_596_800_000_000..=253_402_300_799_999_999)
        .contains(&instant)
        .then_some(instant)
}

static ENTITY_TAGS: LazyLock<Regex> = LazyLock::new(|| {
    // RFC 9110, sections 5.6.1.2, 8.8.3 and 13.1; spaces as the standard library has them. What is
    // not ASCII is an `x` here.
    let tag = "(W/)?\"[!#-~]*\"";
    let space = "[ \t\n\x0C\r]*";
    let list = format!("^({space}\\*{space}|[, \t\n\x0C\r]*({tag}{space}(,[, \t\n\x0C\r]*|$))*)$");
    Regex::new(&list).expect("an expression")
});

/// Whether this is the value of `If-Match` or `If-None-Match`.
pub fn entity_tags(value: &[u8]) -> bool {
    let ascii = |byte: &u8| {
        if byte.is_ascii() {
            char::from(*byte)
        } else {
            'x'
        }
    };
    ENTITY_TAGS.is_match(&value.iter().map(ascii).collect::<String>())
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
