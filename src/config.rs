//! The configuration: Spin variables, checked once per instance.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::time::Duration;

use crate::origin::Url;

/// The longest lifetime of an entry: 30 days, in seconds.
pub const MAX_TTL_SECONDS: u32 = 2_592_000;

/// Where the next component has a connection, unless `origin_url` says otherwise. The host is for
/// its eyes alone.
#[cfg(feature = "middleware")]
const NEXT_URL: &str = "http://localhost/v1/provider-connections/{id}";

/// A variable whose value cannot be used. The text never shows the value, which may be
/// a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The variable.
    pub variable: Variable,
    /// What it must be.
    pub rule: &'static str,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "variable {} must be {}", self.variable.name(), self.rule)
    }
}

/// The lifetime of an entry: 1 to [`MAX_TTL_SECONDS`] seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl(NonZeroU32);

impl Ttl {
    /// The lifetime where none is configured: 5 minutes.
    pub const DEFAULT: Self = Self(NonZeroU32::MIN.saturating_add(299));

    /// The lifetime of so many seconds, if it is in range.
    pub fn from_seconds(seconds: u32) -> Option<Self> {
        NonZeroU32::new(seconds)
            .filter(|seconds| seconds.get() <= MAX_TTL_SECONDS)
            .map(Self)
    }

    /// Its seconds.
    pub fn seconds(self) -> u32 {
        self.0.get()
    }

    /// The same as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.seconds().into())
    }
}

/// A password: text that is not empty, and that `{:?}` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret, if there is one.
    fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// Its text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Where a Redis listens: `redis://HOST:PORT` or `rediss://HOST:PORT`.
///
/// Spin grants an outbound host in this form only, and what it grants is what the
/// variable says: so nothing more may stand in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    fn parse(text: &str) -> Option<Self> {
        let rest = text
            .strip_prefix("redis://")
            .or_else(|| text.strip_prefix("rediss://"))?;
        let (host, port) = rest.rsplit_once(':')?;
        (is_host(host) && is_port(port)).then(|| Self(text.to_owned()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether the text is a host: a name, an IPv4 address, or an IPv6 address in brackets.
pub fn is_host(text: &str) -> bool {
    match text.strip_prefix('[') {
        Some(v6) => v6
            .strip_suffix(']')
            .is_some_and(|v6| consists_of(v6, b":.")),
        None => consists_of(text, b"-._"),
    }
}

/// Whether the text is a port: 1 to 65535.
pub fn is_port(text: &str) -> bool {
    consists_of(text, b"") && text.parse::<NonZeroU16>().is_ok()
}

/// Whether the text is not empty, and all letters, digits and these.
fn consists_of(text: &str, these: &[u8]) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || these.contains(&b))
}

/// How to introduce oneself to a Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The ACL user; none is Redis' `default`.
    pub username: Option<String>,
    /// The password.
    pub password: Secret,
}

/// What the cache itself needs to know.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// The Redis that takes the writes.
    pub redis: Address,
    /// The nearest replica, for reads.
    pub replica: Option<Address>,
    /// How to introduce oneself to both.
    pub login: Option<Login>,
    /// The number of the database.
    pub database: u32,
    /// How long an operation may take, connecting included.
    pub timeout: Duration,
    /// What stands before `provider:conn:` in a key, without the colon between them.
    pub key_prefix: String,
    /// The lifetime of an entry that is stored without one.
    pub default_ttl: Ttl,
    /// Whether operations are counted.
    pub stats: bool,
    /// The near cache; none if it is off.
    pub near_cache: Option<NearCacheConfig>,
    /// The origin to read through to; none if a miss is the caller's affair.
    pub read_through: Option<ReadThroughConfig>,
}

/// How to read through to the origin.
#[derive(Clone, Debug)]
pub struct ReadThroughConfig {
    /// Where the origin has a connection.
    pub url: Url,
    /// What is shown to the origin.
    pub token: Option<Secret>,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// How long it is remembered that there is no such connection; none if it is not.
    pub negative_ttl: Option<Ttl>,
    /// The share of its lifetime after which an entry is refreshed; none if it never is.
    pub refresh_ahead: Option<Share>,
    /// For how long after its lifetime an entry answers while the origin fails; none if it does
    /// not.
    pub stale_if_error: Option<Ttl>,
    /// By up to which share a lifetime is cut short at random.
    pub ttl_jitter: Share,
}

