//! Ways to Redis that misbehave: a proxy that spoils replies, and an address that drops packets.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::redis::Redis;

/// What a [`Proxy`] does to the replies of Redis. Unless said otherwise, what Redis replies
/// to the handshake of a connection passes, so that connections open.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Nothing: they pass.
    None,
    /// None passes, not even those to the handshake.
    Silence,
    /// Only the first bytes of the next reply pass, and nothing more on its connection.
    Cut { bytes: usize, then: Then },
    /// The next reply to this command is lost, and its connection is closed. Then the fault is over.
    Lose(&'static str),
    /// One in so many is held back for up to so long, and with it all that follow it.
    Delay { one_in: u32, up_to: Duration },
    /// Each is held back for so long, one after the other.
    Slow(Duration),
}

/// What follows the part of a reply that passed.
#[derive(Clone, Copy, Debug)]
pub enum Then {
    /// The connection stays, and is silent.
    Silence,
    /// The connection is closed.
    Close,
    /// The connection is closed, and the fault is over.
    CloseOnce,
}

/// A proxy in front of Redis, on a port of its own. It ends when this is dropped.
pub struct Proxy {
    address: SocketAddr,
    port: Arc<AtomicU16>,
    fault: Arc<Mutex<Fault>>,
    on_loss: Arc<Mutex<OnLoss>>,
    task: JoinHandle<()>,
}

/// What happens between a reply that is lost and the end of its connection.
type OnLoss = Option<Box<dyn FnOnce() + Send>>;

impl Proxy {
    /// A proxy that does nothing yet.
    pub async fn to(redis: &Redis) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::listening(listener, redis)
    }

    fn listening(listener: TcpListener, redis: &Redis) -> Self {
        let address = listener.local_addr().expect("its address");
        let fault = Arc::new(Mutex::new(Fault::None));
        let port = Arc::new(AtomicU16::new(redis.port()));
        let on_loss = Arc::<Mutex<OnLoss>>::default();
        let faults = (Arc::clone(&fault), Arc::clone(&on_loss));
        let task = tokio::spawn(accept(listener, Arc::clone(&port), faults));
        Self {
            address,
            port,
            fault,
            on_loss,
            task,
        }
    }

    /// Where it listens, as the variable `redis_address` has it.
    pub fn address(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// New connections lead to this Redis from now on. Those that are open stay where they are.
    pub fn lead_to(&self, redis: &Redis) {
        self.port.store(redis.port(), Ordering::Relaxed);
    }

    /// From now on, this is what it does.
    pub fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// Loses the next reply to this command, and then does something before its client learns of it.
    pub fn lose(&self, command: &'static str, then: impl FnOnce() + Send + 'static) {
        *self.on_loss.lock().unwrap() = Some(Box::new(then));
        self.set(Fault::Lose(command));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Faults = (Arc<Mutex<Fault>>, Arc<Mutex<OnLoss>>);

/// The connections end with the task that accepts them.
async fn accept(listener: TcpListener, port: Arc<AtomicU16>, faults: Faults) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.expect("a connection");
        let port = port.load(Ordering::Relaxed);
        connections.spawn(forward(client, port, faults.clone()));
    }
}

async fn forward(client: TcpStream, port: u16, (fault, on_loss): Faults) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("TCP");
    }
    // Dropping it ends the connection, which the client must not see before `on_loss` has run.
    let (from_client, mut to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let is_open = AtomicBool::new(false);
    let loses = AtomicBool::new(false);
    // Where one side ends, so does the other.
    tokio::select! {
        () = forward_commands(from_client, to_server, &is_open, (&fault, &loses)) => {}
        () = forward_replies(from_server, &mut to_client, &is_open, (&fault, &loses)) => {
            if loses.load(Ordering::Acquire) && let Some(then) = on_loss.lock().unwrap().take() {
                then();
            }
        }
    }
}

async fn forward_commands(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    is_open: &AtomicBool,
    (fault, loses): (&Mutex<Fault>, &AtomicBool),
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let bytes = &buffer[..length];
        let current = *fault.lock().unwrap();
        if let Fault::Lose(command) = current
            && (bytes.windows(command.len())).any(|word| word == command.as_bytes())
        {
            loses.store(true, Ordering::Release);
        }
        if !bytes.windows(7).any(|word| word == b"SETINFO") {
            is_open.store(true, Ordering::Release);
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

async fn forward_replies(
    mut from: OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    is_open: &AtomicBool,
    (fault, loses): (&Mutex<Fault>, &AtomicBool),
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let bytes = &buffer[..length];
        let current = *fault.lock().unwrap();
        match current {
            Fault::Silence => break,
            Fault::Lose(_) if loses.load(Ordering::Acquire) => {
                *fault.lock().unwrap() = Fault::None;
                return;
            }
            Fault::Cut { bytes: count, then } if is_open.load(Ordering::Acquire) => {
                // A client that is gone has no use for it.
                let _ = to.write_all(&bytes[..count.min(length)]).await;
                match then {
                    Then::Silence => break,
                    Then::Close => return,
                    Then::CloseOnce => {
                        *fault.lock().unwrap() = Fault::None;
                        return;
                    }
                }
            }
            Fault::Delay { one_in, up_to } if fastrand::u32(0..one_in) == 0 => {
                sleep(up_to.mul_f64(fastrand::f64())).await;
            }
            Fault::Slow(time) => sleep(time).await,
            Fault::None | Fault::Cut { .. } | Fault::Lose(_) | Fault::Delay { .. } => {}
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
    // Silent, until one of the two sides goes away.
    while let Ok(1..) = from.read(&mut buffer).await {}
}

/// An address that drops the packets of those who connect: Linux does so where more wait to
/// be accepted than a listener lets wait.
pub struct Blackhole {
    listener: TcpListener,
    waiting: Vec<TcpStream>,
}

impl Blackhole {
    /// Makes one, and sees to it that connecting to it hangs.
    pub async fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(any).expect("a free port");
        let listener = socket.listen(0).expect("it listens");
        let address = listener.local_addr().expect("its address");
        let mut waiting = Vec::new();
        while let Ok(stream) =
            timeout(Duration::from_millis(500), TcpStream::connect(address)).await
        {
            waiting.push(stream.expect("accepted, or no answer"));
            assert!(waiting.len() < 64, "connections are still accepted");
        }
        Self { listener, waiting }
    }

    /// Where it does not answer, as the variable `redis_address` has it.
    pub fn address(&self) -> String {
        let address = self.listener.local_addr().expect("its address");
        format!("redis://{address}")
    }

    /// Ends it: from now on, Redis answers there.
    pub fn open(self, redis: &Redis) -> Proxy {
        drop(self.waiting);
        Proxy::listening(self.listener, redis)
    }
}
