//! Answers.

use std::borrow::Cow;

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

    /// Leaves out the content, which the client has (RFC 9110, section 15.4.5).
    pub(super) fn not_modified(mut self) -> Self {
        self.status = 304;
        self.body = None;
        self.headers
            .retain(|(name, _)| !name.starts_with("content-"));
        self
    }

    /// Takes over a header of another answer, if that has it.
    pub(super) fn with_header_of(mut self, other: Self, name: &'static str) -> Self {
        let header = other.headers.into_iter().find(|(given, _)| *given == name);
        self.headers.extend(header);
        self
    }
}
