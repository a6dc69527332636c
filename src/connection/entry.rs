//! The entry of a connection: the JSON that Redis holds, and that HTTP takes and returns.

use std::error::Error;
use std::fmt;

use super::fields::{
    Alias, CredentialType, Credentials, EncryptedData, Fields, Id, InvalidField,
    ProviderConnection, Slug, Status,
};
use super::json::{self, JsonError, Node, Object};
use super::timestamp::Timestamp;

/// Why bytes are not the entry of a connection. The text never shows the bytes.
///
/// The application that wrote them is at fault: nothing helps but to write the entry again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes are not JSON, or more than is read of it.
    NotJson(JsonError),
    /// The JSON is not an object.
    NotAnObject,
    /// A field is missing or breaks its rule.
    Field(InvalidField),
    /// The entry belongs to another connection than the one that was looked up.
    OtherId,
    /// The key does not hold a string, but for example a list.
    NotAString,
    /// The bytes are more than any entry has.
    TooLarge,
    /// An object names a member twice where that is refused.
    RepeatedName,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(error) => write!(f, "the value {error}"),
            Self::NotAnObject => f.write_str("the value must be one JSON object"),
            Self::Field(invalid) => invalid.fmt(f),
            Self::OtherId => f.write_str("id must be the id it is stored under"),
            Self::NotAString => f.write_str("the key must hold a string"),
            Self::TooLarge => f.write_str("the value must be at most 2 MiB"),
            Self::RepeatedName => f.write_str("each member of an object must be named once"),
        }
    }
}

impl Error for DecodeError {}

impl From<InvalidField> for DecodeError {
    fn from(invalid: InvalidField) -> Self {
        Self::Field(invalid)
    }
}

/// Writes the entry of a connection.
pub fn encode(connection: &ProviderConnection) -> Vec<u8> {
    json::encode(connection)
}

/// The largest entry that is read: 2 MiB. The existing application has no limit, and writes a
/// thousandth of this. An entry full of arrays takes forty times its size in memory to read.
pub(crate) const MAX_STORED: usize = 2 << 20;

/// Reads the entry that is stored under `id`. Whatever the existing application writes is read, and
/// as it reads it; nothing is read that it refuses. It also reads, by accident, what no writer
/// means, and that is refused here. `docs/entries.md` has the rules.
pub fn decode_stored(id: Id, bytes: &[u8]) -> Result<ProviderConnection, DecodeError> {
    if bytes.len() > MAX_STORED {
        return Err(DecodeError::TooLarge);
    }
    let node = json::decode(bytes).map_err(DecodeError::NotJson)?;
    read_stored(id, as_object(&node)?)
}

/// Reads a stored entry from the JSON object that it is.
pub(crate) fn read_stored(id: Id, object: &Object<'_>) -> Result<ProviderConnection, DecodeError> {
    let credentials = match object.get("credentials") {
        Node::Object(object) if !object.is_empty() => Some(credentials(object)?),
        // The existing application treats every other value as none.
        _ => None,
    };
    let connection = connection(object, credentials, Id::parse_stored)?;
    if connection.fields().id == id {
        Ok(connection)
    } else {
        Err(DecodeError::OtherId)
    }
}

/// Reads an entry that a caller wants to store. Two faults that [`decode_stored`] tolerates, because
/// they are in Redis already, are refused here: a repeated name, and credentials of another type.
pub fn decode_given(bytes: &[u8]) -> Result<ProviderConnection, DecodeError> {
    let node = json::decode(bytes).map_err(DecodeError::NotJson)?;
    let object = as_object(&node)?;
    if object.repeats_a_name() {
        return Err(DecodeError::RepeatedName);
    }
    let credentials = match object.get("credentials") {
        Node::Null => None,
        Node::Object(object) => Some(credentials(object)?),
        _ => {
            return Err(InvalidField {
                field: "credentials",
                rule: "an object or null",
            }
            .into());
        }
    };
    connection(object, credentials, Id::parse)
}

fn as_object<'n, 'a>(node: &'n Node<'a>) -> Result<&'n Object<'a>, DecodeError> {
    match node {
        Node::Object(object) => Ok(object),
        _ => Err(DecodeError::NotAnObject),
    }
}

fn connection(
    object: &Object<'_>,
    credentials: Option<Credentials>,
    parse_id: fn(&'static str, &str) -> Result<Id, InvalidField>,
) -> Result<ProviderConnection, DecodeError> {
    let fields = fields(object, credentials, parse_id)?;
    Ok(ProviderConnection::new(fields)?)
}

/// Reads the fields of a connection with these credentials.
pub(super) fn fields(
    object: &Object<'_>,
    credentials: Option<Credentials>,
    parse_id: fn(&'static str, &str) -> Result<Id, InvalidField>,
) -> Result<Fields, InvalidField> {
    let id = |field| parse_id(field, object.text(field).unwrap_or_default());
    Ok(Fields {
        id: id("id")?,
        user_id: id("user_id")?,
        provider_id: id("provider_id")?,
        provider_slug: Slug::new(text(object, "provider_slug")?.to_owned())?,
        status: Status::parse(text(object, "status")?)?,
        alias: match object.get("alias") {
            Node::Null => None,
            Node::Text(alias) => Alias::new(alias.clone().into_owned())?,
            _ => {
                return Err(InvalidField {
                    field: "alias",
                    rule: "text or null",
                });
            }
        },
        credentials,
        connected_at: timestamp(object, "connected_at")?,
        last_sync_at: timestamp(object, "last_sync_at")?,
        created_at: required_timestamp(object, "created_at")?,
        updated_at: required_timestamp(object, "updated_at")?,
    })
}

fn credentials(object: &Object<'_>) -> Result<Credentials, InvalidField> {
    Ok(Credentials {
        encrypted_data: EncryptedData::new(text(object, "encrypted_data")?.to_owned())?,
        credential_type: CredentialType::parse(text(object, "credential_type")?)?,
        expires_at: timestamp(object, "expires_at")?,
    })
}

pub(super) fn text<'a>(
    object: &'a Object<'_>,
    field: &'static str,
) -> Result<&'a str, InvalidField> {
    object.text(field).ok_or(InvalidField {
        field,
        rule: "text",
    })
}

const TIMESTAMP_RULE: &str = "an ISO 8601 time with an offset, in the years 1 to 9999";

pub(super) fn timestamp(
    object: &Object<'_>,
    field: &'static str,
) -> Result<Option<Timestamp>, InvalidField> {
    match object.get(field) {
        Node::Null => Ok(None),
        _ => required_timestamp(object, field).map(Some),
    }
}

fn required_timestamp(object: &Object<'_>, field: &'static str) -> Result<Timestamp, InvalidField> {
    let read = object.text(field).and_then(Timestamp::parse);
    read.ok_or(InvalidField {
        field,
        rule: TIMESTAMP_RULE,
    })
}
