//! The login of a connection, and what is sent with it before Redis has answered.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::connection::{entry, id};
use crate::support::redis::Redis;
use crate::support::service::{LASTING, Service, path};

const PASSWORD: &str = "of-the-tests";
/// A client that has sent nothing for so long is taken to wait for an answer.
const QUIET: Duration = Duration::from_millis(100);

const HIT: &str = "provider-connection-cache; hit";

/// In which order a [`Usher`] lets commands in.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    AsSent,
    Reversed,
}

/// A proxy that keeps the login of each connection until another command follows, and no more do, and
/// lets them in together. A client that waited for the answer to the login would wait for ever. The
/// proxy ends when this is dropped.
struct Usher {
    address: SocketAddr,
    /// For each connection, the replies to the login and to what came with it, as they were sent.
    replies: Receiver<Vec<String>>,
    task: JoinHandle<()>,
}

impl Usher {
    async fn to(redis: &Redis, order: Order) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (sender, replies) = channel();
        let port = redis.port();
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                tokio::spawn(usher(client, port, order, sender.clone()));
            }
        });
        Self {
            address,
            replies,
            task,
        }
    }

    fn address(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// The replies to the login and to the one command that came with it.
    fn two_replies(&self) -> [String; 2] {
        let replies = self.replies.recv().expect("a connection");
        replies.try_into().expect("one command with the login")
    }
}

impl Drop for Usher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn usher(client: TcpStream, port: u16, order: Order, replies: Sender<Vec<String>>) {
    let server = TcpStream::connect(("127.0.0.1", port)).await;
    let (mut client, mut server) = (Wire::of(client), Wire::of(server.expect("Redis listens")));
    let mut together = Vec::new();
    while let Some(command) = client.next().await {
        if together.is_empty() && !command.windows(4).any(|word| word == b"AUTH") {
            server.send(&command).await;
            let reply = server.next().await.expect("Redis answers");
            client.send(&reply).await;
            continue;
        }
        together.push(command);
        if together.len() < 2 {
            continue;
        }
        while let Ok(Some(command)) = timeout(QUIET, client.next()).await {
            together.push(command);
        }
        let answers = order.apply(server.ask(order.apply(together)).await);
        client.send(&answers.concat()).await;
        let text = |reply: &Vec<u8>| String::from_utf8_lossy(reply).into_owned();
        let _ = replies.send(answers.iter().map(text).collect());
        server.send(&client.buffer).await;
        let _ = copy_bidirectional(&mut client.stream, &mut server.stream).await;
        return;
    }
}

impl Order {
    fn apply<T>(self, mut all: Vec<T>) -> Vec<T> {
        if self == Self::Reversed {
            all.reverse();
        }
        all
    }
}

/// A stream of commands, or of replies.
struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    fn of(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("TCP");
        let buffer = Vec::new();
        Self { stream, buffer }
    }

    /// The next one, or none at the end.
    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(length) = length(&self.buffer) {
                let rest = self.buffer.split_off(length);
                return Some(std::mem::replace(&mut self.buffer, rest));
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return None,
            }
        }
    }

    /// Sends commands, and returns the replies.
    async fn ask(&mut self, commands: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        self.send(&commands.concat()).await;
        let mut replies = Vec::new();
        for _ in commands {
            replies.push(self.next().await.expect("Redis answers"));
        }
        replies
    }

    /// Who is gone has no use for it.
    async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }
}

/// The length of the value in RESP that the bytes begin with, if it is complete.
fn length(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")? + 2;
    let count = || std::str::from_utf8(&bytes[1..end - 2]).ok()?.parse().ok();
    let length = match bytes[0] {
        b'$' => count().map_or(end, |count: usize| end + count + 2),
        b'*' => (0..count()?).try_fold(end, |at, _: usize| Some(at + length(&bytes[at..])?))?,
        _ => end,
    };
    (length <= bytes.len()).then_some(length)
}

/// A service whose way to Redis leads past an usher, and which knows the password.
async fn behind(usher: &Usher, redis: &Redis, more: &[(&str, &str)]) -> Service {
    let address = usher.address();
    let variables = [
        ("redis_address", address.as_str()),
        ("redis_password", PASSWORD),
    ];
    Service::with(redis, &[&variables[..], more].concat()).await
}

