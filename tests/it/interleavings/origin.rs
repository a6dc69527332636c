//! An origin that reads or writes its database, and answers, when the test says so.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Read,
    /// That its database says this.
    Write(String),
}

/// What it says.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Each with its end of line.
    pub headers: &'static str,
    pub body: String,
}

/// The origin of one host. It ends when this is dropped.
pub struct Origin {
    address: String,
    requests: Requests,
    task: JoinHandle<()>,
}

/// The requests that it holds.
#[derive(Clone, Default)]
pub struct Requests(Arc<Mutex<VecDeque<Request>>>);

struct Request {
    asked: Asked,
    caller: Caller,
    /// What it will be answered.
    answer: Option<Answer>,
}

enum Caller {
    Connected(TcpStream),
    /// The middleware before it.
    Before(oneshot::Sender<Answer>),
}

impl Requests {
    fn all(&self) -> MutexGuard<'_, VecDeque<Request>> {
        self.0.lock().unwrap()
    }

    fn hold(&self, asked: Asked, caller: Caller) {
        let answer = None;
        self.all().push_back(Request {
            asked,
            caller,
            answer,
        });
    }

    /// Asks without a connection.
    pub fn ask(&self, asked: Asked) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        self.hold(asked, Caller::Before(answer));
        answered
    }
}

impl Origin {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let requests = Requests::default();
        let task = tokio::spawn(accept(listener, requests.clone()));
        Self {
            address: format!("http://{address}"),
            requests,
            task,
        }
    }

    /// Its address, as the variable `origin_address` has it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// For who asks without a connection.
    pub fn requests(&self) -> &Requests {
        &self.requests
    }

    fn count(&self, is_meant: impl Fn(&Request) -> bool) -> usize {
        self.requests.all().iter().filter(|it| is_meant(it)).count()
    }

    /// How many requests it holds.
    pub fn held(&self) -> usize {
        self.requests.all().len()
    }

    /// How many of them came over a connection.
    pub fn held_of_connections(&self) -> usize {
        self.count(|it| matches!(it.caller, Caller::Connected(_)))
    }

    /// How many of them read.
    pub fn reading(&self) -> usize {
        self.count(|it| it.asked == Asked::Read)
    }

    /// Returns true if a request has come for which it has not read its database yet.
    pub fn has_new(&self) -> bool {
        self.count(|it| it.asked == Asked::Read && it.answer.is_none()) > 0
    }

    /// What the next request is to write, which it has not written yet.
    pub fn to_write(&self) -> Option<String> {
        let requests = self.requests.all();
        let mut new = requests.iter().filter(|it| it.answer.is_none());
        new.find_map(|it| match &it.asked {
            Asked::Write(value) => Some(value.clone()),
            Asked::Read => None,
        })
    }

    /// Whether it may answer the oldest request that reads, or the oldest that writes.
    pub fn has_answer(&self, writes: bool) -> bool {
        let requests = self.requests.all();
        let mut of = requests.iter().filter(|it| it.writes() == writes);
        of.next().is_some_and(|it| it.answer.is_some())
    }

    /// Decides what the next request that reads, or that writes, will be answered.
    pub fn decide(&self, writes: bool, answer: Answer) {
        let mut requests = self.requests.all();
        let mut of = requests.iter_mut().filter(|it| it.writes() == writes);
        of.find(|it| it.answer.is_none()).unwrap().answer = Some(answer);
    }

    /// Answers the oldest request that reads, or that writes.
    pub fn answer(&self, writes: bool) {
        let mut requests = self.requests.all();
        let oldest = requests.iter().position(|it| it.writes() == writes);
        let request = requests.remove(oldest.unwrap()).unwrap();
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

    /// Forgets all requests: who sent them is gone.
    pub fn forget(&self) {
        self.requests.all().clear();
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Request {
    fn writes(&self) -> bool {
        self.asked != Asked::Read
    }
}

impl Answer {
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

async fn accept(listener: TcpListener, requests: Requests) {
    loop {
        let (mut client, _) = listener.accept().await.expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if !matches!(client.read_buf(&mut head).await, Ok(1..)) {
                break;
            }
        }
        requests.hold(Asked::Read, Caller::Connected(client));
    }
}
