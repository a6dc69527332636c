//! The explorer: who is let in, what is shown, and in a real browser, how.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::process::Command;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::client::{Answer, Call};
use crate::support::connection::{entry, id};
use crate::support::in_repository;
use crate::support::monitor::Monitor;
use crate::support::origin::{borrowed, origin_with, reading_through};
use crate::support::redis::Redis;
use crate::support::secrets::{EXPLORER_TOKEN, PASSWORD};
use crate::support::service::{READ_TOKEN, Service, WRITE_TOKEN, path};

async fn service(redis: &Redis, more: &[(&str, &str)]) -> Service {
    let on = [("explorer_token", EXPLORER_TOKEN)];
    Service::with(redis, &[&on, more].concat()).await
}

async fn ask(service: &Service, method: &str, path: &str) -> Answer {
    let call = Call::new(method, &format!("/explorer/{path}"));
    service.send(call.bearer(EXPLORER_TOKEN)).await
}

fn of(number: usize) -> String {
    format!("api/connections/{}", id(number))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_token_there_is_no_explorer() {
    let redis = Redis::shared();
    let service = Service::over(redis).await;
    for path in ["", "app.js", "api/stats", &of(1)] {
        for token in [EXPLORER_TOKEN, READ_TOKEN, WRITE_TOKEN, ""] {
            let call = Call::new("GET", &format!("/explorer/{path}")).bearer(token);
            let answer = service.send(call).await;
            assert_eq!(answer.status, 404, "{path}");
            assert!(
                answer.text().contains("explorer_token"),
                "{}",
                answer.text()
            );
        }
    }
    let service = Service::with(redis, &[("explorer_token", "short")]).await;
    let call = Call::new("GET", "/explorer/api/stats").bearer("short");
    let answer = service.send(call).await;
    assert_eq!(answer.status, 403);
    assert!(
        answer.text().contains("variable explorer_token must be"),
        "{}",
        answer.text()
    );
    assert!(
        service.log().contains("bad_configuration"),
        "{}",
        service.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn its_token_opens_it_and_nothing_else_and_no_other_token_does() {
    let redis = Redis::shared();
    let service = service(redis, &[]).await;
    service.hold(&id(1)).await;
    for method in ["GET", "HEAD", "DELETE"] {
        for token in [READ_TOKEN, WRITE_TOKEN, "", &EXPLORER_TOKEN[1..]] {
            let call = Call::new(method, &format!("/explorer/{}", of(1))).bearer(token);
            let answer = service.send(call).await;
            assert_eq!(answer.status, 401, "{method}");
            assert!(!answer.header("www-authenticate").is_empty());
        }
        let call = Call::new(method, &path(&id(1))).bearer(EXPLORER_TOKEN);
        assert_eq!(service.send(call).await.status, 401, "{method}");
    }
    assert!(service.log().contains("token_refused"), "{}", service.log());
    assert_eq!(ask(&service, "GET", &of(1)).await.json()["found"], "hit");
    service.assert_instances_of("explorer", 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_shows_what_there_is_and_never_the_credentials() {
    let mut redis = Redis::start(&[]);
    let service = service(&redis, &[("redis_timeout_ms", "2000")]).await;
    service.hold(&id(1)).await;
    let shown = ask(&service, "GET", &of(1)).await;
    assert_eq!(shown.header("cache-control"), "private, no-store");
    let shown = shown.json();
    let ttl = shown["ttl_seconds"].as_u64().unwrap();
    assert!((200..=300).contains(&ttl), "{ttl}");
    let mut summary = service.read("GET", &path(&id(1))).await.json();
    let mut same = shown["summary"].clone();
    assert_eq!(summary, same);
    // Neither of them has anything else, such as a ciphertext: `service.send` looks for it.
    for fields in [&mut summary, &mut same] {
        assert_eq!(fields.as_object_mut().unwrap().len(), 17);
    }
    redis.command::<()>(&["PERSIST", &service.key(&id(1))]);
    assert_eq!(
        ask(&service, "GET", &of(1)).await.json()["ttl_seconds"],
        Value::Null
    );
    redis.set(&service.key(&id(2)), "{}");
    let corrupt = ask(&service, "GET", &of(2)).await.json();
    assert_eq!(
        (&corrupt["found"], &corrupt["reason"]),
        (&json!("corrupt"), &json!("id must be a UUID"))
    );
    assert_eq!(
        ask(&service, "GET", &of(3)).await.json(),
        json!({ "id": id(3), "found": "miss" })
    );
    assert_eq!(ask(&service, "GET", "api/connections/x").await.status, 400);
    let list = ask(&service, "GET", "api/connections").await;
    assert_eq!(list.header("cache-control"), "private, no-store");
    let list = list.json();
    let mut listed = list["connections"].as_array().unwrap().clone();
    listed.sort_by_key(|one| one["id"].to_string());
    let alone = [of(1), of(2)].map(async |path| ask(&service, "GET", &path).await.json());
    assert_eq!(Value::from(listed), Value::from(join_all(alone).await));
    assert_eq!(list["next"], Value::Null);
    assert_eq!(
        ask(&service, "GET", "api/connections?cursor=x")
            .await
            .status,
        400
    );
    assert_eq!(ask(&service, "DELETE", &of(1)).await.status, 204);
    assert_eq!(ask(&service, "DELETE", &of(1)).await.status, 404);
    assert_eq!(ask(&service, "DELETE", &of(2)).await.status, 204);
    assert_eq!(redis.keys_of_connections(), Vec::<String>::new());
    assert_eq!(
        ask(&service, "GET", "api/stats?hours=1").await.json()["hours"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    redis.stop();
    assert_eq!(
        ask(&service, "GET", &of(1)).await.json()["found"],
        "unavailable"
    );
    for (method, path) in [
        ("GET", "api/connections"),
        ("GET", "api/stats"),
        ("DELETE", &of(1)),
    ] {
        let answer = ask(&service, method, path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert_eq!(answer.header("retry-after"), "1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_the_list_costs_one_command_more_than_its_ids_and_counts_nothing() {
    let redis = Redis::start(&[]);
    let service = service(&redis, &[]).await;
    let ids: BTreeSet<_> = (0..250).map(id).collect();
    for id in &ids {
        redis.set(&service.key(id), entry(id).to_string());
    }
    redis.set(&service.key(&id(250)), "{}");
    let monitor = Monitor::of(&redis);
    let (mut listed, mut path) = (BTreeSet::new(), "api/connections".to_owned());
    let mut pages = 0;
    loop {
        let page = ask(&service, "GET", &path).await.json();
        pages += 1;
        for one in page["connections"].as_array().unwrap() {
            if one["found"] == "hit" {
                assert_eq!(one["summary"]["id"], one["id"]);
                listed.insert(one["id"].as_str().unwrap().to_owned());
            }
        }
        match page["next"].as_str() {
            Some(cursor) => path = format!("api/connections?cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(listed, ids);
    let commands = monitor.commands(&redis);
    let of = |name| commands.iter().filter(|words| words[0] == name).count();
    let other = |words: &&Vec<String>| !["SCAN", "EVAL", "SELECT"].contains(&words[0].as_str());
    assert_eq!(commands.iter().find(other), None);
    assert_eq!(of("EVAL"), pages);
    // Nobody looked anything up, and the corrupt one was not read as an answer.
    let total = &ask(&service, "GET", "api/stats?hours=2").await.json()["total"];
    assert_eq!(
        (&total["total"], &total["corrupt_entries"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(redis.keys("*conn-stats*"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_shows_which_redis_it_is_and_whether_it_is_well_and_never_how_to_log_in() {
    let mut redis = Redis::start_with_required_password(PASSWORD);
    let login = [("redis_username", "default"), ("redis_password", PASSWORD)];
    let service = service(&redis, &login).await;
    let shown = ask(&service, "GET", "api/redis").await;
    assert_eq!(shown.header("cache-control"), "private, no-store");
    let well = json!({
        "address": redis.address(), "key_prefix": service.prefix(),
        "status": "ready", "writes": "accepted",
    });
    assert_eq!(shown.json(), well);
    redis.command::<()>(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let shown = ask(&service, "GET", "api/redis").await.json();
    assert_eq!(
        (&shown["status"], &shown["writes"]),
        (&json!("ready"), &json!("failing"))
    );
    assert!(
        shown["detail"].as_str().unwrap().contains("NOREPLICAS"),
        "{shown}"
    );
    redis.stop();
    let shown = ask(&service, "GET", "api/redis").await.json();
    assert_eq!(
        (&shown["status"], &shown["writes"]),
        (&json!("unavailable"), &json!("failing"))
    );
    assert_eq!(shown["address"], well["address"]);
    assert!(
        shown["detail"].as_str().unwrap().contains("Redis"),
        "{shown}"
    );
}

/// What is no address may have a password in it. The host refuses one that has, unless the manifest
/// allows other addresses than this variable.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_none_is_not_shown() {
    let redis = Redis::shared();
    let service = service(redis, &[("redis_address", "redis://127.0.0.1:*")]).await;
    let shown = ask(&service, "GET", "api/redis").await.json();
    assert_eq!(
        (&shown["address"], &shown["status"]),
        (&Value::Null, &json!("unavailable"))
    );
    assert!(
        shown["detail"].as_str().unwrap().contains("redis_address"),
        "{shown}"
    );
}

/// Looking does not read through; dropping drops what goes with an entry.
#[tokio::test(flavor = "multi_thread")]
async fn with_an_origin_it_shows_what_is_cached_and_drops_all_of_it() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    let more = reading_through(&origin, &[("stale_if_error", "3600")]);
    let service = service(&redis, &borrowed(&more)).await;
    assert_eq!(ask(&service, "GET", &of(1)).await.json()["found"], "miss");
    assert_eq!(origin.requests(), 0);
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 200);
    assert_eq!(service.read("GET", &path(&id(2))).await.status, 404);
    assert_eq!(redis.keys_of_connections().len(), 4);
    assert_eq!(ask(&service, "GET", &of(1)).await.json()["found"], "hit");
    assert_eq!(
        ask(&service, "GET", &of(2)).await.json()["found"],
        "not-found"
    );
    assert_eq!(ask(&service, "DELETE", &of(1)).await.status, 204);
    assert_eq!(redis.keys_of_connections(), [service.key(&id(2))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_says_what_a_browser_may_do_with_it() {
    let redis = Redis::shared();
    let service = service(redis, &[]).await;
    for (path, status) in [
        ("/explorer", 308),
        ("/explorer/", 200),
        ("/explorer/app.js", 200),
        ("/explorer/charts.js", 200),
        ("/explorer/style.css", 200),
        ("/explorer/icon.svg", 200),
        ("/explorer/api/stats", 401),
        ("/explorer/api/redis", 401),
        ("/explorer/nothing", 401),
    ] {
        let answer = service.send(Call::new("GET", path)).await;
        assert_eq!(answer.status, status, "{path}");
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        if status == 200 {
            assert_eq!(answer.header("cache-control"), "private, no-cache");
            let known = Call::new("GET", path).header("if-none-match", answer.header("etag"));
            assert_eq!(service.send(known).await.status, 304, "{path}");
        }
    }
    // What is embedded is what is in the repository.
    let page = service
        .send(Call::new("GET", "/explorer/"))
        .await
        .text()
        .to_owned();
    assert_eq!(
        page,
        fs::read_to_string(in_repository("components/explorer/assets/index.html")).unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser() {
    let redis = Redis::start(&[]);
    // Redis is paused in one of the tests, for longer than this.
    let service = service(&redis, &[("redis_timeout_ms", "1000")]).await;
    let at = format!("http://{}", service.address());
    let mut node = Command::new("node");
    node.args(["--test", "--test-reporter=spec", "explorer.test.mjs"])
        .current_dir(in_repository("tests/explorer"))
        .env("EXPLORER_URL", format!("{at}/explorer/"))
        .env("EXPLORER_TOKEN", EXPLORER_TOKEN)
        .env("SERVICE_URL", &at)
        .env("READ_TOKEN", READ_TOKEN)
        .env("WRITE_TOKEN", WRITE_TOKEN)
        .env("REDIS_PORT", redis.port().to_string())
        .env("KEY_PREFIX", service.prefix());
    if let Some(directory) = env::var_os("SCREENSHOTS") {
        node.env("SCREENSHOTS", in_repository("").join(directory));
        let demo = Command::new("cargo")
            .args(["run", "--quiet", "--profile", "host"])
            .args(["-p", "provider-connection-explorer-demo", "--", "stats"])
            .env("REDIS_ADDRESS", redis.address())
            .env("KEY_PREFIX", service.prefix())
            .status();
        assert!(demo.expect("cargo runs").success());
    }
    let output = tokio::task::spawn_blocking(move || node.output());
    let output = output.await.unwrap().expect("node runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // Each of them says that it ran.
    println!("{said}");
}
