//! Conditional requests (RFC 9110, section 13).

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use provider_connection_cache::http::problem::Kind;
use serde_json::{Value, json};

use super::{HIT, assert_problem};
use crate::support::client::{Answer, Call};
use crate::support::connection::{OTHER_USER, entry, id};
use crate::support::faults::Proxy;
use crate::support::origin::{borrowed, origin_with, reading_through};
use crate::support::redis::Redis;
use crate::support::service::{LASTING, READ_TOKEN, Service, WRITE_TOKEN, path};
use crate::support::{assert_nothing_trapped, in_repository};

/// The entry of a connection with another alias.
fn named(id: &str, alias: &str) -> Value {
    let mut entry = entry(id);
    entry["alias"] = json!(alias);
    entry
}

type Headers<'a> = &'a [(&'a str, &'a str)];

/// `PUT` or `DELETE` of connection 1 with these headers. `PUT` gives it the alias "new".
async fn write(service: &Service, method: &str, headers: Headers<'_>) -> Answer {
    let call = Call::new(method, &path(&id(1))).bearer(WRITE_TOKEN);
    let call = match method {
        "PUT" => call.json(named(&id(1), "new").to_string()),
        _ => call,
    };
    let call = (headers.iter()).fold(call, |call, (name, value)| call.header(name, value));
    service.send(call).await
}

/// The entity tag of connection 1 that counts for writes.
async fn tag(service: &Service) -> String {
    let full = service
        .write("GET", &format!("{}?view=full", path(&id(1))))
        .await;
    full.header("etag").to_owned()
}

/// What a key may hold before a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Nothing,
    Entry,
    Corrupt,
    Empty,
    TooLarge,
    List,
    Marker,
}

impl Held {
    const ALL: [Self; 7] = [
        Self::Nothing,
        Self::Entry,
        Self::Corrupt,
        Self::Empty,
        Self::TooLarge,
        Self::List,
        Self::Marker,
    ];

