//! Who may use the explorer: whoever shows its token.

use provider_connection_cache::http::access::{bearer, challenge};
use provider_connection_cache::http::command::Head;
use provider_connection_cache::http::problem::{Kind, Problem};
use provider_connection_cache::tokens::TokenSet;

/// The variable with the token, or with several.
pub const VARIABLE: &str = "explorer_token";

/// What the variable comes to.
#[derive(Debug)]
pub enum Access {
    /// It is not set: there is no explorer.
    Off,
    /// It cannot be used: nobody is let in.
    Misconfigured,
    /// Those who show one of these are let in.
    Tokens(TokenSet),
}

impl Access {
    /// Reads the variable.
    pub fn parse(text: &str) -> Self {
        match TokenSet::parse(text) {
            None => Self::Misconfigured,
            Some(tokens) if tokens.is_empty() => Self::Off,
            Some(tokens) => Self::Tokens(tokens),
        }
    }

    /// Fails unless the request shows a token.
    pub fn require(&self, head: &impl Head) -> Result<(), Problem> {
        let Self::Tokens(tokens) = self else {
            return Err(Problem::new(Kind::NotConfigured, misconfigured()));
        };
        let Some(authorization) = head.header("authorization") else {
            return Err(challenge(
                Kind::Unauthorized,
                "show the token of the explorer",
                "",
            ));
        };
        if tokens.contains(bearer(&authorization).unwrap_or_default()) {
            return Ok(());
        }
        Err(challenge(
            Kind::Unauthorized,
            "the token is not that of the explorer",
            r#", error="invalid_token""#,
        ))
    }
}

/// What is wrong with the variable, if it is. It does not show its value.
pub fn misconfigured() -> String {
    format!("variable {VARIABLE} must be {}", TokenSet::RULE)
}
