//! A caller of which each answer is timed by itself.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// A caller, on one connection, or another one if that was closed.
pub struct Caller {
    address: SocketAddr,
    stream: TcpStream,
    received: Vec<u8>,
}

impl Caller {
    /// A caller of this server.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self {
            address,
            stream: open(address)?,
            received: Vec::new(),
        })
    }

    /// The time from sending the request to the last byte of its answer, which must have this status.
    pub fn call(&mut self, request: &str, status: u16) -> Result<Duration> {
        let mut begun = Instant::now();
        let mut answer = self.exchange(request);
        // What was refused early may have ended its connection, without a word of that.
        if self.received.is_empty() {
            self.stream = open(self.address)?;
            begun = Instant::now();
            answer = self.exchange(request);
        }
        let (answer, took) = (answer?, begun.elapsed());
        ensure!(answer.status == status, "{}, not {status}", answer.status);
        if answer.closes {
            self.stream = open(self.address)?;
        }
        Ok(took)
    }

    fn exchange(&mut self, request: &str) -> Result<Answer> {
        self.received.clear();
        // What is refused early may not be taken to its end.
        let _taken = self.stream.write_all(request.as_bytes());
        let mut chunk = [0; 16 << 10];
        loop {
            let count = self.stream.read(&mut chunk)?;
            if count == 0 {
                bail!("the connection was closed before the answer was whole");
            }
            self.received.extend(&chunk[..count]);
            if let Some(answer) = Answer::parse(&self.received, request.starts_with("HEAD "))? {
                return Ok(answer);
            }
        }
    }
}

/// What there is to know of an answer.
struct Answer {
    status: u16,
    closes: bool,
}

impl Answer {
    /// None if these bytes are not all of it.
    fn parse(bytes: &[u8], to_head: bool) -> Result<Option<Self>> {
        let end = b"\r\n\r\n";
        let Some(head) = bytes.windows(end.len()).position(|bytes| bytes == end) else {
            return Ok(None);
        };
        let text = str::from_utf8(&bytes[..head])?.to_ascii_lowercase();
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let length = match value("content-length: ") {
            Some(length) if !to_head => length.trim().parse()?,
            _ => 0,
        };
        if bytes.len() < head + end.len() + length {
            return Ok(None);
        }
        let status = text.split(' ').nth(1).context("no status")?;
        Ok(Some(Self {
            status: status.parse()?,
            closes: value("connection: ").is_some_and(|value| value.contains("close")),
        }))
    }
}

fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