async fn assert_hit(service: &Service) {
    let answer = service.read("GET", &path(&id(1))).await;
    assert_eq!((answer.status, answer.header("cache-status")), (200, HIT));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_instance_sends_its_first_lookup_with_the_login() {
    let redis = Redis::start_with_required_password(PASSWORD);
    let usher = Usher::to(&redis, Order::AsSent).await;
    let service = behind(&usher, &redis, &[]).await;
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    assert_hit(&service).await;
    let [login, lookup] = usher.two_replies();
    assert_eq!(login, "+OK\r\n");
    assert!(lookup.starts_with('$'), "{lookup}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_that_overtakes_the_login_is_sent_again() {
    let redis = Redis::start_with_required_password(PASSWORD);
    let usher = Usher::to(&redis, Order::Reversed).await;
    let service = behind(&usher, &redis, &[]).await;
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    assert_hit(&service).await;
    let [login, lookup] = usher.two_replies();
    assert_eq!(login, "+OK\r\n");
    assert!(lookup.starts_with("-NOAUTH"), "{lookup}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_selected_with_the_login_and_read_only_then() {
    for order in [Order::AsSent, Order::Reversed] {
        let redis = Redis::start_with_required_password(PASSWORD);
        let usher = Usher::to(&redis, order).await;
        let service = behind(&usher, &redis, &[("redis_database", "3")]).await;
        let key = service.key(&id(1));
        redis.set(&key, entry(&id(1)).to_string());
        assert!(redis.command::<bool>(&["MOVE", &key, "3"]));
        assert_hit(&service).await;
        let [login, selected] = usher.two_replies();
        assert_eq!(login, "+OK\r\n");
        match order {
            Order::AsSent => assert_eq!(selected, "+OK\r\n"),
            Order::Reversed => assert!(selected.starts_with("-NOAUTH"), "{selected}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_answers_before_it_refuses_the_login_does_not_count() {
    // It answers everybody, but does not know the user.
    let redis = Redis::start(&[]);
    let login = [("redis_username", "edge"), ("redis_password", PASSWORD)];
    for order in [Order::AsSent, Order::Reversed] {
        let usher = Usher::to(&redis, order).await;
        let service = behind(&usher, &redis, &login).await;
        let key = service.key(&id(1));
        redis.set(&key, entry(&id(1)).to_string());
        let answer = service.read("GET", &path(&id(1))).await;
        let status = answer.header("cache-status");
        assert_eq!(answer.status, 404, "{status}");
        let words = "it does not know redis_username with redis_password";
        assert!(service.log().contains(words), "{}", service.log());
        let [login, lookup] = usher.two_replies();
        assert!(login.starts_with("-WRONGPASS"), "{login}");
        assert!(lookup.starts_with('$'), "{lookup}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_waits_until_the_login_has_succeeded() {
    let redis = Redis::start(&[]);
    let login = [("redis_username", "edge"), ("redis_password", PASSWORD)];
    let service = Service::with(&redis, &login).await;
    let put = service.put(&path(&id(1)), entry(&id(1)).to_string()).await;
    assert_eq!(put.status, 503);
    assert!(put.text().contains("WRONGPASS"), "{}", put.text());
    assert_eq!(redis.get(&service.key(&id(1))), None);
    assert!(redis.commands_seen().iter().all(|(name, _)| name == "get"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lookups_that_meet_a_cold_instance_together_all_hit() {
    let redis = Redis::start_with_required_password(PASSWORD);
    let login = [("redis_password", PASSWORD)];
    let service = Service::reusing(&redis, &login, LASTING).await;
    let paths: Vec<_> = (1..=16).map(|number| path(&id(number))).collect();
    for number in 1..=16 {
        let id = id(number);
        redis.set(&service.key(&id), entry(&id).to_string());
    }
    let lookups = paths.iter().map(|path| service.read("GET", path));
    for answer in join_all(lookups).await {
        assert_eq!((answer.status, answer.header("cache-status")), (200, HIT));
    }
}
