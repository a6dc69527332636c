//! The fields of a connection, each a type that cannot hold a value against its rule.

use std::error::Error;
use std::fmt;
use std::num::NonZeroU32;

use serde::{Serialize, Serializer};
use strum::{EnumString, IntoStaticStr};
use uuid::Uuid;

use super::timestamp::Timestamp;

/// A value that breaks the rule of its field.
///
/// It names the field and the rule, and never the value: a value may be a secret, and the text goes
/// into answers and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidField {
    /// The name of the field in the entry.
    pub field: &'static str,
    /// The rule, after "must be".
    pub rule: &'static str,
}

impl fmt::Display for InvalidField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {}", self.field, self.rule)
    }
}

impl Error for InvalidField {}

/// The identifier of a connection, a user or a provider: a UUID (RFC 9562).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Uuid);

impl Id {
    /// Reads any common spelling: with or without hyphens, in either case, braced, `urn:uuid:`.
    pub fn parse(field: &'static str, text: &str) -> Result<Self, InvalidField> {
        Uuid::try_parse(text).map(Self).map_err(|_| InvalidField {
            field,
            rule: "a UUID",
        })
    }

    /// Returns the slot of this connection among so many.
    pub(crate) fn slot(self, slots: NonZeroU32) -> u32 {
        let slot = self.0.as_u128() % u128::from(slots.get());
        u32::try_from(slot).unwrap_or(0)
    }

    /// Reads the same from a stored entry, where `urn:uuid:` is in lower case: Python's `UUID()` knows
    /// no other, so such an entry is none to the existing application.
    pub(super) fn parse_stored(field: &'static str, text: &str) -> Result<Self, InvalidField> {
        if text.starts_with(['u', 'U']) && !text.starts_with("urn:uuid:") {
            return Err(InvalidField {
                field,
                rule: "a UUID, with urn:uuid: in lower case",
            });
        }
        Self::parse(field, text)
    }
}

/// Writes the canonical spelling: lower-case and hyphenated.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(
            self.0
                .as_hyphenated()
                .encode_lower(&mut Uuid::encode_buffer()),
        )
    }
}

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr, Serialize)]
#[strum(serialize_all = "snake_case")]
#[serde(into = "&'static str")]
pub enum Status {
    /// The user has not finished connecting.
    Pending,
    /// Usable. An active connection has credentials.
    Active,
    /// The credentials have expired.
    Expired,
    /// The user or the provider withdrew access.
    Revoked,
    /// The last attempt to connect failed.
    Failed,
    /// The user disconnected it.
    Disconnected,
}

impl Status {
    /// Reads the text of an entry, which must match to the letter.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidField> {
        text.parse().map_err(|_| InvalidField {
            field: "status",
            rule: "pending, active, expired, revoked, failed or disconnected",
        })
    }
}

/// How the provider authenticates a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr, Serialize)]
#[strum(serialize_all = "snake_case")]
#[serde(into = "&'static str")]
pub enum CredentialType {
    /// OAuth 2.0 tokens.
    Oauth2,
    /// A static API key.
    ApiKey,
    /// A token of a linking service.
    LinkToken,
    /// A client certificate.
    Certificate,
    /// No access: accounts come from an imported file.
    FileImport,
    /// Anything else.
    Custom,
}

impl CredentialType {
    /// Reads the text of an entry, which must match to the letter.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidField> {
        text.parse().map_err(|_| InvalidField {
            field: "credential_type",
            rule: "oauth2, api_key, link_token, certificate, file_import or custom",
        })
    }
}

/// A provider's short name: 1 to 50 characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Slug(String);

impl Slug {
    /// Checks the length.
    pub fn new(text: String) -> Result<Self, InvalidField> {
        if (1..=50).contains(&text.chars().count()) {
            Ok(Self(text))
        } else {
            Err(InvalidField {
                field: "provider_slug",
                rule: "1 to 50 characters",
            })
        }
    }

    /// Returns the text.
    pub fn into_inner(self) -> String {
        self.0
    }
}

/// A user's own name for a connection: 1 to 100 characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Alias(String);

impl Alias {
    /// Checks the length. An empty alias is none, as in the existing application.
    pub fn new(text: String) -> Result<Option<Self>, InvalidField> {
        match text.chars().count() {
            0 => Ok(None),
            1..=100 => Ok(Some(Self(text))),
            _ => Err(InvalidField {
                field: "alias",
                rule: "at most 100 characters",
            }),
        }
    }

    /// Returns the text.
    pub fn into_inner(self) -> String {
        self.0
    }
}

/// A ciphertext: text that is not empty. `{:?}` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct EncryptedData(String);

impl EncryptedData {
    /// Checks that there is a ciphertext.
    pub fn new(text: String) -> Result<Self, InvalidField> {
        if text.is_empty() {
            Err(InvalidField {
                field: "encrypted_data",
                rule: "text that is not empty",
            })
        } else {
            Ok(Self(text))
        }
    }

    /// Returns the text.
    pub fn into_inner(self) -> String {
        self.0
    }
}

impl fmt::Debug for EncryptedData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptedData(..)")
    }
}

/// The encrypted credentials of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the WIT record documents them")]
pub struct Credentials {
    pub encrypted_data: EncryptedData,
    pub credential_type: CredentialType,
    pub expires_at: Option<Timestamp>,
}

/// The fields of a connection, in the order of the entry in Redis. Each one keeps its own rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the WIT record documents them")]
pub struct Fields {
    pub id: Id,
    pub user_id: Id,
    pub provider_id: Id,
    pub provider_slug: Slug,
    pub status: Status,
    pub alias: Option<Alias>,
    pub credentials: Option<Credentials>,
    pub connected_at: Option<Timestamp>,
    pub last_sync_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A provider connection: fields that also keep the rules between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ProviderConnection(Fields);

impl ProviderConnection {
    /// Checks that an active connection has credentials.
    pub fn new(fields: Fields) -> Result<Self, InvalidField> {
        if fields.status == Status::Active && fields.credentials.is_none() {
            return Err(InvalidField {
                field: "credentials",
                rule: "present when status is active",
            });
        }
        Ok(Self(fields))
    }

    /// Returns the fields.
    pub fn fields(&self) -> &Fields {
        &self.0
    }

    /// Takes the connection apart.
    pub fn into_fields(self) -> Fields {
        self.0
    }
}
