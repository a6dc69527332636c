//! Who may do what: bearer tokens (RFC 6750), denied unless configured and shown.

use subtle::ConstantTimeEq;

use super::problem::{Kind, Problem};
use super::route::Access;
use super::service::Request;
use crate::config::{Secret, Tokens};

/// What the token of a request grants. Each grant includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// What is for everybody.
    Nothing,
    /// Summaries.
    Read,
    /// Everything.
    Write,
}

impl Grant {
    /// Fails unless this grant is enough for `access`.
    pub fn require(self, access: Access) -> Result<(), Problem> {
        let needed = match access {
            Access::Anyone => Self::Nothing,
            Access::Read => Self::Read,
            Access::Write => Self::Write,
        };
        if self >= needed {
            return Ok(());
        }
        let challenge = challenge(r#", error="insufficient_scope""#);
        let problem = Problem::new(Kind::Forbidden, "this needs the write token");
        Err(problem.with_header("www-authenticate", challenge))
    }
}

/// What the request's token grants.
pub fn grant(tokens: &Tokens, request: &Request) -> Result<Grant, Problem> {
    if tokens.read.is_none() && tokens.write.is_none() {
        return Err(Problem::new(
            Kind::NotConfigured,
            "set the variable read_token, write_token or both, and show one as a bearer token",
        ));
    }
    let Some(authorization) = request.header("authorization") else {
        let problem = Problem::new(Kind::Unauthorized, "show a bearer token");
        return Err(problem.with_header("www-authenticate", challenge("")));
    };
    let shown = bearer(&authorization).unwrap_or_default();
    // Both are compared, whatever the first comparison says, so that the time taken does
    // not tell the one token from the other.
    let (write, read) = (matches(&tokens.write, shown), matches(&tokens.read, shown));
    match (write, read) {
        (true, _) => Ok(Grant::Write),
        (false, true) => Ok(Grant::Read),
        (false, false) => {
            let challenge = challenge(r#", error="invalid_token""#);
            let problem = Problem::new(Kind::Unauthorized, "the token is not a valid one");
            Err(problem.with_header("www-authenticate", challenge))
        }
    }
}

/// A challenge, with its parameters after the realm (RFC 6750, section 3).
fn challenge(parameters: &str) -> String {
    format!(r#"Bearer realm="provider-connection-cache"{parameters}"#)
}

/// The token of an `Authorization` header; the scheme's case does not matter (RFC 9110,
/// section 11.1).
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}

/// Whether `shown` is the configured token. One that is not configured matches nothing,
/// and how long it takes tells at most the token's length.
fn matches(configured: &Option<Secret>, shown: &[u8]) -> bool {
    configured
        .as_ref()
        .is_some_and(|token| token.expose().as_bytes().ct_eq(shown).into())
}
