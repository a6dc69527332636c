//! Every way to a route without the token for it.

use provider_connection_cache::http::problem::Kind;
use provider_connection_cache::http::route::{Access, ROUTES};

use super::*;
use crate::http::assert_problem;
use crate::support::client::Call;
use crate::support::secrets::EXPLORER_TOKEN;
use crate::support::service::Service;

const METHODS: [&str; 11] = [
    "GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get", "X-Y",
];

/// What is shown, and what that grants, by what the design says of tokens.
fn shown() -> Vec<(String, Option<Access>)> {
    let wrong = |shown: &str| (shown.to_owned(), None);
    vec![
        wrong(""),
        wrong("Bearer"),
        wrong("Bearer "),
        wrong(&format!("Bearer {}", "x".repeat(READ_TOKEN.len()))),
        wrong(&format!("Bearer {}", &WRITE_TOKEN[1..])),
        wrong(&format!("Bearer {WRITE_TOKEN}x")),
        wrong(&format!("Bearer {READ_TOKEN},{WRITE_TOKEN}")),
        wrong(&format!("Bearer {READ_TOKEN} {WRITE_TOKEN}")),
        wrong(&format!("Bearer {}", WRITE_TOKEN.to_lowercase())),
        wrong(&format!("Bearer\t{WRITE_TOKEN}")),
        wrong(&format!("Basic {WRITE_TOKEN}")),
        wrong(WRITE_TOKEN),
        wrong(&format!("Bearer {}", "x".repeat(50_000))),
        (format!("Bearer {READ_TOKEN}"), Some(Access::Read)),
        (format!("bEARER  {READ_TOKEN} "), Some(Access::Read)),
        (format!("Bearer {WRITE_TOKEN}"), Some(Access::Write)),
    ]
}

/// The statuses that a request may be answered with.
fn allowed(method: &str, path: &str, grant: Option<Access>) -> &'static [u16] {
    let rows = || ROUTES.iter().filter(|route| route.path == path);
    let wanted = if method == "HEAD" { "GET" } else { method };
    let row = rows().find(|route| route.method == wanted);
    let public = rows().any(|route| route.access == Access::Anyone);
    let asks_for_methods = method == "OPTIONS" && rows().next().is_some();
    match (row, grant) {
        _ if asks_for_methods && (public || grant.is_some()) => &[204],
        (Some(_), _) if public => &[200],
        (None, _) if public => &[405],
        (_, None) => &[401],
        // Also for a path that is not there at all.
        (None, Some(_)) if rows().next().is_none() => &[400],
        (None, Some(_)) => &[405],
        (Some(row), Some(Access::Read)) if row.access == Access::Write => &[403],
        // In, and past it: what the operation itself says.
        (Some(_), Some(_)) => &[200, 204, 404, 400, 415],
    }
}

