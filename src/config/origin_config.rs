//! The origin, and how long its answers are kept.

use std::time::Duration;

use super::lifetime::{Share, Ttl};
use super::origin_url::OriginUrl;
use super::secret::Secret;
use super::variables::{ConfigError, Variable, Variables};

/// Where the origin is and how to read through to it.
#[derive(Clone, Debug)]
pub(crate) struct OriginConfig {
    pub(crate) url: OriginUrl,
    /// A bearer token for the origin.
    pub(crate) token: Option<Secret>,
    /// Limits each request, connecting and the whole body included.
    pub(crate) timeout: Duration,
    pub(crate) policy: OriginPolicy,
}

/// How long the answers of the origin are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OriginPolicy {
    /// How long a missing connection is remembered. None never remembers it.
    pub(crate) negative_ttl: Option<Ttl>,
    /// The share of its lifetime after which an entry is refreshed. None never refreshes it.
    pub(crate) refresh_ahead: Option<Share>,
    /// How long beyond its lifetime an entry answers while the origin fails. None does not keep it.
    pub(crate) stale_if_error: Option<Ttl>,
    /// Lifetimes are cut by a random share up to this one.
    pub(crate) ttl_jitter: Share,
}

impl OriginConfig {
    /// Returns none if no origin is configured. Checks all variables either way.
    pub(super) fn read(variables: &Variables) -> Result<Option<Self>, ConfigError> {
        let token = Secret::new(variables.get(Variable::OriginToken));
        if let Some(token) = &token
            && !token.expose().bytes().all(|byte| byte.is_ascii_graphic())
        {
            let rule = "visible ASCII characters";
            return Err(ConfigError::new(Variable::OriginToken, rule));
        }
        let timeout = variables.timeout(Variable::OriginTimeoutMs, 2_000)?;
        let url = variables.parsed(Variable::OriginUrl, OriginUrl::RULE, OriginUrl::parse)?;
        let refresh_ahead = variables.share(Variable::RefreshAhead, Share::thousandths(800))?;
        let policy = OriginPolicy {
            negative_ttl: variables.seconds(Variable::NegativeTtl, 5)?,
            refresh_ahead: (refresh_ahead < Share::WHOLE).then_some(refresh_ahead),
            stale_if_error: variables.seconds(Variable::StaleIfError, 0)?,
            ttl_jitter: variables.share(Variable::TtlJitter, Share::thousandths(100))?,
        };
        Ok(url.map(|url| Self {
            url,
            token,
            timeout,
            policy,
        }))
    }
}