/// A share of something, from 0 to 1, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u16);

impl Share {
    /// The whole of it.
    pub const WHOLE: Self = Self(1_000);

    /// Reads a decimal number of at most three places, such as `0.8`.
    fn parse(text: &str) -> Option<Self> {
        let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
        let whole = match whole {
            "0" => 0,
            "1" => 1,
            _ => return None,
        };
        if !matches!(places.len(), 1..=3) {
            return None;
        }
        let mut places = places.bytes();
        let thousandths = (0..3).try_fold(whole, |number, _| match places.next() {
            Some(digit @ b'0'..=b'9') => Some(10 * number + u16::from(digit - b'0')),
            Some(_) => None,
            None => Some(10 * number),
        });
        thousandths.map(Self).filter(|share| *share <= Self::WHOLE)
    }

    /// This share of a duration.
    pub fn of(self, whole: Duration) -> Duration {
        whole * u32::from(self.0) / 1_000
    }
}

/// How the near cache is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NearCacheConfig {
    /// How long it answers with what was read.
    pub ttl: Duration,
    /// How many summaries it holds.
    pub entries: NonZeroUsize,
}

/// The variables that an application may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "README.md says what each means")]
pub enum Variable {
    RedisAddress,
    RedisUsername,
    RedisPassword,
    RedisDatabase,
    RedisReplicaAddress,
    KeyPrefix,
    CacheProviderTtl,
    RedisTimeoutMs,
    NearCacheTtlMs,
    NearCacheEntries,
    Stats,
    OriginUrl,
    OriginToken,
    OriginTimeoutMs,
    NegativeTtl,
    RefreshAhead,
    StaleIfError,
    TtlJitter,
    #[cfg(feature = "http")]
    ReadToken,
    #[cfg(feature = "http")]
    WriteToken,
}

/// Every variable's name, in the order of [`Variable`]. Without HTTP there is nobody to show
/// a token, so none is read.
pub const NAMES: &[&str] = &[
    "redis_address",
    "redis_username",
    "redis_password",
    "redis_database",
    "redis_replica_address",
    "key_prefix",
    "cache_provider_ttl",
    "redis_timeout_ms",
    "near_cache_ttl_ms",
    "near_cache_entries",
    "stats",
    "origin_url",
    "origin_token",
    "origin_timeout_ms",
    "negative_ttl",
    "refresh_ahead",
    "stale_if_error",
    "ttl_jitter",
    #[cfg(feature = "http")]
    "read_token",
    #[cfg(feature = "http")]
    "write_token",
];

impl Variable {
    /// Its name.
    pub fn name(self) -> &'static str {
        NAMES[self as usize]
    }
}

/// The values of the variables, as the host has them. An empty one is not set.
#[derive(Clone, Default)]
pub struct Variables([String; NAMES.len()]);

impl Variables {
    /// Reads them from the host. One that the application does not declare is not set.
    pub async fn read() -> Self {
        let mut variables = Self::default();
        for (value, name) in variables.0.iter_mut().zip(NAMES) {
            *value = spin_sdk::variables::get(*name).await.unwrap_or_default();
        }
        variables
    }

    /// The value of a variable.
    pub fn get(&self, variable: Variable) -> &str {
        &self.0[variable as usize]
    }

    /// Sets a variable, for those who do not read them from a host.
    pub fn set(&mut self, variable: Variable, value: &str) {
        value.clone_into(&mut self.0[variable as usize]);
    }

    /// What a variable says; none if it is not set.
    fn parsed<T>(
        &self,
        variable: Variable,
        rule: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        match self.get(variable) {
            "" => Ok(None),
            text => parse(text).map(Some).ok_or(ConfigError { variable, rule }),
        }
    }

    fn address(&self, variable: Variable) -> Result<Option<Address>, ConfigError> {
        let rule = "redis://HOST:PORT or rediss://HOST:PORT, without user, password or path";
        self.parsed(variable, rule, Address::parse)
    }