/// Every route, and one that is not there, with every method and every token: and whoever
/// is not let in has no command sent to Redis.
#[tokio::test(flavor = "multi_thread")]
async fn every_route_with_every_method_and_every_token() {
    let target = Target::new().await;
    let mut client = target.service.connect().await;
    let _put = target.commands();
    for path in ROUTES
        .iter()
        .map(|route| route.path)
        .chain(["/nowhere/at/all"])
    {
        let place = format!("{BASE}{}", path.replace("{id}", &id(1)));
        for method in METHODS {
            for (shown, grant) in shown() {
                let mut call = Call::new(method, &place);
                if !shown.is_empty() {
                    call = call.header("authorization", &shown);
                }
                let answer = client.send(call).await;
                let allowed = allowed(method, path, grant);
                assert!(
                    allowed.contains(&answer.status),
                    "{method} {path} is {}, not one of {allowed:?}; the token grants {grant:?}",
                    answer.status
                );
                let commands = target.commands();
                if method != "HEAD" {
                    match answer.status {
                        401 => assert_problem(&answer, Kind::Unauthorized),
                        403 => assert_problem(&answer, Kind::Forbidden),
                        405 => assert_problem(&answer, Kind::MethodNotAllowed),
                        _ => {}
                    }
                }
                if matches!(answer.status, 401 | 403) {
                    let challenge = answer.header("www-authenticate");
                    assert!(challenge.starts_with("Bearer realm="), "{challenge}");
                    assert!(commands.is_empty(), "{method} {path}: {commands:?}");
                }
                let tells = answer.status == 405 || (method, answer.status) == ("OPTIONS", 204);
                assert_eq!(tells, answer.headers.contains_key("allow"));
            }
        }
    }
    // What was there is gone by DELETE, and back for the last look.
    target.service.hold(&id(1)).await;
    target.survived().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_read_token_shows_no_credentials_and_changes_nothing() {
    let target = Target::new().await;
    let full = format!("{}?view=full", path(&id(1)));
    let refused = |answer: &Answer| assert_eq!(answer.status, 403, "{}", answer.everything());
    refused(&target.service.read("GET", &full).await);
    refused(&target.service.read("HEAD", &full).await);
    refused(&target.service.read("DELETE", &path(&id(1))).await);
    let put = Call::new("PUT", &path(&id(1))).bearer(READ_TOKEN);
    refused(
        &target
            .service
            .send(put.json(entry(&id(1)).to_string()))
            .await,
    );
    target.survived().await;
}

/// Two `Authorization` headers are not one of them.
#[tokio::test(flavor = "multi_thread")]
async fn two_authorization_headers_are_no_token() {
    let target = Target::new().await;
    let both = format!("{}{}", bearer(READ_TOKEN), bearer(WRITE_TOKEN));
    let twice = bearer(WRITE_TOKEN).repeat(2);
    for headers in [both, twice] {
        let answer = target
            .exchange(request("GET", &path(&id(1)), &headers))
            .await;
        assert_eq!(status(answer), 401);
    }
    target.survived().await;
}

/// Only a wrong token is called one: who shows none, or another kind of credentials, is told no error (RFC 6750,
/// section 3.1).
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_told_from_none() {
    let more = [("explorer_token", EXPLORER_TOKEN)];
    let service = Service::with(Redis::shared(), &more).await;
    let challenge = r#"Bearer realm="provider-connection-cache""#;
    for place in [&path(&id(1)), "/explorer/api/redis"] {
        for (shown, error) in [
            ("Basic cmVhZDpyZWFk", ""),
            ("Bearer", ""),
            (READ_TOKEN, ""),
            ("Bearer x", r#", error="invalid_token""#),
        ] {
            let call = Call::new("GET", place).header("authorization", shown);
            let answer = service.send(call).await;
            assert_eq!(answer.status, 401);
            let said = answer.header("www-authenticate");
            assert_eq!(said, format!("{challenge}{error}"), "{shown} at {place}");
        }
    }
}

/// Old and new tokens at once: who still shows the old one, and who shows the new one
/// already, is served, until the old one is taken out.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_rotated_without_downtime() {
    let token = |name: &str| format!("{READ_TOKEN}-{name}");
    let (old, new) = (token("old"), token("new"));
    for (configured, accepted) in [
        (old.clone(), [true, false]),
        (format!("{old},{new}"), [true, true]),
        (format!("{new}, {old}"), [true, true]),
        (new.clone(), [false, true]),
    ] {
        for variable in ["read_token", "write_token"] {
            let more = [(variable, configured.as_str())];
            let service = Service::with(Redis::shared(), &more).await;
            for (token, accepted) in [&old, &new].into_iter().zip(accepted) {
                let call = Call::new("GET", &path(&id(1))).bearer(token);
                let wanted = if accepted { 404 } else { 401 };
                assert_eq!(service.send(call).await.status, wanted, "{variable}");
            }
        }
    }
}

/// A token that is too short is refused at the start, and nobody is let in with it, or
/// with another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_token_lets_nobody_in_and_is_named_where_one_looks() {
    let short = &WRITE_TOKEN[..31];
    for variable in ["read_token", "write_token"] {
        for configured in [short.to_owned(), format!("{WRITE_TOKEN},{short}")] {
            let more = [(variable, configured.as_str())];
            let service = Service::with(Redis::shared(), &more).await;
            for token in [short, READ_TOKEN, WRITE_TOKEN] {
                let call = Call::new("GET", &path(&id(1))).bearer(token);
                let answer = service.send(call).await;
                assert_eq!(answer.status, 403);
                assert!(answer.text().contains(variable), "{}", answer.text());
                assert!(answer.text().contains("32"), "{}", answer.text());
            }
            let ready = service.read("GET", "/health/ready").await;
            assert_eq!(ready.status, 503);
            for said in [ready.text(), &service.log()] {
                assert!(said.contains(variable) && said.contains("32"), "{said}");
            }
            assert_eq!(service.read("GET", "/health/live").await.status, 200);
        }
    }
}
