//! Which connections are cached, page by page.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::cache::Cache;
use crate::support::connection::{entry, id};
use crate::support::faults::{Fault, Proxy};
use crate::support::redis::Redis;

/// All pages, each as its ids.
async fn pages(cache: &mut Cache) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut next = None;
    loop {
        let page = cache.list_ids(next).await.unwrap();
        pages.push(page.ids);
        assert!(pages.len() < 1_000, "it has no end");
        match page.next {
            None => return pages,
            cursor => next = cursor,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_id_is_on_a_page_and_nothing_else_is() {
    let redis = Redis::start(&[]);
    let mut cache = Cache::over(&redis).await;
    assert_eq!(pages(&mut cache).await, [Vec::<String>::new()]);
    let ids: BTreeSet<_> = (0..350).map(id).collect();
    for id in &ids {
        redis.set(&cache.key(id), entry(id).to_string());
    }
    let mut others = vec!["MSET".to_owned()];
    for number in 0..5_000 {
        others.extend([format!("other:{number}"), String::new()]);
    }
    for name in [
        "not-an-id",
        "00000000-0000-0000-0000-00000000000G",
        "0192F3A4-5B6C-7D8E-9F00-000000000001",
        "fresh:0192f3a4-5b6c-7d8e-9f00-000000000001",
        "",
    ] {
        others.extend([cache.key(name), String::new()]);
    }
    // Of another prefix, and of none.
    others.extend([format!("x{}", cache.key(&id(1))), String::new()]);
    others.extend([format!("provider:conn:{}", id(1)), String::new()]);
    redis.command::<()>(&others.iter().map(String::as_str).collect::<Vec<_>>());
    let pages = pages(&mut cache).await;
    let found: BTreeSet<_> = pages.iter().flatten().cloned().collect();
    assert_eq!(found, ids);
    // Of 5,357 keys, no more than 2,000 and a few for one page.
    assert!(pages.len() >= 3, "{}", pages.len());
    assert!(pages.iter().all(|page| page.len() <= 200));
}

/// There is no time for as many commands as a page may take, and that is no fault of Redis.
#[tokio::test(flavor = "multi_thread")]
async fn far_away_a_page_is_shorter() {
    let redis = Redis::start(&[]);
    let proxy = Proxy::to(&redis).await;
    let address = proxy.address();
    let more = [
        ("redis_address", address.as_str()),
        ("redis_timeout_ms", "1500"),
    ];
    let mut cache = Cache::with(&redis, &more).await;
    redis.set(&cache.key(&id(1)), entry(&id(1)).to_string());
    let mut others = vec!["MSET".to_owned()];
    for number in 0..3_000 {
        others.extend([format!("other:{number}"), String::new()]);
    }
    redis.command::<()>(&others.iter().map(String::as_str).collect::<Vec<_>>());
    proxy.set(Fault::Slow(Duration::from_millis(100)));
    let pages = pages(&mut cache).await;
    assert_eq!(pages.concat(), [id(1)]);
    assert!(pages.len() > 2, "{}", pages.len());
    assert_eq!(cache.log(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_means_itself() {
    let redis = Redis::start(&[]);
    for (prefix, other) in [("a*", "abc"), ("a?", "ab"), ("[ab]", "a"), (r"a\", "a")] {
        let mut cache = Cache::with(&redis, &[("key_prefix", prefix)]).await;
        redis.set(&cache.key(&id(1)), "");
        redis.set(&format!("{other}:provider:conn:{}", id(2)), "");
        assert_eq!(pages(&mut cache).await.concat(), [id(1)], "{prefix}");
        redis.command::<()>(&["FLUSHALL"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_what_the_page_before_said() {
    let redis = Redis::shared();
    let mut cache = Cache::over(redis).await;
    for wrong in [
        "",
        "0",
        "-1",
        "1.5",
        "x",
        "99999999999999999999",
        "1 MATCH *",
    ] {
        let error = cache.list_ids(Some(wrong.to_owned())).await.unwrap_err();
        assert!(format!("{error:?}").contains("cursor"), "{error:?}");
    }
    let mut gone = Redis::start(&[]);
    let mut cache = Cache::over(&gone).await;
    gone.stop();
    let error = cache.list_ids(None).await.unwrap_err();
    assert!(format!("{error:?}").contains("Unavailable"), "{error:?}");
}
