//! Actions: what a request asks for, once its caller has been let in. The body has not been read yet.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::access;
use super::metrics::TextFormat;
use super::preconditions::Preconditions;
use super::problem::{Kind, Problem};
use super::query::{self, Query};
use super::request::{Head, MAX_BODY};
use super::route::{self, Access, Endpoint, Found};
use super::tokens::{Grant, Tokens};
use crate::config::{ConfigError, MAX_TTL_SECONDS, Ttl};
use crate::connection::{Id, InvalidField};
use crate::origin::encodes;
use crate::stats::Hours;

const JSON: &[u8] = b"application/json";

/// An action, as [`Endpoint`] names it, with its parameters.
#[derive(Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "openapi.json describes each")]
pub enum Action {
    Get {
        id: Id,
        view: View,
        /// The connection must belong to this user.
        user_id: Option<Id>,
        preconditions: Preconditions,
    },
    Put {
        id: Id,
        ttl: Option<Ttl>,
        preconditions: Preconditions,
    },
    Delete {
        id: Id,
        preconditions: Preconditions,
    },
    Lookup,
    Live,
    Ready,
    Openapi,
    Metrics {
        format: TextFormat,
    },
    Stats {
        hours: Hours,
    },
    /// Asks which methods a path has.
    Options {
        /// The methods, as the value of `Allow`.
        allow: String,
    },
}

/// How much of a connection to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The summary.
    Summary,
    /// The whole connection, credentials included.
    Full,
}

impl Action {
    /// Lets the caller in, and only then parses the parameters.
    pub fn parse(tokens: &Result<Tokens, ConfigError>, head: &impl Head) -> Result<Self, Problem> {
        let (path, query) = head.path_and_query();
        let found = route::find(head.method(), path);
        // A public route can be found without a token. Nothing else shows without one, not even
        // whether it exists.
        let access = found.access();
        let grant = match access {
            Access::Anyone => Grant::Nothing,
            Access::Read | Access::Write => access::grant(tokens, head)?,
        };
        let (route, id) = match found {
            Found::Route { route, id } => (route, id),
            Found::OtherMethod { path } => {
                let allow = route::allow(path);
                return match head.method() {
                    "OPTIONS" => Ok(Self::Options { allow }),
                    _ => Err(Problem::not_allowed(allow)),
                };
            }
            Found::Nothing => {
                let detail = "there is nothing at this path, and no miss either: see /openapi.json";
                return Err(Problem::new(Kind::NoSuchRoute, detail));
            }
        };
        access::require(grant, access)?;
        let query = Query::parse(query, route.query)?;
        Ok(match route.endpoint {
            Endpoint::Get => {
                let id = parse_id(id)?;
                let view = parse_view(query.get("view"))?;
                if view == View::Full {
                    access::require(grant, Access::Write)?;
                }
                let user_id = query.get("user_id").map(|id| Id::parse("user_id", id));
                Self::Get {
                    id,
                    view,
                    user_id: user_id.transpose()?,
                    preconditions: Preconditions::of_read(head),
                }
            }
            Endpoint::Put => {
                let id = parse_id(id)?;
                let ttl = query.get("ttl").map(parse_ttl).transpose()?;
                announces_json(head)?;
                Self::Put {
                    id,
                    ttl,
                    preconditions: Preconditions::of_write(head)?,
                }
            }
            Endpoint::Delete => Self::Delete {
                id: parse_id(id)?,
                preconditions: Preconditions::of_write(head)?,
            },
            Endpoint::Lookup => {
                announces_json(head)?;
                Self::Lookup
            }
            Endpoint::Live => Self::Live,
            Endpoint::Ready => Self::Ready,
            Endpoint::Openapi => Self::Openapi,
            Endpoint::Metrics => Self::Metrics {
                format: TextFormat::accepted(head.header("accept").as_deref()),
            },
            Endpoint::Stats => {
                let hours = query.get("hours").map(parse_hours).transpose()?;
                let hours = hours.unwrap_or(Hours::DAY);
                Self::Stats { hours }
            }
        })
    }
}

/// Reads the `{id}` of a path. Once decoded, bytes that are not UTF-8 are not a UUID either.
pub fn parse_id(segment: &str) -> Result<Id, InvalidField> {
    let decoded = percent_decode_str(segment).decode_utf8();
    Id::parse("id", &decoded.unwrap_or(Cow::Borrowed("")))
}

fn parse_view(text: Option<&str>) -> Result<View, InvalidField> {
    match text {
        None | Some("summary") => Ok(View::Summary),
        Some("full") => Ok(View::Full),
        Some(_) => Err(InvalidField {
            field: "view",
            rule: "summary or full",
        }),
    }
}

fn parse_ttl(text: &str) -> Result<Ttl, Problem> {
    query::number(text)
        .and_then(Ttl::from_seconds)
        .ok_or_else(|| {
            let detail = format!("ttl must be 1 to {MAX_TTL_SECONDS} seconds");
            Problem::new(Kind::InvalidRequest, detail)
        })
}

