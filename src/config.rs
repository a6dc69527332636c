//! The configuration: Spin variables, checked once in an instance.

mod address;
mod lifetime;
mod origin_config;
mod origin_url;
mod redis_config;
mod secret;
mod variables;

use std::num::NonZeroU32;
use std::time::Duration;

pub use self::address::Address;
pub(crate) use self::lifetime::Share;
pub use self::lifetime::{MAX_TTL_SECONDS, Ttl};
pub(crate) use self::origin_config::{OriginConfig, OriginPolicy};
pub(crate) use self::redis_config::{Login, RedisConfig};
pub use self::variables::ConfigError;
pub(crate) use self::variables::{Variable, Variables, read as read_variable};

/// The configuration of the cache.
#[derive(Clone, Debug)]
pub(crate) struct CacheConfig {
    pub(crate) redis: RedisConfig,
    /// Stands before `provider:conn:` in each key, and a colon between them.
    pub(crate) key_prefix: String,
    /// The lifetime of an entry that is stored without one.
    pub(crate) default_ttl: Ttl,
    /// Whether operations are counted.
    pub(crate) stats: bool,
    /// Whether lookups over HTTP say what they spent their time on.
    pub(crate) server_timing: bool,
    /// None turns the edge cache off.
    pub(crate) edge_cache: Option<EdgeCacheConfig>,
    /// None leaves a miss to the caller.
    pub(crate) origin: Option<OriginConfig>,
}

/// The bounds of the edge cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EdgeCacheConfig {
    /// How much older than what Redis holds an answer may be.
    pub(crate) ttl: Duration,
    /// The label of the key-value store.
    pub(crate) store: String,
    /// How many answers are kept.
    pub(crate) entries: NonZeroU32,
}

impl EdgeCacheConfig {
    fn read(variables: &Variables) -> Result<Option<Self>, ConfigError> {
        let ttl_ms = variables.number(
            Variable::EdgeCacheTtlMs,
            0,
            0..=3_600_000,
            "a whole number of milliseconds from 0 (off) to 3600000",
        )?;
        let entries = variables.number(
            Variable::EdgeCacheEntries,
            100_000,
            1..=1_000_000,
            "a whole number from 1 to 1000000",
        )?;
        let store = match variables.get(Variable::EdgeCacheStore) {
            "" => "default",
            label => label,
        };
        let entries = NonZeroU32::new(entries).filter(|_| ttl_ms > 0);
        Ok(entries.map(|entries| Self {
            ttl: Duration::from_millis(ttl_ms.into()),
            store: store.to_owned(),
            entries,
        }))
    }
}

impl TryFrom<&Variables> for CacheConfig {
    type Error = ConfigError;

