//! Who may do what: bearer tokens (RFC 6750), denied unless configured and shown.

use super::command::Head;
use super::problem::{Kind, Problem};
use super::route::Access;
use crate::config::ConfigError;
use crate::tokens::{Grant, Tokens};

/// What the token of a request grants.
pub fn grant(tokens: &Result<Tokens, ConfigError>, head: &impl Head) -> Result<Grant, Problem> {
    let tokens = match tokens {
        Ok(tokens) if tokens.is_empty() => {
            let detail =
                "set the variable read_token, write_token or both, and show one as a bearer token";
            return Err(Problem::new(Kind::NotConfigured, detail));
        }
        Ok(tokens) => tokens,
        Err(error) => return Err(Problem::new(Kind::NotConfigured, error.to_string())),
    };
    let Some(authorization) = head.header("authorization") else {
        return Err(challenge(Kind::Unauthorized, "show a bearer token", ""));
    };
    match tokens.grant(bearer(&authorization).unwrap_or_default()) {
        Grant::Nothing => Err(challenge(
            Kind::Unauthorized,
            "the token is not a valid one",
            r#", error="invalid_token""#,
        )),
        grant => Ok(grant),
    }
}

/// Fails unless the grant is enough for `access`.
pub fn require(grant: Grant, access: Access) -> Result<(), Problem> {
    let needed = match access {
        Access::Anyone => Grant::Nothing,
        Access::Read => Grant::Read,
        Access::Write => Grant::Write,
    };
    if grant >= needed {
        return Ok(());
    }
    Err(challenge(
        Kind::Forbidden,
        "this needs the write token",
        r#", error="insufficient_scope""#,
    ))
}

/// A problem with a challenge, whose parameters come after the realm (RFC 6750, section 3).
pub fn challenge(kind: Kind, detail: &'static str, parameters: &str) -> Problem {
    let challenge = format!(r#"Bearer realm="provider-connection-cache"{parameters}"#);
    Problem::new(kind, detail).with_header("www-authenticate", challenge)
}

/// The token of an `Authorization` header; the scheme's case does not matter (RFC 9110,
/// section 11.1).
pub fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}
