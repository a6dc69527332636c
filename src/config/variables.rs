//! The Spin variables of the cache, as text, and how each kind of text is read.

use std::error::Error;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use strum::{IntoStaticStr, VariantArray};

use super::address::Address;
use super::lifetime::{MAX_TTL_SECONDS, Share, Ttl};

/// A variable with an unusable value: the operator has to correct it. The text never shows the
/// value, which may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The name of the variable.
    pub variable: &'static str,
    /// The rule, after "must be".
    pub rule: &'static str,
}

impl ConfigError {
    pub(super) fn new(variable: Variable, rule: &'static str) -> Self {
        Self {
            variable: variable.into(),
            rule,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "variable {} must be {}", self.variable, self.rule)
    }
}

impl Error for ConfigError {}

/// A variable of the cache. Tokens are not among them: the HTTP service has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Variable {
    RedisAddress,
    RedisUsername,
    RedisPassword,
    RedisDatabase,
    RedisReplicaAddress,
    KeyPrefix,
    CacheProviderTtl,
    RedisTimeoutMs,
    EdgeCacheTtlMs,
    EdgeCacheStore,
    EdgeCacheEntries,
    Stats,
    ServerTiming,
    OriginUrl,
    OriginToken,
    OriginTimeoutMs,
    NegativeTtl,
    RefreshAhead,
    StaleIfError,
    TtlJitter,
}

/// The values of the variables as the host has them. An empty value is not set.
#[derive(Clone, Default)]
pub(crate) struct Variables([String; Variable::VARIANTS.len()]);

impl Variables {
    /// Reads the variables from the host. One that the application does not declare is not set.
    pub(crate) async fn read() -> Self {
        let mut variables = Self::default();
        for (value, variable) in variables.0.iter_mut().zip(Variable::VARIANTS) {
            *value = read(variable.into()).await;
        }
        variables
    }

    /// Sets a variable that is not set.
    pub(crate) fn set_default(&mut self, variable: Variable, value: &str) {
        if self.get(variable).is_empty() {
            self.set(variable, value);
        }
    }

    pub(super) fn set(&mut self, variable: Variable, value: &str) {
        value.clone_into(&mut self.0[variable as usize]);
    }

    pub(super) fn get(&self, variable: Variable) -> &str {
        &self.0[variable as usize]
    }

    /// Reads the value by `parse`. Returns none if the variable is not set.
    pub(super) fn parsed<T>(
        &self,
        variable: Variable,
        rule: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        match self.get(variable) {
            "" => Ok(None),
            text => parse(text)
                .map(Some)
                .ok_or_else(|| ConfigError::new(variable, rule)),
        }
    }

    pub(super) fn address(&self, variable: Variable) -> Result<Option<Address>, ConfigError> {
        let rule = "redis://HOST:PORT or rediss://HOST:PORT, without user, password or path";
        self.parsed(variable, rule, Address::parse)
    }

    pub(super) fn number(
        &self,
        variable: Variable,
        default: u32,
        range: RangeInclusive<u32>,
        rule: &'static str,
    ) -> Result<u32, ConfigError> {
        let parse = |text: &str| text.parse().ok().filter(|number| range.contains(number));
        Ok(self.parsed(variable, rule, parse)?.unwrap_or(default))
    }

    pub(super) fn timeout(
        &self,
        variable: Variable,
        default_ms: u32,
    ) -> Result<Duration, ConfigError> {
        let rule = "a whole number of milliseconds from 1 to 60000";
        let millis = self.number(variable, default_ms, 1..=60_000, rule)?;
        Ok(Duration::from_millis(millis.into()))
    }

    /// Reads a lifetime in seconds. Returns none for 0, which turns a feature off.
    pub(super) fn seconds(
        &self,
        variable: Variable,
        default: u32,
    ) -> Result<Option<Ttl>, ConfigError> {
        let rule = "a whole number of seconds from 0 (off) to 2592000";
        let seconds = self.number(variable, default, 0..=MAX_TTL_SECONDS, rule)?;
        Ok(Ttl::from_seconds(seconds))
    }

    pub(super) fn switch(&self, variable: Variable, default: bool) -> Result<bool, ConfigError> {
        let parse = |text: &str| match text {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        };
        let switch = self.parsed(variable, "on or off", parse)?;
        Ok(switch.unwrap_or(default))
    }

    pub(super) fn share(&self, variable: Variable, default: Share) -> Result<Share, ConfigError> {
        let rule = "a share from 0 to 1, such as 0.8, of at most three places";
        Ok(self
            .parsed(variable, rule, Share::parse)?
            .unwrap_or(default))
    }
}

/// Reads one variable from the host. One that the application does not declare is not set.
pub(crate) async fn read(variable: &str) -> String {
    spin_sdk::variables::get(variable).await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variable_has_its_name() {
        let names: Vec<&str> = Variable::VARIANTS.iter().map(Into::into).collect();
        assert_eq!(names[Variable::RedisAddress as usize], "redis_address");
        assert_eq!(names[Variable::KeyPrefix as usize], "key_prefix");
        assert_eq!(names[Variable::TtlJitter as usize], "ttl_jitter");
    }
}
