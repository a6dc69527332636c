//! The gate of the explorer: lets in callers with its token.

use provider_connection_cache::config::ConfigError;
use provider_connection_cache::http::access::{bearer, challenge};
use provider_connection_cache::http::problem::{Kind, Problem};
use provider_connection_cache::http::request::Head;
use provider_connection_cache::http::tokens::TokenSet;

/// The variable with one or several tokens.
pub const VARIABLE: &str = "explorer_token";

/// Lets callers in by the tokens of [`VARIABLE`]. An unusable value lets nobody in.
#[derive(Debug)]
pub struct Gate(Result<TokenSet, ConfigError>);

impl Gate {
    /// Parses the value of the variable.
    pub fn parse(text: &str) -> Result<TokenSet, ConfigError> {
        TokenSet::parse(text).ok_or(ConfigError {
            variable: VARIABLE,
            rule: TokenSet::RULE,
        })
    }

    /// Makes the gate from the parsed variable.
    pub fn new(tokens: Result<TokenSet, ConfigError>) -> Self {
        Self(tokens)
    }

    /// Returns true if the variable is not set, so that there is no explorer.
    pub fn is_off(&self) -> bool {
        self.0.as_ref().is_ok_and(TokenSet::is_empty)
    }

    /// Fails unless the request shows a token.
    pub fn require(&self, head: &impl Head) -> Result<(), Problem> {
        let tokens = match &self.0 {
            Ok(tokens) => tokens,
            Err(error) => return Err(Problem::new(Kind::NotConfigured, error.to_string())),
        };
        let authorization = head.header("authorization");
        let Some(token) = authorization.as_deref().and_then(bearer) else {
            return Err(challenge(
                Kind::Unauthorized,
                "show the token of the explorer",
                "",
            ));
        };
        if tokens.contains(token) {
            return Ok(());
        }
        Err(challenge(
            Kind::Unauthorized,
            "the token is not that of the explorer",
            r#", error="invalid_token""#,
        ))
    }
}