    fn number(
        &self,
        variable: Variable,
        default: u32,
        range: std::ops::RangeInclusive<u32>,
        rule: &'static str,
    ) -> Result<u32, ConfigError> {
        let parse = |text: &str| text.parse().ok().filter(|number| range.contains(number));
        Ok(self.parsed(variable, rule, parse)?.unwrap_or(default))
    }

    /// How long something may take.
    fn timeout(&self, variable: Variable, default_ms: u32) -> Result<Duration, ConfigError> {
        let rule = "a whole number of milliseconds from 1 to 60000";
        let millis = self.number(variable, default_ms, 1..=60_000, rule)?;
        Ok(Duration::from_millis(millis.into()))
    }

    /// A number of seconds that may be an entry's lifetime; none at 0.
    fn seconds(&self, variable: Variable, default: u32) -> Result<Option<Ttl>, ConfigError> {
        let rule = "a whole number of seconds from 0 (off) to 2592000";
        let seconds = self.number(variable, default, 0..=MAX_TTL_SECONDS, rule)?;
        Ok(Ttl::from_seconds(seconds))
    }

    fn switch(&self, variable: Variable, default: bool) -> Result<bool, ConfigError> {
        let parse = |text: &str| match text {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        };
        let switch = self.parsed(variable, "on or off", parse)?;
        Ok(switch.unwrap_or(default))
    }

    fn share(&self, variable: Variable, default: Share) -> Result<Share, ConfigError> {
        let rule = "a share from 0 to 1, such as 0.8, of at most three places";
        Ok(self
            .parsed(variable, rule, Share::parse)?
            .unwrap_or(default))
    }

    fn read_through(&self) -> Result<Option<ReadThroughConfig>, ConfigError> {
        let token = Secret::new(self.get(Variable::OriginToken));
        if let Some(token) = &token
            && !token.expose().bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(ConfigError {
                variable: Variable::OriginToken,
                rule: "visible ASCII characters",
            });
        }
        let timeout = self.timeout(Variable::OriginTimeoutMs, 2_000)?;
        let url = self.parsed(Variable::OriginUrl, Url::RULE, Url::parse)?;
        #[cfg(feature = "middleware")]
        let url = url.or_else(|| Url::parse(NEXT_URL));
        let refresh_ahead = self.share(Variable::RefreshAhead, Share(800))?;
        let negative_ttl = self.seconds(Variable::NegativeTtl, 5)?;
        let stale_if_error = self.seconds(Variable::StaleIfError, 0)?;
        let ttl_jitter = self.share(Variable::TtlJitter, Share(100))?;
        // All of them are checked, whether there is an origin or not.
        Ok(url.map(|url| ReadThroughConfig {
            url,
            token,
            timeout,
            negative_ttl,
            refresh_ahead: (refresh_ahead < Share::WHOLE).then_some(refresh_ahead),
            stale_if_error,
            ttl_jitter,
        }))
    }
}

impl TryFrom<&Variables> for CacheConfig {
    type Error = ConfigError;

