//! How counts come to Redis: seldom, in one command, and never in anybody's way.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{calls, stats_when};
use crate::support::client::Call;
use crate::support::connection::id;
use crate::support::monitor::Monitor;
use crate::support::origin::{borrowed, origin_with, reading_through};
use crate::support::redis::Redis;
use crate::support::service::{READ_TOKEN, Service, path};
use crate::support::spin;
use crate::support::until::until;
use provider_connection_cache_host::InstanceReuse;
use provider_connection_origin::Fault;

/// The commands that hand on counts.
fn reports(commands: &[Vec<String>]) -> Vec<&Vec<String>> {
    let is_report = |command: &&Vec<String>| {
        command
            .iter()
            .any(|word| word.ends_with("provider:conn-stats:total"))
    };
    commands.iter().filter(is_report).collect()
}

fn endless() -> InstanceReuse {
    InstanceReuse {
        max_instance_reuse_count: usize::MAX,
        idle_instance_timeout: Duration::from_secs(60),
        ..InstanceReuse::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_reports_at_most_once_a_second_in_one_command() {
    let redis = Redis::start(&[]);
    let service = Service::reusing(&redis, &[], endless()).await;
    let monitor = Monitor::of(&redis);
    let mut client = service.connect().await;
    let target = path(&id(1));
    let start = Instant::now();
    let mut lookups = 0;
    while start.elapsed() < Duration::from_millis(2_500) {
        let call = Call::new("GET", &target).bearer(READ_TOKEN);
        assert_eq!(client.send(call).await.status, 404);
        lookups += 1;
        // Idle now and then, which is when an instance would like to report.
        if lookups % 50 == 0 {
            sleep(Duration::from_millis(60)).await;
        }
    }
    let stats = stats_when(&service, |stats| calls(stats, "get-summary") == lookups).await;
    let elapsed = start.elapsed();
    service.assert_instances(1);
    let commands = monitor.commands(&redis);
    let reports = reports(&commands);
    assert!(
        (2..=elapsed.as_secs() + 1).contains(&(reports.len() as u64)),
        "{reports:?}"
    );
    for report in reports {
        assert_eq!(report[0], "EVAL");
    }
    assert_eq!(stats["total"]["misses"], lookups);
}

/// Which a busy host drops every 50 ms.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_reports_before_it_goes() {
    let redis = Redis::start(&[]);
    let reuse = InstanceReuse {
        max_instance_reuse_count: 16,
        idle_instance_timeout: Duration::from_millis(1),
        ..InstanceReuse::default()
    };
    let service = Service::reusing(&redis, &[], reuse).await;
    let before = redis.info("total_connections_received");
    let mut client = service.connect().await;
    for _ in 0..400 {
        let call = Call::new("GET", &path(&id(1))).bearer(READ_TOKEN);
        assert_eq!(client.send(call).await.status, 404);
    }
    stats_when(&service, |stats| calls(stats, "get-summary") == 400).await;
    // Each of at least 25 instances has opened a connection of its own.
    assert!(redis.info("total_connections_received") - before > 25);
    until("no instance is held", || redis.clients() == 0).await;
}

/// It waits for a moment, not for the second that there is between two reports: on a host with an
/// instance for each request they would pile up.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_idle_does_not_wait_to_report() {
    let redis = Redis::start(&[]);
    let reuse = InstanceReuse {
        max_instance_reuse_count: 1,
        ..InstanceReuse::default()
    };
    let service = Service::reusing(&redis, &[], reuse).await;
    let mut client = service.connect().await;
    let mut most = 0;
    for number in 0..300 {
        let call = Call::new("GET", &path(&id(1))).bearer(READ_TOKEN);
        assert_eq!(client.send(call).await.status, 404);
        // Slow enough for any machine to end the instances of a second ago.
        sleep(Duration::from_millis(5)).await;
        if number % 20 == 0 {
            most = most.max(redis.clients());
        }
    }
    assert!(most < 100, "{most} instances at a time");
    stats_when(&service, |stats| calls(stats, "get-summary") == 300).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_lives_for_two_days_under_the_hour_and_in_all() {
    let redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 404);
    let stats = stats_when(&service, |stats| calls(stats, "get-summary") == 1).await;
    let keys = redis.keys("*");
    let [hour, total] = keys.as_slice() else {
        panic!("{keys:?}");
    };
    assert_eq!(*total, service.stats_key("total"));
    let begins = stats["hours"][1]["hour"].as_str().unwrap();
    let before = stats["hours"][0]["hour"].as_str().unwrap();
    assert!(
        [begins, before]
            .map(|begins| service.stats_key(&begins[..13]))
            .contains(hour),
        "{hour}"
    );
    for key in [hour, total] {
        let ttl = redis.ttl(key);
        assert!((172_000..=172_800).contains(&ttl), "{key}: {ttl}");
        let misses: u64 = redis.command(&["HGET", key, "get-summary:misses"]);
        assert_eq!(misses, 1);
    }
}

