//! An origin that reads or writes its database, and answers, when the test says so.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What it says.
#[derive(Debug)]
pub struct OriginAnswer {
    pub status: u16,
    /// Each with its end of line.
    pub headers: &'static str,
    pub body: String,
}

/// The origin of one host. It ends when this is dropped.
pub struct Origin {
    address: String,
    pub reads: Requests,
    /// Only the application behind the middleware writes.
    pub writes: Requests,
    task: JoinHandle<()>,
}

/// The requests of a kind that it holds.
#[derive(Clone, Default)]
pub struct Requests(Arc<Mutex<VecDeque<Request>>>);

struct Request {
    /// What it brings.
    body: String,
    caller: Caller,
    /// What it will be answered.
    answer: Option<OriginAnswer>,
}

enum Caller {
    Connected(TcpStream),
    /// The middleware before it.
    Before(oneshot::Sender<OriginAnswer>),
}

impl Requests {
    fn all(&self) -> MutexGuard<'_, VecDeque<Request>> {
        self.0.lock().unwrap()
    }

    fn hold(&self, body: String, caller: Caller) {
        let answer = None;
        self.all().push_back(Request {
            body,
            caller,
            answer,
        });
    }

    /// Asks without a connection.
    pub fn ask(&self, body: String) -> oneshot::Receiver<OriginAnswer> {
        let (answer, answered) = oneshot::channel();
        self.hold(body, Caller::Before(answer));
        answered
    }

    /// How many it holds.
    pub fn held(&self) -> usize {
        self.all().len()
    }

    /// How many of them came over a connection.
    pub fn connected(&self) -> usize {
        let is_connected = |it: &&Request| matches!(it.caller, Caller::Connected(_));
        self.all().iter().filter(is_connected).count()
    }

    /// What the next request brings for which the origin has not been at its database yet.
    pub fn undecided(&self) -> Option<String> {
        let all = self.all();
        let new = all.iter().find(|it| it.answer.is_none());
        new.map(|it| it.body.clone())
    }

    /// Decides what this request will be answered.
    pub fn decide(&self, answer: OriginAnswer) {
        let mut all = self.all();
        let new = all.iter_mut().find(|it| it.answer.is_none());
        new.unwrap().answer = Some(answer);
    }

    /// Returns true if the oldest request may be answered.
    pub fn has_answer(&self) -> bool {
        self.all().front().is_some_and(|it| it.answer.is_some())
    }

    /// Answers it.
    pub fn answer(&self) {
        let request = self.all().pop_front().unwrap();
        let answer = request.answer.unwrap();
        match request.caller {
            Caller::Connected(client) => {
                // In one piece, so that the head does not come before the body.
                let text = answer.text();
                let sent = client.try_write(text.as_bytes());
                assert_eq!(sent.ok(), Some(text.len()));
            }
            // One that is gone has no use for it.
            Caller::Before(client) => drop(client.send(answer)),
        }
    }
}

impl Origin {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let reads = Requests::default();
        let task = tokio::spawn(accept(listener, reads.clone()));
        Self {
            address: format!("http://{address}"),
            reads,
            writes: Requests::default(),
            task,
        }
    }

    /// Its address, as the variable `origin_address` has it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How many requests it holds.
    pub fn held(&self) -> usize {
        self.reads.held() + self.writes.held()
    }

    /// Forgets all requests: who sent them is gone.
    pub fn forget(&self) {
        self.reads.all().clear();
        self.writes.all().clear();
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl OriginAnswer {
    fn text(&self) -> String {
        let Self {
            status,
            headers,
            body,
        } = self;
        let length = body.len();
        format!(
            "HTTP/1.1 {status} Status\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        )
    }
}

async fn accept(listener: TcpListener, reads: Requests) {
    loop {
        let (mut client, _) = listener.accept().await.expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if !matches!(client.read_buf(&mut head).await, Ok(1..)) {
                break;
            }
        }
        reads.hold(String::new(), Caller::Connected(client));
    }
}
