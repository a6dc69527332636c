//! The errors that Redis answers with.

use std::fmt;

/// Why Redis refused a command, and what the operator can do about it.
///
/// Nothing of the reply shows but its code: the rest may repeat arguments of the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A password is needed.
    NoPasswordGiven,
    /// A password was given, and Redis has none.
    NoPasswordNeeded,
    /// The user or the password is wrong.
    WrongPassword,
    /// The database does not exist.
    NoSuchDatabase,
    /// The user may not run the command, or not on this key.
    NotPermitted,
    /// The server is a Sentinel.
    Sentinel,
    /// The keys are on another node of a Redis Cluster.
    Moved,
    /// The keys of a command are on several nodes of a Redis Cluster.
    CrossSlot,
    /// Nobody serves the keys in a Redis Cluster.
    ClusterDown,
    /// The server is a replica.
    ReadOnly,
    /// The server is a replica that lost its primary.
    MasterDown,
    /// The primary has lost its replicas.
    NoReplicas,
    /// The memory is full.
    OutOfMemory,
    /// The disk fails.
    CannotSave,
    /// A script runs for long.
    Busy,
    /// The server has just started.
    Loading,
    /// Any other code.
    Other(String),
}

/// The codes to which Spin's Redis client gives names of its own.
const RENAMED: [(&str, &str); 13] = [
    ("ResponseError", "ERR"),
    ("ExecAbortError", "EXECABORT"),
    ("BusyLoadingError", "LOADING"),
    ("NoScriptError", "NOSCRIPT"),
    ("Moved", "MOVED"),
    ("Ask", "ASK"),
    ("TryAgain", "TRYAGAIN"),
    ("ClusterDown", "CLUSTERDOWN"),
    ("CrossSlot", "CROSSSLOT"),
    ("MasterDown", "MASTERDOWN"),
    ("ReadOnly", "READONLY"),
    ("NotBusy", "NOTBUSY"),
    ("NoSub", "NOSUB"),
];

impl Refusal {
    /// Reads the text that Spin passes on for a reply to a command of this name: `CODE: message`, or a
    /// sentence with the client's own name for the code. Returns none for any other text, which is not
    /// a reply of Redis.
    pub(super) fn parse(text: &str, command: &str) -> Option<Self> {
        let renamed = ["An error was signalled by the server", "Server error"]
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix));
        let reply = renamed.map_or(text, |rest| rest.trim_start_matches([' ', '-']));
        let (name, message) = reply.split_once(':').unwrap_or((reply, ""));
        let code = RENAMED.iter().find(|(theirs, _)| *theirs == name);
        let code = code.map_or(name, |(_, code)| code);
        (renamed.is_some() || is_code(code) && reply != code)
            .then(|| Self::of(code, message, command))
    }

    fn of(code: &str, message: &str, command: &str) -> Self {
        match code {
            "NOAUTH" => Self::NoPasswordGiven,
            "WRONGPASS" => Self::WrongPassword,
            "NOPERM" => Self::NotPermitted,
            "MOVED" | "ASK" => Self::Moved,
            "CROSSSLOT" => Self::CrossSlot,
            "CLUSTERDOWN" => Self::ClusterDown,
            "READONLY" => Self::ReadOnly,
            "MASTERDOWN" => Self::MasterDown,
            "NOREPLICAS" => Self::NoReplicas,
            "OOM" => Self::OutOfMemory,
            "MISCONF" => Self::CannotSave,
            "BUSY" => Self::Busy,
            "LOADING" => Self::Loading,
            "ERR" => Self::of_err(message, command),
            code => Self::Other(code.to_owned()),
        }
    }

    /// Tells the errors of the code `ERR` apart.
    fn of_err(message: &str, command: &str) -> Self {
        if mentions(message, "without any password configured") {
            return Self::NoPasswordNeeded;
        }
        if mentions(message, "unknown command") && command != "EVAL" {
            // A server without such commands as GET does not exist, but a Sentinel has PING and AUTH.
            return Self::Sentinel;
        }
        if command == "SELECT" {
            return Self::NoSuchDatabase;
        }
        // Redis 6 wraps the error of a command that a script runs.
        let mut words = message.split(' ').filter_map(|word| word.strip_prefix('-'));
        match words.find(|word| is_code(word)) {
            Some(code) if code != "ERR" => Self::of(code, "", command),
            _ => Self::Other("ERR".to_owned()),
        }
    }

    /// Returns the code, as Redis spells it.
    pub fn code(&self) -> &str {
        match self {
            Self::NoPasswordGiven => "NOAUTH",
            Self::WrongPassword => "WRONGPASS",
            Self::NotPermitted => "NOPERM",
            Self::NoPasswordNeeded | Self::NoSuchDatabase | Self::Sentinel => "ERR",
            Self::Moved => "MOVED",
            Self::CrossSlot => "CROSSSLOT",
            Self::ClusterDown => "CLUSTERDOWN",
            Self::ReadOnly => "READONLY",
            Self::MasterDown => "MASTERDOWN",
            Self::NoReplicas => "NOREPLICAS",
            Self::OutOfMemory => "OOM",
            Self::CannotSave => "MISCONF",
            Self::Busy => "BUSY",
            Self::Loading => "LOADING",
            Self::Other(code) => code,
        }
    }

    fn advice(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoPasswordGiven => "it wants a password, so set redis_password",
            Self::NoPasswordNeeded => "it has no password, so leave redis_password empty",
            Self::WrongPassword => "it does not know redis_username with redis_password",
            Self::NoSuchDatabase => "it does not have the database of redis_database",
            Self::NotPermitted => {
                "the user of redis_username lacks a right that docs/configuration.md lists"
            }
            Self::Sentinel => "it is a Sentinel, so set redis_address to the primary",
            Self::Moved => {
                "it is a node of a Redis Cluster: set key_prefix to a hash tag, such as {cache}, and \
                 redis_address to the node that has its slot"
            }
            Self::CrossSlot => {
                "it is a node of a Redis Cluster: set key_prefix to a hash tag, such as {cache}"
            }
            Self::ClusterDown => "its Redis Cluster does not serve the keys",
            Self::ReadOnly => "it is a replica, so set redis_address to the primary",
            Self::MasterDown => "it is a replica that lost its primary",
            Self::NoReplicas => "it has too few replicas to take writes (min-replicas-to-write)",
            Self::OutOfMemory => "its memory is full (maxmemory)",
            Self::CannotSave => "it takes no writes while it cannot save to its disk",
            Self::Busy => "it runs a script that does not end",
            Self::Loading => "it has started, and still loads its data",
            Self::Other(_) => return None,
        })
    }

    /// Returns true if the address may lead to another server by now, which would not refuse: the
    /// one that answered has been replaced in a failover, or is cut off from the others.
    pub(super) fn suggests_failover(&self) -> bool {
        matches!(
            self,
            Self::ReadOnly | Self::MasterDown | Self::NoReplicas | Self::ClusterDown | Self::Moved
        )
    }

    /// Returns true if Redis carried nothing out, and may carry the same command out later.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::OutOfMemory | Self::CannotSave | Self::Busy | Self::Loading => true,
            // Another key may be on this node.
            Self::Moved => false,
            refusal => refusal.suggests_failover(),
        }
    }
}

