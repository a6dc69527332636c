//! JSON (RFC 8259), as far as entries and requests need it: text and structure, without the values of
//! numbers.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

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

    /// Returns the value of a field that holds text.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        match self.get(field) {
            Node::Text(text) => Some(text),
            _ => None,
        }
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

/// Why bytes are not one JSON value, or are more than is read of it, and where. Columns count bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError {
    reason: &'static str,
    line: usize,
    column: usize,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = (self.line, self.column);
        write!(
            f,
            "must be JSON: {} (line {line}, column {column})",
            self.reason
        )
    }
}

impl Error for JsonError {}

impl JsonError {
    fn new(error: &serde_json::Error, bytes: &[u8]) -> Self {
        // `serde_json` tells the reason only as text.
        let text = error.to_string();
        let says = |beginning: &str| text.starts_with(beginning);
        let (line, column) = (error.line(), error.column());
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let there = lines.nth(line.saturating_sub(1));
        let there = there.and_then(|line| line.get(column.saturating_sub(1)..));
        let is_there = |name: &[u8]| there.is_some_and(|there| there.starts_with(name));
        let reason = if error.is_eof() {
            "it ends too early"
        } else if is_there(b"NaN") || is_there(b"Infinity") {
            "NaN and Infinity are no numbers in it"
        } else if says("recursion limit") {
            "it is nested deeper than 127 levels"
        } else if says("number out of range") {
            "a number is beyond the range of a double"
        } else if says("lone leading surrogate") || says("unexpected end of hex escape") {
            "an escape is half of a surrogate pair, which is no character"
        } else if says("invalid unicode code point") {
            "it is not UTF-8"
        } else {
            "it breaks the grammar of RFC 8259"
        };
        Self {
            reason,
            line,
            column,
        }
    }
}

/// Reads one JSON value.
pub(crate) fn decode(bytes: &[u8]) -> Result<Node<'_>, JsonError> {
    serde_json::from_slice(bytes).map_err(|error| JsonError::new(&error, bytes))
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Node<'de>, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = array.next_element()? {
            nodes.push(node);
        }
        Ok(Node::Array(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Node<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, node)) = object.next_entry()? {
            // A name is read as a value too, and is always text.
            if let Node::Text(name) = name {
                fields.push((name, node));
            }
        }
        Ok(Node::Object(Object(fields)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn object(text: &str) -> Object<'_> {
        match decode(text.as_bytes()) {
            Ok(Node::Object(object)) => object,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn text(text: &str) -> Node<'_> {
        Node::Text(Cow::Borrowed(text))
    }

    #[test]
    fn fields_are_in_order_and_the_last_of_a_name_wins() {
        let object = object(r#"{"b":"1","a":null,"b":"2","\u0061":"3"}"#);
        let names: Vec<_> = object.0.iter().map(|(name, _)| name.as_ref()).collect();
        assert_eq!(names, ["b", "a", "b", "a"]);
        assert_eq!(object.get("b"), &text("2"));
        assert_eq!(object.get("a"), &text("3"));
        assert_eq!(object.get("c"), &Node::Null);
    }

    #[test]
    fn text_is_borrowed_unless_it_is_escaped() {
        let object = object(r#"{"a":"plain","b":"\ud83c\udfe6\n"}"#);
        assert!(matches!(
            object.get("a"),
            Node::Text(Cow::Borrowed("plain"))
        ));
        assert!(matches!(object.get("b"), Node::Text(Cow::Owned(text)) if text == "🏦\n"));
    }

    #[test]
    fn numbers_are_read_and_dropped() {
        for number in [
            "0",
            "-0",
            "1.5e10",
            "1E+2",
            "18446744073709551616",
            "true",
            "false",
        ] {
            assert_eq!(decode(number.as_bytes()), Ok(Node::Other), "{number}");
        }
    }

    #[test]
    fn bytes_that_are_not_one_value_are_refused() {
        for text in [
            "",
            " ",
            "nul",
            "nulll",
            "True",
            "NaN",
            "-Infinity",
            "01",
            "1.",
            ".5",
            "+1",
            "1 2",
            "\"",
            "\"\\x\"",
            "\"\n\"",
            "\"\\ud83c\"",
            "\"\\udfe6\"",
            "[1,]",
            "[,]",
            "[",
            "]",
            "{a:1}",
            "{\"a\"}",
            "{\"a\":1,}",
            "\u{feff}{}",
            "{}x",
        ] {
            assert!(decode(text.as_bytes()).is_err(), "{text}");
        }
        for bytes in [&b"\"\xff\""[..], b"\"\xed\xa0\x80\"", b"{\"\xff\":1}"] {
            assert!(decode(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn nesting_is_limited_so_that_the_stack_suffices() {
        let arrays = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(decode(arrays(127).as_bytes()).is_ok());
        for depth in [128, 100_000] {
            assert!(decode(arrays(depth).as_bytes()).is_err());
            assert!(decode("{\"a\":".repeat(depth).as_bytes()).is_err());
        }
    }

    #[test]
    fn an_error_says_what_is_wrong_and_where() {
        let deep = "[".repeat(200);
        let cases: [(&[u8], &str); 17] = [
            (b"", "it ends too early (line 1, column 0)"),
            (b"{\"a\":", "it ends too early (line 1, column 5)"),
            (
                b"{a:1}",
                "it breaks the grammar of RFC 8259 (line 1, column 2)",
            ),
            (
                b"{}\n x",
                "it breaks the grammar of RFC 8259 (line 2, column 2)",
            ),
            (
                b"[1,\n Nan]",
                "it breaks the grammar of RFC 8259 (line 2, column 2)",
            ),
            (
                b"[1,\n NaN]",
                "NaN and Infinity are no numbers in it (line 2, column 2)",
            ),
            (
                b"Infinity",
                "NaN and Infinity are no numbers in it (line 1, column 1)",
            ),
            (
                b"[-Infinity]",
                "NaN and Infinity are no numbers in it (line 1, column 3)",
            ),
            (
                b"[1e999]",
                "a number is beyond the range of a double (line 1, column 6)",
            ),
            (
                b"\"\\ud83c\"",
                "half of a surrogate pair, which is no character (line 1, column 8)",
            ),
            (
                b"\"\\udfe6\"",
                "half of a surrogate pair, which is no character (line 1, column 7)",
            ),
            (
                b"\"\\ud83c\\u0041\"",
                "surrogate pair, which is no character (line 1, column 13)",
            ),
            (
                b"\"\\ud83c\\n\"",
                "surrogate pair, which is no character (line 1, column 9)",
            ),
            (
                b"\"\\u12x4\"",
                "it breaks the grammar of RFC 8259 (line 1, column 7)",
            ),
            (b"\"\xff\"", "it is not UTF-8 (line 1, column 2)"),
            (
                deep.as_bytes(),
                "it is nested deeper than 127 levels (line 1, column 128)",
            ),
            (
                b"\xff",
                "it breaks the grammar of RFC 8259 (line 1, column 1)",
            ),
        ];
        for (bytes, wanted) in cases {
            let said = decode(bytes).map_err(|error| error.to_string());
            let said = said.expect_err("it is refused");
            assert!(said.starts_with("must be JSON: "), "{said}");
            assert!(said.ends_with(wanted), "{said:?}, wanted {wanted:?}");
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
            assert_eq!(object(text).repeats_a_name(), repeats, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }

        #[test]
        fn any_text_is_read_as_it_was_written(written: String) {
            let bytes = encode(&written);
            prop_assert_eq!(decode(&bytes), Ok(text(&written)));
        }
    }
}
