//! Request lines, paths, queries and headers.

use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::support::raw::Raw;

/// Sends the request with the write token; its status must be one of these, or there is no
/// answer if `0` is among them.
async fn expect(target: &Target, method: &str, place: &str, headers: &str, wanted: &[u16]) {
    let request = request(method, place, &format!("{}{headers}", bearer(WRITE_TOKEN)));
    let status = target
        .exchange(request)
        .await
        .map_or(0, |answer| answer.status);
    assert!(
        wanted.contains(&status),
        "{method} {place:.200} {headers:.200}: {status}, not one of {wanted:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn percent_encoding_leads_nowhere_else() {
    let target = Target::new().await;
    let one = id(1);
    for (segment, wanted) in [
        // An id, encoded as anything may be.
        (one.replace('-', "%2D"), 200),
        (one.replace('-', "%2d"), 200),
        (format!("%30{}", &one[1..]), 200),
        (format!("%7B{one}%7D"), 200),
        (format!("urn:uuid:{one}"), 200),
        (format!("urn%3Auuid%3A{one}"), 200),
        // Encoded twice.
        (one.replace('-', "%252D"), 400),
        // Other places.
        (format!("%2e%2e/{one}"), 400),
        (format!("..%2f..%2f{one}"), 400),
        (format!("{one}%2f"), 400),
        (format!("{one}/"), 400),
        (format!("/{one}"), 400),
        (format!("./{one}"), 400),
        (format!("{one};x=1"), 400),
        (format!("{one}%3Fview=full"), 400),
        (format!("{one}%23"), 400),
        // What Redis or the log could take for an end.
        (format!("{one}%00"), 400),
        (format!("%00{one}"), 400),
        (format!("{one}%0d%0a"), 400),
        (format!("{one}%0d%0aDEL%20{one}"), 400),
        (format!("{one}%20"), 400),
        (format!("*{one}"), 400),
        ("%2A".to_owned(), 400),
        // What is not UTF-8, and what is no encoding.
        ("%ff".to_owned(), 400),
        (format!("{one}%c0%80"), 400),
        (format!("{one}%ed%a0%80"), 400),
        (format!("%c0%b0{}", &one[1..]), 400),
        ("%".to_owned(), 400),
        ("%0".to_owned(), 400),
        ("%zz".to_owned(), 400),
        (format!("%u0030{}", &one[1..]), 400),
        // What looks like a digit or a hyphen.
        (one.replace('0', "%D9%A0"), 400),
        (one.replace('-', "%E2%80%90"), 400),
        // Other names of what is about the service itself.
        ("%6cookup".to_owned(), 400),
        ("health".to_owned(), 400),
        ("health%2flive".to_owned(), 400),
        ("x".repeat(20_000), 400),
    ] {
        expect(&target, "GET", &format!("{BASE}/{segment}"), "", &[wanted]).await;
    }
    for place in [
        "/v1//provider-connections/x".to_owned(),
        format!("/V1/provider-connections/{one}"),
        format!("/v1/provider%2Dconnections/{one}"),
        format!("/%76%31/provider-connections/{one}"),
        format!("//v1/provider-connections/{one}"),
    ] {
        expect(&target, "GET", &place, "", &[400]).await;
    }
    target.survived().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_known_or_refused() {
    let target = Target::new().await;
    for (query, wanted) in [
        ("view=summary", 200),
        ("v%69ew=summary", 200),
        ("", 200),
        ("&&", 200),
        ("view=full&view=summary", 400),
        ("view=summary&v%69ew=full", 400),
        ("view[]=full", 400),
        ("VIEW=full", 400),
        ("view=FULL", 400),
        ("view=full%00", 400),
        ("view", 400),
        ("view=", 400),
        ("=", 400),
        ("%ff=%ff", 400),
        ("user_id=", 400),
        ("user_id=%ff", 400),
        ("user_id=*", 400),
        ("user_id=0192f3a4-5b6c-7d8e-9f00-0000000003e8?", 400),
        ("ttl=1", 400),
        ("__proto__=x", 400),
    ] {
        expect(
            &target,
            "GET",
            &format!("{}?{query}", path(&id(1))),
            "",
            &[wanted],
        )
        .await;
    }
    let long = format!("{}?{}", path(&id(1)), "a=1&".repeat(10_000));
    expect(&target, "GET", &long, "", &[400]).await;
    for ttl in [
        "0",
        "-1",
        "1.5",
        "1e3",
        "0x10",
        "+",
        "%2B",
        "2592001",
        "4294967296",
        "4294967297",
        "18446744073709551616",
        "99999999999999999999999999",
        "NaN",
        "%D9%A1",
        "1%00",
        " 1",
        "",
    ] {
        let place = format!("{}?ttl={}", path(&id(1)), ttl.replace(' ', "%20"));
        let headers = "content-type: application/json\r\ncontent-length: 0\r\n";
        expect(&target, "PUT", &place, headers, &[400]).await;
    }
    target.survived().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_are_known_or_refused() {
    let target = Target::new().await;
    for method in [
        "get",
        "Get",
        "PATCH",
        "TRACE",
        "PROPFIND",
        "PURGE",
        "GETX",
        "X",
        "!",
        "#$%&'*+",
        &"M".repeat(5_000),
    ] {
        expect(&target, method, &path(&id(1)), "", &[405]).await;
    }
    // What is no method, and targets that are no path.
    for line in [
        "GET",
        "G\0T / HTTP/1.1",
        "(GET) / HTTP/1.1",
        "GET / HTTP/9.9",
        "GET  / HTTP/1.1",
        "\u{ff} / HTTP/1.1",
    ] {
        let answer = target
            .exchange(format!("{line}\r\nhost: localhost\r\n\r\n"))
            .await;
        let status = answer.map_or(0, |answer| answer.status);
        assert!(
            [0, 400, 401, 404, 505].contains(&status),
            "{line}: {status}"
        );
    }
    expect(&target, "OPTIONS", &path(&id(1)), "", &[204]).await;
    expect(&target, "OPTIONS", "*", "", &[400]).await;
    expect(&target, "CONNECT", "localhost:80", "", &[0, 400, 404, 405]).await;
    let absolute = format!("http://localhost{}", path(&id(1)));
    expect(&target, "GET", &absolute, "", &[200]).await;
    expect(
        &target,
        "GET",
        &absolute.replace("localhost", "other"),
        "",
        &[0, 400],
    )
    .await;
    target.survived().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_few_and_short_or_refused() {
    let target = Target::new().await;
    let place = path(&id(1));
    let many = |count: usize| {
        (0..count)
            .map(|n| format!("x-{n}: y\r\n"))
            .collect::<String>()
    };
    expect(&target, "GET", &place, &many(50), &[200]).await;
    expect(&target, "GET", &place, &many(10_000), &[0, 431]).await;
    let long = |length: usize| format!("x-long: {}\r\n", "y".repeat(length));
    expect(&target, "GET", &place, &long(50_000), &[200]).await;
    expect(&target, "GET", &place, &long(5 << 20), &[0, 431]).await;
    expect(
        &target,
        "GET",
        &place,
        &format!("{}: y\r\n", "x".repeat(5 << 20)),
        &[0, 431],
    )
    .await;
    let tags = format!("if-none-match: {}\r\n", "\"x\",".repeat(10_000));
    expect(&target, "GET", &place, &tags, &[200]).await;
    target.survived().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_repeat_or_contradict_each_other_are_refused() {
    let target = Target::new().await;
    let place = path(&id(1));
    let body = entry(&id(1)).to_string();
    let length = format!("content-length: {}\r\n", body.len());
    let json = "content-type: application/json\r\n";
    for (headers, wanted) in [
        (format!("{json}{length}"), &[204][..]),
        // The same length twice may be taken for once (RFC 9110, section 8.6).
        (format!("{json}{length}{length}"), &[204, 400]),
        (format!("{json}{length}content-length: 1\r\n"), &[400]),
        (format!("{json}content-length: 1, 2\r\n"), &[400]),
        (format!("{json}content-length: -1\r\n"), &[400]),
        (format!("{json}content-length: 0x10\r\n"), &[400]),
        (
            format!("{json}content-length: 99999999999999999999\r\n"),
            &[400],
        ),
        (
            format!("{json}{length}content-type: text/plain\r\n"),
            &[415],
        ),
        (
            format!("content-type: text/plain\r\n{json}{length}"),
            &[415],
        ),
        (format!("content-type: \r\n{length}"), &[415]),
        (format!("{json}{length}transfer-encoding: gzip\r\n"), &[400]),
        (
            format!("{json}transfer-encoding: chunked, gzip\r\n"),
            &[400],
        ),
    ] {
        let headers = format!("{}{headers}", bearer(WRITE_TOKEN));
        let request = format!("{}{body}", request("PUT", &place, &headers));
        let answer = target.exchange(request).await;
        let status = answer.map_or(0, |answer| answer.status);
        assert!(
            wanted.contains(&status),
            "{headers}: {status}, not one of {wanted:?}"
        );
    }
    for headers in [
        "host: other\r\n",
        " folded: x\r\n",
        "no colon\r\n",
        "x y: z\r\n",
        ": x\r\n",
    ] {
        expect(&target, "GET", &place, headers, &[0, 200, 400]).await;
    }
    target.survived().await;
}

/// A length and chunks at once is the old way to hide a second request in the first one.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_hidden_in_the_body_of_another() {
    let target = Target::new().await;
    let _put = target.commands();
    let hidden = request("DELETE", &path(&id(1)), &bearer(WRITE_TOKEN));
    let head = |more: &str| {
        let more = format!(
            "{}content-type: application/json\r\n{more}",
            bearer(READ_TOKEN)
        );
        request("POST", &format!("{BASE}/lookup"), &more)
    };
    for attack in [
        format!(
            "{}{hidden}",
            head(&format!("content-length: {}\r\n", hidden.len()))
        ),
        format!(
            "{}0\r\n\r\n{hidden}",
            head("transfer-encoding: xchunked\r\ncontent-length: 5\r\n")
        ),
    ] {
        let mut raw = Raw::connect(target.service.address()).await;
        raw.send(&attack).await;
        // The connection is closed, or the first request is answered and the second is its body.
        let mut answers = 0;
        while let Ok(Some(answer)) = timeout(Duration::from_secs(1), raw.answer()).await {
            assert!((400..500).contains(&answer.status), "{}", answer.text);
            answers += 1;
        }
        assert!(answers <= 1, "{answers} answers to one request");
    }
    let deleted = target.commands().iter().any(|words| words[0] == "DEL");
    assert!(!deleted, "the hidden request was carried out");
    target.survived().await;
}

/// With both `Content-Length` and `Transfer-Encoding` the hyper of Spin 4.1 goes by the latter, so what a
/// proxy that goes by the former takes for a body is a request: docs/security.md says what it must refuse.
/// It is a request like any other, and has the rights that it shows by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_behind_a_chunked_body_has_no_rights_but_its_own() {
    let target = Target::new().await;
    let _put = target.commands();
    let hidden = request("DELETE", &path(&id(1)), "");
    let both = format!(
        "{}content-type: application/json\r\ncontent-length: {}\r\ntransfer-encoding: chunked\r\n",
        bearer(WRITE_TOKEN),
        hidden.len() + 5
    );
    let outer = request("POST", &format!("{BASE}/lookup"), &both);
    let mut raw = Raw::connect(target.service.address()).await;
    raw.send(format!("{outer}0\r\n\r\n{hidden}")).await;
    assert_eq!(raw.answer().await.map(|answer| answer.status), Some(400));
    if let Some(second) = raw.answer().await {
        assert_eq!(second.status, 401, "{}", second.text);
    }
    let deleted = target.commands().iter().any(|words| words[0] == "DEL");
    assert!(!deleted, "the hidden request was carried out");
    target.survived().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn range_and_expect_and_http_1_0_get_what_all_get() {
    let target = Target::new().await;
    let place = path(&id(1));
    // A range may be ignored (RFC 9110, section 14.2), and is.
    for range in [
        "bytes=0-1",
        "bytes=99999999999999999999-",
        "bytes=-1,0-0,5-1",
        "x",
    ] {
        expect(
            &target,
            "GET",
            &place,
            &format!("range: {range}\r\n"),
            &[200],
        )
        .await;
    }
    let mut raw = Raw::connect(target.service.address()).await;
    let body = entry(&id(1)).to_string();
    let headers = format!(
        "{}content-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n",
        bearer(WRITE_TOKEN),
        body.len()
    );
    raw.send(request("PUT", &place, &headers)).await;
    assert_eq!(status(raw.answer().await), 100);
    raw.send(&body).await;
    assert_eq!(status(raw.answer().await), 204);
    // Who is not let in is told before the body is sent.
    let headers = headers.replace(WRITE_TOKEN, READ_TOKEN);
    let refused = target.exchange(request("PUT", &place, &headers)).await;
    assert_eq!(status(refused), 403);
    let old = request("GET", &place, &bearer(READ_TOKEN)).replace("HTTP/1.1", "HTTP/1.0");
    let mut raw = Raw::connect(target.service.address()).await;
    raw.send(old).await;
    assert_eq!(status(raw.answer().await), 200);
    assert!(raw.ends().await, "an HTTP/1.0 connection stays open");
    target.survived().await;
}

/// The host refuses what is not text before a component sees it: with an error of its own,
/// as Spin does, or by closing the connection.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_never_reach_the_component() {
    let target = Target::new().await;
    let place = path(&id(1));
    let token = bearer(READ_TOKEN);
    for (method, place, headers) in [
        ("GET", place.clone() + "\x7f", token.clone()),
        ("GET", place.clone() + "{\"}", token.clone()),
        ("GET", place.clone(), format!("{token}x: a\0b\r\n")),
        ("GET", place.clone(), format!("{token}x: a\x01b\r\n")),
    ] {
        let answer = target.exchange(request(method, &place, &headers)).await;
        let status = answer.map_or(0, |answer| answer.status);
        assert!([0, 400].contains(&status), "{headers:?}: {status}");
    }
    let invalid = |at: &str| {
        let (text, bytes) = (request("GET", &place, &token), b"\xff\xc3\x28\xed\xa0\x80");
        let (before, after) = text.split_once(at).unwrap();
        [before.as_bytes(), bytes, at.as_bytes(), after.as_bytes()].concat()
    };
    for at in [" HTTP", "host", "authorization", "/v1"] {
        let status = target
            .exchange(invalid(at))
            .await
            .map_or(0, |answer| answer.status);
        assert!([0, 400, 401].contains(&status), "before {at:?}: {status}");
    }
    // Header values may have such bytes in HTTP, and in Spin may not.
    let value = target.exchange(invalid(&format!("{READ_TOKEN}\r\n"))).await;
    assert_eq!(status(value), 500);
    let log = target.service.log();
    assert!(log.contains("invalid utf-8"), "{log}");
    let answer = target.service.read("GET", &path(&id(1))).await;
    assert_eq!(answer.status, 200);
    target.commands();
}
