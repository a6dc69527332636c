//! The Redis that holds the entries.

use std::time::Duration;

use super::address::Address;
use super::secret::Secret;
use super::variables::{ConfigError, Variable, Variables};

/// Where Redis is and how to use it.
#[derive(Clone, Debug)]
pub(crate) struct RedisConfig {
    /// Takes the writes.
    pub(crate) primary: Address,
    /// Takes reads where it is nearer.
    pub(crate) replica: Option<Address>,
    pub(crate) login: Option<Login>,
    pub(crate) database: u32,
    /// Limits each operation, connecting included.
    pub(crate) timeout: Duration,
}

/// Redis credentials, for the primary and the replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    /// The ACL user. None is the user `default`.
    pub(crate) username: Option<String>,
    pub(crate) password: Secret,
}

impl TryFrom<&Variables> for RedisConfig {
    type Error = ConfigError;

    fn try_from(variables: &Variables) -> Result<Self, ConfigError> {
        let primary = variables.address(Variable::RedisAddress)?;
        let primary = primary.ok_or_else(|| {
            let rule = "set, as redis://HOST:PORT or rediss://HOST:PORT";
            ConfigError::new(Variable::RedisAddress, rule)
        })?;
        let username = match variables.get(Variable::RedisUsername) {
            "" => None,
            username => Some(username.to_owned()),
        };
        let login = match Secret::new(variables.get(Variable::RedisPassword)) {
            Some(password) => Some(Login { username, password }),
            None if username.is_none() => None,
            None => {
                let rule = "set when redis_username is";
                return Err(ConfigError::new(Variable::RedisPassword, rule));
            }
        };
        Ok(Self {
            primary,
            replica: variables.address(Variable::RedisReplicaAddress)?,
            login,
            database: variables.number(
                Variable::RedisDatabase,
                0,
                0..=u32::MAX,
                "a whole number from 0",
            )?,
            timeout: variables.timeout(Variable::RedisTimeoutMs, 250)?,
        })
    }
}
