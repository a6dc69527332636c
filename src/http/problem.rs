//! Errors, as `application/problem+json` (RFC 9457).

use std::borrow::Cow;

use serde::Serialize;

use super::answer::Answer;
use crate::connection::Invalid;
use crate::json;
use crate::redis::Failure;

/// What kind of problem it is. Its `type` is stable: callers may rely on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A part of the request is malformed: the detail names it.
    InvalidRequest,
    /// No valid token was shown.
    Unauthorized,
    /// The token does not grant this.
    Forbidden,
    /// No token is configured, so nothing is granted to anybody.
    NotConfigured,
    /// There is no such connection in the cache, or none that may be told of.
    NotCached,
    /// There is no such path.
    NoSuchRoute,
    /// The path is there, but not with this method.
    MethodNotAllowed,
    /// The body took too long to arrive.
    RequestTimeout,
    /// The body is of another connection than the path.
    IdDiffers,
    /// The body is larger than 64 KiB.
    TooLarge,
    /// The body is not JSON.
    UnsupportedMediaType,
    /// Redis did not confirm it: try again.
    Unavailable,
    /// It is not cached, and the next component did not say.
    #[cfg(feature = "middleware")]
    OriginFailed,
    /// The next component wrote, and what was before may still be cached.
    #[cfg(feature = "middleware")]
    NotInvalidated,
}

impl Kind {
    /// Every kind.
    pub const ALL: &[Self] = &[
        Self::InvalidRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotConfigured,
        Self::NotCached,
        Self::NoSuchRoute,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::IdDiffers,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Unavailable,
        #[cfg(feature = "middleware")]
        Self::OriginFailed,
        #[cfg(feature = "middleware")]
        Self::NotInvalidated,
    ];

    /// The status code.
    pub fn status(self) -> u16 {
        self.row().0
    }

    /// The last part of the `type`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::InvalidRequest => (400, "invalid-request", "The request is malformed"),
            Self::Unauthorized => (401, "unauthorized", "A valid bearer token is needed"),
            Self::Forbidden => (403, "forbidden", "The token does not grant this"),
            Self::NotConfigured => (403, "not-configured", "No token is configured"),
            Self::NotCached => (404, "not-cached", "The connection is not in the cache"),
            Self::NoSuchRoute => (404, "no-such-route", "There is nothing at this path"),
            Self::MethodNotAllowed => (405, "method-not-allowed", "The method is not allowed"),
            Self::RequestTimeout => (408, "request-timeout", "The body did not arrive in time"),
            Self::IdDiffers => (409, "id-differs", "The body is of another connection"),
            Self::TooLarge => (413, "too-large", "The body is too large"),
            Self::UnsupportedMediaType => (415, "unsupported-media-type", "The body is not JSON"),
            Self::Unavailable => (503, "unavailable", "Redis did not confirm the operation"),
            #[cfg(feature = "middleware")]
            Self::OriginFailed => (502, "origin-failed", "The next component did not say"),
            #[cfg(feature = "middleware")]
            Self::NotInvalidated => (503, "not-invalidated", "Written, but still cached"),
        }
    }
}

/// A problem, to be answered with.
#[derive(Debug)]
pub struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
    header: Option<(&'static str, String)>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    /// The problem. The detail is for a person, and shows nothing that is stored.
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            header: None,
        }
    }

    /// The body is, or is announced to be, larger than is taken.
    pub fn too_large() -> Self {
        Self::new(Kind::TooLarge, "the body must be at most 64 KiB")
    }

    /// The path is there, but with these methods alone.
    pub fn not_allowed(allow: String) -> Self {
        Self::new(Kind::MethodNotAllowed, format!("use {allow}")).with_header("allow", allow)
    }

    /// Redis did not confirm it: a moment later it may.
    pub fn unavailable(detail: String) -> Self {
        Self::new(Kind::Unavailable, detail).with_header("retry-after", "1".to_owned())
    }

    /// What a person is told.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What kind it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The problem, with the header that its status calls for.
    pub fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.header = Some((name, value));
        self
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        let (status, name, title) = problem.kind.row();
        let body = json::encode(&Body {
            r#type: format!("urn:problem-type:provider-connection-cache:{name}"),
            title,
            status,
            detail: &problem.detail,
        });
        let answer = Answer::new(status).body("application/problem+json", body);
        match problem.header {
            Some((name, value)) => answer.header(name, value),
            None => answer,
        }
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::new(Kind::InvalidRequest, invalid.to_string())
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::unavailable(failure.to_string())
    }
}
