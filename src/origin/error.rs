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
    /// The answer has a content coding, such as gzip, although the request allowed none: the origin, or
    /// a proxy before it, is at fault.
    #[strum(serialize = "origin-encoded")]
    Encoded,
    /// The status is neither that of a connection (200) nor that of none (404, 410).
    #[strum(disabled)]
    Status(u16),
}

/// What the result of a request says of the origin as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It answered, well or badly.
    Up,
    /// It did not answer, or said that it cannot.
    Down,
    /// Nothing: no request reached it.
    Unknown,
}

impl Error {
    /// Returns true if a stale entry may answer instead (RFC 5861, section 4): nothing was heard from the
    /// origin, or an answer that it, or a proxy before it, gives when it is at fault.
    ///
    /// Any other answer is newer than the stale entry, and takes its place (RFC 9111, section 4.3.3).
    pub(crate) fn allows_stale(self) -> bool {
        match self {
            Self::Timeout | Self::Unreachable | Self::Tls | Self::NotAllowed | Self::CutOff => true,
            Self::TooLarge | Self::Unreadable | Self::Encoded => false,
            Self::Status(status) => matches!(status, 500 | 502..=504),
        }
    }

    /// Returns true if the origin does not let this cache have the connection.
    pub(crate) fn is_refusal(self) -> bool {
        matches!(self, Self::Status(401 | 403 | 451))
    }

    /// Returns what the failure says of the origin. A status of 500 may be that of one connection.
    pub(crate) fn health(self) -> Health {
        match self {
            Self::Timeout | Self::Unreachable | Self::Status(429 | 502..=504) => Health::Down,
            Self::Tls | Self::NotAllowed => Health::Unknown,
            Self::TooLarge | Self::CutOff | Self::Unreadable | Self::Encoded | Self::Status(_) => {
                Health::Up
            }
        }
    }

    /// Returns the name, or the number of the status.
    pub(crate) fn code(self) -> String {
        match self {
            Self::Status(status) => status.to_string(),
            named => named.name().unwrap_or_default().to_owned(),
        }
    }

    /// Reads what [`Self::code`] returned.
    pub(crate) fn from_code(code: &str) -> Option<Self> {
        let status = || code.parse().ok().map(Self::Status);
        code.parse().ok().or_else(status)
    }

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
            Self::Status(status) => {
                write!(f, "it answered with status {status}")?;
                match status {
                    401 | 403 => f.write_str(": it refuses this component, check origin_token"),
                    451 => f.write_str(": it refuses this component, for legal reasons"),
                    _ => Ok(()),
                }
            }
            Self::TooLarge => f.write_str("its answer is larger than 64 KiB"),
            Self::CutOff => f.write_str("its answer ended early"),
            Self::Unreadable => f.write_str("its answer is not the connection"),
            Self::Encoded => f.write_str(
                "its answer has a content coding, although the request accepts none but identity",
            ),
        }
    }
}

impl error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: [Error; 8] = [
        Error::Timeout,
        Error::Unreachable,
        Error::Tls,
        Error::NotAllowed,
        Error::TooLarge,
        Error::CutOff,
        Error::Unreadable,
        Error::Encoded,
    ];

    fn statuses() -> impl Iterator<Item = Error> {
        (100..600).map(Error::Status)
    }

    #[test]
    fn a_code_is_read_as_it_was_written() {
        for error in NAMED.into_iter().chain(statuses()) {
            assert_eq!(Error::from_code(&error.code()), Some(error));
        }
        for other in ["", "origin", "-1", "70000", "not-found"] {
            assert_eq!(Error::from_code(other), None, "{other}");
        }
    }

    #[test]
    fn no_answer_and_four_statuses_allow_a_stale_entry() {
        let allow = NAMED.map(Error::allows_stale);
        assert_eq!(allow, [true, true, true, true, false, true, false, false]);
        let statuses: Vec<_> = statuses().filter(|error| error.allows_stale()).collect();
        assert_eq!(statuses, [500, 502, 503, 504].map(Error::Status));
    }

    #[test]
    fn no_answer_and_four_statuses_mean_that_the_origin_is_down() {
        use Health::{Down, Unknown, Up};
        let health = NAMED.map(Error::health);
        assert_eq!(health, [Down, Down, Unknown, Unknown, Up, Up, Up, Up]);
        let down: Vec<_> = statuses().filter(|one| one.health() == Down).collect();
        assert_eq!(down, [429, 502, 503, 504].map(Error::Status));
        assert!(statuses().all(|one| one.health() != Unknown));
    }

    #[test]
    fn three_statuses_are_refusals_and_say_so() {
        let refusals: Vec<_> = statuses().filter(|error| error.is_refusal()).collect();
        assert_eq!(refusals, [401, 403, 451].map(Error::Status));
        for error in statuses() {
            let says_so = error.to_string().contains("refuses this component");
            assert_eq!(says_so, error.is_refusal(), "{error}");
        }
    }
}
