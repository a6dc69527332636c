//! HTTP as bytes, for what no client would send.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{sleep, timeout};

use super::secrets;

/// Nothing in a test takes as long as this: a server that does is stuck.
const STUCK: Duration = Duration::from_secs(60);

/// One connection.
pub struct Raw {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
}

/// The status of an answer, and all of it as text.
#[derive(Debug)]
pub struct RawAnswer {
    pub status: u16,
    pub text: String,
}

impl Raw {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("it listens");
        let (reader, writer) = stream.into_split();
        Self { reader, writer }
    }

    /// Sends bytes; false if the other side does not take them any more.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let sent = timeout(STUCK, self.writer.write_all(bytes.as_ref())).await;
        sent.expect("the other side takes bytes or closes").is_ok()
    }

    /// The next answer with its content; none if the connection ends before it is whole.
    pub async fn answer(&mut self) -> Option<RawAnswer> {
        answer(&mut self.reader).await
    }

    /// The same, while these bytes are sent once a second.
    pub async fn answer_while_sending(&mut self, bytes: &str) -> Option<RawAnswer> {
        let Self { reader, writer } = self;
        let sending = async {
            while writer.write_all(bytes.as_bytes()).await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
            pending().await
        };
        tokio::select! {
            answer = answer(reader) => answer,
            never = sending => never,
        }
    }

    /// The status of the next answer, whose content is not looked at: `view=full` and `HEAD`.
    pub async fn status(&mut self) -> u16 {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            line.push(byte(&mut self.reader).await.expect("an answer"));
        }
        let line = String::from_utf8(line).expect("text");
        let status = line.split(' ').nth(1).expect("a status");
        status.parse().expect("a number")
    }

    /// The status of the next answer, of which all but the content is looked at; none if the connection
    /// ends before it is whole. What answers `HEAD` has no content.
    pub async fn whole_answer(&mut self, to_head: bool) -> Option<u16> {
        let Head { status, length, .. } = head(&mut self.reader).await?;
        let mut content = vec![0; if to_head { 0 } else { length }];
        let read = timeout(STUCK, self.reader.read_exact(&mut content)).await;
        read.expect("the other side answers or closes").ok()?;
        Some(status)
    }

    /// Whether nothing more comes.
    pub async fn ends(&mut self) -> bool {
        byte(&mut self.reader).await.is_none()
    }
}

/// The head of an answer.
struct Head {
    bytes: Vec<u8>,
    status: u16,
    /// That of the content, in bytes.
    length: usize,
}

async fn head(reader: &mut OwnedReadHalf) -> Option<Head> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(byte(reader).await?);
    }
    let text = String::from_utf8_lossy(&bytes).to_lowercase();
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let mut lines = text.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.trim().parse().expect("a number"));
    Some(Head {
        bytes,
        status,
        length,
    })
}

async fn answer(reader: &mut OwnedReadHalf) -> Option<RawAnswer> {
    let Head {
        mut bytes,
        status,
        length,
    } = head(reader).await?;
    for _ in 0..length {
        bytes.push(byte(reader).await?);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    secrets::assert_none("an answer", &text);
    Some(RawAnswer { status, text })
}

async fn byte(reader: &mut OwnedReadHalf) -> Option<u8> {
    let byte = timeout(STUCK, reader.read_u8()).await;
    byte.expect("the other side answers or closes").ok()
}

/// The answer to these bytes, on a connection of their own; none if it is closed instead.
pub async fn exchange(address: SocketAddr, request: impl AsRef<[u8]>) -> Option<RawAnswer> {
    let mut raw = Raw::connect(address).await;
    // What is refused early may not be taken to its end.
    let _taken = raw.send(request).await;
    raw.answer().await
}

/// The bytes of a request, with more headers as they are.
pub fn request(method: &str, target: &str, headers: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n")
}

/// The header that shows a token.
pub fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}
