//! What can go wrong with an origin.

use std::{str::FromStr, time::Duration};

use anyhow::{Context as _, Error, ensure};

/// How lookups of connections go wrong. Changes, `/health` and `/requests` never do, and the token
/// is asked for as always. With a fault that needs a connection, none is still 404.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// They do not: `none`.
    #[default]
    None,
    /// The answer comes late: `slow=500ms`, `slow=2s`.
    Slow(Duration),
    /// This status, without a connection: `status=503`.
    Status(u16),
    /// 200 with a body that is not JSON: `garbage`.
    Garbage,
    /// 200 with another connection: `other-id`.
    OtherId,
    /// 200 with the connection, but in more than 64 KiB: `large`.
    Large,
    /// 302 to the address of another connection: `redirect`.
    Redirect,
    /// No answer, on a connection that stays open: `hang`.
    Hang,
    /// 200 with the length of the whole body, half of it, and no more: `cut`.
    Cut,
}

impl FromStr for Fault {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(time) = text.strip_prefix("slow=") {
            return Ok(Self::Slow(duration(time)?));
        }
        if let Some(status) = text.strip_prefix("status=") {
            let status = status.parse().context("a status is a number")?;
            ensure!((200..600).contains(&status), "a status is from 200 to 599");
            return Ok(Self::Status(status));
        }
        Ok(match text {
            "none" => Self::None,
            "garbage" => Self::Garbage,
            "other-id" => Self::OtherId,
            "large" => Self::Large,
            "redirect" => Self::Redirect,
            "hang" => Self::Hang,
            "cut" => Self::Cut,
            _ => anyhow::bail!(
                "it is one of none, slow=TIME, status=CODE, garbage, other-id, large, redirect, hang, cut"
            ),
        })
    }
}

fn duration(text: &str) -> Result<Duration, Error> {
    let (number, of): (_, fn(u64) -> Duration) = match text.strip_suffix("ms") {
        Some(number) => (number, Duration::from_millis),
        None => (text.strip_suffix('s').unwrap_or(""), Duration::from_secs),
    };
    Ok(of(number.parse().context("a time is like 500ms or 2s")?))
}

#[cfg(test)]
mod tests {
    use super::{Duration, Fault};

    #[test]
    fn faults_are_read() {
        for (text, fault) in [
            ("none", Fault::None),
            ("slow=500ms", Fault::Slow(Duration::from_millis(500))),
            ("slow=2s", Fault::Slow(Duration::from_secs(2))),
            ("status=503", Fault::Status(503)),
            ("garbage", Fault::Garbage),
            ("other-id", Fault::OtherId),
            ("large", Fault::Large),
            ("redirect", Fault::Redirect),
            ("hang", Fault::Hang),
            ("cut", Fault::Cut),
        ] {
            assert_eq!(text.parse::<Fault>().unwrap(), fault);
        }
        for text in [
            "",
            "slow",
            "slow=",
            "slow=2",
            "slow=-1s",
            "status=",
            "status=99",
            "status=600",
        ] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }
}
