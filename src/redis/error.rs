//! Errors of Redis.

use std::error;
use std::fmt;

use spin_sdk::redis::Error as HostError;

use crate::config::ConfigError;

/// Why Redis did not carry out a command, or did not confirm it. The text goes to callers: it shows
/// no address, no key and no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A variable has an unusable value: the operator has to correct it.
    Misconfigured(ConfigError),
    /// Redis did not answer in time, connecting included: try again later.
    Timeout,
    /// The connection could not be made: try again later.
    Unreachable,
    /// The host does not let this component connect to Redis: the operator has to add the address to
    /// `allowed_outbound_hosts`.
    NotAllowed,
    /// Redis refused the user, the password or the database: the operator has to correct them.
    Refused,
    /// The connection broke before the reply came: try again.
    ConnectionLost,
    /// The key does not hold a string.
    WrongType,
    /// Redis replied with this error code, such as `OOM` or `READONLY`.
    Code(String),
    /// The reply has another form than the command's.
    Unexpected,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Misconfigured(error) => return error.fmt(f),
            Self::Code(code) => return write!(f, "Redis answered the error {code}"),
            Self::Timeout => "Redis did not answer within redis_timeout_ms",
            Self::Unreachable => "Redis cannot be reached",
            Self::NotAllowed => "the host does not allow the address of Redis",
            Self::Refused => "Redis refused the configured user, password or database",
            Self::ConnectionLost => "the connection to Redis was lost",
            Self::WrongType => "the key holds a value of another type",
            Self::Unexpected => "Redis answered what it should not",
        })
    }
}

impl error::Error for Error {}

impl Error {
    /// Converts the error of opening a connection.
    pub(super) fn from_open(error: &HostError) -> Self {
        match error {
            HostError::InvalidAddress => Self::NotAllowed,
            HostError::Other(_) | HostError::TooManyConnections | HostError::TypeError => {
                Self::Unreachable
            }
        }
    }

    /// Converts the error of a command on an open connection.
    ///
    /// Spin passes on the text of the `redis` crate and nothing else. An error reply of Redis is
    /// recognized by its form: `CODE: text`, or the crate's own words for the codes it knows. Any
    /// other text is taken for a broken connection, which costs a new one and is otherwise harmless.
    pub(super) fn from_command(error: &HostError) -> Self {
        let text = match error {
            HostError::Other(text) => text.as_str(),
            HostError::TypeError => return Self::Unexpected,
            HostError::InvalidAddress | HostError::TooManyConnections => {
                return Self::ConnectionLost;
            }
        };
        let known = ["An error was signalled by the server - ", "Server error - "]
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix));
        let code = known
            .unwrap_or(text)
            .split_once(':')
            .map_or("", |(code, _)| code);
        let is_code = !code.is_empty() && code.bytes().all(|b| b.is_ascii_uppercase());
        match code {
            "WRONGTYPE" => Self::WrongType,
            "NOAUTH" | "WRONGPASS" | "NOPERM" => Self::Refused,
            _ if known.is_some() || is_code => Self::Code(code.to_owned()),
            _ => Self::ConnectionLost,
        }
    }

    /// Returns true if the connection must not be used again.
    pub(super) fn is_transport(&self) -> bool {
        matches!(self, Self::ConnectionLost | Self::Timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_answers_is_told_from_a_broken_connection() {
        let cases = [
            (
                "WRONGTYPE: Operation against a key holding the wrong kind of value",
                Error::WrongType,
            ),
            ("NOAUTH: Authentication required.", Error::Refused),
            (
                "NOPERM: this user has no permissions to run it",
                Error::Refused,
            ),
            ("OOM: command not allowed", Error::Code("OOM".to_owned())),
            (
                "An error was signalled by the server - BusyLoadingError: Redis is loading",
                Error::Code("BusyLoadingError".to_owned()),
            ),
            (
                "Connection reset by peer (os error 104)",
                Error::ConnectionLost,
            ),
            ("broken pipe", Error::ConnectionLost),
            (
                "Multiplexed connection driver unexpectedly terminated- IoError",
                Error::ConnectionLost,
            ),
            ("", Error::ConnectionLost),
        ];
        for (text, failure) in cases {
            assert_eq!(
                Error::from_command(&HostError::Other(text.to_owned())),
                failure,
                "{text}"
            );
        }
    }
}
