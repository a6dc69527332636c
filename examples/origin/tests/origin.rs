//! What an origin answers, over TCP.

#![allow(clippy::unwrap_used)]

use std::{net::SocketAddr, time::Duration};

use provider_connection_origin::{Fault, Options, Origin};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

const FIRST: &str = "0192f3a4-5b6c-7d8e-9f00-000000000001";
const SECOND: &str = "0192f3a4-5b6c-7d8e-9f00-000000000002";
const MISSING: &str = "0192f3a4-5b6c-7d8e-9f00-ffffffffffff";

async fn start(options: Options) -> Origin {
    let connections = 100;
    Origin::start(Options {
        connections,
        ..options
    })
    .await
    .unwrap()
}

/// All bytes of the answer, on a connection of its own.
async fn send(address: SocketAddr, line: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

async fn get(origin: &Origin, id: &str) -> String {
    let line = format!("GET /connections/{id}");
    send(origin.address(), &line, "", "").await
}

async fn status(origin: &Origin, line: &str, headers: &str, body: &str) -> u16 {
    let answer = send(origin.address(), line, headers, body).await;
    answer["HTTP/1.1 ".len()..][..3].parse().unwrap()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

fn entry(answer: &str) -> Value {
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: application/json\r\n"));
    serde_json::from_str(body(answer)).unwrap()
}

#[tokio::test]
async fn a_connection_is_found_by_its_id() {
    let origin = start(Options::default()).await;
    let answer = get(&origin, FIRST).await;
    assert_eq!(entry(&answer)["id"], FIRST);
    assert!(!answer.contains("cache-control"));
    assert_eq!(
        origin.url(),
        format!("http://{}/connections/{{id}}", origin.address())
    );
    assert_eq!(origin.connections().unwrap(), 100);

    let get = async |target: &str| status(&origin, &format!("GET {target}"), "", "").await;
    assert_eq!(get("/health").await, 200);
    assert_eq!(get("/").await, 404);
    assert_eq!(get(&format!("/connections/{MISSING}")).await, 404);
    for id in ["", "1", &FIRST.to_uppercase(), &FIRST.replace('-', "")] {
        assert_eq!(get(&format!("/connections/{id}")).await, 400, "{id}");
    }
    let post = send(
        origin.address(),
        &format!("POST /connections/{FIRST}"),
        "",
        "",
    )
    .await;
    assert!(post.starts_with("HTTP/1.1 405 "));
    assert!(post.contains("allow: GET, PUT, DELETE\r\n"));

    origin.set_cache_control(Some("max-age=60")).unwrap();
    let answer = self::get(&origin, FIRST).await;
    assert!(answer.contains("cache-control: max-age=60\r\n"));
    assert!(origin.set_cache_control(Some("a\nb")).is_err());
}

#[tokio::test]
async fn a_tcp_connection_is_kept() {
    let origin = start(Options::default()).await;
    let mut stream = TcpStream::connect(origin.address()).await.unwrap();
    for _ in 0..2 {
        let request = b"GET /health HTTP/1.1\r\nHost: origin\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
        }
    }
}

#[tokio::test]
async fn the_token_is_asked_for() {
    let token = Some("right".to_owned());
    let origin = start(Options {
        token,
        ..Options::default()
    })
    .await;
    let lookup = format!("GET /connections/{FIRST}");
    for header in [
        "",
        "Authorization: Bearer wrong\r\n",
        "Authorization: x\r\n",
    ] {
        for line in [
            &lookup,
            &format!("DELETE /connections/{FIRST}"),
            "GET /requests",
        ] {
            let answer = send(origin.address(), line, header, "").await;
            assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
            assert!(answer.contains("www-authenticate: Bearer\r\n"));
        }
        assert_eq!(status(&origin, "GET /health", header, "").await, 200);
    }
    let right = "Authorization: Bearer right\r\n";
    assert_eq!(status(&origin, &lookup, right, "").await, 200);
}

#[tokio::test]
async fn lookups_are_counted_when_they_arrive() {
    let origin = start(Options::default()).await;
    get(&origin, FIRST).await;
    send(
        origin.address(),
        &format!("GET /connections/{SECOND}?a=b"),
        "",
        "",
    )
    .await;
    origin.inject(Fault::Hang);
    let hangs = get(&origin, FIRST);
    assert!(timeout(Duration::from_millis(200), hangs).await.is_err());
    status(&origin, &format!("DELETE /connections/{FIRST}"), "", "").await;

    assert_eq!(origin.requests(), 3);
    assert_eq!(origin.requests_for(FIRST), 2);
    assert_eq!(origin.requests_for(SECOND), 1);
    assert_eq!(origin.requests_for(MISSING), 0);
    assert_eq!(
        origin.seen_targets(),
        [
            format!("/connections/{FIRST}"),
            format!("/connections/{SECOND}?a=b"),
            format!("/connections/{FIRST}"),
        ]
    );
    let answer = send(origin.address(), "GET /requests", "", "").await;
    assert_eq!(body(&answer), r#"{"requests":3}"#);
}

#[tokio::test]
async fn changes_are_seen() {
    let origin = start(Options::default()).await;
    let before = entry(&get(&origin, FIRST).await);
    let line = format!("PUT /connections/{FIRST}");
    let changes = r#"{"status": "revoked", "alias": null}"#;
    assert_eq!(status(&origin, &line, "", changes).await, 204);
    let mut after = entry(&get(&origin, FIRST).await);
    assert_eq!(after["status"], "revoked");
    assert_eq!(after["alias"], Value::Null);
    assert!(after["updated_at"].as_str() > before["updated_at"].as_str());
    for field in ["status", "alias", "updated_at"] {
        after[field] = before[field].clone();
    }
    assert_eq!(after, before);

    for wrong in [
        "",
        "[]",
        r#"{"status": "unknown"}"#,
        r#"{"status": "active", "credentials": null}"#,
        r#"{"colour": "red"}"#,
        r#"{"alias": 1}"#,
        &json!({"alias": "é".repeat(101)}).to_string(),
        &json!({"id": SECOND}).to_string(),
        &" ".repeat(70_000),
    ] {
        assert_eq!(status(&origin, &line, "", wrong).await, 400, "{wrong}");
    }
    let missing = format!("PUT /connections/{MISSING}");
    assert_eq!(status(&origin, &missing, "", changes).await, 404);

    let line = format!("DELETE /connections/{FIRST}");
    assert_eq!(status(&origin, &line, "", "").await, 204);
    assert_eq!(status(&origin, &line, "", "").await, 404);
    assert!(get(&origin, FIRST).await.starts_with("HTTP/1.1 404 "));

    origin.insert(&before).unwrap();
    assert_eq!(entry(&get(&origin, FIRST).await), before);
    assert!(origin.update(FIRST, &json!({"alias": "Été"})).unwrap());
    assert_eq!(entry(&get(&origin, FIRST).await)["alias"], "Été");
    assert!(origin.remove(FIRST).unwrap());
    assert!(!origin.remove(FIRST).unwrap());
    assert!(!origin.update(FIRST, &json!({})).unwrap());
}

#[tokio::test]
async fn each_fault_does_what_it_says() {
    let fault = Fault::Status(503);
    let origin = start(Options {
        fault,
        ..Options::default()
    })
    .await;
    assert!(get(&origin, FIRST).await.starts_with("HTTP/1.1 503 "));

    origin.inject(Fault::None);
    let whole = body(&get(&origin, FIRST).await).to_owned();

    origin.inject(Fault::Slow(Duration::from_millis(200)));
    let started = Instant::now();
    assert_eq!(body(&get(&origin, FIRST).await), whole);
    assert!(started.elapsed() >= Duration::from_millis(200));

    origin.inject(Fault::Garbage);
    let answer = get(&origin, FIRST).await;
    assert!(answer.starts_with("HTTP/1.1 200 "));
    assert!(serde_json::from_str::<Value>(body(&answer)).is_err());

    origin.inject(Fault::OtherId);
    assert_eq!(entry(&get(&origin, FIRST).await)["id"], SECOND);
    assert_eq!(entry(&get(&origin, SECOND).await)["id"], FIRST);

    origin.inject(Fault::Large);
    let answer = get(&origin, FIRST).await;
    assert!(answer.contains("transfer-encoding: chunked\r\n"));
    let (size, chunk) = body(&answer).split_once("\r\n").unwrap();
    let size = usize::from_str_radix(size, 16).unwrap();
    assert!(size > 64 * 1024);
    assert_eq!(chunk[..size].trim_end(), whole);

    origin.inject(Fault::Redirect);
    let answer = get(&origin, FIRST).await;
    assert!(answer.starts_with("HTTP/1.1 302 "));
    let other = origin.url().replace("{id}", SECOND);
    assert!(answer.contains(&format!("location: {other}\r\n")));

    origin.inject(Fault::Cut);
    let answer = get(&origin, FIRST).await;
    assert!(answer.starts_with("HTTP/1.1 200 "));
    assert!(answer.contains(&format!("content-length: {}\r\n", whole.len())));
    assert_eq!(body(&answer), &whole[..whole.len() / 2]);

    origin.inject(Fault::Hang);
    let hangs = get(&origin, FIRST);
    assert!(timeout(Duration::from_millis(300), hangs).await.is_err());
}

#[tokio::test]
async fn a_file_is_filled_once() {
    let directory = std::env::temp_dir();
    let file = directory.join(format!("provider-connection-origin-{}", std::process::id()));
    let options = || Options {
        database: Some(file.clone()),
        ..Options::default()
    };
    start(options()).await.remove(FIRST).unwrap();
    let again = start(options()).await;
    std::fs::remove_file(&file).unwrap();
    assert_eq!(again.connections().unwrap(), 99);
}

#[tokio::test]
async fn what_is_dropped_stops() {
    let origin = start(Options::default()).await;
    let address = origin.address();
    let mut open = TcpStream::connect(address).await.unwrap();
    drop(origin);
    while TcpStream::connect(address).await.is_ok() {
        sleep(Duration::from_millis(10)).await;
    }
    let read = timeout(Duration::from_secs(10), open.read(&mut [0])).await;
    assert!(matches!(read.unwrap(), Ok(0) | Err(_)));
}
