//! The edge cache: what was read of late, from the key-value store of the host.

use std::time::{Duration, Instant};

use provider_connection_cache_host::InstanceReuse;
use provider_connection_origin::Fault;
use serde_json::json;
use tokio::time::sleep;

use crate::support::client::{Answer, Call};
use crate::support::connection::{entry, id};
use crate::support::origin::{borrowed, origin_with, reading_through};
use crate::support::redis::Redis;
use crate::support::secrets::CIPHERTEXT;
use crate::support::service::{LASTING, READ_TOKEN, Service, WRITE_TOKEN, path};
use crate::support::until::until_answered;
use crate::support::{Storage, assert_nothing_trapped, empty_directory, in_repository, variables};

const LONG: (&str, &str) = ("edge_cache_ttl_ms", "3600000");
const HIT: &str = "provider-connection-cache; hit";
const EDGE_HIT: &str = "provider-connection-cache; hit; detail=edge";
const NOT_FOUND: &str = "provider-connection-cache; fwd=miss; fwd-status=404";

/// Each request has an instance of its own: what is remembered, the host remembers.
const ONE_REQUEST: InstanceReuse = InstanceReuse {
    max_instance_reuse_count: 1,
    max_instance_concurrent_reuse_count: 1,
    ..LASTING
};

async fn service(redis: &Redis, more: &[(&str, &str)]) -> Service {
    // Counting would add its commands.
    let more = [&[("stats", "off")][..], more].concat();
    Service::reusing(redis, &more, ONE_REQUEST).await
}

async fn lookup(service: &Service, number: usize) -> Answer {
    service.read("GET", &path(&id(number))).await
}

