//! Reads from a replica: a real one, which follows a real primary.

use std::sync::Arc;
use std::time::Duration;

use provider_connection_cache_host::{App, Grants, LogSink};
use serde_json::json;
use tokio::time::sleep;

use crate::support::cache::Cache;
use crate::support::connection::{connection, entry, id};
use crate::support::redis::Redis;
use crate::support::service::{READ_TOKEN, Service, WRITE_TOKEN, path};
use crate::support::until::block_until;
use crate::support::{Variables, assert_nothing_trapped, lean_component, options};

const HIT: &str = "provider-connection-cache; hit";

/// A primary, and a replica that follows it.
fn primary_and_replica() -> (Redis, Redis) {
    let primary = Redis::start(&["--repl-diskless-sync-delay", "0"]);
    let port = primary.address();
    let port = port.rsplit(':').next().expect("a port");
    let replica = Redis::start(&["--replicaof", "127.0.0.1", port]);
    block_until("the replica follows", || {
        let info: String = replica.command(&["INFO", "replication"]);
        info.contains("master_link_status:up")
    });
    (primary, replica)
}

fn variables(primary: &Redis, replica: &Redis, timeout_ms: &str) -> Variables {
    let (primary, replica) = (primary.address(), replica.address());
    let pairs = [
        ("redis_address", primary.as_str()),
        ("redis_replica_address", replica.as_str()),
        ("redis_timeout_ms", timeout_ms),
        ("read_token", READ_TOKEN),
        ("write_token", WRITE_TOKEN),
    ];
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// What was done to each, without what keeps the replica up to date.
fn commands(redis: &Redis) -> Vec<String> {
    let seen = redis.commands_seen().into_iter().map(|(name, _)| name);
    let replication = ["psync", "replconf", "replconf|ack", "ping", "set"];
    seen.filter(|name| !replication.contains(&name.as_str()))
        .collect()
}

/// Who only reads has no connection to the primary, but for this.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_from_the_replica_is_counted_at_the_primary() {
    let (primary, replica) = primary_and_replica();
    let service = Service::start(variables(&primary, &replica, "30000")).await;
    for _ in 0..3 {
        assert_eq!(service.read("GET", &path(&id(1))).await.status, 404);
    }
    block_until("it is counted", || {
        let misses: Option<u64> =
            primary.command(&["HGET", &service.stats_key("total"), "get-summary:misses"]);
        misses == Some(3)
    });
    assert!(commands(&replica).contains(&"get".to_owned()));
    assert!(!commands(&primary).contains(&"get".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_go_to_the_replica_and_writes_to_the_primary() {
    let (primary, replica) = primary_and_replica();
    let service = Service::start(variables(&primary, &replica, "30000")).await;
    primary.set(&service.key(&id(1)), entry(&id(1)).to_string());
    block_until("the replica has it", || {
        replica.get(&service.key(&id(1))).is_some()
    });
    primary.forget_commands();
    replica.forget_commands();
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 200);
    let batch = service.look_up(format!(r#"{{"ids":["{}"]}}"#, id(1))).await;
    assert_eq!(batch.json()["connections"][id(1)]["id"], id(1));
    assert_eq!(commands(&primary), Vec::<String>::new());
    assert_eq!(commands(&replica), ["get", "mget"]);

    let ready = service.read("GET", "/health/ready").await;
    assert_eq!(ready.json()["writes"], "accepted");
    assert_eq!(commands(&replica), ["get", "mget"]);
    assert_eq!(commands(&primary), Vec::<String>::new());
    let put = service.put(&path(&id(2)), entry(&id(2)).to_string()).await;
    assert_eq!(put.status, 204);
    assert!(primary.get(&service.key(&id(2))).is_some());
    let delete = service.write("DELETE", &path(&id(2))).await;
    assert_eq!(delete.status, 204);
    assert!(commands(&primary).contains(&"del".to_owned()));
    assert_nothing_trapped(&service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_replica_the_primary_answers() {
    let (primary, mut replica) = primary_and_replica();
    let service = Service::start(variables(&primary, &replica, "2000")).await;
    primary.set(&service.key(&id(1)), entry(&id(1)).to_string());
    block_until("the replica has it", || {
        replica.get(&service.key(&id(1))).is_some()
    });
    let hits = async |when: &str| {
        for _ in 0..5 {
            let answer = service.read("GET", &path(&id(1))).await;
            assert_eq!(
                (answer.status, answer.header("cache-status")),
                (200, HIT),
                "{when}"
            );
        }
    };
    hits("with both").await;
    replica.pause();
    hits("with the replica stopped").await;
    replica.go_on();
    hits("with both again").await;
    replica.stop();
    hits("with the replica gone").await;
    assert_nothing_trapped(&service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_through_an_instance_is_never_followed_by_an_older_answer() {
    let (primary, replica) = primary_and_replica();
    let service = Arc::new(Service::start(variables(&primary, &replica, "30000")).await);
    primary.set(&service.key(&id(1)), entry(&id(1)).to_string());
    block_until("the replica has it", || {
        replica.get(&service.key(&id(1))).is_some()
    });
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 200);
    // From here on the replica neither answers nor hears of anything new.
    replica.pause();
    let early = {
        let service = Arc::clone(&service);
        tokio::spawn(async move { service.read("GET", &path(&id(1))).await })
    };
    sleep(Duration::from_millis(300)).await;
    let mut newer = entry(&id(1));
    newer["alias"] = json!("Newer");
    let put = service.put(&path(&id(1)), newer.to_string()).await;
    assert_eq!(put.status, 204);
    let answer = service.read("GET", &path(&id(1))).await;
    assert_eq!(answer.json()["alias"], "Newer");
    assert!(!early.is_finished(), "the early lookup was to wait");
    let batch = service.look_up(format!(r#"{{"ids":["{}"]}}"#, id(1))).await;
    assert_eq!(batch.json()["connections"][id(1)]["alias"], "Newer");
    assert_eq!(service.write("DELETE", &path(&id(1))).await.status, 204);
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 404);
    replica.go_on();
    let answer = early.await.expect("it is answered");
    assert_eq!(answer.status, 200);
    service.assert_instances(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lean_component_reads_from_the_replica_too() {
    let (primary, replica) = primary_and_replica();
    let allowed = vec![primary.address(), replica.address()];
    let mut cache = Cache::start(variables(&primary, &replica, "30000"), allowed).await;
    cache.set(&connection(&id(1)), None).await.unwrap();
    // What this instance wrote is read where it was written.
    primary.forget_commands();
    assert!(cache.exists(&id(1)).await.unwrap());
    assert_eq!(commands(&primary), ["get"]);
    primary.set(&cache.key(&id(2)), entry(&id(2)).to_string());
    block_until("the replica has it", || {
        replica.get(&cache.key(&id(2))).is_some()
    });
    replica.forget_commands();
    assert!(cache.exists(&id(2)).await.unwrap());
    assert_eq!(cache.get_many(&[id(2)]).await.unwrap().len(), 1);
    assert_eq!(commands(&replica), ["get", "mget"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_write_through_the_host_its_edge_cache_keeps_nothing_older_from_the_replica() {
    let (primary, replica) = primary_and_replica();
    let mut variables = variables(&primary, &replica, "30000");
    variables.insert("edge_cache_ttl_ms".to_owned(), "3600000".to_owned());
    let grants = Grants {
        allowed_outbound_hosts: vec![primary.address(), replica.address()],
        key_value_stores: vec!["default".to_owned()],
    };
    let log = LogSink::memory();
    let app = App::from_component(&lean_component(), &grants, options(variables, &log));
    let app = Arc::new(app.expect("the component loads"));
    let instance = || Cache::instance_of(Arc::clone(&app), log.clone(), String::new());
    let (mut writer, mut other) = (instance().await, instance().await);
    primary.set(&writer.key(&id(1)), entry(&id(1)).to_string());
    block_until("the replica has it", || {
        replica.get(&writer.key(&id(1))).is_some()
    });
    // From here on the replica hears of nothing new, and answers what it has.
    replica.command::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    assert!(writer.delete(&id(1)).await.unwrap());
    for _ in 0..20 {
        // What is found may be kept a moment after the answer.
        other.lookup(&id(1)).await.unwrap();
        other.wait(Duration::from_millis(10)).await;
        assert_eq!(writer.get_summary(&id(1)).await.unwrap(), None);
    }
    assert_nothing_trapped(&log.contents());
}
