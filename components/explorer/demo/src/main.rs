//! `make up EXPLORER=1`: fills an empty cache with connections and with the counts of two days, so that
//! the explorer has something to show.
//!
//! The argument `stats` leaves out the connections. As in `make up`, the environment says where Redis is:
//! REDIS_ADDRESS, REDIS_USERNAME, REDIS_PASSWORD, REDIS_DATABASE, KEY_PREFIX.

use std::env;
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result};
use fastrand::Rng;
use provider_connection_cache::connection::Timestamp;
use provider_connection_cache::stats::{Counter, Counts, Hour, Hours, Operation, Tally};
use redis::{Connection, ConnectionInfo, IntoConnectionInfo as _, cmd, pipe};
use serde_json::json;

const CONNECTIONS: u64 = 240;

const MINUTE: i64 = 60;
const DAY: i64 = 86_400;

fn main() -> Result<()> {
    let mut redis = connect()?;
    let prefix = match variable("KEY_PREFIX").as_str() {
        "" => String::new(),
        prefix => format!("{prefix}:"),
    };
    let one: Option<String> = cmd("RANDOMKEY").query(&mut redis)?;
    if one.is_some() {
        eprintln!("there is something in Redis already: no demo data");
        return Ok(());
    }
    // Every run makes the same data.
    let mut rng = Rng::with_seed(6);
    let now = i64::try_from(UNIX_EPOCH.elapsed()?.as_secs())?;
    let mut commands = pipe();
    let connections = match env::args().nth(1).as_deref() {
        Some("stats") => 0,
        _ => CONNECTIONS,
    };
    for number in 0..connections {
        let (id, entry, ttl) = connection(&mut rng, number, now);
        let key = format!("{prefix}provider:conn:{id}");
        commands.set_ex(key, entry, ttl).ignore();
    }
    let mut total = Counts::default();
    let this = Hour::of(instant(now));
    let hours = Hours::new(Hours::MAX).context("48 hours are kept")?;
    for (index, hour) in hours.up_to(this).enumerate() {
        let share = match hour == this {
            true => (now % 3_600) as f64 / 3_600.0,
            false => 1.0,
        };
        let counts = traffic(&mut rng, index, share);
        keep(
            &mut commands,
            &format!("{prefix}provider:conn-stats:{hour}"),
            &counts,
        );
        total.add(&counts);
    }
    let key = format!("{prefix}provider:conn-stats:total");
    keep(&mut commands, &key, &total);
    commands.hset(&key, "since", now - 2 * DAY).ignore();
    commands.query::<()>(&mut redis)?;
    println!("{connections} connections, and two days of lookups");
    Ok(())
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn connect() -> Result<Connection> {
    let address = variable("REDIS_ADDRESS");
    let mut info: ConnectionInfo = address.as_str().into_connection_info()?;
    let text = |name| Some(variable(name)).filter(|text| !text.is_empty());
    info.redis.username = text("REDIS_USERNAME");
    info.redis.password = text("REDIS_PASSWORD");
    if let Some(database) = text("REDIS_DATABASE") {
        info.redis.db = database.parse().context("REDIS_DATABASE is a number")?;
    }
    Ok(redis::Client::open(info)?.get_connection()?)
}

fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_parts(seconds, 0).unwrap_or(Timestamp::MAX)
}

/// Returns a connection as the existing application stores it: its id, its entry, and its lifetime.
fn connection(rng: &mut Rng, number: u64, now: i64) -> (String, String, u64) {
    const PROVIDERS: [(&str, &str); 6] = [
        ("schwab", "Brokerage"),
        ("chase", "Checking"),
        ("fidelity", "Retirement"),
        ("vanguard", "Index funds"),
        ("amex", "Card"),
        ("ally", "Savings"),
    ];
    let id = format!("0192f3a4-5b6c-7d8e-9f01-{number:012x}");
    let provider = rng.usize(..PROVIDERS.len());
    let (slug, alias) = PROVIDERS[provider];
    let status = match rng.u8(..20) {
        0 => "pending",
        1 => "expired",
        2 => "revoked",
        3 => "failed",
        4 => "disconnected",
        _ => "active",
    };
    let credentials = (status != "pending").then(|| {
        json!({
            "encrypted_data": "ZGVtbw==",
            "credential_type": if provider == 3 { "api_key" } else { "oauth2" },
            "expires_at": instant(now + rng.i64(-10..=600) * MINUTE),
        })
    });
    let connected = now - rng.i64(1..300) * DAY;
    let entry = json!({
        "id": id,
        "user_id": format!("0192f3a4-5b6c-7d8e-9f00-{:012x}", 0x3e8 + number / 3),
        "provider_id": format!("0192f3a4-5b6c-7d8e-9f00-{:012x}", 0x7d0 + provider),
        "provider_slug": slug,
        "status": status,
        "alias": (rng.u8(..4) > 0).then_some(alias),
        "credentials": credentials,
        "connected_at": instant(connected),
        "last_sync_at": (status == "active").then(|| instant(now - rng.i64(0..180) * MINUTE)),
        "created_at": instant(connected),
        "updated_at": instant(now - rng.i64(0..300) * MINUTE),
    });
    // Some entries expire while an operator watches.
    let ttl = if number < 10 {
        60 + 30 * number
    } else {
        rng.u64(300..43_200)
    };
    (id, entry.to_string(), ttl)
}

/// Returns the counts of an hour. It is busier by day, and in one of the hours Redis fails.
fn traffic(rng: &mut Rng, index: usize, share: f64) -> Counts {
    let mut counts = Counts::default();
    let by_day = (index as f64 / 24.0 * std::f64::consts::TAU).sin();
    let lookups = (share * (4_000.0 + 2_600.0 * by_day + 400.0 * rng.f64())) as u32;
    let trouble = index == 38;
    let hit_rate = if trouble {
        0.71
    } else {
        0.93 + 0.04 * rng.f64()
    };
    for number in 0..lookups {
        let operation = match number % 20 {
            0 => Operation::Get,
            1 => Operation::Lookup,
            _ => Operation::GetSummary,
        };
        let is_error = trouble && rng.u8(..12) == 0;
        let is_hit = !is_error && rng.f64() < hit_rate;
        let tally = Tally {
            hits: is_hit.into(),
            misses: (!is_hit).into(),
            errors: is_error.into(),
        };
        // Most take half a millisecond; the tail is long.
        let typical = 180.0 + 250.0 * rng.f64() / (0.08 + rng.f64());
        let micros = if is_error {
            250_000.0
        } else {
            typical * if trouble { 4.0 } else { 1.0 }
        };
        counts.record(operation, tally, (micros * 1_000.0) as u64);
        if !is_hit {
            counts.record(Operation::Set, Tally::default(), 600_000);
        }
        if rng.u8(..40) == 0 {
            counts.increment(Counter::CoalescedLookups);
        }
        if is_error && rng.u8(..4) == 0 {
            counts.increment(Counter::Timeouts);
        }
    }
    if trouble {
        (0..7).for_each(|_| counts.increment(Counter::BreakerOpenings));
        (0..5).for_each(|_| counts.increment(Counter::Reconnections));
    }
    counts
}

fn keep(commands: &mut redis::Pipeline, key: &str, counts: &Counts) {
    for (name, count) in counts.fields() {
        commands.hset(key, name, count).ignore();
    }
    commands.expire(key, 2 * DAY).ignore();
}
