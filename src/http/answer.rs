//! Answers.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

/// An answer to an HTTP request. It has no `Debug`, because the body may hold credentials.
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names are in lower case.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// None if there is no content.
    pub body: Option<Vec<u8>>,
}

/// Shared caches must not keep an answer, and private caches must revalidate it.
const NO_CACHE: &str = "private, no-cache";
/// No cache may keep credentials.
const NO_STORE: &str = "private, no-store";

impl Answer {
    /// Returns an answer without content.
    pub fn new(status: u16) -> Self {
        let headers = vec![("cache-control", Cow::Borrowed(NO_CACHE))];
        Self {
            status,
            headers,
            body: None,
        }
    }

    /// Adds a header.
    pub fn header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds content, with its type and length.
    pub fn body(mut self, content_type: &'static str, body: Vec<u8>) -> Self {
        self.headers.push(("content-type", content_type.into()));
        self.headers
            .push(("content-length", body.len().to_string().into()));
        self.body = Some(body);
        self
    }

    /// Forbids all caches to keep the answer, because it holds credentials.
    pub fn never_stored(mut self) -> Self {
        self.headers.retain(|(name, _)| *name != "cache-control");
        self.header("cache-control", NO_STORE)
    }

    /// Turns the answer to `GET` into that to `HEAD`: the same headers, `content-length` included.
    pub(super) fn without_body(mut self) -> Self {
        self.body = None;
        self
    }

    /// Adds an `ETag`. Leaves out the content if the client has it (RFC 9110, sections 13.1.2 and
    /// 15.4.5).
    pub fn conditional(self, if_none_match: Option<&[u8]>) -> Self {
        let etag = etag(self.body.as_deref().unwrap_or_default());
        let known = if_none_match.is_some_and(|known| lists(known, &etag));
        let mut answer = self.header("etag", etag);
        if known {
            answer.status = 304;
            answer.body = None;
            answer
                .headers
                .retain(|(name, _)| !name.starts_with("content-"));
        }
        answer
    }
}

/// Returns a strong entity tag. It is made from the bytes of the answer, because a part of a summary
/// depends on the clock.
fn etag(body: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// Returns true if an `If-None-Match` header lists the tag. It asks for weak comparison.
fn lists(if_none_match: &[u8], etag: &str) -> bool {
    if_none_match
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .any(|known| known == b"*" || known.strip_prefix(b"W/").unwrap_or(known) == etag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_tag_saves_the_content_and_keeps_the_other_headers() {
        let answer = || Answer::new(200).body("application/json", b"{}".to_vec());
        let whole = answer().conditional(None);
        let etag = whole
            .headers
            .iter()
            .find(|(name, _)| *name == "etag")
            .expect("a tag")
            .1
            .clone();
        for known in [
            etag.to_string(),
            format!("W/{etag}"),
            format!("\"a\" , {etag}"),
            "*".into(),
        ] {
            let answer = answer().conditional(Some(known.as_bytes()));
            assert_eq!((answer.status, answer.body), (304, None), "{known}");
            let names: Vec<_> = answer.headers.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, ["cache-control", "etag"]);
        }
        for other in ["\"a\"", "", etag.trim_matches('"')] {
            assert_eq!(
                answer().conditional(Some(other.as_bytes())).status,
                200,
                "{other}"
            );
        }
    }
}
