//! The bodies of requests. Repeated names and values of a wrong type are refused, so that callers
//! learn of their mistakes; entries in Redis are read with more tolerance. Unknown members are ignored,
//! because a later version may define them.

use std::collections::BTreeSet;

use super::problem::{Kind, Problem};
use crate::cache::Batch;
use crate::connection::entry::{self, DecodeError};
use crate::connection::json::{self, JsonError, Node};
use crate::connection::{Id, InvalidField, ProviderConnection};

const NOT_AN_OBJECT: &str = "the body must be one JSON object";
const REPEATED_NAME: &str = "the body must name each member of an object once";

/// Reads the connection to store under `id`.
pub fn connection(id: Id, body: &[u8]) -> Result<ProviderConnection, Problem> {
    let connection = entry::decode_given(body).map_err(|corrupt| match corrupt {
        DecodeError::Field(invalid) => invalid.into(),
        DecodeError::NotJson(error) => not_json(error),
        DecodeError::RepeatedName => Problem::new(Kind::InvalidRequest, REPEATED_NAME),
        _ => Problem::new(Kind::InvalidRequest, NOT_AN_OBJECT),
    })?;
    if connection.fields().id != id {
        let detail = "id must be the id of the path";
        return Err(Problem::new(Kind::IdDiffers, detail));
    }
    Ok(connection)
}

fn not_json(error: JsonError) -> Problem {
    Problem::new(Kind::InvalidRequest, format!("the body {error}"))
}

/// Reads the ids to look up. Repeated ids are dropped, because the answer has one member for each.
pub fn ids(body: &[u8]) -> Result<Batch<Id>, Problem> {
    let invalid = InvalidField {
        field: "ids",
        rule: "an array of 1 to 1,000 UUIDs",
    };
    let node = json::decode(body).map_err(not_json)?;
    let Node::Object(object) = &node else {
        return Err(Problem::new(Kind::InvalidRequest, NOT_AN_OBJECT));
    };
    if object.repeats_a_name() {
        return Err(Problem::new(Kind::InvalidRequest, REPEATED_NAME));
    }
    let Node::Array(nodes) = object.get("ids") else {
        return Err(invalid.into());
    };
    if nodes.is_empty() || nodes.len() > Batch::<Id>::MAX {
        return Err(invalid.into());
    }
    let (mut seen, mut ids) = (BTreeSet::new(), Vec::new());
    for node in nodes {
        let Node::Text(text) = node else {
            return Err(invalid.into());
        };
        let id = Id::parse("each of ids", text)?;
        if seen.insert(id) {
            ids.push(id);
        }
    }
    Ok(Batch::new("ids", ids)?)
}
