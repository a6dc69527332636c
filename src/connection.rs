//! A provider connection: a user's link to a bank or broker. Its fields and their rules, the summary
//! for a status check, and the JSON form. No I/O.

pub mod entry;
mod fields;
pub mod json;
mod revision;
mod summary;
mod timestamp;

pub use self::fields::{
    Alias, CredentialType, Credentials, EncryptedData, Fields, Id, InvalidField,
    ProviderConnection, Slug, Status,
};
pub use self::revision::Revision;
pub use self::summary::Summary;
pub use self::timestamp::Timestamp;
