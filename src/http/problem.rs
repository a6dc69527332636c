//! Errors, as `application/problem+json` (RFC 9457).

use std::borrow::Cow;

use serde::Serialize;
use strum::{IntoStaticStr, VariantArray};

use super::answer::Answer;
use crate::connection::{InvalidField, json};
use crate::redis::Error;

/// The kind of a problem. Its `type` is stable: callers may rely on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Kind {
    /// A part of the request is malformed. The detail names it.
    InvalidRequest,
    /// The request has no valid token.
    Unauthorized,
    /// The token does not grant this.
    Forbidden,
    /// No token is configured, so nobody is granted anything.
    NotConfigured,
    /// The connection is not in the cache, or the caller may not know of it.
    NotCached,
    /// The path does not exist. The status is not 404, which callers take for a miss.
    NoSuchRoute,
    /// The path does not exist in the explorer.
    NoSuchPage,
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// The body took too long to arrive.
    RequestTimeout,
    /// The connection in the body is not that of the path.
    IdDiffers,
    /// The entry is not the one that `If-Match` or `If-None-Match` asks for.
    PreconditionFailed,
    /// The body is larger than 64 KiB.
    TooLarge,
    /// The body is not JSON.
    UnsupportedMediaType,
    /// The body has a content coding, such as gzip.
    UnsupportedContentCoding,
    /// Redis did not confirm the operation: try again.
    Unavailable,
    /// The connection is not cached, and the component behind the middleware failed.
    OriginFailed,
    /// The component behind the middleware wrote, and the cache may still have the old connection.
    NotInvalidated,
}

impl Kind {
    /// Returns the last part of the `type`.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns the status code.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::NoSuchRoute => 400,
            Self::Unauthorized => 401,
            Self::Forbidden | Self::NotConfigured => 403,
            Self::NotCached | Self::NoSuchPage => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::IdDiffers => 409,
            Self::PreconditionFailed => 412,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType | Self::UnsupportedContentCoding => 415,
            Self::OriginFailed => 502,
            Self::Unavailable | Self::NotInvalidated => 503,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is malformed",
            Self::Unauthorized => "A valid bearer token is needed",
            Self::Forbidden => "The token does not grant this",
            Self::NotConfigured => "No token is configured",
            Self::NotCached => "The connection is not in the cache",
            Self::NoSuchRoute | Self::NoSuchPage => "There is nothing at this path",
            Self::MethodNotAllowed => "The method is not allowed",
            Self::RequestTimeout => "The body did not arrive in time",
            Self::IdDiffers => "The body is of another connection",
            Self::PreconditionFailed => "The entry is not as you expect",
            Self::TooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The body is not JSON",
            Self::UnsupportedContentCoding => "The body is encoded",
            Self::Unavailable => "Redis did not confirm the operation",
            Self::OriginFailed => "The next component did not say",
            Self::NotInvalidated => "Written, but still cached",
        }
    }
}

/// An error to answer with.
#[derive(Debug)]
pub struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
    header: Option<(&'static str, String)>,
}

#[derive(Serialize)]
struct ProblemBody<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    /// Returns a problem. The detail is for a person, and shows nothing of a connection.
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            header: None,
        }
    }

    /// The body is larger than the limit, or announced to be.
    pub(super) fn too_large() -> Self {
        Self::new(Kind::TooLarge, "the body must be at most 64 KiB")
    }

    /// The body has a content coding. The header tells which one is accepted: none (RFC 9110, sections
    /// 12.5.3 and 15.5.16).
    pub(super) fn encoded() -> Self {
        let detail = "send the body without a content-encoding";
        Self::new(Kind::UnsupportedContentCoding, detail)
            .with_header("accept-encoding", "identity".to_owned())
    }

    /// The path exists with these methods alone.
    pub fn not_allowed(allow: String) -> Self {
        Self::new(Kind::MethodNotAllowed, format!("use {allow}")).with_header("allow", allow)
    }

    /// Redis did not confirm the operation. It may do so a moment later.
    pub fn unavailable(detail: String) -> Self {
        Self::new(Kind::Unavailable, detail).with_header("retry-after", "1".to_owned())
    }

    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// Returns the kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Adds the header that the status requires.
    pub(super) fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.header = Some((name, value));
        self
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        let kind = problem.kind;
        let name = kind.name();
        let body = json::encode(&ProblemBody {
            r#type: format!("urn:problem-type:provider-connection-cache:{name}"),
            title: kind.title(),
            status: kind.status(),
            detail: &problem.detail,
        });
        let answer = Answer::new(kind.status()).body("application/problem+json", body);
        match problem.header {
            Some((name, value)) => answer.header(name, value),
            None => answer,
        }
    }
}

impl From<InvalidField> for Problem {
    fn from(invalid: InvalidField) -> Self {
        Self::new(Kind::InvalidRequest, invalid.to_string())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::unavailable(error.to_string())
    }
}
