//! Preconditions (RFC 9110, section 13). `If-Unmodified-Since` and `If-Modified-Since` do not count,
//! because nothing here has a modification date (sections 13.1.3 and 13.1.4).

use std::hash::{DefaultHasher, Hash, Hasher};

use super::answer::Answer;
use super::cache_status;
use super::problem::{Kind, Problem};
use super::request::Head;
use crate::connection::Revision;

/// Returns the entity tag of a whole connection, the one that counts for writes.
pub(super) fn tag_of_revision(revision: Revision) -> String {
    format!("\"{revision}\"")
}

/// Returns a strong entity tag of the bytes of other content. It is never that of a whole connection.
pub fn tag_of_content(content: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("\"content-{:016x}\"", hasher.finish())
}

/// The preconditions of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    if_match: Option<EntityTags>,
    if_none_match: Option<EntityTags>,
}

impl Preconditions {
    /// Reads the preconditions of a write. A malformed one is refused: to ignore it would overwrite what
    /// it protects.
    pub fn of_write(head: &impl Head) -> Result<Self, Problem> {
        let read = |name: &'static str| {
            let value = head.header(name);
            let tags = value.map(|value| {
                EntityTags::parse(&value).ok_or_else(|| {
                    let detail = format!("{name} must be * or a list of quoted entity tags");
                    Problem::new(Kind::InvalidRequest, detail)
                })
            });
            tags.transpose()
        };
        Ok(Self {
            if_match: read("if-match")?,
            if_none_match: read("if-none-match")?,
        })
    }

    /// Reads the preconditions of a lookup. A malformed one is ignored, and saves nothing.
    pub fn of_read(head: &impl Head) -> Self {
        let read = |name| EntityTags::parse(&head.header(name)?);
        Self {
            if_match: read("if-match"),
            if_none_match: read("if-none-match"),
        }
    }

    /// Returns true if there are none.
    pub(super) fn are_none(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the condition of a write (section 13.2.2).
    pub(super) fn condition(&self) -> impl Fn(Option<Revision>) -> bool {
        |current| self.allow_write(current.map(tag_of_revision).as_deref())
    }

    fn allow_write(&self, current: Option<&str>) -> bool {
        self.matches(current) && !self.knows(current)
    }

    /// Adds the tag of the content to the answer to a lookup. If the client has the content, leaves it out
    /// (sections 13.1.2 and 15.4.5). If it asked for other content, answers that (section 13.1.1).
    pub fn apply(&self, answer: Answer, etag: String) -> Answer {
        if !self.matches(Some(&etag)) {
            let failed = Answer::from(precondition_failed());
            return failed.with_header_of(answer, cache_status::NAME);
        }
        match self.knows(Some(&etag)) {
            true => answer.header("etag", etag).not_modified(),
            false => answer.header("etag", etag),
        }
    }

    /// Returns true unless `If-Match` lists other content only. It asks for strong comparison.
    fn matches(&self, current: Option<&str>) -> bool {
        let lists = |tags: &EntityTags| tags.list(current, |weak| !weak);
        self.if_match.as_ref().is_none_or(lists)
    }

    /// Returns true if `If-None-Match` lists the present content. It asks for weak comparison.
    fn knows(&self, current: Option<&str>) -> bool {
        let lists = |tags: &EntityTags| tags.list(current, |_| true);
        self.if_none_match.as_ref().is_some_and(lists)
    }
}

/// Returns the problem that a precondition does not hold.
pub(super) fn precondition_failed() -> Problem {
    let detail = "the entry is not the one that If-Match or If-None-Match asks for: read it again";
    Problem::new(Kind::PreconditionFailed, detail)
}

/// The value of `If-Match` or `If-None-Match`.
#[derive(Debug, PartialEq, Eq)]
enum EntityTags {
    /// `*`: any content.
    Any,
    These(Vec<EntityTag>),
}

/// One of the listed entity tags (RFC 9110, section 8.8.3).
#[derive(Debug, PartialEq, Eq)]
struct EntityTag {
    weak: bool,
    /// With its quotation marks.
    opaque: Vec<u8>,
}

impl EntityTags {
    /// Returns none if the value is malformed. An empty list is one, and matches nothing.
    fn parse(value: &[u8]) -> Option<Self> {
        if value.trim_ascii() == b"*" {
            return Some(Self::Any);
        }
        let mut tags = Vec::new();
        let mut rest = value.trim_ascii_start();
        while let Some(first) = rest.first() {
            // A list may have empty elements (section 5.6.1.2).
            if *first == b',' {
                rest = rest[1..].trim_ascii_start();
                continue;
            }
            let (tag, after) = EntityTag::parse(rest)?;
            tags.push(tag);
            rest = after.trim_ascii_start();
            if rest.first().is_some_and(|next| *next != b',') {
                return None;
            }
        }
        Some(Self::These(tags))
    }

    /// Returns true if the present content is listed, by a tag whose weakness is `accepted`.
    fn list(&self, current: Option<&str>, accepted: impl Fn(bool) -> bool) -> bool {
        let Some(current) = current else {
            return false;
        };
        match self {
            Self::Any => true,
            Self::These(tags) => tags
                .iter()
                .any(|tag| accepted(tag.weak) && tag.opaque == current.as_bytes()),
        }
    }
}

