//! A Redis that answers, and refuses: failovers, a full memory, the wrong kind of server.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use provider_connection_cache_host::InstanceReuse;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::assert_nothing_trapped;
use crate::support::client::Answer;
use crate::support::connection::{entry, id};
use crate::support::empty_directory;
use crate::support::faults::{Fault, Proxy};
use crate::support::redis::{Redis, free_port, start_server};
use crate::support::service::{LASTING, Service, path};
use crate::support::until::{until, until_answered};

/// One instance for all requests of a test.
const ONE_INSTANCE: InstanceReuse = InstanceReuse {
    max_instance_concurrent_reuse_count: usize::MAX,
    ..LASTING
};

async fn put(service: &Service, number: usize, alias: &str) -> Answer {
    let mut entry = entry(&id(number));
    entry["alias"] = alias.into();
    service.put(&path(&id(number)), entry.to_string()).await
}

/// The lines of the log with this event.
fn lines(service: &Service, event: &str) -> Vec<Value> {
    let log = service.log();
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|line: &Value| line["event"] == event)
        .collect()
}

/// A failover as an address sees it that begins to lead elsewhere. Nobody closes a connection.
async fn fail_over(from: &Redis, to: &Redis, address: &Proxy) {
    to.command::<()>(&["REPLICAOF", "NO", "ONE"]);
    from.command::<()>(&["REPLICAOF", "127.0.0.1", &to.port().to_string()]);
    address.lead_to(to);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failover_writes_and_then_reads_go_to_the_new_primary() {
    for reuse in [InstanceReuse::default(), ONE_INSTANCE] {
        let (old, new) = (Redis::start(&[]), Redis::start(&[]));
        let address = Proxy::to(&old).await;
        let address_of_proxy = address.address();
        let variables = [("redis_address", address_of_proxy.as_str())];
        let service = Service::reusing(&old, &variables, reuse).await;
        assert_eq!(put(&service, 1, "before").await.status, 204);
        // A connection that refuses is replaced once it is half a second old.
        sleep(Duration::from_millis(600)).await;
        fail_over(&old, &new, &address).await;
        for number in 1..=20 {
            let alias = format!("after, {number}");
            assert_eq!(put(&service, number, &alias).await.status, 204);
            let read = service.read("GET", &path(&id(number))).await;
            assert_eq!(read.json()["alias"], alias);
            assert!(new.get(&service.key(&id(number))).is_some());
        }
        assert_eq!(service.write("DELETE", &path(&id(1))).await.status, 204);
        assert_eq!(service.read("GET", &path(&id(1))).await.status, 404);
        assert_eq!(lines(&service, "write_refused"), Vec::<Value>::new());
        assert_nothing_trapped(&service.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_leads_to_a_replica_for_good_costs_two_connections_a_second_at_most() {
    let redis = Redis::start(&["--replicaof", "127.0.0.1", "1"]);
    let service = Service::reusing(&redis, &[("stats", "off")], ONE_INSTANCE).await;
    let (start, before) = (Instant::now(), redis.info("total_connections_received"));
    while start.elapsed() < Duration::from_secs(2) {
        let refused = put(&service, 1, "refused").await;
        assert_eq!(refused.status, 503);
        let detail = refused.json()["detail"].clone();
        assert_eq!(
            detail,
            "Redis answered READONLY: it is a replica, so set redis_address to the primary"
        );
    }
    let own = 1;
    let opened = redis.info("total_connections_received") - before - own;
    let most = start.elapsed().as_millis() / 500 + 1;
    assert!(
        u128::from(opened) <= most,
        "{opened} connections, not {most}"
    );
    let lines = lines(&service, "write_refused");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(
        (&lines[0]["code"], &lines[0]["redis"]),
        (&"READONLY".into(), &"primary".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_redis_holds_back_takes_no_read_away() {
    let redis = Redis::start(&[]);
    let variables = [("redis_timeout_ms", "4000")];
    let service = Arc::new(Service::reusing(&redis, &variables, ONE_INSTANCE).await);
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 200);
    redis.command::<()>(&["CLIENT", "PAUSE", "600000", "WRITE"]);
    let reads = tokio::spawn({
        let service = Arc::clone(&service);
        async move {
            for _ in 0..100 {
                let read = service.read("GET", &path(&id(1))).await;
                assert_eq!(read.status, 200, "{read:?}");
                sleep(Duration::from_millis(20)).await;
            }
        }
    });
    let held = put(&service, 2, "held").await;
    assert_eq!(held.status, 503);
    assert_eq!(
        held.json()["detail"],
        "Redis did not answer within redis_timeout_ms"
    );
    let ready = service.read("GET", "/health/ready").await;
    assert_eq!(
        (ready.status, &ready.json()["writes"]),
        (200, &"failing".into())
    );
    reads.await.expect("each lookup is a hit");
    // What is held back is carried out in the end.
    redis.command::<()>(&["CLIENT", "UNPAUSE"]);
    until_answered("writes are taken again", async || {
        put(&service, 3, "again").await.status == 204
    })
    .await;
    assert_nothing_trapped(&service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writes_that_redis_holds_back_cost_the_reads_one_connection() {
    let redis = Redis::start(&[]);
    let variables = [("redis_timeout_ms", "4000"), ("stats", "off")];
    let service = Arc::new(Service::reusing(&redis, &variables, ONE_INSTANCE).await);
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 200);
    redis.command::<()>(&["CLIENT", "PAUSE", "600000", "WRITE"]);
    let before = redis.info("total_connections_received");
    let writes = (0..8).map(|number| {
        let service = Arc::clone(&service);
        tokio::spawn(async move {
            sleep(Duration::from_millis(100 * number)).await;
            put(&service, 2, "held").await.status
        })
    });
    let writes: Vec<_> = writes.collect();
    let mut reads = 0;
    while !writes.iter().all(tokio::task::JoinHandle::is_finished) {
        let read = service.read("GET", &path(&id(1))).await;
        assert_eq!(read.status, 200, "{read:?}");
        reads += 1;
        sleep(Duration::from_millis(5)).await;
    }
    assert!(reads > 1, "{reads}");
    for write in writes {
        assert_eq!(write.await.expect("it is answered"), 503);
    }
    // One for the reads, and one for a write that came late.
    let own = 1;
    let opened = redis.info("total_connections_received") - before - own;
    assert!((1..=2).contains(&opened), "{opened} connections");
    assert_nothing_trapped(&service.log());
}

/// A lookup that was behind the write, and is sent again, has waited for long. That says nothing of the
/// connection that it is sent on then, which others share.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_a_distant_redis_holds_back_takes_no_read_away() {
    let redis = Redis::start(&[]);
    let proxy = Proxy::to(&redis).await;
    proxy.set(Fault::Slow(Duration::from_millis(40)));
    let address = proxy.address();
    let variables = [
        ("redis_address", address.as_str()),
        ("redis_timeout_ms", "4000"),
    ];
    let service = Arc::new(Service::reusing(&redis, &variables, ONE_INSTANCE).await);
    let read = |number: usize| {
        let service = Arc::clone(&service);
        tokio::spawn(async move { service.read("GET", &path(&id(number))).await })
    };
    for number in 0..100 {
        redis.set(&service.key(&id(number)), entry(&id(number)).to_string());
    }
    assert_eq!(read(0).await.unwrap().status, 200);
    redis.command::<()>(&["CLIENT", "PAUSE", "600000", "WRITE"]);
    let held = tokio::spawn({
        let service = Arc::clone(&service);
        async move { put(&service, 100, "held").await.status }
    });
    sleep(Duration::from_millis(50)).await;
    let mut reads = vec![read(0)];
    // The write is left alone after a quarter of the deadline.
    sleep(Duration::from_millis(1_000)).await;
    for number in 1..100 {
        reads.push(read(number));
        sleep(Duration::from_millis(3)).await;
    }
    for read in reads {
        let read = read.await.expect("it is answered");
        assert_eq!(read.status, 200, "{read:?}");
    }
    assert_eq!(held.await.expect("it is answered"), 503);
    assert_nothing_trapped(&service.log());
}

/// A code with which Redis refuses, and words of the reason.
struct Told {
    code: &'static str,
    words: &'static str,
}

/// What a Redis refuses, and what brings that about.
struct Case {
    commands: &'static [&'static [&'static str]],
    writes: Told,
    /// None if lookups are still answered.
    reads: Option<Told>,
}

const LACKS_A_RIGHT: &str = "lacks a right that docs/configuration.md lists";

const CASES: [Case; 5] = [
    Case {
        commands: &[&["CONFIG", "SET", "maxmemory", "1"]],
        writes: Told {
            code: "OOM",
            words: "its memory is full (maxmemory)",
        },
        reads: None,
    },
    Case {
        commands: &[&["CONFIG", "SET", "min-replicas-to-write", "1"]],
        writes: Told {
            code: "NOREPLICAS",
            words: "too few replicas",
        },
        reads: None,
    },
    Case {
        commands: &[&["REPLICAOF", "127.0.0.1", "1"]],
        writes: Told {
            code: "READONLY",
            words: "set redis_address to the primary",
        },
        reads: None,
    },
    Case {
        commands: &[
            &["CONFIG", "SET", "replica-serve-stale-data", "no"],
            &["REPLICAOF", "127.0.0.1", "1"],
        ],
        writes: Told {
            code: "READONLY",
            words: "set redis_address to the primary",
        },
        reads: Some(Told {
            code: "MASTERDOWN",
            words: "a replica that lost its primary",
        }),
    },
    Case {
        commands: &[&["ACL", "SETUSER", "default", "resetkeys", "~other:*"]],
        writes: Told {
            code: "NOPERM",
            words: LACKS_A_RIGHT,
        },
        reads: Some(Told {
            code: "NOPERM",
            words: LACKS_A_RIGHT,
        }),
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_refuses_is_told_to_callers_to_readiness_and_once_in_the_log() {
    for case in &CASES {
        let redis = Redis::start(&[]);
        let service = Service::reusing(&redis, &[("stats", "off")], ONE_INSTANCE).await;
        redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
        let ready = service.read("GET", "/health/ready").await.json();
        assert_eq!(ready, json!({"status": "ready", "writes": "accepted"}));
        for command in case.commands {
            redis.command::<()>(command);
        }
        is_told(&service, &case.writes, case.reads.as_ref()).await;
        assert_nothing_trapped(&service.log());
    }
}

async fn is_told(service: &Service, writes: &Told, reads: Option<&Told>) {
    let code = writes.code;
    for _ in 0..3 {
        let refused = put(service, 1, "refused").await;
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert_eq!(refused.status, 503, "{code}");
        let start = format!("Redis answered {code}: ");
        assert!(
            detail.starts_with(&start) && detail.contains(writes.words),
            "{detail}"
        );
        let read = service.read("GET", &path(&id(1))).await;
        assert_eq!(
            read.status,
            if reads.is_none() { 200 } else { 404 },
            "{code}"
        );
    }
    let ready = service.read("GET", "/health/ready").await;
    let detail = ready.json()["detail"].as_str().unwrap().to_owned();
    match reads {
        None => {
            assert_eq!(
                (ready.status, &ready.json()["writes"]),
                (200, &"failing".into())
            );
            assert!(detail.contains(writes.words), "{detail}");
        }
        Some(reads) => {
            assert_eq!(ready.status, 503, "{code}");
            assert!(detail.contains(reads.words), "{detail}");
        }
    }
    for (event, told) in [("write_refused", Some(writes)), ("read_refused", reads)] {
        let lines = lines(service, event);
        assert_eq!(
            lines.len(),
            usize::from(told.is_some()),
            "{event}, {code}: {lines:?}"
        );
        for (line, told) in lines.iter().zip(told) {
            assert_eq!(
                (&line["code"], &line["redis"]),
                (&told.code.into(), &"primary".into())
            );
            assert!(
                line["reason"].as_str().unwrap().contains(told.words),
                "{line}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_replica_refuses_the_primary_answers_and_the_log_says_once() {
    let primary = Redis::start(&[]);
    let replica = Redis::start(&["--replicaof", "127.0.0.1", "1"]);
    let address = replica.address();
    let variables = [
        ("redis_replica_address", address.as_str()),
        ("stats", "off"),
    ];
    let service = Service::reusing(&primary, &variables, ONE_INSTANCE).await;
    primary.set(&service.key(&id(1)), entry(&id(1)).to_string());
    let serve_stale_data = |value: &str| {
        replica.command::<()>(&["CONFIG", "SET", "replica-serve-stale-data", value]);
    };
    for refusals in 1..=2 {
        serve_stale_data("no");
        for _ in 0..3 {
            assert_eq!(service.read("GET", &path(&id(1))).await.status, 200);
        }
        let lines = lines(&service, "read_refused");
        assert_eq!(lines.len(), refusals, "{lines:?}");
        for line in lines {
            assert_eq!(
                (&line["code"], &line["redis"]),
                (&"MASTERDOWN".into(), &"replica".into())
            );
        }
        // What it has of its own answers again: nothing.
        serve_stale_data("yes");
        assert_eq!(service.read("GET", &path(&id(1))).await.status, 404);
    }
    assert_eq!(lines(&service, "write_refused"), Vec::<Value>::new());
    assert_nothing_trapped(&service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_stops_writes_and_no_lookup() {
    let directory = empty_directory("failing-disk");
    let place = directory.to_str().unwrap();
    let redis = Redis::start(&["--save", "3600 1", "--dir", place]);
    let service = Service::reusing(&redis, &[("stats", "off")], ONE_INSTANCE).await;
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    // Redis cannot replace a directory by its file.
    std::fs::create_dir(directory.join("dump.rdb")).unwrap();
    redis.command::<()>(&["BGSAVE"]);
    until("the save fails", || {
        let info: String = redis.command(&["INFO", "persistence"]);
        info.contains("rdb_last_bgsave_status:err")
    })
    .await;
    let told = Told {
        code: "MISCONF",
        words: "cannot save to its disk",
    };
    is_told(&service, &told, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_does_not_end_is_named() {
    let redis = Redis::start(&["--busy-reply-threshold", "1"]);
    let service = Service::reusing(&redis, &[("stats", "off")], ONE_INSTANCE).await;
    assert_eq!(put(&service, 1, "before").await.status, 204);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let script = redis::cmd("EVAL")
                .arg("while true do end")
                .arg(0)
                .to_owned();
            let _killed = script.query::<()>(&mut redis.connection());
        });
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                until_answered("it is busy", async || {
                    let ready = service.read("GET", "/health/ready").await;
                    ready.status == 503 && ready.text().contains("BUSY: it runs a script")
                })
                .await;
                let refused = put(&service, 1, "refused").await;
                assert!(
                    refused.text().contains("Redis answered BUSY"),
                    "{}",
                    refused.text()
                );
            });
        });
        redis.command::<()>(&["SCRIPT", "KILL"]);
    });
    let read = service.read("GET", &path(&id(1))).await;
    assert_eq!(read.json()["alias"], "before");
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_that_redis_refuses_are_kept_until_it_takes_them() {
    let redis = Redis::start(&[]);
    let service = Service::reusing(&redis, &[], ONE_INSTANCE).await;
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    redis.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    for _ in 0..40 {
        assert_eq!(put(&service, 2, "refused").await.status, 503);
        assert_eq!(service.read("GET", &path(&id(1))).await.status, 200);
    }
    // Long enough for a flush, which Redis refuses too.
    sleep(Duration::from_millis(1_500)).await;
    redis.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    until_answered("all are counted", async || {
        assert_eq!(service.read("GET", &path(&id(3))).await.status, 404);
        let answer = service.read("GET", "/metrics").await;
        let text = answer.text();
        let count = |name: &str, operation: &str| {
            let name =
                format!("provider_connection_cache_{name}_total{{operation=\"{operation}\"}} ");
            text.lines()
                .find_map(|line| line.strip_prefix(&name)?.parse::<f64>().ok())
        };
        let (errors, hits) = (count("errors", "set"), count("hits", "get-summary"));
        errors == Some(40.0) && hits == Some(40.0)
    })
    .await;
}

/// A node of a Redis Cluster, with these slots.
fn cluster_node(name: &str, slots: [&str; 2]) -> Redis {
    let directory = empty_directory(&format!("cluster-{name}"));
    let directory = directory.to_str().unwrap();
    let node = Redis::start(&["--cluster-enabled", "yes", "--dir", directory]);
    node.command::<()>(&["CLUSTER", "ADDSLOTSRANGE", slots[0], slots[1]]);
    node
}

async fn is_up(node: &Redis) {
    until("the cluster is up", || {
        let info: String = node.command(&["CLUSTER", "INFO"]);
        info.contains("cluster_state:ok")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_a_cluster_is_named_and_serves_a_prefix_that_is_a_hash_tag() {
    let one = cluster_node("all", ["0", "16383"]);
    is_up(&one).await;
    let service = Service::with(&one, &[]).await;
    let ready = service.read("GET", "/health/ready").await;
    let words = "CROSSSLOT: it is a node of a Redis Cluster: set key_prefix to a hash tag";
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains(words), "{}", ready.text());
    assert!(
        lines(&service, "read_refused")[0]["reason"]
            .as_str()
            .unwrap()
            .contains(words)
    );

    let service = Service::with(&one, &[("key_prefix", "{cache}")]).await;
    assert_eq!(
        service.read("GET", "/health/ready").await.json()["writes"],
        "accepted"
    );
    assert_eq!(put(&service, 1, "tagged").await.status, 204);
    let ids = json!({"ids": [id(1), id(2)]});
    let both = service.look_up(ids.to_string()).await.json();
    assert_eq!(both["connections"][id(1)]["alias"], "tagged");
    assert!(both["connections"][id(2)].is_null());

    // The slot of {cache} is 11326.
    let other = cluster_node("low", ["0", "8191"]);
    let owner = cluster_node("high", ["8192", "16383"]);
    other.command::<()>(&["CLUSTER", "MEET", "127.0.0.1", &owner.port().to_string()]);
    is_up(&other).await;
    let service = Service::with(&other, &[("key_prefix", "{cache}")]).await;
    let ready = service.read("GET", "/health/ready").await;
    let words = "MOVED: it is a node of a Redis Cluster: set key_prefix to a hash tag, such as {cache}, \
                 and redis_address to the node that has its slot";
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains(words), "{}", ready.text());
    let refused = put(&service, 1, "moved").await;
    assert!(refused.text().contains(words), "{}", refused.text());
    for line in ["read_refused", "write_refused"].map(|event| lines(&service, event)) {
        assert_eq!(line.len(), 1);
        assert_eq!(line[0]["code"], "MOVED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_is_named() {
    let primary = Redis::start(&[]);
    let file = empty_directory("sentinel").join("sentinel.conf");
    let port = free_port();
    let text = format!(
        "port {port}\nsentinel monitor main 127.0.0.1 {} 1\n",
        primary.port()
    );
    std::fs::write(&file, text).unwrap();
    let _sentinel = start_server(&[file.to_str().unwrap(), "--sentinel"]);
    until("it listens", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    })
    .await;
    let address = format!("redis://127.0.0.1:{port}");
    for more in [&[][..], &[("redis_database", "1")]] {
        let variables = [&[("redis_address", address.as_str())][..], more].concat();
        let service = Service::with(&primary, &variables).await;
        let ready = service.read("GET", "/health/ready").await;
        assert_eq!(ready.status, 503);
        let words = "it is a Sentinel, so set redis_address to the primary";
        assert!(ready.text().contains(words), "{}", ready.text());
        assert!(put(&service, 1, "refused").await.text().contains(words));
        assert!(service.log().contains(words), "{}", service.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_wrong_names_the_variable() {
    let open = Redis::start(&[]);
    let secret = Redis::start_with_required_password("of-the-tests");
    for (redis, variables, words) in [
        (
            &open,
            &[("redis_password", "none")][..],
            "so leave redis_password empty",
        ),
        (&secret, &[][..], "so set redis_password"),
        (
            &secret,
            &[("redis_password", "wrong")],
            "redis_username with redis_password",
        ),
        (
            &secret,
            &[("redis_password", "of-the-tests"), ("redis_database", "99")],
            "the database of redis_database",
        ),
    ] {
        let service = Service::with(redis, variables).await;
        let ready = service.read("GET", "/health/ready").await;
        assert_eq!(ready.status, 503);
        assert!(ready.text().contains(words), "{}", ready.text());
        assert!(service.log().contains(words), "{}", service.log());
        assert!(!service.log().contains("of-the-tests"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_on_one_side_alone_or_without_trust_names_the_variable() {
    let directory = empty_directory("tls");
    let [key, certificate] = ["key.pem", "certificate.pem"].map(|name| directory.join(name));
    let [key, certificate] = [&key, &certificate].map(|file| file.to_str().unwrap());
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args([
            "-nodes",
            "-keyout",
            key,
            "-out",
            certificate,
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .output();
    assert!(made.unwrap().status.success());
    let port = free_port();
    let tls_port = port.to_string();
    let files = ["--tls-cert-file", certificate, "--tls-key-file", key];
    let trusted = ["--tls-port", &tls_port, "--tls-ca-cert-file", certificate];
    let plain = Redis::start(&[files, trusted].concat());
    for (address, words) in [
        (
            format!("redis://127.0.0.1:{port}"),
            "if it wants TLS there, set redis_address to rediss://",
        ),
        (
            format!("rediss://127.0.0.1:{port}"),
            "no certificate for redis_address that the host trusts",
        ),
        (
            plain.address().replace("redis://", "rediss://"),
            "if Redis has no TLS there, set redis_address to redis://",
        ),
    ] {
        let variables = [
            ("redis_address", address.as_str()),
            ("redis_timeout_ms", "1000"),
        ];
        let service = Service::with(&plain, &variables).await;
        let ready = service.read("GET", "/health/ready").await;
        assert_eq!(ready.status, 503);
        assert!(ready.text().contains(words), "{address}: {}", ready.text());
        assert!(
            service.log().contains(words),
            "{address}: {}",
            service.log()
        );
    }
}
