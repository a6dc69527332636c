//! The HTTP service, row by row of `http::route::ROUTES`.

mod conditional;
mod misdirected;

use provider_connection_cache::http::problem::Kind;
use provider_connection_cache::http::route::ROUTES;
use serde_json::{Value, json};
use strum::VariantArray as _;

use crate::support::client::{Answer, Call};
use crate::support::connection::{OTHER_USER, USER, entry, id};
use crate::support::redis::Redis;
use crate::support::secrets::CIPHERTEXT;
use crate::support::service::{BASE, READ_TOKEN, Service, WRITE_TOKEN, path};

const HIT: &str = "provider-connection-cache; hit";
const MISS: &str = "provider-connection-cache; fwd=miss";

/// The answer is this problem, and says so as RFC 9457 wants it.
pub fn assert_problem(answer: &Answer, kind: Kind) {
    assert_eq!(answer.status, kind.status(), "{}", answer.everything());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let body = answer.json();
    let name = format!("urn:problem-type:provider-connection-cache:{}", kind.name());
    assert_eq!(body["type"], name);
    assert_eq!(body["status"], kind.status());
    assert!(body["title"].is_string() && body["detail"].is_string());
    assert!(!answer.everything().contains(CIPHERTEXT));
}

/// A service that holds connection 1.
async fn service() -> Service {
    let service = Service::over(Redis::shared()).await;
    service.hold(&id(1)).await;
    service
}

#[tokio::test(flavor = "multi_thread")]
async fn get_answers_the_summary() {
    let service = service().await;
    for target in [
        path(&id(1)),
        path(&id(1).to_uppercase()),
        format!("{}?view=summary", path(&id(1))),
    ] {
        let answer = service.read("GET", &target).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("cache-status"), HIT);
        assert_eq!(answer.header("cache-control"), "private, no-cache");
        assert_eq!(
            answer.header("content-length"),
            answer.body.len().to_string()
        );
        assert_eq!(answer.optional_header("transfer-encoding"), None);
        let mut wanted = entry(&id(1));
        let fields = wanted.as_object_mut().unwrap();
        fields.remove("credentials");
        fields.extend(
            json!({
                "is_connected": true,
                "needs_reauthentication": false,
                "credentials_expired": false,
                "credentials_expiring_soon": false,
                "can_sync": true,
                "credential_type": "oauth2",
                "credentials_expire_at": "2100-01-27T05:17:19.123456+00:00",
            })
            .as_object()
            .unwrap()
            .clone(),
        );
        assert_eq!(answer.json(), wanted);
    }
    let miss = service.read("GET", &path(&id(2))).await;
    assert_problem(&miss, Kind::NotCached);
    assert_eq!(miss.header("cache-status"), MISS);
    let malformed = service.read("GET", &path("no-uuid")).await;
    assert_problem(&malformed, Kind::InvalidRequest);
}

