//! The connections of a new database. Each is made of its number alone, so that whoever knows
//! the number knows what to expect.

use crate::connection::{Connection, Credentials, timestamp};

const PROVIDERS: [(&str, &str); 7] = [
    ("schwab", "oauth2"),
    ("chase", "oauth2"),
    ("fidelity", "link_token"),
    ("vanguard", "api_key"),
    ("amex", "certificate"),
    ("ally", "file_import"),
    ("manual", "custom"),
];
const ALIASES: [Option<&str>; 5] = [
    Some("My IRA"),
    None,
    Some("Compte épargne"),
    Some("退休金 401(k)"),
    Some("Holiday 🏖 savings"),
];
const USERS: u32 = 1_000;
const SECOND: i64 = 1_000_000;
/// 2025-01-01T00:00:00Z, in microseconds.
const START: i64 = 1_735_689_600 * SECOND;
const YEAR: i64 = 365 * 86_400 * SECOND;

/// The `n`th connection, from 1.
pub(crate) fn connection(n: u32) -> Connection {
    let provider = pick(n, PROVIDERS.len());
    let (slug, credential_type) = PROVIDERS[provider];
    // Not of `n` alone: all connections of a user would have the same status.
    let status = match (n + n / USERS) % 20 {
        0 => "pending",
        1 => "expired",
        2 => "revoked",
        3 => "failed",
        4 => "disconnected",
        _ => "active",
    };
    let connected = status != "pending";
    let number = i64::from(n);
    // Some in whole seconds, which are written in another way.
    let fraction = if n.is_multiple_of(10) {
        0
    } else {
        number * 7_919 % SECOND
    };
    let created = START + number % 500_000 * 61 * SECOND + fraction;
    let last_sync = (connected && !n.is_multiple_of(4)).then_some(created + YEAR / 12);
    Connection {
        id: id("9f00", n),
        user_id: id("8000", n % USERS + 1),
        provider_id: id("a000", provider as u32 + 1),
        provider_slug: slug.to_owned(),
        status: status.to_owned(),
        alias: ALIASES[pick(n, ALIASES.len())].map(str::to_owned),
        credentials: (status == "active" || connected && n.is_multiple_of(2)).then(|| {
            Credentials {
                encrypted_data: ciphertext(n),
                credential_type: credential_type.to_owned(),
                // Never, long ago, or not for a long time.
                expires_at: match n % 3 {
                    0 => None,
                    1 => Some(timestamp(created + 3_600 * SECOND)),
                    _ => Some(timestamp(created + 20 * YEAR)),
                },
            }
        }),
        connected_at: connected.then(|| timestamp(created + 42 * SECOND)),
        last_sync_at: last_sync.map(timestamp),
        created_at: timestamp(created),
        updated_at: timestamp(last_sync.unwrap_or(created)),
    }
}

fn id(kind: &str, n: u32) -> String {
    format!("0192f3a4-5b6c-7d8e-{kind}-{n:012x}")
}

fn pick(n: u32, choices: usize) -> usize {
    n as usize % choices
}

/// Looks like what Fernet makes, and is no secret.
fn ciphertext(n: u32) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state = u64::from(n);
    let noise = (0..94).map(|_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(ALPHABET[(state >> 58) as usize])
    });
    "gAAAAA".chars().chain(noise).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;
    use serde_json::Value;

    use super::connection;

    fn is_uuid(value: &Value) -> bool {
        let text = value.as_str().unwrap();
        text.len() == 36
            && text.char_indices().all(|(at, c)| match at {
                8 | 13 | 18 | 23 => c == '-',
                _ => matches!(c, '0'..='9' | 'a'..='f'),
            })
    }

    fn instant(value: &Value) -> Timestamp {
        let text = value.as_str().unwrap();
        // Whole seconds, or microseconds.
        assert!(matches!(text.len(), 25 | 32), "{text}");
        assert!(text.ends_with("+00:00"), "{text}");
        text.parse().unwrap()
    }

    #[test]
    fn every_connection_obeys_the_rules_of_an_entry() {
        let mut seen = [(); 6].map(|()| BTreeSet::new());
        let [ids, users, slugs, statuses, aliases, types] = &mut seen;
        let (mut past, mut future, mut whole) = (0, 0, 0);
        for n in 1..=10_000 {
            let text = serde_json::to_string(&connection(n)).unwrap();
            let entry: Value = serde_json::from_str(&text).unwrap();
            let field = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();

            assert!(text.starts_with(&format!(
                r#"{{"id":"0192f3a4-5b6c-7d8e-9f00-{n:012x}","user_id":""#
            )));
            assert_eq!(entry.as_object().unwrap().len(), 11);
            assert!(
                ["id", "user_id", "provider_id"]
                    .iter()
                    .all(|id| is_uuid(&entry[id]))
            );
            ids.insert(field("id"));
            users.insert(field("user_id"));
            slugs.insert(field("provider_slug"));
            statuses.insert(field("status"));
            aliases.insert(field("alias"));
            assert!((1..=50).contains(&field("provider_slug").chars().count()));
            assert!(field("alias").chars().count() <= 100);

            let created = instant(&entry["created_at"]);
            assert!(created <= instant(&entry["updated_at"]));
            whole += u32::from(created.subsec_nanosecond() == 0);
            for optional in ["connected_at", "last_sync_at"] {
                assert!(entry[optional].is_null() || created < instant(&entry[optional]));
            }
            let credentials = &entry["credentials"];
            if credentials.is_null() {
                assert_ne!(entry["status"], "active");
                continue;
            }
            assert_eq!(credentials.as_object().unwrap().len(), 3);
            assert_eq!(credentials["encrypted_data"].as_str().unwrap().len(), 100);
            types.insert(credentials["credential_type"].as_str().unwrap().to_owned());
            if !credentials["expires_at"].is_null() {
                let expired = instant(&credentials["expires_at"]) < Timestamp::now();
                *(if expired { &mut past } else { &mut future }) += 1;
            }
        }
        let all = |names: &str| names.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(ids.len(), 10_000);
        assert_eq!(users.len(), 1_000);
        assert!(slugs.len() > 4 && aliases.len() > 4);
        assert_eq!(
            *statuses,
            all("active disconnected expired failed pending revoked")
        );
        assert_eq!(
            *types,
            all("api_key certificate custom file_import link_token oauth2")
        );
        assert!(past > 1_000 && future > 1_000 && whole > 500);
    }
}
