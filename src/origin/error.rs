//! Errors of the origin.

use std::error;
use std::fmt;

use spin_sdk::wasip3::http::types::ErrorCode;
use strum::{EnumString, IntoStaticStr};

/// Why the origin gave no usable answer. The text shows no address, no token and no content.
///
/// Other instances and clients learn of it by its name, or by its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
pub enum Error {
    /// The origin did not answer in time: ask again later.
    #[strum(serialize = "origin-timeout")]
    Timeout,
    /// The connection could not be made, or broke: ask again later.
    #[strum(serialize = "origin-unreachable")]
    Unreachable,
    /// The origin shows no certificate that can be trusted, or does not speak TLS: the operator has
    /// to correct it or `origin_url`.
    #[strum(serialize = "origin-tls")]
    Tls,
    /// The host does not let this component connect to the origin: the operator has to allow it.
    #[strum(serialize = "origin-not-allowed")]
    NotAllowed,
    /// The answer is larger than 64 KiB: the origin is at fault.
    #[strum(serialize = "origin-too-large")]
    TooLarge,
    /// The answer ended early: ask again later.
    #[strum(serialize = "origin-cut-off")]
    CutOff,
    /// The answer is not the connection that was asked for: the origin is at fault.
    #[strum(serialize = "origin-unreadable")]
    Unreadable,
    /// The status is neither that of a connection (200) nor that of none (404).
    #[strum(disabled)]
    Status(u16),
}

impl Error {
    /// Returns the name. A status speaks for itself and has none.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Status(_) => None,
            named => Some(named.into()),
        }
    }

    pub(super) fn from_send(error: &ErrorCode) -> Self {
        match error {
            ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => Self::NotAllowed,
            ErrorCode::ConnectionTimeout
            | ErrorCode::ConnectionReadTimeout
            | ErrorCode::HttpResponseTimeout
            | ErrorCode::DnsTimeout => Self::Timeout,
            ErrorCode::TlsProtocolError
            | ErrorCode::TlsCertificateError
            | ErrorCode::TlsAlertReceived(_) => Self::Tls,
            _ => Self::Unreachable,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("it did not answer in time"),
            Self::Unreachable => f.write_str("it cannot be reached"),
            Self::Tls => f.write_str("no TLS connection to it can be made that could be trusted"),
            Self::NotAllowed => f.write_str(
                "the host does not let this component out to it: \
                 set origin_address to the scheme, host and port of origin_url",
            ),
            Self::Status(status) => write!(f, "it answered with status {status}"),
            Self::TooLarge => f.write_str("its answer is larger than 64 KiB"),
            Self::CutOff => f.write_str("its answer ended early"),
            Self::Unreadable => f.write_str("its answer is not the connection"),
        }
    }
}

impl error::Error for Error {}
