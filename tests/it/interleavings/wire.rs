//! The protocol of Redis, as far as a proxy has to know it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::redis::Redis;

/// Returns the length of the first value of these bytes, once all of it is there.
pub fn length(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|end| end == b"\r\n")?;
    let number = || str::from_utf8(&bytes[1..line]).ok()?.parse::<i64>().ok();
    let mut end = line + 2;
    match bytes[0] {
        b'$' => {
            if let Ok(length) = usize::try_from(number()?) {
                end += length + 2;
            }
        }
        b'*' => {
            for _ in 0..number()?.max(0) {
                end += length(bytes.get(end..)?)?;
            }
        }
        _ => {}
    }
    (end <= bytes.len()).then_some(end)
}

/// A command: its name and its arguments.
#[derive(Clone, Debug)]
pub struct Command {
    /// As it was sent.
    pub bytes: Vec<u8>,
    words: Vec<String>,
}

impl Command {
    /// A command of the test's own.
    pub fn new(words: &[&str]) -> Self {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
        }
        Self::read(bytes)
    }

    /// One that was sent: an array of strings.
    pub fn read(bytes: Vec<u8>) -> Self {
        let mut words = Vec::new();
        let mut rest = &bytes[bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1..];
        while let Some(end) = length(rest) {
            let start = rest.iter().position(|byte| *byte == b'\n').unwrap() + 1;
            words.push(String::from_utf8_lossy(&rest[start..end - 2]).into_owned());
            rest = &rest[end..];
        }
        Self { bytes, words }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.words[0]
    }

    /// Whether it belongs to opening a connection, and to no operation.
    pub fn is_of_connection(&self) -> bool {
        ["CLIENT", "HELLO", "AUTH", "SELECT", "PING"].contains(&self.name())
    }

    fn is_script(&self) -> bool {
        self.name() == "EVAL"
    }

    /// The keys that it is about.
    pub fn keys(&self) -> &[String] {
        match self.name() {
            "EVAL" => &self.words[3..3 + self.words[2].parse::<usize>().unwrap()],
            "MGET" | "DEL" => &self.words[1..],
            _ => &self.words[1..2],
        }
    }

    /// Whether it changed this key, if it changed any: the keys of what may be asked of the origin are
    /// only read, but by the one that asks after a pause.
    pub fn may_change(&self, key: &str, reply: &[u8]) -> bool {
        !key.contains("conn-origin:") || !reply.starts_with(b"*") || reply.starts_with(b"*2\r\n:2")
    }

    /// What a reader of a script needs to know of it.
    pub fn describe(&self) -> String {
        let short = |word: &String| {
            let word = word.replace("test:provider:", "");
            let word = word.replace(":0192f3a4-5b6c-7d8e-9f00-00000000000", " ");
            match word.split_once(r#""alias":""#) {
                Some((_, alias)) => format!("{{{}}}", alias.split('"').next().unwrap()),
                None => word.chars().take(48).collect(),
            }
        };
        let words = match self.is_script() {
            true => &self.words[3..],
            false => &self.words[1..],
        };
        let words: Vec<_> = words.iter().map(short).collect();
        format!("{} {}", self.name(), words.join(" "))
    }
}

/// A connection to Redis that waits for each reply.
pub struct Upstream(TcpStream);

impl Upstream {
    pub fn to(redis: &Redis) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", redis.port())).expect("Redis answers");
        stream.set_nodelay(true).expect("TCP");
        Self(stream)
    }

    /// Sends a command and returns the reply, as it came.
    pub fn call(&mut self, command: &Command) -> Vec<u8> {
        self.0.write_all(&command.bytes).expect("Redis reads");
        let mut reply = Vec::new();
        let mut buffer = [0; 16 * 1024];
        while length(&reply).is_none() {
            let read = self.0.read(&mut buffer).expect("Redis answers");
            assert!(read > 0, "Redis ended");
            reply.extend(&buffer[..read]);
        }
        reply
    }

    /// How many changes Redis has made so far.
    pub fn changes(&mut self) -> u64 {
        self.info("persistence", "rdb_changes_since_last_save")
    }

    /// A number that INFO has in this section. 0 if it is not there, or not yet.
    pub fn info(&mut self, section: &str, field: &str) -> u64 {
        let reply = self.call(&Command::new(&["INFO", section]));
        let text = String::from_utf8_lossy(&reply);
        let mut fields = text.lines().filter_map(|line| line.split_once(':'));
        let found = fields.find(|(name, _)| *name == field);
        found.map_or(0, |(_, value)| value.parse().expect("a number"))
    }

    /// The value of a key.
    pub fn get(&mut self, key: &str) -> Option<String> {
        let reply = self.call(&Command::new(&["GET", key]));
        let start = reply.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let end = reply.len().checked_sub(2).filter(|end| *end >= start)?;
        Some(String::from_utf8_lossy(&reply[start..end]).into_owned())
    }
}
