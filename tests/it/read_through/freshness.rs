//! A write that comes while the origin is asked counts: the older answer is not stored over it.

use std::sync::Arc;
use std::time::Duration;

use provider_connection_origin::{Fault, Origin};
use serde_json::Value;

use super::{HIT, named, read, reading, seen, service, stored_alias, until};
use crate::support::connection::id;
use crate::support::origin::origin_with;
use crate::support::redis::Redis;
use crate::support::service::{Service, path};

/// The writes that there are, by whom.
#[derive(Clone, Copy, Debug)]
enum Write {
    Set,
    Delete,
    /// As the existing application does it, which knows nothing of origins.
    ItsSet,
    ItsDelete,
}

const WRITES: [Write; 4] = [Write::Set, Write::Delete, Write::ItsSet, Write::ItsDelete];

impl Write {
    /// Writes through another host than the one that asks.
    async fn carry_out(self, redis: &Redis, service: &Service) {
        let newer = named(1, "Newer").to_string();
        let key = service.key(&id(1));
        match self {
            Self::Set => {
                let put = service.put(&path(&id(1)), newer).await;
                assert_eq!(put.status, 204);
            }
            Self::Delete => {
                service.write("DELETE", &path(&id(1))).await;
            }
            Self::ItsSet => redis.command(&["SETEX", &key, "300", &newer]),
            Self::ItsDelete => redis.command(&["DEL", &key]),
        }
    }

    /// What is stored after it.
    fn leaves(self) -> Option<String> {
        match self {
            Self::Set | Self::ItsSet => Some("Newer".to_owned()),
            Self::Delete | Self::ItsDelete => None,
        }
    }
}

/// Two hosts that share their keys.
async fn two(redis: &Redis, origin: &Origin, more: &[(&str, &str)]) -> (Arc<Service>, Service) {
    let one = service(redis, origin, more).await;
    let mut more = more.to_vec();
    more.push(("key_prefix", one.prefix()));
    let other = service(redis, origin, &more).await;
    (Arc::new(one), other)
}

const SLOW: Fault = Fault::Slow(Duration::from_millis(800));

#[tokio::test(flavor = "multi_thread")]
async fn a_miss_stores_nothing_over_a_write_that_came_meanwhile() {
    let redis = Redis::start(&[]);
    for write in WRITES {
        let origin = origin_with(&[1]).await;
        origin.inject(SLOW);
        let (asks, writes) = two(&redis, &origin, &[]).await;
        let reading = reading(&asks, &origin).await;
        write.carry_out(&redis, &writes).await;
        let answer = reading.await.unwrap();
        assert_eq!(answer.status, 200, "{write:?}");
        let key = asks.key(&id(1));
        assert_eq!(stored_alias(&redis, &key), write.leaves(), "{write:?}");
        // What was set meanwhile is the answer, too.
        let wanted = write.leaves().unwrap_or_else(|| "My Schwab IRA".to_owned());
        assert_eq!(answer.json()["alias"], Value::from(wanted), "{write:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn word_that_there_is_none_is_not_stored_over_a_write_that_came_meanwhile() {
    let redis = Redis::start(&[]);
    for write in [Write::Set, Write::ItsSet] {
        let origin = origin_with(&[]).await;
        origin.inject(SLOW);
        let (asks, writes) = two(&redis, &origin, &[]).await;
        let reading = reading(&asks, &origin).await;
        write.carry_out(&redis, &writes).await;
        let answer = reading.await.unwrap();
        assert_eq!(answer.json()["alias"], "Newer", "{write:?}");
        assert_eq!(
            stored_alias(&redis, &asks.key(&id(1))),
            write.leaves(),
            "{write:?}"
        );
        assert_eq!(read(&asks, 1).await, seen(200, HIT));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_stores_nothing_over_a_write_that_came_meanwhile() {
    let redis = Redis::start(&[]);
    for write in WRITES {
        let origin = origin_with(&[1]).await;
        // Fresh for a third of a second, of five minutes.
        let (asks, writes) = two(&redis, &origin, &[("refresh_ahead", "0.001")]).await;
        assert_eq!(read(&asks, 1).await.0, 200);
        let key = asks.key(&id(1));
        let fresh = super::fresh_key(&key);
        until("it is due", || redis.get(&fresh).is_none()).await;
        origin.inject(SLOW);
        assert_eq!(read(&asks, 1).await, seen(200, HIT));
        until("it asks again", || origin.requests() == 2).await;
        write.carry_out(&redis, &writes).await;
        // Until the answer has come and gone.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(stored_alias(&redis, &key), write.leaves(), "{write:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_after_a_write_through_the_same_instance_does_not_wait_for_an_older_answer() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    origin.inject(Fault::Hang);
    let service = Arc::new(service(&redis, &origin, &[]).await);
    let reading = reading(&service, &origin).await;
    // The database changes, and the invalidation follows.
    origin.insert(&named(1, "Changed")).unwrap();
    origin.inject(Fault::None);
    service.write("DELETE", &path(&id(1))).await;
    let answer = service.read("GET", &path(&id(1))).await;
    assert_eq!(answer.json()["alias"], "Changed");
    let alias = stored_alias(&redis, &service.key(&id(1)));
    assert_eq!(alias.as_deref(), Some("Changed"));
    assert!(!reading.is_finished(), "the first was to wait");
    service.assert_instances(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_after_a_write_elsewhere_does_not_share_an_older_answer() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    origin.inject(Fault::Slow(Duration::from_millis(1_500)));
    let service = Arc::new(service(&redis, &origin, &[]).await);
    let reading = reading(&service, &origin).await;
    // The database changes, and the existing application removes the entry.
    origin.insert(&named(1, "Changed")).unwrap();
    redis.command::<()>(&["DEL", &service.key(&id(1))]);
    origin.inject(Fault::None);
    let answer = service.read("GET", &path(&id(1))).await;
    assert_eq!(answer.json()["alias"], "Changed");
    assert_eq!(origin.requests(), 2, "the second asked for itself");
    // Whoever began before it may be told what was so then.
    assert_eq!(reading.await.unwrap().status, 200);
    service.assert_instances(1);
}