impl EntityTag {
    /// Reads the tag at the beginning, and returns what follows it.
    fn parse(text: &[u8]) -> Option<(Self, &[u8])> {
        let strong = text.strip_prefix(b"W/");
        let (weak, text) = (strong.is_some(), strong.unwrap_or(text));
        let length = text.strip_prefix(b"\"")?.iter().position(|b| *b == b'"')?;
        let (opaque, rest) = text.split_at(length + 2);
        let inside = &opaque[1..=length];
        let is_valid = inside.iter().all(|b| *b > b' ' && *b != 0x7f);
        let opaque = opaque.to_vec();
        is_valid.then_some((Self { weak, opaque }, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Headers<'a>(&'a [(&'a str, &'a str)]);

    impl Head for Headers<'_> {
        fn method(&self) -> &'static str {
            "PUT"
        }

        fn path_and_query(&self) -> (&str, &str) {
            ("", "")
        }

        fn header(&self, name: &str) -> Option<Vec<u8>> {
            let (_, value) = self.0.iter().find(|(given, _)| *given == name)?;
            Some(value.as_bytes().to_vec())
        }
    }

    fn allows(headers: &[(&str, &str)], current: Option<&str>) -> bool {
        let preconditions = Preconditions::of_write(&Headers(headers)).expect("well-formed");
        preconditions.allow_write(current)
    }

    #[test]
    fn a_write_goes_on_as_the_rfc_has_it() {
        let (a, b) = (Some("\"a\""), Some("\"b\""));
        // The header; whether it lets through where there is content a, content b, and none.
        for (name, value, [at_a, at_b, at_none]) in [
            ("if-match", "*", [true, true, false]),
            ("if-match", "\"a\"", [true, false, false]),
            ("if-match", "\"x\", \"a\"", [true, false, false]),
            ("if-match", "\"x\",\t,\"a\",", [true, false, false]),
            ("if-match", "W/\"a\"", [false, false, false]),
            ("if-match", "\"x,\\\"", [false, false, false]),
            ("if-none-match", "*", [false, false, true]),
            ("if-none-match", "\"a\"", [false, true, true]),
            ("if-none-match", "W/\"a\"", [false, true, true]),
            ("if-none-match", "\"x\" , \"a\"", [false, true, true]),
            ("if-none-match", "\"\u{e9}\"", [true, true, true]),
            ("if-match", "", [false, false, false]),
            ("if-none-match", " ,", [true, true, true]),
            (
                "if-unmodified-since",
                "Thu, 01 Jan 1970 00:00:00 GMT",
                [true; 3],
            ),
        ] {
            for (current, wanted) in [(a, at_a), (b, at_b), (None, at_none)] {
                let found = allows(&[(name, value)], current);
                assert_eq!(found, wanted, "{name}: {value}, {current:?}");
            }
        }
        let both = [("if-match", "*"), ("if-none-match", "\"a\"")];
        assert_eq!(
            [a, b, None].map(|at| allows(&both, at)),
            [false, true, false]
        );
    }

    #[test]
    fn a_lookup_is_answered_shortly_or_not_at_all() {
        let answer = |headers: &[(&str, &str)]| {
            let answer = Answer::new(200).body("application/json", b"{}".to_vec());
            let answer = answer.header(cache_status::NAME, "hit");
            Preconditions::of_read(&Headers(headers)).apply(answer, "\"a\"".to_owned())
        };
        let names =
            |answer: &Answer| -> Vec<_> { answer.headers.iter().map(|(name, _)| *name).collect() };
        for known in ["\"a\"", "W/\"a\"", "\"b\" , \"a\"", "*"] {
            let answer = answer(&[("if-none-match", known)]);
            assert_eq!((answer.status, &answer.body), (304, &None), "{known}");
            assert_eq!(names(&answer), ["cache-control", "cache-status", "etag"]);
        }
        for other in ["\"b\"", "", "a"] {
            let answer = answer(&[("if-none-match", other)]);
            assert_eq!(answer.status, 200, "{other}");
            assert!(answer.body.is_some() && names(&answer).contains(&"etag"));
        }
        for (wanted, status) in [("\"a\"", 200), ("*", 200), ("\"b\"", 412), ("W/\"a\"", 412)] {
            let answer = answer(&[("if-match", wanted), ("if-none-match", "\"b\"")]);
            assert_eq!(answer.status, status, "{wanted}");
            assert!(names(&answer).contains(&"cache-status"), "{wanted}");
            assert_eq!(names(&answer).contains(&"etag"), status == 200);
        }
    }

    #[test]
    fn what_is_malformed_stops_a_write_and_no_lookup() {
        for value in [
            "a",
            "\"a",
            "a\"",
            "\"a\"b",
            "\"a\" \"b\"",
            "w/\"a\"",
            "W/",
            "W/*",
            "*, \"a\"",
            "* *",
            "\"a b\"",
            "\"a\u{7f}\"",
            "'a'",
        ] {
            for name in ["if-match", "if-none-match"] {
                let headers = [(name, value)];
                let refused = Preconditions::of_write(&Headers(&headers));
                let refused = refused.expect_err(value);
                assert_eq!(refused.kind(), Kind::InvalidRequest);
                assert!(refused.detail().contains(name));
                assert!(
                    Preconditions::of_read(&Headers(&headers)).are_none(),
                    "{value}"
                );
            }
        }
    }

    #[test]
    fn content_never_has_the_tag_of_a_connection() {
        let encoded = b"{}";
        let whole = tag_of_revision(Revision::of_encoded(encoded));
        assert_eq!(whole.len(), 18);
        assert!(tag_of_content(encoded).len() > whole.len());
    }
}
