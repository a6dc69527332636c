//! Errors of Redis.

use std::error;
use std::fmt;

use spin_sdk::redis::Error as HostError;

use super::refusal::{Refusal, mentions};
use crate::config::{Address, ConfigError};

/// Why Redis did not carry out a command, or did not confirm it. The text goes to callers: it shows
/// no address, no key and no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A variable has an unusable value: the operator has to correct it.
    Misconfigured(ConfigError),
    /// Redis did not answer in time, connecting included: try again later.
    Timeout,
    /// No TLS connection was made in time: try again later. If it never is, Redis has no TLS.
    TlsTimeout,
    /// The connection could not be made: try again later.
    Unreachable,
    /// The server ended the connection before Redis answered on it. It may want TLS.
    Closed,
    /// Redis shows no certificate that can be trusted: the operator has to correct it.
    Tls,
    /// The host does not let this component connect to Redis: the operator has to add the address to
    /// `allowed_outbound_hosts`.
    NotAllowed,
    /// Redis refused the command.
    Refused(Refusal),
    /// The connection broke before the reply came: try again.
    ConnectionLost,
    /// The key does not hold a string.
    WrongType,
    /// The reply has another form than the command's.
    Unexpected,
    /// Redis carried the write out, but the store of this host did not take note of it: try again, or
    /// know that lookups here may be older for `edge_cache_ttl_ms`.
    StillInEdgeCache,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Misconfigured(error) => return error.fmt(f),
            Self::Refused(refusal) => return refusal.fmt(f),
            Self::Timeout => "Redis did not answer within redis_timeout_ms",
            Self::TlsTimeout => {
                "no TLS connection to Redis was made within redis_timeout_ms: if Redis has no TLS there, \
                 set redis_address to redis://"
            }
            Self::Unreachable => "Redis cannot be reached",
            Self::Closed => {
                "Redis closed the connection: if it wants TLS there, set redis_address to rediss://"
            }
            Self::Tls => {
                "Redis shows no certificate for redis_address that the host trusts"
            }
            Self::NotAllowed => "the host does not allow the address of Redis",
            Self::ConnectionLost => "the connection to Redis was lost",
            Self::WrongType => "the key holds a value of another type",
            Self::Unexpected => "Redis answered what it should not",
            Self::StillInEdgeCache => {
                "it is written, but this host may answer the old connection for edge_cache_ttl_ms"
            }
        })
    }
}

impl error::Error for Error {}

impl Error {
    /// Converts the error of opening a connection to this address. Spin passes on the text of the
    /// operating system or of its TLS library.
    pub(super) fn from_open(error: &HostError, address: &Address) -> Self {
        let text = match error {
            HostError::InvalidAddress => return Self::NotAllowed,
            HostError::Other(text) => text,
            HostError::TooManyConnections | HostError::TypeError => return Self::Unreachable,
        };
        let (signs, error) = match address.is_tls() {
            true => (&["certificate", "TLS"][..], Self::Tls),
            false => (
                &["reset by peer", "terminated", "broken pipe", "end of file"][..],
                Self::Closed,
            ),
        };
        match signs.iter().any(|sign| mentions(text, sign)) {
            true => error,
            false => Self::Unreachable,
        }
    }

    /// Converts the error of a command of this name on an open connection. Whatever is no reply of
    /// Redis is taken for a broken connection, which costs a new one and is otherwise harmless.
    pub(super) fn from_command(error: &HostError, command: &str) -> Self {
        let text = match error {
            HostError::Other(text) => text,
            HostError::TypeError => return Self::Unexpected,
            HostError::InvalidAddress | HostError::TooManyConnections => {
                return Self::ConnectionLost;
            }
        };
        match Refusal::parse(text, command) {
            Some(Refusal::Other(code)) if code == "WRONGTYPE" => Self::WrongType,
            Some(refusal) => Self::Refused(refusal),
            None => Self::ConnectionLost,
        }
    }

    /// Returns true if Redis took too long.
    pub(crate) fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout | Self::TlsTimeout)
    }

    /// Returns true if the connection must not be used again.
    pub(super) fn is_transport(&self) -> bool {
        matches!(self, Self::ConnectionLost | Self::Timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of Spin 4.1, and of the embedded host where they differ.
    #[test]
    fn a_connection_that_cannot_be_made_says_what_to_look_at() {
        let plain = Address::parse("redis://localhost:1").unwrap();
        let tls = Address::parse("rediss://localhost:1").unwrap();
        for (address, text, error) in [
            (
                &plain,
                "Connection refused (os error 111)",
                Error::Unreachable,
            ),
            (
                &tls,
                "Connection refused (os error 111)",
                Error::Unreachable,
            ),
            (
                &plain,
                "Connection reset by peer (os error 104)",
                Error::Closed,
            ),
            (
                &tls,
                "Connection reset by peer (os error 104)",
                Error::Unreachable,
            ),
            (
                &plain,
                "failed to lookup address information: Name or service not known",
                Error::Unreachable,
            ),
            (
                &tls,
                "TLS error - IoError: error:0A000086:SSL routines:tls_post_process_server_certificate:\
                 certificate verify failed:../ssl/statem/statem_clnt.c:1889: (self-signed certificate)",
                Error::Tls,
            ),
            (&tls, "invalid peer certificate: UnknownIssuer", Error::Tls),
        ] {
            let host = HostError::Other(text.to_owned());
            assert_eq!(Error::from_open(&host, address), error, "{text}");
        }
    }

    #[test]
    fn what_redis_answers_is_told_from_a_broken_connection() {
        for (text, error) in [
            ("WRONGTYPE: Operation against a key", Error::WrongType),
            (
                "OOM: command not allowed",
                Error::Refused(Refusal::OutOfMemory),
            ),
            (
                "Connection reset by peer (os error 104)",
                Error::ConnectionLost,
            ),
        ] {
            let host = HostError::Other(text.to_owned());
            assert_eq!(Error::from_command(&host, "GET"), error, "{text}");
        }
    }
}
