//! A real replica whose link the test holds back: it learns of a change when the test lets it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use super::wire::{Command, Upstream, length};
use crate::support::redis::Redis;

/// The replica. It ends when this is dropped.
pub struct Replica {
    _server: Redis,
    /// A connection to it.
    pub upstream: Arc<Mutex<Upstream>>,
    link: Arc<Mutex<Link>>,
}

/// What the primary sends.
#[derive(Default)]
struct Link {
    to_replica: Option<TcpStream>,
    holds: bool,
    held: Vec<u8>,
    /// What was received, and what was handed on, as an offset of the replication.
    received: u64,
    handed_on: u64,
}

impl Replica {
    pub fn of(primary: &Redis, upstream: &Mutex<Upstream>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let link = Arc::<Mutex<Link>>::default();
        let (shared, address) = (Arc::clone(&link), ("127.0.0.1", primary.port()));
        spawn(move || {
            let (replica, _) = listener.accept().expect("the replica comes");
            let primary = TcpStream::connect(address).expect("Redis answers");
            for stream in [&replica, &primary] {
                stream.set_nodelay(true).expect("TCP");
            }
            shared.lock().unwrap().to_replica = Some(replica.try_clone().expect("TCP"));
            let to_primary = primary.try_clone().expect("TCP");
            spawn(move || copy(replica, to_primary));
            receive(primary, &shared);
        });
        primary.command::<()>(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]);
        primary.command::<()>(&["CONFIG", "SET", "repl-ping-replica-period", "3600"]);
        let server = Redis::start(&["--replicaof", "127.0.0.1", &port.to_string()]);
        let replica = Self {
            upstream: Arc::new(Mutex::new(Upstream::to(&server))),
            _server: server,
            link,
        };
        until(|| {
            replica.info("master_sync_in_progress") == 0
                && offset(upstream) == replica.info("slave_repl_offset")
        });
        let mut held = replica.link();
        held.holds = true;
        held.received = offset(upstream);
        held.handed_on = held.received;
        drop(held);
        replica
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap()
    }

    fn info(&self, field: &str) -> u64 {
        let mut upstream = self.upstream.lock().unwrap();
        upstream.info("replication", field)
    }

    /// Waits for what the primary has sent. Returns true if there are changes which it does not know.
    pub fn lags(&self, primary: &Mutex<Upstream>) -> bool {
        let sent = offset(primary);
        until(|| self.link().received == sent);
        next(&self.link().held).is_some()
    }

    /// Lets it learn of the next change, and waits until it knows it.
    pub fn learn(&self) {
        let mut link = self.link();
        let length = next(&link.held).expect("a change");
        let change: Vec<_> = link.held.drain(..length).collect();
        link.handed_on += length as u64;
        let known = link.handed_on;
        let mut to_replica = link.to_replica.as_ref().expect("it is connected");
        to_replica.write_all(&change).expect("the replica reads");
        drop(link);
        until(|| self.info("slave_repl_offset") == known);
    }
}

fn offset(primary: &Mutex<Upstream>) -> u64 {
    let mut primary = primary.lock().unwrap();
    primary.info("replication", "master_repl_offset")
}

/// The length of the next change: a command, or all of a transaction, with what goes before it.
fn next(held: &[u8]) -> Option<usize> {
    let (mut end, mut in_transaction) = (0, false);
    loop {
        let length = length(held.get(end..).filter(|rest| !rest.is_empty())?)?;
        let command = Command::read(held[end..end + length].to_vec());
        end += length;
        match command.name().to_uppercase().as_str() {
            "SELECT" | "PING" | "REPLCONF" => {}
            "MULTI" => in_transaction = true,
            "EXEC" => return Some(end),
            _ if in_transaction => {}
            _ => return Some(end),
        }
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}

fn receive(mut primary: TcpStream, link: &Mutex<Link>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = primary.read(&mut buffer) {
        let mut link = link.lock().unwrap();
        match link.holds {
            true => {
                link.held.extend(&buffer[..length]);
                link.received += length as u64;
            }
            false => {
                let mut to_replica = link.to_replica.as_ref().expect("it is connected");
                if to_replica.write_all(&buffer[..length]).is_err() {
                    return;
                }
            }
        }
    }
}

fn until(is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(30), "it never is");
        sleep(Duration::from_micros(20));
    }
}