    fn try_from(variables: &Variables) -> Result<Self, ConfigError> {
        let redis = RedisConfig::try_from(variables)?;
        let default_ttl = variables.number(
            Variable::CacheProviderTtl,
            Ttl::DEFAULT.seconds(),
            1..=MAX_TTL_SECONDS,
            "a whole number of seconds from 1 to 2592000",
        )?;
        Ok(Self {
            redis,
            key_prefix: variables.get(Variable::KeyPrefix).to_owned(),
            default_ttl: Ttl::from_seconds(default_ttl).unwrap_or(Ttl::DEFAULT),
            stats: variables.switch(Variable::Stats, true)?,
            server_timing: variables.switch(Variable::ServerTiming, false)?,
            edge_cache: EdgeCacheConfig::read(variables)?,
            origin: OriginConfig::read(variables)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::origin_url::OriginUrl;
    use super::*;

    fn name(variable: Variable) -> &'static str {
        variable.into()
    }

    /// Returns a valid configuration, but for these values.
    fn with(values: &[(Variable, &str)]) -> Variables {
        let mut variables = Variables::default();
        let valid = [(Variable::RedisAddress, "redis://127.0.0.1:6379")];
        for (variable, value) in valid.iter().chain(values) {
            variables.set(*variable, value);
        }
        variables
    }

    #[test]
    fn the_defaults_are_as_documented() {
        let config = CacheConfig::try_from(&with(&[])).expect("it is valid");
        let redis = config.redis;
        assert_eq!(redis.primary.as_str(), "redis://127.0.0.1:6379");
        assert_eq!(
            (redis.replica, redis.login, redis.database),
            (None, None, 0)
        );
        assert_eq!(redis.timeout, Duration::from_millis(250));
        assert_eq!(config.default_ttl.seconds(), 300);
        assert_eq!(config.key_prefix, "");
        assert_eq!(config.edge_cache, None);
        assert!(config.stats);
        assert!(config.origin.is_none());
    }

    #[test]
    fn reading_through_is_on_when_there_is_an_origin() {
        let url = (Variable::OriginUrl, "http://origin/{id}");
        let read = |values: &[(Variable, &str)]| {
            let config = CacheConfig::try_from(&with(values)).expect("it is valid");
            config.origin
        };
        let config = read(&[url]).expect("it is on");
        assert_eq!(config.url, OriginUrl::parse(url.1).expect("a URL"));
        assert_eq!(config.token, None);
        assert_eq!(config.timeout, Duration::from_millis(2_000));
        assert_eq!(config.policy.negative_ttl.map(Ttl::seconds), Some(5));
        assert_eq!(config.policy.refresh_ahead, Some(Share::thousandths(800)));
        assert_eq!(config.policy.stale_if_error, None);
        assert_eq!(config.policy.ttl_jitter, Share::thousandths(100));
        let config = read(&[
            url,
            (Variable::NegativeTtl, "0"),
            (Variable::RefreshAhead, "1"),
            (Variable::StaleIfError, "3600"),
            (Variable::TtlJitter, "0"),
        ]);
        let config = config.expect("it is on");
        assert_eq!(
            (config.policy.negative_ttl, config.policy.refresh_ahead),
            (None, None)
        );
        assert_eq!(config.policy.stale_if_error.map(Ttl::seconds), Some(3_600));
        assert_eq!(config.policy.ttl_jitter, Share::thousandths(0));
        assert!(read(&[(Variable::OriginToken, "token")]).is_none());
    }

    #[test]
    fn the_edge_cache_is_on_when_it_has_a_lifetime() {
        let read = |values: &[(Variable, &str)]| {
            let config = CacheConfig::try_from(&with(values)).expect("it is valid");
            config.edge_cache
        };
        let ttl = (Variable::EdgeCacheTtlMs, "1500");
        let config = read(&[ttl]).expect("it is on");
        assert_eq!(config.ttl, Duration::from_millis(1_500));
        assert_eq!(
            (config.store.as_str(), config.entries.get()),
            ("default", 100_000)
        );
        let (store, entries) = (Variable::EdgeCacheStore, Variable::EdgeCacheEntries);
        let config = read(&[ttl, (store, "edge"), (entries, "7")]).expect("it is on");
        assert_eq!((config.store.as_str(), config.entries.get()), ("edge", 7));
        assert_eq!(read(&[(store, "edge"), (entries, "7")]), None);
    }

    #[test]
    fn a_wrong_address_names_its_variable() {
        for variable in [Variable::RedisAddress, Variable::RedisReplicaAddress] {
            let error = CacheConfig::try_from(&with(&[(variable, "redis://host:6379/1")]));
            assert_eq!(error.expect_err("it has a path").variable, name(variable));
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
        let login = config.redis.login.clone().expect("there is one");
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
            (Variable::EdgeCacheTtlMs, "3600001"),
            (Variable::EdgeCacheEntries, "0"),
            (Variable::EdgeCacheEntries, "1000001"),
            (Variable::Stats, "no"),
            (Variable::ServerTiming, "yes"),
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
            assert_eq!(error.variable, name(variable));
            let text = format!("variable {} must be ", name(variable));
            assert!(error.to_string().starts_with(&text), "{error}");
        }
        let error = CacheConfig::try_from(&with(&[(Variable::RedisUsername, "edge")]));
        assert_eq!(error.expect_err("no password").variable, "redis_password");
    }
}
