//! The command line: the options of `spin up` that mean something here.

use std::{
    collections::BTreeMap,
    fmt::Display,
    hash::{BuildHasher as _, RandomState},
    net::SocketAddr,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::Parser;
use provider_connection_cache_host::{InstanceReuse, StateDir};

/// Serves a Spin application of HTTP components, as `spin up` does.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Args {
    /// The application's manifest.
    #[arg(short, long, default_value = "spin.toml", value_name = "MANIFEST")]
    pub(crate) from: PathBuf,

    /// IP address and port to listen on.
    #[arg(
        long,
        env = "SPIN_HTTP_LISTEN_ADDR",
        default_value = "127.0.0.1:3000",
        value_name = "ADDRESS"
    )]
    pub(crate) listen: SocketAddr,

    /// Sets an application variable; may be given many times. Variables are also taken from the
    /// environment, as SPIN_VARIABLE_NAME.
    // Parsed later: an error here would show the text, which may be a secret.
    #[arg(long, value_name = "NAME=VALUE")]
    variable: Vec<String>,

    /// Where key-value stores are, in Spin's format.
    #[arg(long, env = "RUNTIME_CONFIG_FILE", value_name = "FILE")]
    pub(crate) runtime_config_file: Option<PathBuf>,

    /// Where the key-value store `default` is kept: `.spin` beside the manifest if not given, in
    /// memory if empty.
    #[arg(long, value_name = "DIRECTORY")]
    state_dir: Option<String>,

    /// The most memory that one instance may have, in bytes.
    #[arg(long, env = "SPIN_MAX_INSTANCE_MEMORY", value_name = "BYTES")]
    pub(crate) max_instance_memory: Option<usize>,

    /// Requests after which an instance is dropped: a number, or a range such as 64..128, from
    /// which each instance draws.
    #[arg(long, default_value = "128", value_name = "COUNT")]
    max_instance_reuse_count: Setting<usize>,

    /// Requests an instance is given at a time: a number or a range.
    #[arg(long, default_value = "16", value_name = "COUNT")]
    max_instance_concurrent_reuse_count: Setting<usize>,

    /// Time after which an idle instance is dropped, in seconds or with s, ms, us or ns: a
    /// duration or a range.
    #[arg(long, default_value = "1s", value_name = "DURATION")]
    idle_instance_timeout: Setting<Time>,

    /// Time after which a request fails; by default never: a duration or a range.
    #[arg(long, value_name = "DURATION")]
    request_timeout: Option<Setting<Time>>,
}

impl Args {
    /// The values given with `--variable`.
    pub(crate) fn variables(&self) -> Result<BTreeMap<String, String>> {
        let parse = |argument: &String| {
            let (name, value) = argument
                .split_once('=')
                .context("--variable must be given as NAME=VALUE")?;
            Ok((name.to_owned(), value.to_owned()))
        };
        self.variable.iter().map(parse).collect()
    }

    /// What `--state-dir` says.
    pub(crate) fn state_dir(&self) -> StateDir {
        self.state_dir
            .clone()
            .map_or_else(StateDir::default, StateDir::from)
    }

    /// Draws the settings of one instance.
    pub(crate) fn reuse(&self) -> InstanceReuse {
        InstanceReuse {
            max_instance_reuse_count: self.max_instance_reuse_count.draw(),
            max_instance_concurrent_reuse_count: self.max_instance_concurrent_reuse_count.draw(),
            idle_instance_timeout: self.idle_instance_timeout.draw().0,
            request_timeout: self.request_timeout.map(|timeout| timeout.draw().0),
        }
    }
}

/// A value, or a range of values, of which the end is not one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Setting<T> {
    Value(T),
    Range(T, T),
}