#[tokio::test(flavor = "multi_thread")]
async fn get_answers_the_whole_connection_to_who_may_write() {
    let service = service().await;
    let target = format!("{}?view=full", path(&id(1)));
    let answer = service.write("GET", &target).await;
    assert_eq!((answer.status, answer.json()), (200, entry(&id(1))));
    assert_eq!(answer.header("cache-control"), "private, no-store");
    let refused = service.read("GET", &target).await;
    assert_problem(&refused, Kind::Forbidden);
    assert!(
        refused
            .header("www-authenticate")
            .contains("insufficient_scope")
    );
    let unknown = service
        .write("GET", &format!("{}?view=all", path(&id(1))))
        .await;
    assert_problem(&unknown, Kind::InvalidRequest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_etag_saves_the_body() {
    let service = service().await;
    let first = service.read("GET", &path(&id(1))).await;
    let etag = first.header("etag").to_owned();
    assert!(etag.starts_with('"'), "{etag} is strong");
    let ask = |known: &str| {
        Call::new("GET", &path(&id(1)))
            .bearer(READ_TOKEN)
            .header("if-none-match", known)
    };
    for known in [etag.as_str(), "*", &format!("\"x\", {etag}")] {
        let answer = service.send(ask(known)).await;
        assert_eq!((answer.status, answer.text()), (304, ""));
        assert_eq!(
            (answer.header("etag"), answer.header("cache-status")),
            (etag.as_str(), HIT)
        );
    }
    assert_eq!(service.send(ask("\"x\"")).await.status, 200);
    let mut changed = entry(&id(1));
    changed["alias"] = json!("Another");
    service.put(&path(&id(1)), changed.to_string()).await;
    let answer = service.send(ask(&etag)).await;
    assert_eq!(answer.status, 200);
    assert_ne!(answer.header("etag"), etag);
}

#[tokio::test(flavor = "multi_thread")]
async fn head_is_get_without_the_body() {
    let service = service().await;
    for target in [
        path(&id(1)),
        path(&id(2)),
        "/health/live".to_owned(),
        "/openapi.json".to_owned(),
    ] {
        let get = service.read("GET", &target).await;
        let head = service.read("HEAD", &target).await;
        assert_eq!((head.status, head.text()), (get.status, ""), "{target}");
        for name in [
            "content-length",
            "content-type",
            "cache-control",
            "etag",
            "cache-status",
        ] {
            assert_eq!(
                head.optional_header(name),
                get.optional_header(name),
                "{target} {name}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_users_connection_is_as_one_that_is_not_there() {
    let service = service().await;
    let owned = |user: &str, id: &str| format!("{}?user_id={user}", path(id));
    assert_eq!(service.read("GET", &owned(USER, &id(1))).await.status, 200);
    assert_eq!(
        service
            .read("GET", &owned(&USER.replace('-', ""), &id(1)))
            .await
            .status,
        200
    );
    let other = service.read("GET", &owned(OTHER_USER, &id(1))).await;
    let miss = service.read("GET", &owned(OTHER_USER, &id(2))).await;
    assert_problem(&other, Kind::NotCached);
    assert_eq!(other.text(), miss.text());
    assert_eq!(other.header("cache-status"), miss.header("cache-status"));
    assert_problem(
        &service.read("GET", &owned("me", &id(1))).await,
        Kind::InvalidRequest,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn put_stores_for_as_long_as_it_is_told() {
    let redis = Redis::shared();
    let service = service().await;
    assert!((290..=300).contains(&redis.ttl(&service.key(&id(1)))));
    let target = format!("{}?ttl=45", path(&id(1)));
    let answer = service.put(&target, entry(&id(1)).to_string()).await;
    assert_eq!((answer.status, answer.text()), (204, ""));
    assert_eq!(answer.optional_header("content-length"), None);
    assert!((35..=45).contains(&redis.ttl(&service.key(&id(1)))));
    for ttl in ["0", "2592001", "-1", "1.5", "", "x", "%2B5", "05"] {
        let answer = service
            .put(
                &format!("{}?ttl={ttl}", path(&id(1))),
                entry(&id(1)).to_string(),
            )
            .await;
        assert_problem(&answer, Kind::InvalidRequest);
        assert!(answer.text().contains("ttl"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn put_names_what_is_wrong_and_shows_none_of_it() {
    let service = service().await;
    for (field, value) in [
        ("id", json!("not-to-be-shown")),
        ("user_id", Value::Null),
        ("provider_slug", json!("not-to-be-shown".repeat(9))),
        ("status", json!("not-to-be-shown")),
        ("alias", json!(["not-to-be-shown"])),
        ("credentials", Value::Null),
        ("created_at", Value::Null),
        ("updated_at", json!("not-to-be-shown")),
    ] {
        let mut damaged = entry(&id(1));
        damaged[field] = value;
        let answer = service.put(&path(&id(1)), damaged.to_string()).await;
        assert_problem(&answer, Kind::InvalidRequest);
        assert!(answer.text().contains(field), "{field}: {}", answer.text());
        assert!(!answer.everything().contains("not-to-be-shown"));
    }
    let with = |value: &str| {
        let entry = entry(&id(1)).to_string();
        entry.replace("\"My Schwab IRA\"", value)
    };
    for (body, wanted) in [
        (String::new(), "must be JSON: it ends too early"),
        ("{".to_owned(), "must be JSON: it ends too early"),
        ("[]".to_owned(), "must be one JSON object"),
        ("null".to_owned(), "must be one JSON object"),
        (with(r#""\ud83c""#), "half of a surrogate pair"),
        (with(r#""\udfe6""#), "half of a surrogate pair"),
        (
            with("NaN"),
            "NaN and Infinity are no numbers in it (line 1, column 10)",
        ),
        (with("-Infinity"), "NaN and Infinity are no numbers in it"),
        (with("1e999"), "beyond the range of a double"),
        (with(&"[".repeat(200)), "nested deeper than 127 levels"),
        (
            with("'x'"),
            "it breaks the grammar of RFC 8259 (line 1, column 10)",
        ),
    ] {
        let answer = service.put(&path(&id(1)), &body).await;
        assert_problem(&answer, Kind::InvalidRequest);
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains(wanted), "{body}: {detail}");
        let lookup = service.look_up(body).await;
        assert_eq!(lookup.status, 400);
        if wanted.contains("line") || wanted.contains("half") {
            assert_eq!(lookup.json()["detail"].to_string(), detail);
        }
    }
    assert_problem(
        &service.put(&path(&id(2)), entry(&id(1)).to_string()).await,
        Kind::IdDiffers,
    );
    for content_type in ["text/plain", "application/jsonx", ""] {
        let call = Call::new("PUT", &path(&id(1))).bearer(WRITE_TOKEN);
        let call = call
            .header("content-type", content_type)
            .body(entry(&id(1)).to_string());
        assert_problem(&service.send(call).await, Kind::UnsupportedMediaType);
    }
    let call = Call::new("PUT", &path(&id(1))).bearer(WRITE_TOKEN);
    let call = call.header("content-type", "Application/JSON; charset=utf-8");
    assert_eq!(
        service
            .send(call.body(entry(&id(1)).to_string()))
            .await
            .status,
        204
    );
    assert!(!service.log().contains("not-to-be-shown"));
}

/// A body in a coding is not read as what it looks like, whether it is in that coding or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_a_coding_is_refused_with_the_coding_that_is_accepted() {
    let redis = Redis::shared();
    let service = Service::over(redis).await;
    let ids = json!({ "ids": [id(1)] }).to_string();
    let gzipped = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03".to_vec();
    for (method, target, plain) in [
        ("PUT", path(&id(1)), entry(&id(1)).to_string()),
        ("POST", format!("{BASE}/lookup"), ids),
    ] {
        let send = async |coding: &str, body: &[u8]| {
            let call = Call::new(method, &target).bearer(WRITE_TOKEN).json(body);
            service.send(call.header("content-encoding", coding)).await
        };
        for coding in ["gzip", "GZip", "br", "identity, deflate", "zstd"] {
            for body in [plain.as_bytes(), &gzipped] {
                let refused = send(coding, body).await;
                assert_problem(&refused, Kind::UnsupportedContentCoding);
                assert_eq!(refused.header("accept-encoding"), "identity");
            }
        }
        let was_stored = method == "POST";
        assert_eq!(redis.get(&service.key(&id(1))).is_some(), was_stored);
        let status = send("identity", plain.as_bytes()).await.status;
        assert_eq!(status, if method == "PUT" { 204 } else { 200 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn put_takes_64_kib_and_no_more() {
    let service = service().await;
    let padded = |length: usize| {
        let entry = entry(&id(1)).to_string();
        format!("{entry}{}", " ".repeat(length - entry.len()))
    };
    let put = || Call::new("PUT", &path(&id(1))).bearer(WRITE_TOKEN);
    for chunked in [false, true] {
        let as_asked = |call: Call| if chunked { call.chunked() } else { call };
        let fits = as_asked(put().json(padded(64 * 1024)));
        assert_eq!(service.send(fits).await.status, 204, "chunked: {chunked}");
        let larger = as_asked(put().json(padded(64 * 1024 + 1)));
        assert_problem(&service.send(larger).await, Kind::TooLarge);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_says_whether_it_was_there() {
    let service = service().await;
    let gone = service.write("DELETE", &path(&id(1))).await;
    assert_eq!((gone.status, gone.text()), (204, ""));
    assert_problem(
        &service.write("DELETE", &path(&id(1))).await,
        Kind::NotCached,
    );
    assert_problem(&service.read("GET", &path(&id(1))).await, Kind::NotCached);
    assert_problem(
        &service.write("DELETE", &path("x")).await,
        Kind::InvalidRequest,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lookup_answers_many_in_one_round_trip() {
    let redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    service.put(&path(&id(1)), entry(&id(1)).to_string()).await;
    redis.forget_commands();
    let body = json!({ "ids": [id(2), id(1).to_uppercase(), id(1)] }).to_string();
    let answer = service.look_up(&body).await;
    assert_eq!((answer.status, answer.header("cache-status")), (200, MISS));
    let connections = answer.json()["connections"].as_object().unwrap().clone();
    assert_eq!(connections.len(), 2);
    assert!(connections[&id(2)].is_null());
    assert_eq!(
        connections[&id(1)],
        service.read("GET", &path(&id(1))).await.json()
    );
    assert!(!answer.everything().contains(CIPHERTEXT));
    assert_eq!(
        redis.commands_seen(),
        [("get".to_owned(), 1), ("mget".to_owned(), 1)]
    );
    let hit = service.look_up(json!({ "ids": [id(1)] }).to_string()).await;
    assert_eq!(hit.header("cache-status"), HIT);

    let ids = |count: usize| json!({ "ids": (0..count).map(id).collect::<Vec<_>>() }).to_string();
    assert_eq!(
        service.look_up(ids(1_000)).await.json()["connections"]
            .as_object()
            .unwrap()
            .len(),
        1_000
    );
    for refused in [
        ids(0),
        ids(1_001),
        json!({ "ids": ["x"] }).to_string(),
        json!({ "ids": [1] }).to_string(),
        json!({ "ids": id(1) }).to_string(),
        "{}".to_owned(),
        "[]".to_owned(),
        "x".to_owned(),
    ] {
        assert_problem(&service.look_up(&refused).await, Kind::InvalidRequest);
    }
    let call = Call::new("POST", &format!("{BASE}/lookup"))
        .bearer(READ_TOKEN)
        .body(ids(1));
    assert_problem(&service.send(call).await, Kind::UnsupportedMediaType);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_needs_no_token_and_is_at_the_root_too() {
    let service = service().await;
    for base in ["", BASE] {
        for (name, body) in [
            ("live", json!({ "status": "live" })),
            ("ready", json!({ "status": "ready", "writes": "accepted" })),
        ] {
            let answer = service
                .send(Call::new("GET", &format!("{base}/health/{name}")))
                .await;
            assert_eq!((answer.status, answer.json()), (200, body));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_description_has_every_route_and_no_other() {
    let service = service().await;
    let answer = service.read("GET", "/openapi.json").await;
    assert_eq!(
        answer.text(),
        service
            .read("GET", &format!("{BASE}/openapi.json"))
            .await
            .text()
    );
    let openapi = answer.json();
    assert!(openapi["openapi"].as_str().unwrap().starts_with("3.1."));
    let mut described = 0;
    for (path, item) in openapi["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            described += usize::from(["get", "put", "post", "delete"].contains(&method.as_str()));
        }
        assert!(path.starts_with(BASE), "{path}");
    }
    assert_eq!(described, ROUTES.len());
    for route in ROUTES {
        let item = &openapi["paths"][format!("{BASE}{}", route.path)];
        let operation = &item[route.method.to_lowercase()];
        assert!(
            operation["responses"].is_object(),
            "{} {}",
            route.method,
            route.path
        );
        let mut query = Vec::new();
        for list in [&item["parameters"], &operation["parameters"]] {
            for parameter in list.as_array().into_iter().flatten() {
                let reference = parameter["$ref"]
                    .as_str()
                    .and_then(|text| text.strip_prefix('#'));
                let parameter = reference.map_or(parameter, |at| openapi.pointer(at).unwrap());
                if parameter["in"] == "query" {
                    query.push(parameter["name"].as_str().unwrap());
                }
            }
        }
        query.sort_unstable();
        let mut known = route.query.to_vec();
        known.sort_unstable();
        assert_eq!(query, known, "{} {}", route.method, route.path);
    }
    // Those of the middleware and the explorer.
    let others = [Kind::OriginFailed, Kind::NotInvalidated, Kind::NoSuchPage];
    for kind in Kind::VARIANTS.iter().filter(|kind| !others.contains(kind)) {
        assert!(answer.text().contains(kind.name()), "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_tells_other_methods_which_there_are() {
    let service = service().await;
    for route in ROUTES {
        let target = format!("{BASE}{}", route.path.replace("{id}", &id(1)));
        let answer = service.write("PATCH", &target).await;
        assert_problem(&answer, Kind::MethodNotAllowed);
        let allow: Vec<_> = answer.header("allow").split(", ").collect();
        assert!(allow.contains(&route.method), "{target}: {allow:?}");
        assert_eq!(allow.contains(&"GET"), allow.contains(&"HEAD"));
        let options = service.read("OPTIONS", &target).await;
        assert_eq!((options.status, options.text()), (204, ""));
        assert_eq!(options.header("allow"), answer.header("allow"));
        assert!(allow.contains(&"OPTIONS"), "{target}: {allow:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_refuses_query_parameters_that_it_does_not_know() {
    let service = service().await;
    for route in ROUTES {
        let target = format!("{BASE}{}", route.path.replace("{id}", &id(1)));
        assert_problem(
            &service.write(route.method, &format!("{target}?x=1")).await,
            Kind::InvalidRequest,
        );
        for name in route.query {
            let twice = format!("{target}?{name}=1&{name}=1");
            assert_problem(
                &service.write(route.method, &twice).await,
                Kind::InvalidRequest,
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_configured_matches_nothing() {
    let service = Service::with(Redis::shared(), &[("write_token", "")]).await;
    for shown in ["Bearer ", "Bearer", "Bearer  "] {
        let call = Call::new("DELETE", &path(&id(1))).header("authorization", shown);
        assert_problem(&service.send(call).await, Kind::Unauthorized);
    }
    assert_problem(
        &service.read("DELETE", &path(&id(1))).await,
        Kind::Forbidden,
    );
}
