//! Why the origin did not say.

use std::fmt;

use spin_sdk::wasip3::http::types::ErrorCode;

/// Why there is no answer of the origin that could be used. The text shows no address, no
/// token and nothing of what was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It did not answer in time.
    Timeout,
    /// No connection could be made, or it broke.
    Unreachable,
    /// It did not show a certificate that can be trusted, or does not speak TLS.
    Tls,
    /// The host does not let this component out to it.
    NotAllowed,
    /// It answered with a status that says neither what the connection is nor that there is
    /// none.
    Status(u16),
    /// Its answer is larger than 64 KiB.
    TooLarge,
    /// Its answer ended early.
    CutOff,
    /// Its answer is not the connection that was asked for.
    Unreadable,
}

impl Failure {
    /// Why a request was not answered.
    pub fn from_send(error: &ErrorCode) -> Self {
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

    /// Its name; one with a status has none.
    pub fn name(self) -> &'static str {
        let named = NAMES.iter().find(|(failure, _)| *failure == self);
        named.map_or("", |(_, name)| name)
    }

    /// The failure of this name.
    pub fn named(name: &str) -> Option<Self> {
        let named = NAMES.iter().find(|(_, known)| *known == name);
        named.map(|(failure, _)| *failure)
    }
}

const NAMES: &[(Failure, &str)] = &[
    (Failure::Timeout, "origin-timeout"),
    (Failure::Unreachable, "origin-unreachable"),
    (Failure::Tls, "origin-tls"),
    (Failure::NotAllowed, "origin-not-allowed"),
    (Failure::TooLarge, "origin-too-large"),
    (Failure::CutOff, "origin-cut-off"),
    (Failure::Unreadable, "origin-unreadable"),
];

impl fmt::Display for Failure {
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