impl<T: Number> Setting<T> {
    fn draw(self) -> T {
        match self {
            Self::Value(value) => value,
            Self::Range(start, end) => {
                let (start, end) = (start.to_number(), end.to_number());
                // Random enough to keep instances from ending all at once.
                let random: u128 = RandomState::new().hash_one(()).into();
                T::from_number(start + random % (end - start))
            }
        }
    }
}

impl<T: FromStr<Err: Display> + Number> FromStr for Setting<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = |text: &str| text.parse::<T>().map_err(|error| error.to_string());
        match text.split_once("..") {
            None => Ok(Self::Value(parse(text)?)),
            Some((start, end)) => {
                let (start, end) = (parse(start)?, parse(end)?);
                if start.to_number() >= end.to_number() {
                    return Err("the start of a range must be less than its end".to_owned());
                }
                Ok(Self::Range(start, end))
            }
        }
    }
}

/// What can be drawn from a range.
trait Number: Copy {
    fn to_number(self) -> u128;
    fn from_number(number: u128) -> Self;
}

impl Number for usize {
    fn to_number(self) -> u128 {
        self as u128
    }

    fn from_number(number: u128) -> Self {
        number as Self
    }
}

/// A duration as the command line has it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Time(Duration);

impl Number for Time {
    fn to_number(self) -> u128 {
        self.0.as_nanos()
    }

    fn from_number(number: u128) -> Self {
        Self(Duration::from_nanos_u128(number))
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let nanoseconds = [
            ("ms", 1_000_000),
            ("us", 1_000),
            ("μs", 1_000),
            ("ns", 1),
            ("s", 1_000_000_000),
            ("", 1_000_000_000),
        ];
        nanoseconds
            .into_iter()
            .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))
            .and_then(|(number, factor)| number.parse::<u64>().ok()?.checked_mul(factor))
            .map(|nanoseconds| Self(Duration::from_nanos(nanoseconds)))
            .ok_or_else(|| "expected a whole number with s, ms, us, μs or ns, such as 500ms".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_by_spin() {
        for (text, expected) in [
            ("2", Some(Duration::from_secs(2))),
            ("2s", Some(Duration::from_secs(2))),
            ("500ms", Some(Duration::from_millis(500))),
            ("5us", Some(Duration::from_micros(5))),
            ("5μs", Some(Duration::from_micros(5))),
            ("5ns", Some(Duration::from_nanos(5))),
            ("", None),
            ("1.5s", None),
            ("2m", None),
            ("-1s", None),
        ] {
            assert_eq!(text.parse().ok(), expected.map(Time), "{text:?}");
        }
    }

    #[test]
    fn settings_are_values_or_ranges() {
        assert_eq!("7".parse(), Ok(Setting::Value(7_usize)));
        assert_eq!("7..9".parse(), Ok(Setting::Range(7_usize, 9)));
        for text in ["9..7", "7..7", "7..", "..7", "a"] {
            assert!(text.parse::<Setting<usize>>().is_err(), "{text}");
        }
        let range = Setting::Range(7_usize, 9);
        assert!((0..100).all(|_| (7..9).contains(&range.draw())));
    }

    #[test]
    fn a_state_directory_may_be_none() -> Result<()> {
        for (arguments, expected) in [
            (&["host"][..], StateDir::Default),
            (&["host", "--state-dir", ""], StateDir::Unset),
            (
                &["host", "--state-dir", "a"],
                StateDir::Provided("a".into()),
            ),
        ] {
            assert_eq!(Args::try_parse_from(arguments)?.state_dir(), expected);
        }
        Ok(())
    }

    #[test]
    fn variables_are_split_and_not_shown_when_they_cannot_be() -> Result<()> {
        let parse = |variable: &str| Args::try_parse_from(["host", "--variable", variable]);
        assert_eq!(parse("a=b=c")?.variables()?["a"], "b=c");
        let error = parse("s3cret")?
            .variables()
            .map_err(|error| format!("{error:?}"));
        assert!(error.is_err_and(|error| !error.contains("s3cret")));
        Ok(())
    }
}
