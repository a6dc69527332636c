//! HTTP as `/openapi.json` describes it, checked from outside by schemathesis: every answer
//! is a documented one, and every documented one occurs.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::process::Command;

use provider_connection_cache::http::route::ROUTES;
use serde_json::Value;

use crate::support::client::Call;
use crate::support::connection::{entry, id};
use crate::support::raw::{bearer, exchange, request};
use crate::support::redis::Redis;
use crate::support::secrets;
use crate::support::service::{BASE, READ_TOKEN, Service, WRITE_TOKEN, path};
use crate::support::{in_repository, python};

/// A path of the description, a method, and the status of an answer to it.
type Answered = (String, String, u16);

/// What is checked however a service is set up. Whether data is accepted or refused depends
/// on that.
const ALWAYS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,allow_header_conformance,\
    unsupported_method";

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_documented_and_every_documented_answer_occurs() {
    let mut redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    let mut answered = BTreeSet::new();
    answered.extend(schemathesis(&service, "writer", WRITE_TOKEN, "all", 30).await);
    answered.extend(schemathesis(&service, "reader", READ_TOKEN, ALWAYS, 5).await);
    answered.extend(by_hand(&service).await);
    redis.stop();
    // That errors are answered is what this is about, so 503 is no failure here.
    let without_errors = ALWAYS.strip_prefix("not_a_server_error,").unwrap();
    answered.extend(schemathesis(&service, "without-redis", WRITE_TOKEN, without_errors, 5).await);
    let documented = documented(&service).await;
    let undocumented: Vec<_> = answered.difference(&documented).collect();
    assert!(undocumented.is_empty(), "not documented: {undocumented:?}");
    let unseen: Vec<_> = documented.difference(&answered).collect();
    assert!(unseen.is_empty(), "documented, and never seen: {unseen:?}");
}

/// Lets schemathesis loose on a service, and tells what it saw.
async fn schemathesis(
    service: &Service,
    name: &str,
    token: &str,
    checks: &str,
    examples: u32,
) -> BTreeSet<Answered> {
    let har = env::temp_dir().join(format!("schemathesis-{}-{name}.har", std::process::id()));
    let mut command = Command::new(python().with_file_name("schemathesis"));
    command
        .arg("--config-file")
        .arg(in_repository("tests/schemathesis/schemathesis.toml"))
        .arg("run")
        .arg(format!("http://{}/openapi.json", service.address()))
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--checks", checks, "--max-examples", &examples.to_string()])
        .args(["--seed", "1", "--generation-database", "none", "--no-color"])
        // How fast a busy machine is, is no finding.
        .args(["--suppress-health-check", "all"])
        .args([
            "--continue-on-failure",
            "--report",
            "har",
            "--report-har-path",
        ])
        .arg(&har)
        .current_dir(env::temp_dir());
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap();
    let output = output.expect("schemathesis runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{name}:\n{text}");
    let report = fs::read_to_string(&har).expect("the report");
    fs::remove_file(&har).expect("the report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let entries = report["log"]["entries"].as_array().expect("entries");
    entries.iter().filter_map(answered).collect()
}

/// What an entry of the report says; none if it is about no path of the description.
fn answered(entry: &Value) -> Option<Answered> {
    // The one answer that shows a secret is that to `view=full`.
    let url = entry["request"]["url"].as_str()?;
    if !url.contains("view=full") {
        secrets::assert_none(url, &entry["response"].to_string());
    }
    let (_, target) = url.split_once("://")?.1.split_once('/')?;
    let target = format!("/{}", target.split(['?', '#']).next()?);
    let local = target.strip_prefix(BASE)?;
    let known = ROUTES.iter().find(|route| route.path == local);
    let path = match known {
        Some(route) => route.path,
        None if local.matches('/').count() == 1 && local.len() > 1 => "/{id}",
        None => return None,
    };
    let method = entry["request"]["method"].as_str()?.to_lowercase();
    let status = entry["response"]["status"].as_u64()?.try_into().ok()?;
    // Described once, for all paths.
    if (method.as_str(), status) == ("options", 204) {
        return None;
    }
    Some((path.to_owned(), common(method, status), status))
}

/// A method that a path does not have is documented with those that it has.
fn common(method: String, status: u16) -> String {
    if status == 405 {
        "*".to_owned()
    } else {
        method
    }
}

/// What it takes more to see than a description tells.
async fn by_hand(service: &Service) -> BTreeSet<Answered> {
    let mut seen = BTreeSet::new();
    let place = path(&id(1));
    let lookup = format!("{BASE}/lookup");
    service.hold(&id(1)).await;
    let full = format!("{place}?view=full");
    for (name, method) in [("/{id}", "GET"), ("/{id}", "HEAD")] {
        let known = service.read(method, &place).await;
        let call = || Call::new(method, &place).bearer(READ_TOKEN);
        let known = call().header("if-none-match", known.header("etag"));
        let other = call().header("if-match", "\"x\"");
        let answers = [
            service.send(known).await,
            service.send(other).await,
            service.read(method, &full).await,
        ];
        seen.extend(answers.map(|answer| (name.to_owned(), method.to_lowercase(), answer.status)));
    }
    let put = Call::new("PUT", &place).bearer(WRITE_TOKEN);
    let put = put.json(entry(&id(1)).to_string());
    let status = service.send(put.header("if-match", "\"x\"")).await.status;
    seen.insert(("/{id}".to_owned(), "put".to_owned(), status));
    // A service without tokens answers all but health with 403.
    let nobody = [("read_token", ""), ("write_token", "")];
    let closed = Service::with(Redis::shared(), &nobody).await;
    for route in ROUTES {
        let place = format!("{BASE}{}", route.path.replace("{id}", &id(1)));
        let status = closed.write(route.method, &place).await.status;
        if status == 403 {
            seen.insert((route.path.to_owned(), route.method.to_lowercase(), status));
        }
        // None knows this parameter.
        let answer = service.write(route.method, &format!("{place}?x=1")).await;
        seen.insert((
            route.path.to_owned(),
            route.method.to_lowercase(),
            answer.status,
        ));
    }
    for (name, method, place) in [("/{id}", "PUT", &place), ("/lookup", "POST", &lookup)] {
        let head = |length: &str| {
            let token = bearer(WRITE_TOKEN);
            let body = format!("content-type: application/json\r\ncontent-length: {length}\r\n");
            request(method, place, &format!("{token}{body}"))
        };
        // One that is too large, and one that never comes.
        let (large, slow) = tokio::join!(
            exchange(service.address(), head("65537")),
            exchange(service.address(), head("1"))
        );
        for (body, answer) in [("too large", large), ("none", slow)] {
            let Some(answer) = answer else {
                panic!(
                    "no answer to {method} {place}, body {body}:\n{}",
                    service.log()
                );
            };
            seen.insert((name.to_owned(), method.to_lowercase(), answer.status));
        }
    }
    seen
}

/// Every answer that the description has.
async fn documented(service: &Service) -> BTreeSet<Answered> {
    let openapi = service.read("GET", "/openapi.json").await.json();
    let mut documented = BTreeSet::new();
    for (path, item) in openapi["paths"].as_object().unwrap() {
        let local = path.strip_prefix(BASE).unwrap();
        let operations = item.as_object().unwrap().iter();
        for (method, operation) in operations.filter(|(name, _)| *name != "parameters") {
            for status in operation["responses"].as_object().unwrap().keys() {
                let status = status.parse().unwrap();
                documented.insert((local.to_owned(), common(method.clone(), status), status));
            }
        }
    }
    documented
}
