//! Bodies: too large, too slow, cut off, endless, and what is in them.

use std::time::Duration;

use provider_connection_cache_host::InstanceReuse;
use serde_json::json;
use tokio::time::sleep;

use super::*;
use crate::support::client::Call;
use crate::support::raw::Raw;
use crate::support::until::until;

const JSON: &str = "content-type: application/json\r\n";
const CHUNKED: &str = "transfer-encoding: chunked\r\n";

/// The beginning of a `PUT` or a lookup with the token that it needs.
fn heads(more: &str) -> [String; 2] {
    let head = |method, place: &str, token| {
        request(method, place, &format!("{}{JSON}{more}", bearer(token)))
    };
    [
        head("PUT", &path(&id(1)), WRITE_TOKEN),
        head("POST", &format!("{BASE}/lookup"), READ_TOKEN),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_announced_too_large_is_refused_unread() {
    let target = Target::new().await;
    for length in ["65537", "4294967296", "9223372036854775807"] {
        for head in heads(&format!("content-length: {length}\r\n")) {
            assert_eq!(status(target.exchange(head).await), 413, "{length}");
        }
    }
    target.survived().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_without_end_are_refused_at_64_kib() {
    let target = Target::new().await;
    for head in heads(CHUNKED) {
        let mut raw = Raw::connect(target.service.address()).await;
        raw.send(head).await;
        let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
        // A little more than it takes: a caller who goes on sending may lose the answer.
        for _ in 0..18 {
            raw.send(&chunk).await;
        }
        assert_eq!(status(raw.answer().await), 413);
    }
    // Chunks of one byte, and what is no chunk.
    for chunks in ["1\r\nx\r\n".repeat(70_000), "0001\r\nx\r\n".repeat(70_000)] {
        for head in heads(CHUNKED) {
            let answer = target.exchange(format!("{head}{chunks}")).await;
            let status = answer.map_or(413, |answer| answer.status);
            assert_eq!(status, 413);
        }
    }
    for chunks in [
        "x\r\n",
        "-1\r\n",
        "fffffffffffffffff\r\n",
        "1\r\nxx\r\n",
        "1;".repeat(40_000).as_str(),
    ] {
        for head in heads(CHUNKED) {
            let answer = target.exchange(format!("{head}{chunks}\r\n\r\n")).await;
            let status = answer.map_or(0, |answer| answer.status);
            assert!([0, 400].contains(&status), "{chunks:.20}: {status}");
        }
    }
    target.survived().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_arrive_is_given_up() {
    let target = Target::new().await;
    let slow = async |head: String, piece: &str| {
        let mut raw = Raw::connect(target.service.address()).await;
        raw.send(head).await;
        raw.answer_while_sending(piece).await
    };
    let [put, lookup] = heads("content-length: 1000\r\n");
    let [chunked_put, chunked_lookup] = heads(CHUNKED);
    // All at the same time: each takes ten seconds.
    let answers = tokio::join!(
        slow(put, ""),
        slow(lookup, " "),
        slow(chunked_put, ""),
        slow(chunked_lookup, "1\r\n \r\n"),
    );
    for answer in [answers.0, answers.1, answers.2, answers.3] {
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 408, "{}", answer.text);
        assert!(answer.text.contains("request-timeout"), "{}", answer.text);
    }
    target.survived().await;
}

/// What arrived before the connection broke may be whole by itself. It is not taken for all.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_cut_off_is_not_stored() {
    let target = Target::new().await;
    let mut changed = entry(&id(1));
    changed["alias"] = json!("cut off");
    let body = changed.to_string();
    let chunk = format!("{:x}\r\n{body}\r\n", body.len());
    let [longer, _] = heads(&format!("content-length: {}\r\n", body.len() + 10));
    let [chunked, _] = heads(CHUNKED);
    for cut in [format!("{longer}{body}"), format!("{chunked}{chunk}")] {
        let mut raw = Raw::connect(target.service.address()).await;
        raw.send(cut).await;
        sleep(Duration::from_millis(100)).await;
        drop(raw);
    }
    // The next ones are carried out after those, if those are at all.
    sleep(Duration::from_millis(500)).await;
    let answer = target.service.read("GET", &path(&id(1))).await;
    assert!(!answer.text().contains("cut off"), "{}", answer.text());
    target.survived().await;
}

/// A client that reads no answer holds its connection, but not the instance.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_reads_holds_no_instance() {
    let redis = Redis::start(&[]);
    let reuse = InstanceReuse {
        idle_instance_timeout: Duration::from_millis(100),
        ..InstanceReuse::default()
    };
    let service = Service::reusing(&redis, &[], reuse).await;
    let ids: Vec<_> = (0..1_000).map(id).collect();
    for id in &ids {
        let mut long = entry(id);
        long["alias"] = json!("🏦".repeat(100));
        redis.set(&service.key(id), long.to_string());
    }
    let body = json!({ "ids": ids }).to_string();
    let [_, head] = heads(&format!("content-length: {}\r\n", body.len()));
    redis.forget_commands();
    let mut raws = Vec::new();
    for _ in 0..8 {
        let mut raw = Raw::connect(service.address()).await;
        raw.send(format!("{head}{body}")).await;
        raws.push(raw);
    }
    // All were carried out; and an instance that is gone has closed its connection to Redis.
    let all = [("mget".to_owned(), 8)];
    until("no instance is held", || {
        redis.commands_seen() == all && redis.clients() == 0
    })
    .await;
    assert!(raws.pop().unwrap().answer().await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn json_that_is_not_as_it_should_be_is_refused() {
    let target = Target::new().await;
    let good = entry(&id(1)).to_string();
    let with = |name: &str, value: &str| {
        let mut entry = entry(&id(1));
        entry[name] = json!("@");
        entry.to_string().replace("\"@\"", value)
    };
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(10_000), close.repeat(10_000));
    let twice = |name: &str, value: &str| {
        let member = format!("\"{name}\":{value},");
        format!("{{{member}{}", &good[1..])
    };
    for body in [
        deep("[", "]"),
        deep("{\"a\":", "}").replace(":}", ":1}"),
        with("alias", &deep("[", "]")),
        "[".repeat(60_000),
        "{\"a\":".repeat(12_000),
        // Numbers where there is text, and numbers beyond all range.
        with("provider_slug", "1e999"),
        with("alias", "123456789012345678901234567890"),
        with("created_at", "1769491039"),
        with("created_at", "\"99999-01-01T00:00:00Z\""),
        with("created_at", "\"2026-01-27T05:17:19.123456\""),
        with("credentials", "-0"),
        with("credentials", "[]"),
        with("credentials", "{}"),
        with("credentials", "\"x\""),
        with("credentials", "false"),
        // Said twice, whatever the second time says.
        twice("status", "\"active\""),
        twice("id", &format!("\"{}\"", id(1))),
        twice("unknown", "1").replacen('{', "{\"unknown\":1,", 1),
        twice("st\\u0061tus", "\"revoked\""),
        with(
            "credentials",
            r#"{"encrypted_data":"a","encrypted_data":"b","credential_type":"oauth2"}"#,
        ),
        with("unknown", r#"{"a":[{"b":1,"b":1}]}"#),
        // Text that is none.
        with("alias", r#""\ud800""#),
        with("alias", r#""\x00""#),
        with("alias", "\"\0\""),
        with("alias", "\"\n\""),
        format!("\u{feff}{good}"),
        format!("{good}\0"),
        format!("{good}{good}"),
        good.replace('"', "'"),
        String::new(),
        "null".to_owned(),
        "NaN".to_owned(),
    ] {
        let answer = target.service.put(&path(&id(1)), &body).await;
        assert_eq!(answer.status, 400, "{body:.300}");
        let problem = answer.json();
        let detail = problem["detail"].as_str().unwrap();
        assert!(!detail.is_empty() && detail.len() < 200, "{detail}");
    }
    for bytes in [
        &b"\xff"[..],
        b"{\"id\":\"\xc3\x28\"}",
        b"\xff\xfe{\0}\0",
        b"{\"alias\":\"\xed\xa0\x80\"}",
    ] {
        assert_eq!(target.service.put(&path(&id(1)), bytes).await.status, 400);
        assert_eq!(target.service.look_up(bytes).await.status, 400);
    }
    target.survived().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lookups_that_are_not_as_they_should_be_are_refused() {
    let target = Target::new().await;
    let one = id(1);
    for body in [
        format!(r#"{{"ids":["{one}"],"ids":["{one}"]}}"#),
        format!(r#"{{"ids":["{one}"],"\u0069ds":[]}}"#),
        format!(r#"{{"ids":["{one}\u0000"]}}"#),
        format!(r#"{{"ids":["{one}",null]}}"#),
        format!(r#"{{"ids":["{one}",["{one}"]]}}"#),
        format!(r#"{{"ids":["*{one}"]}}"#),
        format!(r#"{{"ids":"{one}"}}"#),
        r#"{"ids":[1e999]}"#.to_owned(),
        r#"{"ids":{"length":1}}"#.to_owned(),
        r#"{"ids":[]}"#.to_owned(),
        format!(
            r#"{{"ids":[{}"{one}"]}}"#,
            format!("\"{one}\",").repeat(1_000)
        ),
        format!(r#"{{"ids":[{}]}}"#, "[".repeat(10_000)),
        format!("{{{}\"ids\":[]}}", "\"a\":0,".repeat(9_000)),
        "{".to_owned(),
    ] {
        assert_eq!(
            target.service.look_up(&body).await.status,
            400,
            "{body:.300}"
        );
    }
    target.survived().await;
}

/// Text may have any character in it, and comes back as it was.
#[tokio::test(flavor = "multi_thread")]
async fn any_character_survives() {
    let target = Target::new().await;
    for alias in [
        "\0",
        "a\0b",
        "\u{7f}\u{80}\u{202e}",
        "\u{fffd}\u{ffff}\u{10ffff}",
        "\"\\\r\n'",
        "<script>",
    ] {
        let mut entry = entry(&id(1));
        entry["alias"] = json!(alias);
        entry["provider_slug"] = json!(alias);
        assert_eq!(
            target
                .service
                .put(&path(&id(1)), entry.to_string())
                .await
                .status,
            204
        );
        let answer = target.service.read("GET", &path(&id(1))).await.json();
        assert_eq!(
            (&answer["alias"], &answer["provider_slug"]),
            (&json!(alias), &json!(alias))
        );
    }
    target.survived().await;
}

/// A body where none belongs is not read, whatever it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_nobody_asked_for_changes_nothing() {
    let target = Target::new().await;
    for method in ["GET", "HEAD"] {
        let call = Call::new(method, &path(&id(1))).bearer(READ_TOKEN);
        let answer = target.service.send(call.json("x".repeat(1 << 20))).await;
        assert_eq!(answer.status, 200);
    }
    let call = Call::new("DELETE", &path(&id(2))).bearer(WRITE_TOKEN);
    assert_eq!(target.service.send(call.json("{")).await.status, 404);
    target.survived().await;
}
