//! The corpus of the fuzzers, once more: not natively, but through the built component.

use std::fs;

use super::*;
use crate::support::cache::Cache;
use crate::support::in_repository;
use crate::support::raw::Raw;

/// The inputs in `fuzz/seeds`.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = in_repository("fuzz/seeds").join(target);
    let seed = |file: std::io::Result<fs::DirEntry>| {
        let path = file.unwrap().path();
        (path.display().to_string(), fs::read(path).unwrap())
    };
    let seeds: Vec<_> = fs::read_dir(directory).unwrap().map(seed).collect();
    assert!(seeds.len() > 10);
    seeds
}

#[tokio::test(flavor = "multi_thread")]
async fn every_entry_is_read_or_refused() {
    let target = Target::new().await;
    let mut cache = Cache::over(&target.redis).await;
    for (name, bytes) in seeds("entry") {
        let put = target.service.put(&path(&id(1)), &bytes).await;
        assert!(
            [204, 400, 409].contains(&put.status),
            "{name}: {}",
            put.status
        );
        let look_up = target.service.look_up(&bytes).await;
        assert_eq!(look_up.status, 400, "{name}");
        let key = cache.key(&id(1));
        target.redis.set(&key, bytes);
        let _read = cache.lookup(&id(1)).await.unwrap();
        // This command is not the service's.
        target.redis.command::<()>(&["DEL", &key]);
    }
    assert_nothing_trapped(&cache.log());
    assert_nothing_trapped(&target.service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_lookup_is_answered_or_refused() {
    let target = Target::new().await;
    for (name, bytes) in seeds("lookup") {
        let answer = target.service.look_up(bytes).await;
        assert!(
            [200, 400].contains(&answer.status),
            "{name}: {}",
            answer.status
        );
    }
    target.survived().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_answered_as_documented() {
    let target = Target::new().await;
    for (name, bytes) in seeds("request") {
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
        let mut request = format!("{line} HTTP/1.1\r\nhost: localhost\r\n");
        for header in headers.lines() {
            request += header;
            request += "\r\n";
        }
        if !headers.contains("content-length") {
            request += &format!("content-length: {}\r\n", body.len());
        }
        let request = format!("{request}\r\n{body}")
            .replace("read-token-of-the-fuzzer-0123456", READ_TOKEN)
            .replace("write-token-of-the-fuzzer-012345", WRITE_TOKEN);
        let mut raw = Raw::connect(target.service.address()).await;
        raw.send(request).await;
        let status = raw.status().await;
        let documented = [200, 204, 304, 400, 401, 403, 404, 405, 409, 412, 413, 415];
        assert!(documented.contains(&status), "{name}: {status}");
    }
    target.service.hold(&id(1)).await;
    target.survived().await;
}
