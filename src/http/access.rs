//! Access by bearer tokens (RFC 6750). Without a configured token, nobody has access.

use super::problem::{Kind, Problem};
use super::request::Head;
use super::route::Access;
use super::tokens::{Grant, Tokens};
use crate::config::ConfigError;
use crate::log;

/// Returns what the token of a request grants.
pub(super) fn grant(
    tokens: &Result<Tokens, ConfigError>,
    head: &impl Head,
) -> Result<Grant, Problem> {
    let tokens = match tokens {
        Ok(tokens) if tokens.is_empty() => {
            let detail =
                "set the variable read_token, write_token or both, and show one as a bearer token";
            return Err(Problem::new(Kind::NotConfigured, detail));
        }
        Ok(tokens) => tokens,
        Err(error) => return Err(Problem::new(Kind::NotConfigured, error.to_string())),
    };
    let authorization = head.header("authorization");
    let Some(token) = authorization.as_deref().and_then(bearer) else {
        return Err(challenge(Kind::Unauthorized, "show a bearer token", ""));
    };
    match tokens.grant(token) {
        Grant::Nothing => Err(challenge(
            Kind::Unauthorized,
            "the token is not a valid one",
            r#", error="invalid_token""#,
        )),
        grant => Ok(grant),
    }
}

/// Fails unless the grant is enough for `access`.
pub(super) fn require(grant: Grant, access: Access) -> Result<(), Problem> {
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

/// Returns a problem with a challenge. Its parameters follow the realm (RFC 6750, section 3).
pub fn challenge(kind: Kind, detail: &'static str, parameters: &str) -> Problem {
    let challenge = format!(r#"Bearer realm="provider-connection-cache"{parameters}"#);
    Problem::new(kind, detail).with_header("www-authenticate", challenge)
}

/// Returns the token of an `Authorization` header. The case of the scheme does not matter (RFC 9110,
/// section 11.1).
pub fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}

/// Logs a refused token. A caller without one may not know better; a caller with a wrong one has lost
/// the right one, or is guessing.
pub fn log_refused_token(problem: &Problem, head: &impl Head) {
    let is_refused = matches!(problem.kind(), Kind::Unauthorized | Kind::Forbidden);
    if is_refused && head.header("authorization").is_some() {
        log::event(log::Event::TokenRefused, &[("reason", &problem.detail())]);
    }
}