    fn store(self, redis: &Redis, key: &str) {
        let _: i64 = redis.command(&["DEL", key]);
        match self {
            Self::Nothing => {}
            Self::Entry => redis.set(key, entry(&id(1)).to_string()),
            Self::Corrupt => redis.set(key, "corrupt"),
            Self::Empty => redis.set(key, ""),
            Self::TooLarge => redis.set(key, "x".repeat((2 << 20) + 1)),
            Self::List => redis.set_to_list(key),
            Self::Marker => redis.set(key, r#"{"origin":"asked","owner":"0000000000000001"}"#),
        }
    }
}

/// What is under a key, whatever its type: equal if it is the same.
fn dump(redis: &Redis, key: &str) -> Option<Vec<u8>> {
    redis.command(&["DUMP", key])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_done_if_its_preconditions_hold_and_changes_nothing_if_not() {
    let redis = Redis::start(&[]);
    // What is too large is read differently once an instance has met it.
    let service = Service::reusing(&redis, &[], LASTING).await;
    let key = service.key(&id(1));
    Held::Entry.store(&redis, &key);
    let current = tag(&service).await;
    let (weak, listed) = (format!("W/{current}"), format!("\"x\", {current}"));
    // The headers, and whether they hold where there is the entry, and where there is none.
    let conditions: [(Headers<'_>, bool, bool); 10] = [
        (&[("if-match", &current)], true, false),
        (&[("if-match", &listed)], true, false),
        (&[("if-match", "*")], true, false),
        (&[("if-match", &weak)], false, false),
        (&[("if-match", "\"x\"")], false, false),
        (&[("if-none-match", "*")], false, true),
        (&[("if-none-match", &current)], false, true),
        (&[("if-none-match", &weak)], false, true),
        (&[("if-none-match", "\"x\"")], true, true),
        (
            &[("if-match", "*"), ("if-none-match", "\"x\"")],
            true,
            false,
        ),
    ];
    for held in Held::ALL {
        for (headers, with_entry, without) in conditions {
            for method in ["PUT", "DELETE"] {
                held.store(&redis, &key);
                let before = dump(&redis, &key);
                let answer = write(&service, method, headers).await;
                let holds = if held == Held::Entry {
                    with_entry
                } else {
                    without
                };
                // What does not exist cannot be removed: 404, whatever the condition.
                let absent = matches!(held, Held::Nothing | Held::Marker);
                let status = match (method, absent, holds) {
                    ("DELETE", true, _) => 404,
                    (_, _, true) => 204,
                    (_, _, false) => 412,
                };
                assert_eq!(answer.status, status, "{method} {headers:?} over {held:?}");
                match status {
                    412 => {
                        assert_problem(&answer, Kind::PreconditionFailed);
                        assert_eq!(dump(&redis, &key), before, "{method} {headers:?} {held:?}");
                    }
                    _ if method == "DELETE" => assert_eq!(dump(&redis, &key), None),
                    _ => {
                        let stored: Value =
                            serde_json::from_str(&redis.get(&key).unwrap()).unwrap();
                        assert_eq!(stored["alias"], "new");
                        assert!((290..=300).contains(&redis.ttl(&key)));
                    }
                }
            }
        }
    }
    // Nothing here has a modification date.
    Held::Entry.store(&redis, &key);
    let date = ("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(write(&service, "PUT", &[date]).await.status, 204);
    assert_nothing_trapped(&service.log());
}

/// Whoever wrote the entry, and however it is spelt: the tag is that of what it says.
#[tokio::test(flavor = "multi_thread")]
async fn the_tag_is_that_of_the_content_and_of_nothing_else() {
    let redis = Redis::shared();
    let service = Service::over(redis).await;
    let key = service.key(&id(1));
    service.hold(&id(1)).await;
    let first = tag(&service).await;
    let spelt = |entry: &Value| {
        let text = serde_json::to_string_pretty(entry).unwrap();
        text.replace("+00:00", "Z")
            .replace(&id(1), &id(1).to_uppercase())
    };
    redis.set(&key, spelt(&entry(&id(1))));
    assert_eq!(tag(&service).await, first);
    assert_eq!(
        write(&service, "PUT", &[("if-match", &first)]).await.status,
        204
    );
    let mut tags = vec![first];
    for (pointer, value) in [
        ("/user_id", json!(OTHER_USER)),
        ("/alias", Value::Null),
        ("/status", json!("expired")),
        ("/credentials/encrypted_data", json!("other")),
        ("/credentials/expires_at", Value::Null),
        ("/last_sync_at", json!("2026-01-27T05:17:19.000002+00:00")),
        ("/updated_at", json!("2026-01-27T05:17:19.000001+00:00")),
    ] {
        let mut changed = entry(&id(1));
        *changed.pointer_mut(pointer).unwrap() = value;
        redis.set(&key, spelt(&changed));
        let changed = tag(&service).await;
        assert!(!tags.contains(&changed), "{pointer}");
        tags.push(changed);
    }
}

/// A part of a summary depends on the clock, so its tag must not protect a write.
#[tokio::test(flavor = "multi_thread")]
async fn the_tag_of_a_summary_lets_no_write_through() {
    let redis = Redis::shared();
    let service = Service::over(redis).await;
    service.hold(&id(1)).await;
    let summary = service.read("GET", &path(&id(1))).await;
    let summary = summary.header("etag");
    assert_ne!(summary, tag(&service).await);
    for method in ["PUT", "DELETE"] {
        let answer = write(&service, method, &[("if-match", summary)]).await;
        assert_problem(&answer, Kind::PreconditionFailed);
    }
    let unlike = write(&service, "PUT", &[("if-none-match", summary)]).await;
    assert_eq!(unlike.status, 204);
}

/// To overlook a precondition would overwrite what it protects.
#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_precondition_stops_a_write_before_redis_and_no_lookup() {
    let redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    service.hold(&id(1)).await;
    let current = tag(&service).await;
    let bare = current.trim_matches('"').to_owned();
    redis.forget_commands();
    for value in [
        bare.as_str(),
        "*, *",
        "\"a",
        "W/",
        &format!("{current} {current}"),
    ] {
        for name in ["if-match", "if-none-match"] {
            for method in ["PUT", "DELETE"] {
                let answer = write(&service, method, &[(name, value)]).await;
                assert_problem(&answer, Kind::InvalidRequest);
                assert!(answer.text().contains(name), "{}", answer.text());
            }
        }
    }
    assert_eq!(redis.commands_seen(), []);
    for value in [bare.as_str(), "\"a"] {
        for name in ["if-match", "if-none-match"] {
            let call = Call::new("GET", &path(&id(1))).bearer(READ_TOKEN);
            assert_eq!(service.send(call.header(name, value)).await.status, 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_that_wants_other_content_is_no_miss() {
    let service = Service::over(Redis::shared()).await;
    service.hold(&id(1)).await;
    for (target, token) in [
        (path(&id(1)), READ_TOKEN),
        (format!("{}?view=full", path(&id(1))), WRITE_TOKEN),
    ] {
        let get = async |headers: &[(&str, &str)]| {
            let call = Call::new("GET", &target).bearer(token);
            let call = (headers.iter()).fold(call, |call, (name, value)| call.header(name, value));
            service.send(call).await
        };
        let etag = get(&[]).await.header("etag").to_owned();
        assert_eq!(get(&[("if-match", &etag)]).await.status, 200);
        assert_eq!(
            get(&[("if-match", &etag), ("if-none-match", &etag)])
                .await
                .status,
            304
        );
        let other = get(&[("if-match", "\"x\""), ("if-none-match", &etag)]).await;
        assert_problem(&other, Kind::PreconditionFailed);
        assert_eq!(other.header("cache-status"), HIT);
    }
    let call = Call::new("GET", &path(&id(2))).bearer(READ_TOKEN);
    let miss = service.send(call.header("if-match", "\"x\"")).await;
    assert_problem(&miss, Kind::NotCached);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_those_who_read_the_same_entry_one_writes() {
    let redis = Redis::shared();
    let one = Service::over(redis).await;
    let other = Service::with(redis, &[("key_prefix", one.prefix())]).await;
    for round in 0..20 {
        one.hold(&id(1)).await;
        let current = tag(&one).await;
        let writers = (0..16).map(async |number| {
            let service = if number % 2 == 0 { &one } else { &other };
            let alias = format!("{round} {number}");
            let call = Call::new("PUT", &path(&id(1))).bearer(WRITE_TOKEN);
            let call = call.json(named(&id(1), &alias).to_string());
            let answer = service.send(call.header("if-match", &current)).await;
            (alias, answer.status)
        });
        let written = join_all(writers).await;
        let winners: Vec<_> = written
            .iter()
            .filter(|(_, status)| *status == 204)
            .collect();
        assert_eq!(winners.len(), 1, "{written:?}");
        assert!(
            written
                .iter()
                .all(|(_, status)| [204, 412].contains(status))
        );
        let found = one.read("GET", &path(&id(1))).await.json();
        assert_eq!(found["alias"], winners[0].0);
        let removers = (0..8).map(|_| write(&one, "DELETE", &[("if-match", "*")]));
        let removed = join_all(removers).await;
        let removed = removed.iter().filter(|answer| answer.status == 204);
        assert_eq!(removed.count(), 1);
    }
}

/// Also if all of them say the same: a lock that two hold is none.
#[tokio::test(flavor = "multi_thread")]
async fn of_those_who_create_an_entry_one_does() {
    let redis = Redis::shared();
    let one = Service::over(redis).await;
    let other = Service::with(redis, &[("key_prefix", one.prefix())]).await;
    for held in [Held::Nothing, Held::Corrupt, Held::List, Held::Marker] {
        for _ in 0..10 {
            held.store(redis, &one.key(&id(1)));
            let creators = (0..16).map(|number| {
                let service = if number % 2 == 0 { &one } else { &other };
                write(service, "PUT", &[("if-none-match", "*")])
            });
            let statuses: Vec<_> = join_all(creators).await.iter().map(|a| a.status).collect();
            let created = statuses.iter().filter(|status| **status == 204).count();
            assert_eq!(created, 1, "{held:?}: {statuses:?}");
        }
    }
}

/// A caller whose write was done is not told that somebody else came first.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_reply_was_lost_is_told_from_one_of_somebody_else() {
    let redis = Redis::start(&[]);
    let proxy = Proxy::to(&redis).await;
    let address = proxy.address();
    let more = [
        ("redis_address", address.as_str()),
        ("redis_timeout_ms", "30000"),
        ("stats", "off"),
    ];
    let service = Service::reusing(&redis, &more, LASTING).await;
    let key = service.key(&id(1));
    for condition in [("if-match", "*"), ("if-none-match", "\"x\"")] {
        service.hold(&id(1)).await;
        redis.forget_commands();
        proxy.set(crate::support::faults::Fault::Lose("EVAL"));
        assert_eq!(write(&service, "PUT", &[condition]).await.status, 204);
        let seen = redis.commands_seen();
        assert!(seen.contains(&("eval".to_owned(), 1)), "{seen:?}");
    }
    let current = tag(&service).await;
    // It took effect, so it is done, and whoever comes now does not have the entry any more.
    service.hold(&id(1)).await;
    let before = tag(&service).await;
    proxy.lose("EVAL", || {});
    assert_eq!(
        write(&service, "PUT", &[("if-match", &before)])
            .await
            .status,
        204
    );
    assert_eq!(
        write(&service, "PUT", &[("if-match", &before)])
            .await
            .status,
        412
    );
    assert_eq!(tag(&service).await, current);
    let created = async |then: Box<dyn FnOnce() + Send>| {
        let _: i64 = redis.command(&["DEL", &key]);
        proxy.lose("EVAL", then);
        write(&service, "PUT", &[("if-none-match", "*")]).await
    };
    assert_eq!(created(Box::new(|| {})).await.status, 204);
    // Somebody else wrote after it, or before it: nobody knows, and that is what is said.
    let client = redis.connection();
    let set = |mut client: redis::Connection, key: String| {
        move || {
            let value = named(&id(1), "somebody else's").to_string();
            redis::cmd("SET")
                .arg(&key)
                .arg(value)
                .exec(&mut client)
                .unwrap();
        }
    };
    let unknown = created(Box::new(set(client, key.clone()))).await;
    assert_problem(&unknown, Kind::Unavailable);
    assert!(redis.get(&key).unwrap().contains("somebody else's"));
    // A removal is not told from one by somebody else, as without a condition.
    let before = tag(&service).await;
    proxy.lose("EVAL", || {});
    let removed = write(&service, "DELETE", &[("if-match", &before)]).await;
    assert_problem(&removed, Kind::NotCached);
    assert_eq!(redis.get(&key), None);
    assert_nothing_trapped(&service.log());
}

/// Writers who add to what they read, while connections are lost: no addition is lost, and none that
/// is acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn no_update_is_lost_while_connections_are() {
    let redis = Redis::start(&[]);
    let one = Service::over(&redis).await;
    let other = Service::with(&redis, &[("key_prefix", one.prefix())]).await;
    one.put(&path(&id(1)), named(&id(1), "0").to_string()).await;
    let full = format!("{}?view=full", path(&id(1)));
    let count = || AtomicU64::new(0);
    let (sent, done, unknown) = (count(), count(), count());
    let writers = (0..4).map(async |number| {
        let service = if number % 2 == 0 { &one } else { &other };
        for _ in 0..40 {
            let read = service.write("GET", &full).await;
            if read.status == 404 {
                continue;
            }
            let mut entry = read.json();
            let count: u64 = entry["alias"].as_str().unwrap().parse().unwrap();
            entry["alias"] = json!((count + 1).to_string());
            // Nobody sends the same, which after a lost reply would look like the writer's own.
            entry["provider_slug"] = json!(format!("writer-{number}"));
            let call = Call::new("PUT", &path(&id(1))).bearer(WRITE_TOKEN);
            let call = call.json(entry.to_string());
            let call = call.header("if-match", read.header("etag"));
            // While the others are under way.
            if sent.fetch_add(1, Ordering::Relaxed) % 4 == 3 {
                redis.kill_clients();
            }
            match service.send(call).await.status {
                204 => done.fetch_add(1, Ordering::Relaxed),
                503 => unknown.fetch_add(1, Ordering::Relaxed),
                status => {
                    assert_eq!(status, 412);
                    0
                }
            };
        }
    });
    join_all(writers).await;
    let stored: Value = serde_json::from_str(&redis.get(&one.key(&id(1))).unwrap()).unwrap();
    let count: u64 = stored["alias"].as_str().unwrap().parse().unwrap();
    let (done, unknown) = (done.into_inner(), unknown.into_inner());
    assert!(done > 0);
    assert!(
        (done..=done + unknown).contains(&count),
        "{count} of {done} acknowledged and {unknown} unknown"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_without_redis_is_unavailable_whatever_its_condition() {
    let mut redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    service.hold(&id(1)).await;
    redis.stop();
    for method in ["PUT", "DELETE"] {
        for condition in [
            ("if-match", "*"),
            ("if-none-match", "*"),
            ("if-match", "\"x\""),
        ] {
            let answer = write(&service, method, &[condition]).await;
            assert_problem(&answer, Kind::Unavailable);
            assert_eq!(answer.header("retry-after"), "1");
        }
    }
}

/// Two commands, of which the second is sent if the condition holds; and none more without one.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_conditional_write_reads_first() {
    let redis = Redis::start(&[]);
    let service = Service::with(&redis, &[("stats", "off")]).await;
    service.hold(&id(1)).await;
    let count = |name: &str| {
        let seen = redis.commands_seen();
        let found = seen.iter().find(|(command, _)| command == name);
        found.map_or(0, |(_, count)| *count)
    };
    redis.forget_commands();
    assert_eq!(write(&service, "PUT", &[]).await.status, 204);
    assert_eq!((count("get"), count("eval"), count("set")), (0, 0, 1));
    redis.forget_commands();
    assert_eq!(
        write(&service, "PUT", &[("if-match", "\"x\"")])
            .await
            .status,
        412
    );
    assert_eq!((count("get"), count("eval"), count("set")), (1, 0, 0));
    redis.forget_commands();
    assert_eq!(
        write(&service, "PUT", &[("if-match", "*")]).await.status,
        204
    );
    assert_eq!((count("eval"), count("set")), (1, 1));
}

/// The user of docs/configuration.md may do it.
#[tokio::test(flavor = "multi_thread")]
async fn the_documented_rights_are_enough() {
    let redis = Redis::start(&[]);
    let text = std::fs::read_to_string(in_repository("docs/configuration.md")).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("ACL SETUSER edge on"));
    let line = line
        .expect("the first line")
        .replace("~provider:conn:*", "~*:provider:conn:*");
    redis.command::<()>(&line.split(' ').collect::<Vec<_>>());
    let more = [
        ("redis_username", "edge"),
        ("redis_password", "PASSWORD"),
        ("stats", "off"),
    ];
    let service = Service::with(&redis, &more).await;
    assert_eq!(
        write(&service, "PUT", &[("if-none-match", "*")])
            .await
            .status,
        204
    );
    let current = tag(&service).await;
    assert_eq!(
        write(&service, "PUT", &[("if-match", &current)])
            .await
            .status,
        204
    );
    assert_eq!(
        write(&service, "DELETE", &[("if-match", &current)])
            .await
            .status,
        204
    );
}

/// With an origin: a conditional write ends a request in flight, and changes the keys beside the entry, as
/// any write does; one that is not done leaves all of them alone.
#[tokio::test(flavor = "multi_thread")]
async fn the_keys_beside_an_entry_follow_a_conditional_write() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[]).await;
    let variables = reading_through(
        &origin,
        &[("stale_if_error", "600"), ("refresh_ahead", "0.5")],
    );
    let service = Service::with(&redis, &borrowed(&variables)).await;
    let key = service.key(&id(1));
    let beside = |name: &str| key.replace("provider:conn:", &format!("provider:conn-{name}:"));
    let store = || {
        redis.set(&key, entry(&id(1)).to_string());
        redis.set(&beside("fresh"), "left");
        redis.set(&beside("stale"), "left");
    };
    let there = || [&key, &beside("fresh"), &beside("stale")].map(|key| redis.get(key).is_some());
    for method in ["PUT", "DELETE"] {
        store();
        let refused = write(&service, method, &[("if-match", "\"x\"")]).await;
        assert_eq!((refused.status, there()), (412, [true; 3]));
        assert_eq!(redis.ttl(&beside("fresh")), -1);
        let done = write(&service, method, &[("if-match", "*")]).await;
        assert_eq!(done.status, 204);
        let put = method == "PUT";
        assert_eq!(there(), [put, put, false], "{method}");
        if put {
            assert!((100..=150).contains(&redis.ttl(&beside("fresh"))));
        }
    }
    // Of an entry that does not exist any more, the copy goes too.
    redis.set(&beside("stale"), "left");
    assert_eq!(
        write(&service, "DELETE", &[("if-match", "*")]).await.status,
        404
    );
    assert_eq!(there(), [false; 3]);
    // The origin has it, but the cache does not: only what is cached counts.
    for header in ["if-match", "if-none-match"] {
        Held::Marker.store(&redis, &key);
        let answer = write(&service, "PUT", &[(header, "*")]).await;
        assert_eq!(answer.status, if header == "if-match" { 412 } else { 204 });
    }
}