/// Nobody may count here. All else is as ever, without a word.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_handed_on_is_dropped_without_a_word() {
    let redis = Redis::start(&[]);
    let refused = ["ACL", "SETUSER", "default", "-hincrby"];
    redis.command::<()>(&refused);
    let service = Service::reusing(&redis, &[], endless()).await;
    service.hold(&id(1)).await;
    let denied = || {
        let log: Vec<redis::Value> = redis.command(&["ACL", "LOG"]);
        !log.is_empty()
    };
    let start = Instant::now();
    while !denied() {
        assert_eq!(service.read("GET", &path(&id(1))).await.status, 200);
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "nothing is reported"
        );
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 200);
    assert_eq!(service.read("GET", "/health/ready").await.status, 200);
    assert_eq!(service.log(), "");
    service.assert_instances(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_off_nothing_is_counted() {
    let redis = Redis::start(&[]);
    let off = Service::with(&redis, &[("stats", "off")]).await;
    let on = Service::with(&redis, &[("key_prefix", off.prefix())]).await;
    for service in [&off, &on, &off] {
        assert_eq!(service.read("GET", &path(&id(1))).await.status, 404);
    }
    // What others count is shown.
    stats_when(&off, |stats| calls(stats, "get-summary") == 1).await;
    sleep(Duration::from_millis(1_200)).await;
    stats_when(&off, |stats| calls(stats, "get-summary") == 1).await;
}

/// What waits for the answer to a report says nothing of the answers to lookups.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_without_an_answer_takes_no_hits() {
    let redis = Redis::start(&[]);
    let service = Service::with(&redis, &[("redis_timeout_ms", "4000")]).await;
    service.hold(&id(1)).await;
    let target = path(&id(1));
    for _ in 0..3 {
        assert_eq!(service.read("GET", &target).await.status, 200);
        redis.pause();
        // The report is sent meanwhile, and waits for longer than is usual.
        sleep(Duration::from_millis(1_300)).await;
        let (answer, ()) = futures_util::join!(service.read("GET", &target), async {
            sleep(Duration::from_millis(100)).await;
            redis.go_on();
        });
        assert_eq!(answer.status, 200, "{}", answer.header("cache-status"));
    }
}

/// What goes on when the answer has gone out is counted as well.
#[tokio::test(flavor = "multi_thread")]
async fn what_happens_after_the_answer_is_handed_on() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    let more = reading_through(
        &origin,
        &[("origin_timeout_ms", "500"), ("refresh_ahead", "0.001")],
    );
    let service = Service::with(&redis, &borrowed(&more)).await;
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 200);
    // It is due.
    let fresh = service
        .key(&id(1))
        .replace("provider:conn:", "provider:conn-fresh:");
    redis.command::<()>(&["DEL", &fresh]);
    redis.command::<()>(&["EXPIRE", &service.key(&id(1)), "50"]);
    origin.inject(Fault::Hang);
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 200);
    stats_when(&service, |stats| stats["total"]["origin_failures"] == 1).await;
}

/// A report is no reason to look for a Redis that is away, and none to hold an instance.
#[tokio::test(flavor = "multi_thread")]
async fn without_redis_no_instance_waits_to_report() {
    if spin::is_skipped("the number of instances") {
        return;
    }
    let mut redis = Redis::start(&[]);
    let reuse = InstanceReuse {
        idle_instance_timeout: Duration::from_millis(50),
        ..InstanceReuse::default()
    };
    let service = Service::reusing(&redis, &[], reuse).await;
    redis.stop();
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 404);
    // The next request finds that one gone.
    let start = Instant::now();
    while service.instances_created() == Some(1) {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "the instance is held"
        );
        sleep(Duration::from_millis(300)).await;
        assert_eq!(service.read("GET", &path(&id(1))).await.status, 404);
    }
}
