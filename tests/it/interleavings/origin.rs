//! An origin that reads its database, and answers, when the test says so.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The origin of one host. It ends when this is dropped.
pub struct Origin {
    address: String,
    requests: Arc<Mutex<VecDeque<Request>>>,
    task: JoinHandle<()>,
}

struct Request {
    client: TcpStream,
    /// What it will be answered.
    answer: Option<String>,
}

impl Origin {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let requests = Arc::<Mutex<VecDeque<Request>>>::default();
        let task = tokio::spawn(accept(listener, Arc::clone(&requests)));
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

    fn requests(&self) -> MutexGuard<'_, VecDeque<Request>> {
        self.requests.lock().unwrap()
    }

    /// How many requests it holds.
    pub fn held(&self) -> usize {
        self.requests().len()
    }

    /// Returns true if a request has come for which it has not read its database yet.
    pub fn has_new(&self) -> bool {
        self.requests().iter().any(|it| it.answer.is_none())
    }

    /// Returns true if it may answer a request.
    pub fn has_answer(&self) -> bool {
        self.requests()
            .front()
            .is_some_and(|it| it.answer.is_some())
    }

    /// Reads the database for the next request.
    pub fn read(&self, answer: String) {
        let mut requests = self.requests();
        let request = requests.iter_mut().find(|it| it.answer.is_none());
        request.unwrap().answer = Some(answer);
    }

    /// Answers the oldest request.
    pub fn answer(&self) {
        let request = self.requests().pop_front().unwrap();
        let answer = request.answer.unwrap();
        // In one piece, so that the head does not come before the body.
        let sent = request.client.try_write(answer.as_bytes());
        assert_eq!(sent.ok(), Some(answer.len()));
    }

    /// Forgets all requests: who sent them is gone.
    pub fn forget(&self) {
        self.requests().clear();
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer of the origin: this status, these headers, this body.
pub fn response(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Status\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

async fn accept(listener: TcpListener, requests: Arc<Mutex<VecDeque<Request>>>) {
    loop {
        let (mut client, _) = listener.accept().await.expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if !matches!(client.read_buf(&mut head).await, Ok(1..)) {
                break;
            }
        }
        let answer = None;
        requests
            .lock()
            .unwrap()
            .push_back(Request { client, answer });
    }
}