/// Looks up until the store of the host answers: it takes an answer after that has gone out.
async fn until_kept(service: &Service, number: usize) -> Answer {
    let start = Instant::now();
    loop {
        let answer = lookup(service, number).await;
        if answer.header("cache-status") == EDGE_HIT {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{answer:?}");
    }
}

fn put(redis: &Redis, service: &Service, number: usize, alias: &str) {
    let mut entry = entry(&id(number));
    entry["alias"] = alias.into();
    redis.command::<()>(&[
        "SET",
        &service.key(&id(number)),
        &entry.to_string(),
        "EX",
        "300",
    ]);
}

async fn delete_if_match(service: &Service, tag: &str) -> u16 {
    let delete = Call::new("DELETE", &path(&id(1)))
        .bearer(WRITE_TOKEN)
        .header("if-match", tag);
    service.send(delete).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_off_unless_it_is_given_a_lifetime() {
    let redis = Redis::start(&[]);
    let service = service(&redis, &[]).await;
    put(&redis, &service, 1, "a");
    for _ in 0..3 {
        redis.forget_commands();
        assert_eq!(lookup(&service, 1).await.header("cache-status"), HIT);
        assert_eq!(redis.commands_since(), ["get"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_instance_of_the_host_answers_from_it_and_asks_redis_for_all_else() {
    let redis = Redis::start(&[]);
    let service = service(&redis, &[LONG]).await;
    put(&redis, &service, 1, "a");
    let first = lookup(&service, 1).await;
    assert_eq!(first.header("cache-status"), HIT);
    let kept = until_kept(&service, 1).await;
    assert_eq!(
        (kept.status, &kept.body, kept.header("etag")),
        (200, &first.body, first.header("etag"))
    );
    redis.commands_since();
    for _ in 0..5 {
        assert_eq!(lookup(&service, 1).await.header("cache-status"), EDGE_HIT);
    }
    assert_eq!(redis.commands_since(), Vec::<String>::new());
    // What must be true now is asked of Redis.
    put(&redis, &service, 1, "b");
    let mine = format!(
        "{}?user_id={}",
        path(&id(1)),
        first.json()["user_id"].as_str().unwrap()
    );
    assert_eq!(service.read("GET", &mine).await.json()["alias"], "b");
    let full = service
        .write("GET", &format!("{}?view=full", path(&id(1))))
        .await;
    assert_eq!(full.json()["alias"], "b");
    assert!(full.text().contains(CIPHERTEXT));
    let batch = service.look_up(json!({"ids": [id(1)]}).to_string()).await;
    assert_eq!(batch.json()["connections"][id(1)]["alias"], "b");
    assert_nothing_trapped(&service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_through_the_host_takes_effect_before_it_is_acknowledged() {
    let redis = Redis::start(&[]);
    let service = service(&redis, &[LONG]).await;
    for round in 0..5 {
        put(&redis, &service, 1, "old");
        until_kept(&service, 1).await;
        let mut new = entry(&id(1));
        new["alias"] = format!("new {round}").into();
        assert_eq!(
            service.put(&path(&id(1)), new.to_string()).await.status,
            204
        );
        assert_eq!(lookup(&service, 1).await.json()["alias"], new["alias"]);
        assert_eq!(until_kept(&service, 1).await.json()["alias"], new["alias"]);
        // Somebody else writes. Who learns of it by a 412 reads that.
        put(&redis, &service, 1, "other");
        assert_eq!(lookup(&service, 1).await.json()["alias"], new["alias"]);
        assert_eq!(delete_if_match(&service, "\"another\"").await, 412);
        assert_eq!(lookup(&service, 1).await.json()["alias"], "other");
        until_kept(&service, 1).await;
        let current = service
            .write("GET", &format!("{}?view=full", path(&id(1))))
            .await;
        assert_eq!(delete_if_match(&service, current.header("etag")).await, 204);
        assert_eq!(lookup(&service, 1).await.status, 404);
    }
    assert_nothing_trapped(&service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn past_half_of_its_time_an_answer_is_refreshed_after_it_has_gone_out() {
    let redis = Redis::start(&[]);
    let service = service(&redis, &[("edge_cache_ttl_ms", "20000")]).await;
    put(&redis, &service, 1, "old");
    until_kept(&service, 1).await;
    put(&redis, &service, 1, "new");
    assert_eq!(lookup(&service, 1).await.json()["alias"], "old");
    sleep(Duration::from_secs(10)).await;
    // From here on it is due. Nobody waits for Redis, and in the end all have the new one.
    let start = Instant::now();
    loop {
        let answer = lookup(&service, 1).await;
        let left = Duration::from_secs(9).saturating_sub(start.elapsed());
        if !left.is_zero() {
            assert_eq!(answer.header("cache-status"), EDGE_HIT);
        }
        if answer.json()["alias"] == "new" {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{answer:?}");
        sleep(Duration::from_millis(20)).await;
    }
    // What runs out is not answered, whatever else happens.
    put(&redis, &service, 2, "short");
    redis.command::<()>(&["PEXPIRE", &service.key(&id(2)), "1500"]);
    lookup(&service, 2).await;
    sleep(Duration::from_millis(1_600)).await;
    assert_eq!(lookup(&service, 2).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_what_is_kept_is_a_hit_and_the_rest_as_ever() {
    let mut redis = Redis::start(&[]);
    let service = service(&redis, &[LONG]).await;
    put(&redis, &service, 1, "a");
    until_kept(&service, 1).await;
    redis.stop();
    assert_eq!(lookup(&service, 1).await.header("cache-status"), EDGE_HIT);
    let missed = lookup(&service, 2).await;
    assert_eq!(missed.status, 404);
    assert!(
        missed
            .header("cache-status")
            .ends_with("detail=unavailable")
    );
    // The write may have taken effect, so Redis is to be asked, which does not answer.
    assert_eq!(service.write("DELETE", &path(&id(1))).await.status, 503);
    assert_eq!(lookup(&service, 1).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_through_is_kept_and_so_is_that_there_is_nothing() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    let more = [LONG, ("negative_ttl", "300"), ("refresh_ahead", "1")];
    let service = service(&redis, &borrowed(&reading_through(&origin, &more))).await;
    lookup(&service, 1).await;
    until_kept(&service, 1).await;
    assert_eq!(lookup(&service, 2).await.status, 404);
    // Nothing but the store of the host knows it now.
    let start = Instant::now();
    loop {
        redis.commands_since();
        let answer = lookup(&service, 2).await;
        assert_eq!(answer.status, 404);
        if redis.commands_since().is_empty() {
            assert_eq!(
                answer.header("cache-status"),
                "provider-connection-cache; hit; detail=not-found"
            );
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(30));
    }
    origin.inject(Fault::Status(500));
    assert_eq!(lookup(&service, 1).await.header("cache-status"), EDGE_HIT);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_corrupt_or_not_to_be_stored_is_not_kept() {
    let redis = Redis::start(&[]);
    let corrupt = service(&redis, &[LONG]).await;
    redis.set(&corrupt.key(&id(1)), "{}");
    let origin = origin_with(&[1]).await;
    origin.set_cache_control(Some("no-store")).unwrap();
    let passing = service(&redis, &borrowed(&reading_through(&origin, &[LONG]))).await;
    for count in 1..20 {
        let missed = lookup(&corrupt, 1).await;
        assert_eq!(
            (missed.status, missed.header("cache-status")),
            (404, "provider-connection-cache; fwd=miss; detail=corrupt")
        );
        assert_eq!(lookup(&passing, 1).await.status, 200);
        assert_eq!(origin.requests(), count);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn that_there_is_nothing_is_kept_no_longer_than_the_origin_allows() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[]).await;
    let more = [LONG, ("negative_ttl", "3600")];
    let service = service(&redis, &borrowed(&reading_through(&origin, &more))).await;
    origin.set_cache_control(Some("no-store")).unwrap();
    for count in 1..20 {
        let missing = lookup(&service, 1).await;
        assert_eq!(
            (missing.status, missing.header("cache-status")),
            (404, NOT_FOUND)
        );
        assert_eq!(origin.requests(), count);
    }
    origin.set_cache_control(Some("max-age=1")).unwrap();
    for _ in 0..20 {
        assert_eq!(lookup(&service, 2).await.status, 404);
    }
    origin.insert(&entry(&id(2))).unwrap();
    until_answered("it is found", async || {
        lookup(&service, 2).await.status == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_share_a_slot_replace_each_other_and_the_store_does_not_grow() {
    let redis = Redis::start(&[]);
    let directory = empty_directory("edge-cache-slots");
    let config = directory.join("runtime-config.toml");
    std::fs::write(
        &config,
        "[key_value_store.default]\ntype = \"spin\"\npath = \"edge.db\"\n",
    )
    .unwrap();
    let more = [LONG, ("edge_cache_entries", "10"), ("stats", "off")];
    let mut all = variables(&redis, &more);
    for (name, value) in [("read_token", READ_TOKEN), ("write_token", WRITE_TOKEN)] {
        all.insert(name.to_owned(), value.to_owned());
    }
    let storage = Storage {
        state_dir: Some(&directory),
        runtime_config_file: Some(&config),
    };
    let manifest = in_repository("spin.toml");
    let service = Service::start_storing(&manifest, all.clone(), storage).await;
    for number in 0..200 {
        put(&redis, &service, number, &number.to_string());
        assert_eq!(
            lookup(&service, number).await.json()["alias"],
            number.to_string()
        );
    }
    for number in 0..20 {
        assert_eq!(
            service.write("DELETE", &path(&id(number))).await.status,
            204
        );
    }
    until_kept(&service, 199).await;
    drop(service);
    let file = directory.join("edge.db");
    let database = rusqlite::Connection::open(&file).unwrap();
    let count = |kind: &str| -> u64 {
        let query =
            format!("SELECT count(*) FROM spin_key_value WHERE key LIKE '%conn-edge:{kind}:%'");
        database.query_row(&query, [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("slot"), count("write")), (10, 10));
    let all_of_it = std::fs::read(&file).unwrap();
    let secret = CIPHERTEXT.as_bytes();
    assert!(
        !all_of_it
            .windows(secret.len())
            .any(|window| window == secret)
    );
    drop(database);

    // It outlives the host, and what ran out meanwhile is not answered.
    let service = Service::start_storing(&manifest, all.clone(), storage).await;
    assert_eq!(lookup(&service, 199).await.header("cache-status"), EDGE_HIT);
    drop(service);
    let database = rusqlite::Connection::open(&file).unwrap();
    let moved = |from: &str, until: &str| {
        let change = "UPDATE spin_key_value SET value = CAST(json_set(CAST(value AS TEXT), \
             '$.from', ?1, '$.until', ?2) AS BLOB) WHERE key LIKE '%conn-edge:slot:%' \
             AND CAST(value AS TEXT) LIKE '%summary%'";
        database.execute(change, [from, until]).unwrap()
    };
    // One that ran out, and one of a clock that has been set back since.
    for (from, until) in [
        ("2020-01-01T00:00:00+00:00", "2020-01-01T01:00:00+00:00"),
        ("2099-01-01T00:00:00+00:00", "2099-01-01T01:00:00+00:00"),
    ] {
        // The host before may still have had something to keep.
        let start = Instant::now();
        loop {
            assert!(moved(from, until) > 0);
            let service = Service::start_storing(&manifest, all.clone(), storage).await;
            let answer = lookup(&service, 199).await;
            if answer.header("cache-status") == HIT {
                until_kept(&service, 199).await;
                break;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "{answer:?}");
        }
    }
    assert!(moved("2020-01-01T00:00:00+00:00", "2099-01-01T00:00:00+00:00") > 0);
    let service = Service::start_storing(&manifest, all, storage).await;
    assert_eq!(lookup(&service, 199).await.header("cache-status"), EDGE_HIT);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_grant_lookups_go_on_to_redis_and_the_log_says_so_once() {
    let redis = Redis::start(&[]);
    let more = [LONG, ("edge_cache_store", "other"), ("stats", "off")];
    let service = Service::reusing(&redis, &more, LASTING).await;
    put(&redis, &service, 1, "a");
    for _ in 0..3 {
        assert_eq!(lookup(&service, 1).await.header("cache-status"), HIT);
        let put = service.put(&path(&id(2)), entry(&id(2)).to_string()).await;
        assert_eq!(put.status, 204);
    }
    let log = service.log();
    assert_eq!(log.matches("edge_cache_failed").count(), 1, "{log}");
    assert!(
        log.contains("add edge_cache_store to key_value_stores"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn its_hits_are_counted_as_hits_and_apart() {
    let redis = Redis::start(&[]);
    let service = Service::reusing(&redis, &[LONG], LASTING).await;
    put(&redis, &service, 1, "a");
    until_kept(&service, 1).await;
    for _ in 0..9 {
        lookup(&service, 1).await;
    }
    let start = Instant::now();
    loop {
        let stats = service.read("GET", "/stats?hours=1").await.json();
        let hour = &stats["hours"][0];
        if hour["edge_hits"] == 10 {
            assert!(hour["hits"].as_u64() >= Some(11), "{stats}");
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{stats}");
        sleep(Duration::from_millis(50)).await;
    }
}