/// Returns true if the text has these words, in capitals or not. `str::contains` would add 10 KB to a
/// component.
pub(super) fn mentions(text: &str, words: &str) -> bool {
    let mut windows = text.as_bytes().windows(words.len());
    windows.any(|window| window.eq_ignore_ascii_case(words.as_bytes()))
}

fn is_code(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis answered {}", self.code())?;
        match self.advice() {
            Some(advice) => write!(f, ": {advice}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_known_by_its_code_and_no_other_text_is_one() {
        let signalled = "An error was signalled by the server";
        let cases = [
            (
                "GET",
                "NOAUTH: Authentication required.".to_owned(),
                Refusal::NoPasswordGiven,
            ),
            (
                "GET",
                "NOPERM: this user has no permissions".to_owned(),
                Refusal::NotPermitted,
            ),
            (
                "SET",
                "OOM: command not allowed".to_owned(),
                Refusal::OutOfMemory,
            ),
            (
                "SET",
                format!("{signalled} - ReadOnly: You can't write"),
                Refusal::ReadOnly,
            ),
            (
                "GET",
                format!("{signalled} - BusyLoadingError: Redis is loading"),
                Refusal::Loading,
            ),
            (
                "GET",
                format!("{signalled}- ClusterDown"),
                Refusal::ClusterDown,
            ),
            (
                "AUTH",
                format!(
                    "{signalled} - ResponseError: AUTH <password> called without any \
                password configured for the default user."
                ),
                Refusal::NoPasswordNeeded,
            ),
            (
                "GET",
                format!("{signalled} - ResponseError: unknown command 'GET', with"),
                Refusal::Sentinel,
            ),
            (
                "SELECT",
                format!("{signalled} - ResponseError: DB index is out of range"),
                Refusal::NoSuchDatabase,
            ),
            (
                "EVAL",
                format!("{signalled} - ResponseError: unknown command 'EVAL', with"),
                Refusal::Other("ERR".to_owned()),
            ),
            (
                "EVAL",
                format!(
                    "{signalled} - ResponseError: Error running script (call to f_1): \
                @user_script:1: @user_script: 1: -OOM command not allowed"
                ),
                Refusal::OutOfMemory,
            ),
            (
                "EVAL",
                format!("{signalled} - ResponseError: x: -ERR y"),
                Refusal::Other("ERR".to_owned()),
            ),
            (
                "GET",
                "NEWCODE: whatever".to_owned(),
                Refusal::Other("NEWCODE".to_owned()),
            ),
        ];
        for (command, text, refusal) in cases {
            assert_eq!(Refusal::parse(&text, command), Some(refusal), "{text}");
        }
        for text in [
            "Connection reset by peer (os error 104)",
            "broken pipe",
            "Multiplexed connection driver unexpectedly terminated- IoError",
            "TLS",
            "",
        ] {
            assert_eq!(Refusal::parse(text, "GET"), None, "{text}");
        }
    }

    #[test]
    fn the_code_is_that_of_redis_and_nothing_else_of_the_reply_shows() {
        let text = "An error was signalled by the server - ReadOnly: secret";
        let refusal = Refusal::parse(text, "SET").unwrap();
        assert_eq!(refusal.code(), "READONLY");
        assert_eq!(
            refusal.to_string(),
            "Redis answered READONLY: it is a replica, so set redis_address to the primary"
        );
        let other = Refusal::Other("NEWCODE".to_owned());
        assert_eq!(other.to_string(), "Redis answered NEWCODE");
    }
}