/// Reads a number of hours.
pub fn parse_hours(text: &str) -> Result<Hours, InvalidField> {
    let hours = query::number(text).and_then(Hours::new);
    hours.ok_or(InvalidField {
        field: "hours",
        rule: "1 to 48",
    })
}

/// Fails unless the headers announce a body that is JSON, not encoded, and not too large.
fn announces_json(head: &impl Head) -> Result<(), Problem> {
    let codings = head.header("content-encoding").unwrap_or_default();
    if encodes(&codings) {
        return Err(Problem::encoded());
    }
    let content_type = head.header("content-type").unwrap_or_default();
    let media_type = content_type.split(|byte| *byte == b';').next();
    let media_type = media_type.unwrap_or_default().trim_ascii();
    if !media_type.eq_ignore_ascii_case(JSON) {
        let detail = "send the body as content-type: application/json";
        return Err(Problem::new(Kind::UnsupportedMediaType, detail));
    }
    let length = head.header("content-length").unwrap_or_default();
    let length = str::from_utf8(&length).ok();
    match length.and_then(|length| length.parse::<u64>().ok()) {
        Some(length) if length > MAX_BODY as u64 => Err(Problem::too_large()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0192f3a4-5b6c-7d8e-9f00-000000000001";
    const READ: &str = "read-token-read-token-read-token";
    const WRITE: &str = "write-token-write-token-write-to";

    struct Request<'a> {
        method: &'a str,
        target: &'a str,
        headers: Vec<(&'a str, &'a str)>,
    }

    impl Head for Request<'_> {
        fn method(&self) -> &str {
            self.method
        }

        fn path_and_query(&self) -> (&str, &str) {
            self.target.split_once('?').unwrap_or((self.target, ""))
        }

        fn header(&self, name: &str) -> Option<Vec<u8>> {
            let (_, value) = self.headers.iter().find(|(given, _)| *given == name)?;
            Some(value.as_bytes().to_vec())
        }
    }

    fn parse(
        method: &str,
        target: &str,
        token: &str,
        more: &[(&str, &str)],
    ) -> Result<Action, u16> {
        let bearer = format!("Bearer {token}");
        let mut headers = more.to_vec();
        if !token.is_empty() {
            headers.push(("authorization", &bearer));
        }
        let request = Request {
            method,
            target,
            headers,
        };
        let parsed = Action::parse(&Tokens::parse(READ, WRITE), &request);
        parsed.map_err(|problem| problem.kind().status())
    }

    #[test]
    fn an_id_is_decoded_once_and_whatever_is_no_uuid_is_refused() {
        let get = |segment: &str| {
            let target = format!("/v1/provider-connections/{segment}");
            parse("GET", &target, READ, &[])
        };
        let id = Id::parse("id", ID).expect("a UUID");
        for good in [
            ID,
            &format!("%7B{ID}%7d"),
            "%30192f3a45b6c7d8e9f00000000000001",
        ] {
            assert!(
                matches!(get(good), Ok(Action::Get { id: found, .. }) if found == id),
                "{good}"
            );
        }
        for bad in [
            "%2530192f3a45b6c7d8e9f00000000000001",
            "%00",
            "%",
            "%zz",
            "%c3%28",
            "%c0%b0192f3a4-5b6c-7d8e-9f00-000000000001",
            "..",
            "%2e%2e%2fhealth%2flive",
            &format!("{ID}%00"),
            &format!("{ID}%0d%0aDEL%20x"),
        ] {
            assert_eq!(get(bad), Err(400), "{bad}");
        }
    }

    #[test]
    fn nothing_is_parsed_before_the_caller_is_let_in() {
        let wrong = "x".repeat(32);
        for target in [
            "/v1/provider-connections/%ff?%ff=%ff&&",
            "/nowhere",
            "",
            "*",
        ] {
            for method in ["GET", "PUT", "DELETE", "POST", "", "x"] {
                assert_eq!(parse(method, target, "", &[]), Err(401));
                assert_eq!(parse(method, target, &wrong, &[]), Err(401));
            }
        }
    }

    #[test]
    fn a_body_must_be_announced_as_json_and_not_too_large() {
        let target = format!("/v1/provider-connections/{ID}?ttl=7");
        let put = |headers: &[(&str, &str)]| parse("PUT", &target, WRITE, headers);
        let json = ("content-type", "application/json; charset=utf-8");
        assert!(matches!(put(&[json]), Ok(Action::Put { ttl: Some(_), .. })));
        assert!(put(&[json, ("content-length", "65536")]).is_ok());
        assert_eq!(put(&[json, ("content-length", "65537")]), Err(413));
        for plain in ["", "identity", "Identity, identity", " , "] {
            assert!(put(&[json, ("content-encoding", plain)]).is_ok(), "{plain}");
        }
        for coding in [
            "gzip",
            "x-gzip",
            "BR",
            "identity, zstd",
            "identity;q=1",
            "\"",
        ] {
            assert_eq!(put(&[json, ("content-encoding", coding)]), Err(415));
        }
        for other in [
            "",
            "text/json",
            "application/json, text/plain",
            "application/jsonp",
        ] {
            assert_eq!(put(&[("content-type", other)]), Err(415), "{other}");
        }
    }
}
