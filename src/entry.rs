//! The JSON form of a connection: what Redis holds, and what HTTP takes and gives. No I/O.

use std::fmt;

use crate::connection::{
    Alias, CredentialType, Credentials, EncryptedData, Fields, Id, Invalid, ProviderConnection,
    Slug, Status,
};
use crate::json::{self, Node, Object};
use crate::timestamp::Timestamp;

/// Why bytes are not the entry of a connection. The text never shows what they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corrupt {
    /// They are not one JSON object.
    NotAnObject,
    /// A field is missing or breaks its rule.
    Field(Invalid),
    /// It is the entry of another connection than the one that was looked up.
    OtherId,
    /// The key holds no string at all, but a list, say.
    NotAString,
    /// They are more than any entry has.
    TooLarge,
    /// An object has two members of the same name, and it must not.
    RepeatedName,
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => f.write_str("the value must be one JSON object"),
            Self::Field(invalid) => invalid.fmt(f),
            Self::OtherId => f.write_str("id must be the id it is stored under"),
            Self::NotAString => f.write_str("the key must hold a string"),
            Self::TooLarge => f.write_str("the value must be at most 2 MiB"),
            Self::RepeatedName => f.write_str("each member of an object must be named once"),
        }
    }
}

impl From<Invalid> for Corrupt {
    fn from(invalid: Invalid) -> Self {
        Self::Field(invalid)
    }
}

/// Writes the entry of a connection.
pub fn encode(connection: &ProviderConnection) -> Vec<u8> {
    json::encode(connection)
}

/// The most bytes that are read as an entry: 2 MiB. The existing application has no limit, and
/// writes a thousandth of it; what has many arrays in it takes forty times its size to read.
pub const MAX_STORED: usize = 2 << 20;

/// Reads the entry that is stored under `id`, as tolerant as the existing application:
/// unknown fields are ignored, the last of two fields of the same name counts, what may be
/// null may be missing, an empty alias or empty credentials are none.
pub fn decode_stored(id: Id, bytes: &[u8]) -> Result<ProviderConnection, Corrupt> {
    if bytes.len() > MAX_STORED {
        return Err(Corrupt::TooLarge);
    }
    let node = json::decode(bytes);
    read_stored(id, as_object(&node)?)
}

/// The same, of the object that the bytes hold.
pub fn read_stored(id: Id, object: &Object<'_>) -> Result<ProviderConnection, Corrupt> {
    let credentials = match object.get("credentials") {
        Node::Object(object) if !object.is_empty() => Some(credentials(object)?),
        // The existing application takes whatever else it finds for none.
        _ => None,
    };
    let connection = connection(object, credentials)?;
    if connection.fields().id == id {
        Ok(connection)
    } else {
        Err(Corrupt::OtherId)
    }
}

/// Reads an entry that is handed in to be stored. What [`decode_stored`] overlooks because
/// it is there already is refused here: two fields of the same name, credentials that are
/// none.
pub fn decode_given(bytes: &[u8]) -> Result<ProviderConnection, Corrupt> {
    let node = json::decode(bytes);
    let object = as_object(&node)?;
    if object.repeats_a_name() {
        return Err(Corrupt::RepeatedName);
    }
    let credentials = match object.get("credentials") {
        Node::Null => None,
        Node::Object(object) => Some(credentials(object)?),
        _ => {
            return Err(Invalid {
                field: "credentials",
                rule: "an object or null",
            }
            .into());
        }
    };
    connection(object, credentials)
}

fn as_object<'n, 'a>(node: &'n Option<Node<'a>>) -> Result<&'n Object<'a>, Corrupt> {
    match node {
        Some(Node::Object(object)) => Ok(object),
        _ => Err(Corrupt::NotAnObject),
    }
}

fn connection(
    object: &Object<'_>,
    credentials: Option<Credentials>,
) -> Result<ProviderConnection, Corrupt> {
    let fields = Fields {
        id: id(object, "id")?,
        user_id: id(object, "user_id")?,
        provider_id: id(object, "provider_id")?,
        provider_slug: Slug::new(text(object, "provider_slug")?.to_owned())?,
        status: Status::parse(text(object, "status")?)?,
        alias: match object.get("alias") {
            Node::Null => None,
            Node::Text(alias) => Alias::new(alias.clone().into_owned())?,
            _ => {
                return Err(Invalid {
                    field: "alias",
                    rule: "text or null",
                }
                .into());
            }
        },
        credentials,
        connected_at: timestamp(object, "connected_at")?,
        last_sync_at: timestamp(object, "last_sync_at")?,
        created_at: required_timestamp(object, "created_at")?,
        updated_at: required_timestamp(object, "updated_at")?,
    };
    Ok(ProviderConnection::new(fields)?)
}

fn credentials(object: &Object<'_>) -> Result<Credentials, Invalid> {
    Ok(Credentials {
        encrypted_data: EncryptedData::new(text(object, "encrypted_data")?.to_owned())?,
        credential_type: CredentialType::parse(text(object, "credential_type")?)?,
        expires_at: timestamp(object, "expires_at")?,
    })
}

fn id(object: &Object<'_>, field: &'static str) -> Result<Id, Invalid> {
    match object.get(field) {
        Node::Text(text) => Id::parse(field, text),
        _ => Err(Invalid {
            field,
            rule: "a UUID",
        }),
    }
}

fn text<'a>(object: &'a Object<'_>, field: &'static str) -> Result<&'a str, Invalid> {
    match object.get(field) {
        Node::Text(text) => Ok(text),
        _ => Err(Invalid {
            field,
            rule: "text",
        }),
    }
}

const TIMESTAMP_RULE: &str = "an ISO 8601 time with an offset, in the years 1 to 9999";

fn timestamp(object: &Object<'_>, field: &'static str) -> Result<Option<Timestamp>, Invalid> {
    match object.get(field) {
        Node::Null => Ok(None),
        _ => required_timestamp(object, field).map(Some),
    }
}

fn required_timestamp(object: &Object<'_>, field: &'static str) -> Result<Timestamp, Invalid> {
    let read = match object.get(field) {
        Node::Text(text) => Timestamp::parse(text),
        _ => None,
    };
    read.ok_or(Invalid {
        field,
        rule: TIMESTAMP_RULE,
    })
}
