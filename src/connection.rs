//! What a provider connection is: its fields, their rules, and what a status check
//! needs to know of it. No I/O.

use std::fmt;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::timestamp::Timestamp;

/// Credentials that run out within this time are about to: 5 minutes, in microseconds.
const EXPIRING_SOON_MICROS: i64 = 5 * 60 * 1_000_000;

/// A value that breaks a rule. It names the field and the rule, never the value: a
/// value may be a secret, and the text goes into answers and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The field, by its name in the entry.
    pub field: &'static str,
    /// What it must be.
    pub rule: &'static str,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {}", self.field, self.rule)
    }
}

/// The identifier of a connection, a user or a provider: a UUID (RFC 9562).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Uuid);

impl Id {
    /// Reads any common spelling: hyphenated or not, either case, braced, `urn:uuid:`.
    pub fn parse(field: &'static str, text: &str) -> Result<Self, Invalid> {
        Uuid::try_parse(text).map(Self).map_err(|_| Invalid {
            field,
            rule: "a UUID",
        })
    }
}

/// The canonical spelling: lower-case and hyphenated.
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

/// An enum whose values have one text each, in the entry and in answers.
macro_rules! text_enum {
    ($(#[$meta:meta])* $name:ident, $field:literal, $rule:literal,
     { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_meta])* $variant,)+ }

        impl $name {
            /// Every value, in the order of the WIT enum.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Reads the value from its text, which must match to the letter.
            pub fn parse(text: &str) -> Result<Self, Invalid> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(Invalid { field: $field, rule: $rule }),
                }
            }

            /// The value's text.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

text_enum! {
    /// Where a connection stands in its life.
    Status, "status", "pending, active, expired, revoked, failed or disconnected", {
        /// Begun, not finished.
        Pending = "pending",
        /// Usable. Always has credentials.
        Active = "active",
        /// The credentials ran out.
        Expired = "expired",
        /// Access was withdrawn.
        Revoked = "revoked",
        /// The last attempt to connect failed.
        Failed = "failed",
        /// The user ended it.
        Disconnected = "disconnected",
    }
}

text_enum! {
    /// How the provider authenticates a connection.
    CredentialType, "credential_type",
    "oauth2, api_key, link_token, certificate, file_import or custom", {
        /// OAuth 2.0 tokens.
        Oauth2 = "oauth2",
        /// A static API key.
        ApiKey = "api_key",
        /// A token of a linking service.
        LinkToken = "link_token",
        /// A client certificate.
        Certificate = "certificate",
        /// Accounts come from an imported file.
        FileImport = "file_import",
        /// Anything else.
        Custom = "custom",
    }
}

/// A provider's short name: 1 to 50 characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Slug(String);

impl Slug {
    /// The slug, if its length is right.
    pub fn new(text: String) -> Result<Self, Invalid> {
        if (1..=50).contains(&text.chars().count()) {
            Ok(Self(text))
        } else {
            Err(Invalid {
                field: "provider_slug",
                rule: "1 to 50 characters",
            })
        }
    }

    /// Its text.
    pub fn into_inner(self) -> String {
        self.0
    }
}

/// A user's own name for a connection: 1 to 100 characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Alias(String);

impl Alias {
    /// The alias, if it is not too long. An empty one is none, as the existing
    /// application reads it.
    pub fn new(text: String) -> Result<Option<Self>, Invalid> {
        match text.chars().count() {
            0 => Ok(None),
            1..=100 => Ok(Some(Self(text))),
            _ => Err(Invalid {
                field: "alias",
                rule: "at most 100 characters",
            }),
        }
    }

    /// Its text.
    pub fn into_inner(self) -> String {
        self.0
    }
}

/// A ciphertext: text that is not empty, and that `{:?}` does not show.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct EncryptedData(String);

impl EncryptedData {
    /// The ciphertext, if there is any.
    pub fn new(text: String) -> Result<Self, Invalid> {
        if text.is_empty() {
            Err(Invalid {
                field: "encrypted_data",
                rule: "text that is not empty",
            })
        } else {
            Ok(Self(text))
        }
    }

