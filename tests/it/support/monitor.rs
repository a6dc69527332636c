//! All that reaches a Redis, by its command MONITOR.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use super::redis::Redis;

/// Listens to a Redis of the test's own.
pub struct Monitor {
    lines: Receiver<String>,
}

impl Monitor {
    pub fn of(redis: &Redis) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", redis.port())).expect("Redis listens");
        (&stream)
            .write_all(b"MONITOR\r\n")
            .expect("it takes commands");
        let mut lines = BufReader::new(stream).split(b'\n');
        let ok = lines.next().expect("an answer").expect("an answer");
        assert_eq!(ok, b"+OK\r");
        let (sender, receiver) = channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { lines: receiver }
    }

    /// The commands so far, each as its words, without those by which a client makes itself
    /// known, and those of scripts.
    pub fn commands(&self, redis: &Redis) -> Vec<Vec<String>> {
        const END: &str = "the-end-of-the-commands";
        redis.command::<()>(&["ECHO", END]);
        let line = || {
            let line = self.lines.recv_timeout(Duration::from_secs(30));
            line.expect("MONITOR tells of every command")
        };
        std::iter::repeat_with(line)
            .filter(|line| !line.contains(" lua] "))
            .map(|line| words(&line))
            .take_while(|words| words[1..] != [END])
            .filter(|words| words[0] != "CLIENT")
            .collect()
    }
}

/// The words of a line such as `+1.2 [0 127.0.0.1:3] "GET" "a \"key\""`, with what is
/// escaped in them left so.
fn words(line: &str) -> Vec<String> {
    let (_, mut rest) = line.split_once("] ").expect("a line of MONITOR");
    let mut words = Vec::new();
    while let Some(quoted) = rest.trim_start().strip_prefix('"') {
        let mut escaped = false;
        let end = quoted.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.expect("a closing quote");
        words.push(quoted[..end].to_owned());
        rest = &quoted[end + 1..];
    }
    words
}
