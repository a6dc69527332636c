//! What the cache can do now, as JSON.

use serde::Serialize;

/// The body of `GET /health/ready`, and of the explorer's.
#[derive(Serialize)]
pub struct ReadinessBody {
    status: &'static str,
    writes: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl ReadinessBody {
    /// Says whether Redis answers lookups and takes writes, and if not, why not.
    pub fn new(lookups: Result<(), String>, writes: Result<(), String>) -> Self {
        Self {
            status: match lookups {
                Ok(()) => "ready",
                Err(_) => "unavailable",
            },
            writes: match writes {
                Ok(()) => "accepted",
                Err(_) => "failing",
            },
            detail: lookups.and(writes).err(),
        }
    }
}
