//! The way of one host to Redis: a proxy that holds every command until the test lets Redis carry it
//! out, and every reply until the test hands it on.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;

use super::wire::{Command, Upstream, length};

/// The proxy. It ends when this is dropped.
pub struct Gate {
    address: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    /// Whose connection is the next that is opened: instances open theirs one after the other.
    next: usize,
    connections: Vec<Connection>,
    opened: usize,
}

impl State {
    /// The connections of an instance.
    fn of(&self, instance: usize) -> impl Iterator<Item = &Connection> {
        let all = self.connections.iter();
        all.filter(move |it| it.instance == instance)
    }

    fn of_mut(&mut self, instance: usize) -> impl Iterator<Item = &mut Connection> {
        let all = self.connections.iter_mut();
        all.filter(move |it| it.instance == instance)
    }
}

struct Connection {
    number: usize,
    instance: usize,
    commands: VecDeque<Command>,
    replies: VecDeque<Vec<u8>>,
    to_client: OwnedWriteHalf,
}

impl Connection {
    fn send(&self, reply: &[u8]) {
        // A client that is gone has no use for it.
        if let Ok(sent) = self.to_client.try_write(reply) {
            assert_eq!(sent, reply.len(), "a reply is small");
        }
    }
}

impl Gate {
    pub async fn before(upstream: &Arc<Mutex<Upstream>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::<Mutex<State>>::default();
        let task = accept(listener, Arc::clone(&state), Arc::clone(upstream));
        Self {
            address: format!("redis://{address}"),
            state,
            task: tokio::spawn(task),
        }
    }

    /// Where it listens, as the variable `redis_address` has it.
    pub fn address(&self) -> &str {
        &self.address
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The next connection that is opened is this instance's.
    pub fn expect(&self, instance: usize) {
        self.state().next = instance;
    }

    /// How many commands and replies it holds.
    pub fn held(&self) -> usize {
        let held = |it: &Connection| it.commands.len() + it.replies.len();
        self.state().connections.iter().map(held).sum()
    }

    /// The next command of an instance. There is none while it waits for a reply that is held.
    pub fn command(&self, instance: usize) -> Option<Command> {
        let state = self.state();
        let mut of = state.of(instance);
        of.find_map(|it| it.commands.front().cloned())
    }

    /// Returns true if more follows than the PTTL that goes with a GET.
    pub fn has_more(&self, instance: usize) -> bool {
        let state = self.state();
        let mut of = state.of(instance);
        of.any(|it| it.commands.len() > 2)
    }

    /// Returns true if a reply to this instance is held.
    pub fn has_reply(&self, instance: usize) -> bool {
        let state = self.state();
        let mut of = state.of(instance);
        of.any(|it| !it.replies.is_empty())
    }

    /// Takes the next command of an instance away, and keeps its reply, or hands it on at once.
    pub fn reply(&self, instance: usize, reply: Vec<u8>, hold: bool) {
        let mut state = self.state();
        let mut of = state.of_mut(instance);
        let connection = of.find(|it| !it.commands.is_empty()).unwrap();
        connection.commands.pop_front();
        match hold {
            true => connection.replies.push_back(reply),
            false => connection.send(&reply),
        }
    }

    /// Hands on the next reply to this instance.
    pub fn hand_on(&self, instance: usize) {
        let mut state = self.state();
        let mut of = state.of_mut(instance);
        let connection = of.find(|it| !it.replies.is_empty()).unwrap();
        let reply = connection.replies.pop_front().unwrap();
        connection.send(&reply);
    }

    /// Closes the connections of an instance, with all that is held. The next one is its own again.
    pub fn cut(&self, instance: usize) {
        let mut state = self.state();
        state.connections.retain(|it| it.instance != instance);
        state.next = instance;
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>, upstream: Arc<Mutex<Upstream>>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.expect("a connection");
        client.set_nodelay(true).expect("TCP");
        let (from_client, to_client) = client.into_split();
        let number = {
            let mut state = state.lock().unwrap();
            state.opened += 1;
            let (number, instance) = (state.opened, state.next);
            state.connections.push(Connection {
                number,
                instance,
                commands: VecDeque::new(),
                replies: VecDeque::new(),
                to_client,
            });
            number
        };
        let state = Arc::clone(&state);
        connections.spawn(read(from_client, number, state, Arc::clone(&upstream)));
    }
}

async fn read(
    mut from_client: OwnedReadHalf,
    number: usize,
    state: Arc<Mutex<State>>,
    upstream: Arc<Mutex<Upstream>>,
) {
    let mut bytes = Vec::new();
    while let Ok(1..) = from_client.read_buf(&mut bytes).await {
        // Without TCP_NODELAY a client sends its next command when the last one is acknowledged, which
        // the system would do with the reply, or after 40 ms.
        from_client.as_ref().set_quickack(true).expect("TCP");
        while let Some(length) = length(&bytes) {
            let rest = bytes.split_off(length);
            let command = Command::read(std::mem::replace(&mut bytes, rest));
            let mut state = state.lock().unwrap();
            let mut all = state.connections.iter_mut();
            let Some(connection) = all.find(|it| it.number == number) else {
                return;
            };
            match command.is_of_connection() {
                true => connection.send(&upstream.lock().unwrap().call(&command)),
                false => connection.commands.push_back(command),
            }
        }
    }
    // It was closed by its client.
    let mut state = state.lock().unwrap();
    state.connections.retain(|it| it.number != number);
}
