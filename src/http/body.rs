//! What the bodies of requests say. A caller who is not understood should hear of it: what is
//! said twice, or is not what it should be, is refused, and not overlooked as in what Redis
//! holds. Members that are not known are ignored, for those of a later version.

use std::collections::BTreeSet;

use super::problem::{Kind, Problem};
use crate::cache::Batch;
use crate::connection::{Id, Invalid, ProviderConnection};
use crate::entry::{self, Corrupt};
use crate::json::{self, Node};

const NOT_AN_OBJECT: &str = "the body must be one JSON object";
const REPEATED_NAME: &str = "the body must name each member of an object once";

/// The connection to be stored under `id`.
pub fn connection(id: Id, body: &[u8]) -> Result<ProviderConnection, Problem> {
    let connection = entry::decode_given(body).map_err(|corrupt| match corrupt {
        Corrupt::Field(invalid) => invalid.into(),
        Corrupt::RepeatedName => Problem::new(Kind::InvalidRequest, REPEATED_NAME),
        _ => Problem::new(Kind::InvalidRequest, NOT_AN_OBJECT),
    })?;
    if connection.fields().id != id {
        let detail = "id must be the id of the path";
        return Err(Problem::new(Kind::IdDiffers, detail));
    }
    Ok(connection)
}

/// The ids to look up, each once: the answer has one member for each.
pub fn ids(body: &[u8]) -> Result<Batch<Id>, Problem> {
    let invalid = Invalid {
        field: "ids",
        rule: "an array of 1 to 1,000 UUIDs",
    };
    let node = json::decode(body);
    let Some(Node::Object(object)) = &node else {
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
