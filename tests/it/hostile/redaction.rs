//! Secrets are shown to those they belong to, and to nobody else. What every test says is
//! searched for them (`support::secrets`); here every way out is tried on purpose.

use provider_connection_cache::connection::entry::{decode_given, decode_stored};
use provider_connection_cache::connection::{Id, ProviderConnection};

use super::*;
use crate::support::cache::{Cache, LookupResult};
use crate::support::client::Call;
use crate::support::secrets::{self, CIPHERTEXT, MARK, PASSWORD};
use crate::support::{spin_component, variables};

/// What is stored, damaged in every place, with the ciphertext still in it.
fn damaged() -> Vec<String> {
    let whole = entry(&id(1)).to_string();
    let fields = entry(&id(1))
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect::<Vec<_>>();
    let without = fields.iter().map(|field| {
        let mut entry = entry(&id(1));
        entry.as_object_mut().unwrap().remove(field);
        entry.to_string()
    });
    let with_secret = fields.iter().map(|field| {
        let mut entry = entry(&id(1));
        entry[field] = CIPHERTEXT.repeat(10).into();
        entry.to_string()
    });
    let cut = (1..whole.len())
        .step_by(7)
        .map(|end| whole[..end].to_owned());
    let other = [
        format!("{whole}x"),
        format!("\"{CIPHERTEXT}\""),
        format!("[\"{CIPHERTEXT}\"]"),
        format!("{{\"{CIPHERTEXT}\":1}}"),
        CIPHERTEXT.to_owned(),
        entry(&id(2)).to_string(),
    ];
    without.chain(with_secret).chain(cut).chain(other).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_error_or_log_line_shows_a_secret() {
    let redis = Redis::start_with_required_password(PASSWORD);
    let login = [("redis_password", PASSWORD)];
    let service = Service::with(&redis, &login).await;
    let mut cache = Cache::with(&redis, &login).await;
    service.hold(&id(1)).await;
    // The mark is there to be found: the one answer with a secret in it.
    let full = format!("{}?view=full", path(&id(1)));
    assert!(service.write("GET", &full).await.text().contains(MARK));

    for value in damaged() {
        // `Client` and `Cache` search what comes back.
        service.put(&path(&id(1)), &value).await;
        service.look_up(&value).await;
        redis.set(&service.key(&id(1)), &value);
        redis.set(&cache.key(&id(1)), &value);
        service.read("GET", &path(&id(1))).await;
        service.write("GET", &full).await;
        service.look_up(format!(r#"{{"ids":["{}"]}}"#, id(1))).await;
        match cache.lookup(&id(1)).await.unwrap() {
            LookupResult::Corrupt(reason) => secrets::assert_none("a reason", &reason),
            LookupResult::Hit(_) => {}
            other => panic!("{other:?}"),
        }
    }
    for token in [READ_TOKEN, WRITE_TOKEN] {
        for place in [
            format!("{BASE}/{token}"),
            format!("{}?{token}", path(&id(1))),
            format!("{}?user_id={token}", path(&id(1))),
            format!("{}?view={token}", path(&id(1))),
            format!("/{token}"),
        ] {
            for method in ["GET", "PUT", "DELETE", "PATCH", token] {
                service
                    .send(Call::new(method, &place).bearer(WRITE_TOKEN))
                    .await;
                service
                    .send(Call::new(method, &place).bearer(&format!("{token}x")))
                    .await;
            }
        }
        let errors = [
            cache.get(token).await.err(),
            cache.delete_many(&[token.to_owned()]).await.err(),
        ];
        assert!(errors.iter().all(Option::is_some));
    }
    assert!(
        service.log().contains("corrupt_entry"),
        "the log is not read"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_configuration_that_is_wrong_shows_a_secret() {
    let redis = Redis::start_with_required_password(PASSWORD);
    let at = redis.address();
    let with_password = at.replace("redis://", &format!("redis://:{PASSWORD}@"));
    for (variable, value) in [
        ("redis_address", with_password.as_str()),
        ("redis_password", "TOP-SECRET-but-wrong"),
        ("redis_database", PASSWORD),
        ("redis_timeout_ms", PASSWORD),
        ("cache_provider_ttl", PASSWORD),
        ("read_token", "TOP-SECRET-short"),
    ] {
        let right = [
            ("redis_password", PASSWORD),
            ("read_token", READ_TOKEN),
            ("write_token", WRITE_TOKEN),
        ];
        let mut variables = variables(&redis, &right);
        variables.insert(variable.to_owned(), value.to_owned());
        let allowed = vec![at.clone()];
        let wasm = spin_component();
        let service = Service::start_allowing(&wasm, allowed.clone(), variables.clone()).await;
        let mut cache = Cache::start(variables, allowed).await;
        let ready = service.read("GET", "/health/ready").await;
        let named = match variable {
            "redis_password" => "does not know redis_username",
            variable => variable,
        };
        assert_eq!(ready.status, 503, "{variable}");
        assert!(ready.text().contains(named), "{variable}: {}", ready.text());
        service.read("GET", &path(&id(1))).await;
        service.put(&path(&id(1)), entry(&id(1)).to_string()).await;
        // Without HTTP, there is nobody to show a token.
        assert_eq!(cache.ping().await.is_err(), variable != "read_token");
        match cache.lookup(&id(1)).await.unwrap() {
            LookupResult::Unavailable(reason) => secrets::assert_none("a reason", &reason),
            LookupResult::Miss => assert_eq!(variable, "read_token"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn debug_shows_no_secret() {
    let stored = entry(&id(1)).to_string();
    let one = Id::parse("id", &id(1)).unwrap();
    let connection = decode_given(stored.as_bytes()).unwrap();
    let shown = |connection: &ProviderConnection| {
        format!(
            "{connection:?} {:#?} {:?}",
            connection.fields(),
            connection
                .clone()
                .summarize(provider_connection_cache::connection::Timestamp::MAX)
        )
    };
    secrets::assert_none("a connection", &shown(&connection));
    for value in damaged() {
        for read in [
            decode_given(value.as_bytes()),
            decode_stored(one, value.as_bytes()),
        ] {
            match read {
                Ok(connection) => secrets::assert_none("a connection", &shown(&connection)),
                Err(corrupt) => {
                    secrets::assert_none("an error", &format!("{corrupt:?} {corrupt}"));
                }
            }
        }
    }
}
