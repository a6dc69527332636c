//! JSON (RFC 8259), as far as entries and requests need it.
//!
//! `serde_json` writes. The reader is our own: it makes the lean component 12 KB smaller, because it
//! leaves out what nothing here needs, such as the values of numbers. The tests hold it to `serde_json`.

use std::borrow::Cow;
use std::collections::BTreeSet;

/// The limit of nesting, as in `serde_json`. Deeper values could exhaust the stack.
const MAX_DEPTH: usize = 127;

/// One JSON value. It borrows its text where it can.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) enum Node<'a> {
    /// `null`, or a field that is missing.
    Null,
    Text(Cow<'a, str>),
    Object(Object<'a>),
    Array(Vec<Node<'a>>),
    /// A number, `true` or `false`.
    Other,
}

impl Node<'_> {
    fn repeats_a_name(&self) -> bool {
        match self {
            Self::Object(object) => object.repeats_a_name(),
            Self::Array(nodes) => nodes.iter().any(Self::repeats_a_name),
            Self::Null | Self::Text(_) | Self::Other => false,
        }
    }
}

/// The fields of an object, in their order.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, Node<'a>)>);

impl<'a> Object<'a> {
    /// Returns the value of a field. If a name repeats, the last value wins, as in Python.
    pub(crate) fn get(&self, field: &str) -> &Node<'a> {
        let found = self.0.iter().rev().find(|(name, _)| name == field);
        found.map_or(&Node::Null, |(_, node)| node)
    }

    /// Returns true if a name repeats in this object or in one inside it.
    pub(crate) fn repeats_a_name(&self) -> bool {
        let mut names = BTreeSet::new();
        self.0
            .iter()
            .any(|(name, node)| !names.insert(name.as_ref()) || node.repeats_a_name())
    }

    /// Returns true if the object has no fields.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Writes a value as JSON. This cannot fail for our types: their keys are strings, and their
/// `Serialize` has no errors of its own.
pub fn encode(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// Reads one JSON value. Returns none if the bytes are anything else.
pub(crate) fn decode(bytes: &[u8]) -> Option<Node<'_>> {
    let mut reader = Reader {
        rest: std::str::from_utf8(bytes).ok()?,
    };
    let node = reader.value(0)?;
    reader.skip_space();
    reader.rest.is_empty().then_some(node)
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Option<Node<'a>> {
        self.skip_space();
        match self.peek()? {
            b'{' if depth < MAX_DEPTH => self.object(depth + 1),
            b'[' if depth < MAX_DEPTH => self.array(depth + 1),
            b'"' => self.string().map(Node::Text),
            b'n' => self.literal("null").map(|()| Node::Null),
            b't' => self.literal("true").map(|()| Node::Other),
            b'f' => self.literal("false").map(|()| Node::Other),
            b'-' | b'0'..=b'9' => self.number().map(|()| Node::Other),
            _ => None,
        }
    }

    fn object(&mut self, depth: usize) -> Option<Node<'a>> {
        let mut fields = Vec::new();
        self.list(b'{', b'}', |reader| {
            let name = reader.string()?;
            reader.skip_space();
            reader.literal(":")?;
            fields.push((name, reader.value(depth)?));
            Some(())
        })?;
        Some(Node::Object(Object(fields)))
    }

    fn array(&mut self, depth: usize) -> Option<Node<'a>> {
        let mut items = Vec::new();
        self.list(b'[', b']', |reader| {
            items.push(reader.value(depth)?);
            Some(())
        })?;
        Some(Node::Array(items))
    }

    /// Reads items between `open` and `close`, separated by commas.
    fn list(
        &mut self,
        open: u8,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.take(open)?;
        self.skip_space();
        if self.take(close).is_some() {
            return Some(());
        }
        loop {
            self.skip_space();
            item(self)?;
            self.skip_space();
            if self.take(close).is_some() {
                return Some(());
            }
            self.take(b',')?;
        }
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        self.take(b'"')?;
        let mut text = Cow::Borrowed("");
        loop {
            let end = self
                .rest
                .bytes()
                .position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f))?;
            let plain = self.advance(end)?;
            if text.is_empty() {
                text = Cow::Borrowed(plain);
            } else {
                text.to_mut().push_str(plain);
            }
            if self.take(b'"').is_some() {
                return Some(text);
            }
            self.take(b'\\')?;
            text.to_mut().push(self.escaped()?);
        }
    }

    /// Reads the character after a backslash.
    fn escaped(&mut self) -> Option<char> {
        let escape = self.peek()?;
        self.take(escape)?;
        Some(match escape {
            b'"' | b'\\' | b'/' => char::from(escape),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex4()?;
                if !(0xD800..0xDC00).contains(&first) {
                    return char::from_u32(first);
                }
                self.literal("\\u")?;
                let second = self.hex4().filter(|unit| (0xDC00..0xE000).contains(unit))?;
                char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))?
            }
            _ => return None,
        })
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.advance(4)?;
        let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        hex.then(|| u32::from_str_radix(digits, 16).ok())?
    }

    fn number(&mut self) -> Option<()> {
        let _ = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if self.take(b'e').or_else(|| self.take(b'E')).is_some() {
            let _ = self.take(b'+').or_else(|| self.take(b'-'));
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let count = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        self.advance(count)
            .filter(|digits| !digits.is_empty())
            .map(drop)
    }

    fn literal(&mut self, literal: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(literal)?;
        Some(())
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn peek(&self) -> Option<u8> {
        self.rest.bytes().next()
    }

    /// Takes one ASCII byte, if it is the next one.
    fn take(&mut self, byte: u8) -> Option<()> {
        self.rest = self.rest.strip_prefix(char::from(byte))?;
        Some(())
    }

    fn advance(&mut self, count: usize) -> Option<&'a str> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// Ours and `serde_json`'s reading of the same bytes agree.
    fn agrees(bytes: &[u8]) {
        let theirs = serde_json::from_slice::<Value>(bytes);
        let ours = decode(bytes);
        match (&theirs, &ours) {
            (Ok(value), Some(node)) => same(value, node),
            (Err(_), None) => {}
            // A number too large for an `f64` is one all the same.
            (Err(error), Some(_)) if error.to_string().contains("number out of range") => {}
            _ => panic!("{:?}: {theirs:?}, {ours:?}", String::from_utf8_lossy(bytes)),
        }
    }

    fn same(value: &Value, node: &Node<'_>) {
        match (value, node) {
            (Value::Null, Node::Null) | (Value::Bool(_) | Value::Number(_), Node::Other) => {}
            (Value::String(theirs), Node::Text(ours)) => assert_eq!(theirs, ours),
            (Value::Array(theirs), Node::Array(ours)) => {
                assert_eq!(theirs.len(), ours.len());
                theirs
                    .iter()
                    .zip(ours)
                    .for_each(|(value, node)| same(value, node));
            }
            (Value::Object(theirs), Node::Object(ours)) => {
                theirs
                    .iter()
                    .for_each(|(name, value)| same(value, ours.get(name)));
                assert!(
                    ours.0
                        .iter()
                        .all(|(name, _)| theirs.contains_key(name.as_ref()))
                );
            }
            _ => panic!("{value:?} is not {node:?}"),
        }
    }

    #[test]
    fn corner_cases_are_read_as_serde_json_reads_them() {
        for text in [
            "",
            " ",
            "null",
            " null\n",
            "nul",
            "nulll",
            "true",
            "false",
            "True",
            "NaN",
            "-Infinity",
            "0",
            "-0",
            "01",
            "-",
            "1.",
            ".5",
            "1.5e10",
            "1e",
            "1E+2",
            "1e-",
            "+1",
            "0x10",
            "1 2",
            "\"\"",
            "\"",
            "\"a",
            "\"\\\"",
            "\"\\n\\t\\/\\b\\f\\r\\\\\"",
            "\"\\x\"",
            "\"\n\"",
            "\"\u{7f}\"",
            "\"\\u00e9\"",
            "\"\\u12\"",
            "\"\\u+123\"",
            "\"\\ud83c\\udfe6\"",
            "\"\\ud83c\"",
            "\"\\ud83cx\"",
            "\"\\udfe6\"",
            "\"\\ud83c\\ud83c\"",
            "\"é🏦\"",
            "\"\\u0000\"",
            "[]",
            "[ ]",
            "[1,]",
            "[,]",
            "[1 2]",
            "[",
            "]",
            "[[]]",
            "{}",
            "{ }",
            "{\"a\":1}",
            "{\"a\" : 1 , \"b\":{}}",
            "{\"a\":1,\"a\":2}",
            "{a:1}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"\":null}",
            "{\"\\u0061\":1}",
            "\u{feff}{}",
            "{}x",
        ] {
            agrees(text.as_bytes());
        }
        for bytes in [&b"\"\xff\""[..], b"\xef\xbb\xbf{}", b"\"\xed\xa0\x80\""] {
            agrees(bytes);
        }
    }

    #[test]
    fn a_repeated_name_is_found_at_any_depth() {
        for (text, repeats) in [
            (r#"{"a":1,"b":2}"#, false),
            (r#"{"a":{"a":{"a":1}}}"#, false),
            (r#"{"a":[{"b":1},{"b":2}]}"#, false),
            (r#"{"a":1,"a":1}"#, true),
            (r#"{"a":1,"b":2,"\u0061":3}"#, true),
            (r#"{"a":{"b":1,"c":2,"b":3}}"#, true),
            (r#"{"a":[1,[{"b":1,"b":1}]]}"#, true),
        ] {
            let Some(Node::Object(object)) = decode(text.as_bytes()) else {
                panic!("{text} is an object");
            };
            assert_eq!(object.repeats_a_name(), repeats, "{text}");
        }
    }

    #[test]
    fn nesting_is_limited_as_in_serde_json() {
        for depth in [1, 126, 127, 128, 100_000] {
            agrees(format!("{}{}", "[".repeat(depth), "]".repeat(depth)).as_bytes());
            agrees("[".repeat(depth).as_bytes());
            agrees(format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth)).as_bytes());
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e300..1e300f64).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_is_read_as_serde_json_reads_it(value in json(), pretty: bool) {
            let text = if pretty { format!("{value:#}") } else { value.to_string() };
            agrees(text.as_bytes());
        }

        #[test]
        fn damaged_json_is_refused_as_serde_json_refuses_it(
            value in json(),
            at: prop::sample::Index,
            byte: u8,
            cut: bool,
        ) {
            let mut bytes = value.to_string().into_bytes();
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] = byte }
            agrees(&bytes);
        }

        #[test]
        fn any_bytes_are_read_as_serde_json_reads_them(bytes: Vec<u8>) {
            agrees(&bytes);
        }

        #[test]
        fn what_looks_like_json_is_read_as_serde_json_reads_it(
            text in "[\\[\\]{}:,\"\\\\udae019.+\\- ntrlfs]{0,24}",
        ) {
            agrees(text.as_bytes());
        }
    }
}
