//! An origin that answers, and refuses: which answers leave room for a stale entry, and which do not.

use std::time::Duration;

use provider_connection_origin::Fault;
use tokio::time::sleep;

use super::background::{AT_ONCE, STALE, read_and_wait};
use super::{
    HIT, HIT_NOT_FOUND, NOT_FOUND, STORED, read, seen, service, stale_key, stored_alias, until,
};
use crate::support::connection::{entry, id};
use crate::support::origin::origin_with;
use crate::support::redis::Redis;

/// What a lookup comes to whose entry has expired, with a copy that may answer stale.
enum Answered {
    Stale,
    Gone,
    Failed,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_entry_answers_for_no_answer_and_four_statuses_alone() {
    use Answered::{Failed, Gone, Stale};
    // In this order no three in a row mean that the origin is down.
    let cases = [
        (Fault::Status(500), Stale, "fwd-status=500"),
        (Fault::Status(502), Stale, "fwd-status=502"),
        (Fault::Status(410), Gone, "fwd-status=404"),
        (Fault::Status(503), Stale, "fwd-status=503"),
        (Fault::Status(401), Failed, "fwd-status=401"),
        (Fault::Status(504), Stale, "fwd-status=504"),
        (Fault::Status(403), Failed, "fwd-status=403"),
        (Fault::Hang, Stale, "detail=origin-timeout"),
        (Fault::Status(451), Failed, "fwd-status=451"),
        (Fault::Cut, Stale, "detail=origin-cut-off"),
        (Fault::Status(400), Failed, "fwd-status=400"),
        (Fault::Redirect, Failed, "fwd-status=302"),
        (Fault::Status(204), Failed, "fwd-status=204"),
        (Fault::Status(429), Failed, "fwd-status=429"),
        (Fault::Status(501), Failed, "fwd-status=501"),
        (Fault::Garbage, Failed, "detail=origin-unreadable"),
        (Fault::OtherId, Failed, "detail=origin-unreadable"),
        (Fault::Large, Failed, "detail=origin-too-large"),
    ];
    let redis = Redis::start(&[]);
    let numbers: Vec<_> = (1..=cases.len()).collect();
    let origin = origin_with(&numbers).await;
    origin.set_cache_control(Some("max-age=1")).unwrap();
    let service = service(&redis, &origin, &[STALE, ("origin_timeout_ms", "3000")]).await;
    for number in &numbers {
        assert_eq!(read(&service, *number).await, seen(200, STORED));
    }
    origin.set_cache_control(None).unwrap();
    for (number, (fault, answered, why)) in (1..).zip(cases) {
        let key = service.key(&id(number));
        until("its lifetime is over", || redis.get(&key).is_none()).await;
        assert!(redis.get(&stale_key(&key)).is_some());
        origin.inject(fault);
        let (status, fwd) = match answered {
            Stale => (200, "stale"),
            Gone | Failed => (404, "miss"),
        };
        let cache_status = format!("provider-connection-cache; fwd={fwd}; {why}");
        assert_eq!(
            read(&service, number).await,
            seen(status, &cache_status),
            "{fault:?}"
        );
        // Where it does not answer now, it never will.
        assert_eq!(redis.get(&stale_key(&key)), None, "{fault:?}");
        let marker = redis.get(&key).unwrap_or_default();
        let is_stale = matches!(answered, Stale);
        assert_eq!(
            marker.contains("\"stale\""),
            is_stale,
            "{fault:?}: {marker}"
        );
        if let Gone = answered {
            assert_eq!(read(&service, number).await, seen(404, HIT_NOT_FOUND));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_answers_end_when_the_origin_gives_another_answer() {
    let redis = Redis::start(&[]);
    for (fault, cache_status) in [
        (Fault::Status(410), HIT_NOT_FOUND),
        (
            Fault::Status(403),
            "provider-connection-cache; fwd=miss; fwd-status=403",
        ),
        (
            Fault::Garbage,
            "provider-connection-cache; fwd=miss; detail=origin-unreadable",
        ),
    ] {
        let origin = origin_with(&[1]).await;
        origin.set_cache_control(Some("max-age=1")).unwrap();
        let service = service(&redis, &origin, &[STALE, ("negative_ttl", "600")]).await;
        assert_eq!(read(&service, 1).await, seen(200, STORED));
        let key = service.key(&id(1));
        until("its lifetime is over", || redis.get(&key).is_none()).await;
        origin.set_cache_control(None).unwrap();
        origin.inject(Fault::Status(500));
        assert!(read(&service, 1).await.1.contains("fwd=stale"));
        origin.inject(fault);
        // The last one, after which the origin is asked.
        assert!(read(&service, 1).await.1.contains("fwd=stale"));
        let is_stale = || {
            redis
                .get(&key)
                .is_some_and(|held| held.contains("\"stale\""))
        };
        until("it ends", || !is_stale()).await;
        let (status, said) = read(&service, 1).await;
        // Another request had asked, unless its moment is over by now.
        assert_eq!(
            (status, said.replace("; collapsed", "").as_str()),
            (404, cache_status)
        );
        assert!(redis.keys("*conn-stale*").is_empty(), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_takes_away_what_the_origin_refuses_or_no_longer_has() {
    let redis = Redis::start(&[]);
    for (status, said) in [
        (410, NOT_FOUND.to_owned()),
        (404, NOT_FOUND.to_owned()),
        (401, refused(401)),
        (403, refused(403)),
        (451, refused(451)),
    ] {
        let origin = origin_with(&[1]).await;
        let more = [STALE, AT_ONCE, ("negative_ttl", "0")];
        let service = service(&redis, &origin, &more).await;
        let key = read_and_wait(&redis, &service).await;
        origin.inject(Fault::Status(status));
        assert_eq!(read(&service, 1).await, seen(200, HIT));
        until("it is gone", || stored_alias(&redis, &key).is_none()).await;
        assert_eq!(redis.get(&stale_key(&key)), None, "{status}");
        until("its moment is over", || redis.get(&key).is_none()).await;
        assert_eq!(read(&service, 1).await, seen(404, &said));
    }
}

fn refused(status: u16) -> String {
    format!("provider-connection-cache; fwd=miss; fwd-status={status}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_fails_in_another_way_leaves_the_entry() {
    let redis = Redis::start(&[]);
    for fault in [
        Fault::Status(500),
        Fault::Status(400),
        Fault::Status(429),
        Fault::Redirect,
        Fault::Garbage,
        Fault::Cut,
    ] {
        let origin = origin_with(&[1, 2]).await;
        let service = service(&redis, &origin, &[STALE, AT_ONCE]).await;
        let key = read_and_wait(&redis, &service).await;
        origin.inject(fault);
        assert_eq!(read(&service, 1).await, seen(200, HIT));
        until("it is asked", || origin.requests() == 2).await;
        // Until what follows has come to pass.
        sleep(Duration::from_millis(300)).await;
        assert!(stored_alias(&redis, &key).is_some(), "{fault:?}");
        assert!(redis.get(&stale_key(&key)).is_some(), "{fault:?}");
        assert_eq!(read(&service, 1).await, seen(200, HIT), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_an_event_of_its_own_that_says_what_to_check() {
    let redis = Redis::shared();
    let origin = origin_with(&[1, 2, 3]).await;
    let service = service(redis, &origin, &[]).await;
    for (number, status) in [(1, 401), (2, 403), (3, 451)] {
        origin.inject(Fault::Status(status));
        assert_eq!(read(&service, number).await, seen(404, &refused(status)));
    }
    let log = service.log();
    assert_eq!(
        log.matches("\"event\":\"origin_refused\"").count(),
        3,
        "{log}"
    );
    assert_eq!(
        log.matches("it refuses this component, check origin_token")
            .count(),
        2
    );
    assert!(log.contains("status 451: it refuses this component, for legal reasons"));
    assert!(!log.contains("origin_failed"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_is_remembered_as_not_found() {
    let redis = Redis::shared();
    let origin = origin_with(&[1]).await;
    let service = service(redis, &origin, &[]).await;
    origin.inject(Fault::Status(410));
    assert_eq!(read(&service, 1).await, seen(404, NOT_FOUND));
    origin.inject(Fault::None);
    assert_eq!(read(&service, 1).await, seen(404, HIT_NOT_FOUND));
    assert_eq!(origin.requests(), 1);
    assert!((1..=5).contains(&redis.ttl(&service.key(&id(1)))));
    let put = crate::support::service::path(&id(1));
    assert_eq!(
        service.put(&put, entry(&id(1)).to_string()).await.status,
        204
    );
    assert_eq!(read(&service, 1).await, seen(200, HIT));
}