    /// Its text.
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
pub struct Credentials {
    /// The ciphertext.
    pub encrypted_data: EncryptedData,
    /// How they authenticate.
    pub credential_type: CredentialType,
    /// When they run out, if they do.
    pub expires_at: Option<Timestamp>,
}

/// The fields of a connection, each of which keeps its own rule. The order is that of
/// the entry in Redis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fields {
    /// The connection.
    pub id: Id,
    /// The user whose connection it is.
    pub user_id: Id,
    /// The provider it leads to.
    pub provider_id: Id,
    /// The provider's short name.
    pub provider_slug: Slug,
    /// Where it stands.
    pub status: Status,
    /// The user's own name for it.
    pub alias: Option<Alias>,
    /// Its credentials.
    pub credentials: Option<Credentials>,
    /// When it was first connected.
    pub connected_at: Option<Timestamp>,
    /// When its accounts were last fetched with success.
    pub last_sync_at: Option<Timestamp>,
    /// When the database row was made.
    pub created_at: Timestamp,
    /// When the database row last changed.
    pub updated_at: Timestamp,
}

/// A provider connection: fields that also keep the rules between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ProviderConnection(Fields);

impl ProviderConnection {
    /// The connection with these fields, if it may be: `active` requires credentials.
    pub fn new(fields: Fields) -> Result<Self, Invalid> {
        if fields.status == Status::Active && fields.credentials.is_none() {
            return Err(Invalid {
                field: "credentials",
                rule: "present when status is active",
            });
        }
        Ok(Self(fields))
    }

    /// Its fields.
    pub fn fields(&self) -> &Fields {
        &self.0
    }

    /// Its fields, to keep.
    pub fn into_fields(self) -> Fields {
        self.0
    }

    /// What a status check needs to know of it at `now`. The credentials stay behind.
    pub fn summarize(self, now: Timestamp) -> Summary {
        let fields = self.0;
        let (credential_type, credentials_expire_at) = match &fields.credentials {
            Some(credentials) => (Some(credentials.credential_type), credentials.expires_at),
            None => (None, None),
        };
        let summary = Summary {
            id: fields.id,
            user_id: fields.user_id,
            provider_id: fields.provider_id,
            provider_slug: fields.provider_slug,
            alias: fields.alias,
            status: fields.status,
            is_connected: fields.status == Status::Active && credential_type.is_some(),
            needs_reauthentication: matches!(
                fields.status,
                Status::Expired | Status::Revoked | Status::Failed
            ),
            credentials_expired: false,
            credentials_expiring_soon: false,
            can_sync: false,
            credential_type,
            credentials_expire_at,
            connected_at: fields.connected_at,
            last_sync_at: fields.last_sync_at,
            created_at: fields.created_at,
            updated_at: fields.updated_at,
        };
        summary.at(now)
    }
}

/// What a status check needs to know of a connection: no credentials, and what depends
/// on the time computed for one moment. The fields are documented in `wit/types.wit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "they are the WIT record's, documented there")]
pub struct Summary {
    pub id: Id,
    pub user_id: Id,
    pub provider_id: Id,
    pub provider_slug: Slug,
    pub alias: Option<Alias>,
    pub status: Status,
    pub is_connected: bool,
    pub needs_reauthentication: bool,
    pub credentials_expired: bool,
    pub credentials_expiring_soon: bool,
    pub can_sync: bool,
    pub credential_type: Option<CredentialType>,
    pub credentials_expire_at: Option<Timestamp>,
    pub connected_at: Option<Timestamp>,
    pub last_sync_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Summary {
    /// The same at another moment.
    pub fn at(self, now: Timestamp) -> Self {
        let runs_out_by = |micros: i64| {
            let expire_at = self.credentials_expire_at;
            expire_at.is_some_and(|expire_at| expire_at.micros() <= micros)
        };
        let credentials_expired = runs_out_by(now.micros());
        Self {
            credentials_expired,
            credentials_expiring_soon: runs_out_by(now.micros() + EXPIRING_SOON_MICROS),
            can_sync: self.is_connected && !credentials_expired,
            ..self
        }
    }
}