    fn try_from(variables: &Variables) -> Result<Self, ConfigError> {
        let redis = variables
            .address(Variable::RedisAddress)?
            .ok_or(ConfigError {
                variable: Variable::RedisAddress,
                rule: "set, as redis://HOST:PORT or rediss://HOST:PORT",
            })?;
        let username = match variables.get(Variable::RedisUsername) {
            "" => None,
            username => Some(username.to_owned()),
        };
        let login = match Secret::new(variables.get(Variable::RedisPassword)) {
            Some(password) => Some(Login { username, password }),
            None if username.is_none() => None,
            None => {
                return Err(ConfigError {
                    variable: Variable::RedisPassword,
                    rule: "set when redis_username is",
                });
            }
        };
        let timeout = variables.timeout(Variable::RedisTimeoutMs, 250)?;
        let default_ttl = variables.number(
            Variable::CacheProviderTtl,
            Ttl::DEFAULT.seconds(),
            1..=MAX_TTL_SECONDS,
            "a whole number of seconds from 1 to 2592000",
        )?;
        let near_cache_ttl_ms = variables.number(
            Variable::NearCacheTtlMs,
            0,
            0..=3_600_000,
            "a whole number of milliseconds from 0 (off) to 3600000",
        )?;
        let near_cache_entries = variables.number(
            Variable::NearCacheEntries,
            1_000,
            1..=100_000,
            "a whole number from 1 to 100000",
        )?;
        let near_cache_entries = NonZeroUsize::new(near_cache_entries as usize);
        Ok(Self {
            redis,
            replica: variables.address(Variable::RedisReplicaAddress)?,
            login,
            database: variables.number(
                Variable::RedisDatabase,
                0,
                0..=u32::MAX,
                "a whole number from 0",
            )?,
            timeout,
            key_prefix: variables.get(Variable::KeyPrefix).to_owned(),
            default_ttl: Ttl::from_seconds(default_ttl).unwrap_or(Ttl::DEFAULT),
            stats: variables.switch(Variable::Stats, true)?,
            near_cache: near_cache_entries
                .filter(|_| near_cache_ttl_ms > 0)
                .map(|entries| NearCacheConfig {
                    ttl: Duration::from_millis(near_cache_ttl_ms.into()),
                    entries,
                }),
            read_through: variables.read_through()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A valid configuration, but for these.
    fn with(values: &[(Variable, &str)]) -> Variables {
        let mut variables = Variables::default();
        let valid = [(Variable::RedisAddress, "redis://127.0.0.1:6379")];
        for (variable, value) in valid.iter().chain(values) {
            variables.set(*variable, value);
        }
        variables
    }

    #[test]
    fn each_variable_has_its_name() {
        assert_eq!(Variable::RedisAddress.name(), "redis_address");
        assert_eq!(Variable::KeyPrefix.name(), "key_prefix");
        #[cfg(feature = "http")]
        assert_eq!(Variable::WriteToken.name(), "write_token");
    }

    #[test]
    fn defaults_are_those_of_the_design() {
        let config = CacheConfig::try_from(&with(&[])).expect("it is valid");
        assert_eq!(config.redis.as_str(), "redis://127.0.0.1:6379");
        assert_eq!(
            (config.replica, config.login, config.database),
            (None, None, 0)
        );
        assert_eq!(config.timeout, Duration::from_millis(250));
        assert_eq!(config.default_ttl.seconds(), 300);
        assert_eq!(config.key_prefix, "");
        assert_eq!(config.near_cache, None);
        assert!(config.stats);
        assert!(config.read_through.is_none());
    }

    #[test]
    fn reading_through_is_on_when_there_is_an_origin() {
        let url = (Variable::OriginUrl, "http://origin/{id}");
        let read = |values: &[(Variable, &str)]| {
            let config = CacheConfig::try_from(&with(values)).expect("it is valid");
            config.read_through
        };
        let config = read(&[url]).expect("it is on");
        assert_eq!(config.url, Url::parse(url.1).expect("a URL"));
        assert_eq!(config.token, None);
        assert_eq!(config.timeout, Duration::from_millis(2_000));
        assert_eq!(config.negative_ttl.map(Ttl::seconds), Some(5));
        assert_eq!(config.refresh_ahead, Some(Share(800)));
        assert_eq!(config.stale_if_error, None);
        assert_eq!(config.ttl_jitter, Share(100));
        let config = read(&[
            url,
            (Variable::NegativeTtl, "0"),
            (Variable::RefreshAhead, "1"),
            (Variable::StaleIfError, "3600"),
            (Variable::TtlJitter, "0"),
        ]);
        let config = config.expect("it is on");
        assert_eq!((config.negative_ttl, config.refresh_ahead), (None, None));
        assert_eq!(config.stale_if_error.map(Ttl::seconds), Some(3_600));
        assert_eq!(config.ttl_jitter, Share(0));
        assert!(read(&[(Variable::OriginToken, "token")]).is_none());
    }

    #[test]
    fn a_share_is_read_to_the_thousandth() {
        let second = Duration::from_secs(1);
        for (text, millis) in [
            ("0", 0),
            ("0.0", 0),
            ("0.8", 800),
            ("0.25", 250),
            ("0.125", 125),
            ("1", 1_000),
            ("1.000", 1_000),
        ] {
            let share = Share::parse(text).expect(text);
            assert_eq!(share.of(second), Duration::from_millis(millis));
        }
        for text in [
            "", ".5", "0.", "0.1234", "1.1", "2", "-0.5", "0.+1", "0,5", "80%", "00.5",
        ] {
            assert_eq!(Share::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_near_cache_is_on_when_it_has_a_lifetime() {
        let ttl = (Variable::NearCacheTtlMs, "1500");
        let config = CacheConfig::try_from(&with(&[ttl])).expect("it is valid");
        let near_cache = config.near_cache.expect("it is on");
        assert_eq!(near_cache.ttl, Duration::from_millis(1_500));
        assert_eq!(near_cache.entries.get(), 1_000);
        let entries = (Variable::NearCacheEntries, "7");
        let config = CacheConfig::try_from(&with(&[ttl, entries])).expect("it is valid");
        assert_eq!(config.near_cache.expect("it is on").entries.get(), 7);
        let config = CacheConfig::try_from(&with(&[entries])).expect("it is valid");
        assert_eq!(config.near_cache, None);
    }

    #[test]
    fn an_address_is_scheme_host_and_port_alone() {
        for good in [
            "redis://127.0.0.1:6379",
            "redis://[::1]:6379",
            "rediss://cache-1.example.com:6380",
        ] {
            assert!(Address::parse(good).is_some(), "{good}");
        }
        for bad in [
            "127.0.0.1:6379",
            "http://127.0.0.1:6379",
            "redis://127.0.0.1",
            "redis://127.0.0.1:6379/",
            "redis://127.0.0.1:6379/1",
            "redis://user@127.0.0.1:6379",
            "redis://:secret@127.0.0.1:6379",
            "redis://*:6379",
            "redis://:6379",
            "redis://host:0",
            "redis://host:65536",
            "redis://host:+1",
            "redis://host:6379?a",
            "redis://ho st:6379",
            "redis://[::1:6379",
        ] {
            for variable in [Variable::RedisAddress, Variable::RedisReplicaAddress] {
                let error = CacheConfig::try_from(&with(&[(variable, bad)]));
                assert_eq!(error.expect_err(bad).variable, variable);
            }
        }
    }

    #[test]
    fn secrets_are_shown_nowhere() {
        let config = CacheConfig::try_from(&with(&[
            (Variable::RedisUsername, "edge"),
            (Variable::RedisPassword, "p-secret"),
            (Variable::OriginUrl, "http://origin/{id}"),
            (Variable::OriginToken, "t-secret"),
        ]));
        let config = config.expect("it is valid");
        let login = config.login.clone().expect("there is one");
        assert_eq!(login.username.as_deref(), Some("edge"));
        assert_eq!(login.password.expose(), "p-secret");
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn a_wrong_value_names_its_variable_and_not_itself() {
        for (variable, value) in [
            (Variable::RedisAddress, ""),
            (Variable::RedisDatabase, "x"),
            (Variable::RedisDatabase, "-1"),
            (Variable::CacheProviderTtl, "0"),
            (Variable::CacheProviderTtl, "2592001"),
            (Variable::CacheProviderTtl, "5m"),
            (Variable::RedisTimeoutMs, "0"),
            (Variable::RedisTimeoutMs, "60001"),
            (Variable::RedisTimeoutMs, "250ms"),
            (Variable::NearCacheTtlMs, "3600001"),
            (Variable::Stats, "no"),
            (Variable::NearCacheEntries, "0"),
            (Variable::NearCacheEntries, "100001"),
            (Variable::OriginUrl, "http://origin/"),
            (Variable::OriginToken, "to ken"),
            (Variable::OriginToken, "token\r\nx: y"),
            (Variable::OriginTimeoutMs, "0"),
            (Variable::OriginTimeoutMs, "60001"),
            (Variable::NegativeTtl, "-1"),
            (Variable::NegativeTtl, "2592001"),
            (Variable::RefreshAhead, "1.1"),
            (Variable::StaleIfError, "2592001"),
            (Variable::TtlJitter, "10%"),
        ] {
            let error = CacheConfig::try_from(&with(&[(variable, value)]));
            let error = error.expect_err("the value is wrong");
            assert_eq!(error.variable, variable);
            let text = format!("variable {} must be ", variable.name());
            assert!(error.to_string().starts_with(&text), "{error}");
        }
        let error = CacheConfig::try_from(&with(&[(Variable::RedisUsername, "edge")]));
        assert_eq!(
            error.expect_err("no password").variable,
            Variable::RedisPassword
        );
    }
}
