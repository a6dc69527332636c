//! A plain HTTP/1.1 client that shows everything the server sends.

use std::convert::Infallible;
use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Bytes, Frame};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::secrets;

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header that must be there once.
    pub fn header(&self, name: &str) -> &str {
        self.optional_header(name)
            .unwrap_or_else(|| panic!("no {name} in {self:#?}"))
    }

    /// The value of a header that may be there once.
    pub fn optional_header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().expect("text");
        assert!(values.next().is_none(), "{name} is there twice: {self:#?}");
        Some(value)
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("text")
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        assert!(
            self.header("content-type").ends_with("json"),
            "not JSON: {self:#?}"
        );
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// Everything in the answer, for tests of what must not be in it.
    pub fn everything(&self) -> String {
        format!(
            "{:?}\n{}",
            self.headers,
            String::from_utf8_lossy(&self.body)
        )
    }
}

/// A request to be sent: method, path with query, headers, body.
#[derive(Clone, Debug)]
pub struct Call {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    chunked: bool,
}

impl Call {
    pub fn new(method: &str, path: &str) -> Self {
        let (method, path) = (method.to_owned(), path.to_owned());
        Self {
            method,
            path,
            headers: Vec::new(),
            body: Vec::new(),
            chunked: false,
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub fn json(self, body: impl AsRef<[u8]>) -> Self {
        self.header("content-type", "application/json").body(body)
    }

    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// Sends the body in pieces, without saying its length first.
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    fn into_request(self) -> Request<BoxBody<Bytes, Infallible>> {
        let mut request = Request::builder()
            .method(self.method.as_str())
            .uri(self.path);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let body = Bytes::from(self.body);
        let body = if self.chunked {
            let pieces: Vec<_> = body.chunks(1_000).map(Bytes::copy_from_slice).collect();
            let frames = pieces.into_iter().map(|piece| Ok(Frame::data(piece)));
            StreamBody::new(futures_util::stream::iter(frames)).boxed()
        } else {
            Full::new(body).boxed()
        };
        request
            .header("host", "localhost")
            .body(body)
            .expect("a request")
    }
}

/// One connection, kept alive from request to request.
pub struct Client {
    sender: SendRequest<BoxBody<Bytes, Infallible>>,
    searches: bool,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("the service listens");
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP");
        tokio::spawn(connection);
        Self {
            sender,
            searches: false,
        }
    }

    /// From now on, all answers are searched for secrets.
    pub fn searching(self) -> Self {
        Self {
            searches: true,
            ..self
        }
    }

    pub async fn send(&mut self, call: Call) -> Answer {
        self.sender
            .ready()
            .await
            .expect("the connection is still open");
        let shown = format!("{} {}", call.method, call.path);
        // The one answer that shows a secret; whether to whom it may, is tested elsewhere.
        let whole = call.path.contains("view=full");
        let answer = self.sender.send_request(call.into_request()).await;
        let answer = answer.unwrap_or_else(|error| panic!("{shown}: no answer: {error}"));
        let (head, body) = answer.into_parts();
        let body = body
            .collect()
            .await
            .expect("the whole body")
            .to_bytes()
            .to_vec();
        let answer = Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        };
        if self.searches && !(whole && answer.status == 200) {
            secrets::assert_none(shown, &answer.everything());
        }
        answer
    }
}
