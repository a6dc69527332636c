//! How many answers of each kind wait for their caller: those whose body leaves after their head do,
//! until the caller acknowledges that, for 40 ms.
//!
//! Not with `wrk`: for an answer that was late it adds those that its callers would have asked for meanwhile,
//! and one late answer among a thousand becomes forty.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::origin::local;
use crate::process::Server;
use crate::program;
use crate::setup::Setup;
use crate::support::answers::{Kind, Sender, kinds, store};
use crate::support::redis::{Redis, free_port};

/// Numbers of callers.
pub const CALLERS: [usize; 6] = [1, 2, 4, 8, 16, 64];

/// Less than a caller delays its acknowledgement, and more than any answer takes that does not wait.
const LATE: Duration = Duration::from_millis(30);

/// What was measured of one kind of answer.
pub struct Waits {
    /// Its name.
    pub name: &'static str,
    /// By the number of callers, in the order of [`CALLERS`].
    pub counts: Vec<Count>,
}

/// How many answers there were, and how many of them waited.
#[derive(Clone, Copy, Default)]
pub struct Count {
    pub answers: usize,
    pub late: usize,
}

impl Count {
    /// The share of answers that waited.
    pub fn share(self) -> f64 {
        self.late as f64 / self.answers as f64
    }
}

/// Asks for each kind of answer in turn.
pub fn measure(setup: &Setup) -> Result<Vec<Waits>> {
    let redis = Redis::start(&[]);
    store(&redis);
    let mut servers = HashMap::new();
    for sender in Sender::ALL {
        let port = free_port();
        let variables = sender.variables(&redis);
        let command = program::application(setup, &sender.manifest(), port, &variables);
        let name = format!("{sender:?}");
        servers.insert(
            sender,
            Server::start(&name, command, port, &setup.directory)?,
        );
    }
    let mut all = Vec::new();
    for kind in kinds() {
        eprintln!("answers that wait: {}", kind.name);
        let server = servers.get_mut(&kind.sender).context("it was started")?;
        let mut counts = Vec::new();
        for callers in CALLERS {
            let count = |time| count(local(server), &kind, callers, time);
            count(setup.time / 5).with_context(|| kind.name)?;
            counts.push(count(setup.time / 2).with_context(|| kind.name)?);
            server.ensure_alive()?;
        }
        let name = kind.name;
        all.push(Waits { name, counts });
    }
    Ok(all)
}

/// Asks for this kind of answer on so many kept-alive connections, for so long.
fn count(address: SocketAddr, kind: &Kind, callers: usize, time: Duration) -> Result<Count> {
    let next = AtomicUsize::new(0);
    let end = Instant::now() + time;
    let call = || -> Result<Count> {
        let mut caller = Caller::connect(address)?;
        let mut count = Count::default();
        while Instant::now() < end {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let request = &kind.requests[number % kind.requests.len()];
            let took = caller.call(request, kind.status)?;
            count.answers += 1;
            count.late += usize::from(took > LATE);
        }
        Ok(count)
    };
    let counts: Result<Vec<Count>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..callers).map(|_| scope.spawn(call)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().map_err(|_| anyhow!("a caller panicked"))?
        };
        threads.into_iter().map(join).collect()
    });
    let count = counts?
        .into_iter()
        .fold(Count::default(), |all, one| Count {
            answers: all.answers + one.answers,
            late: all.late + one.late,
        });
    ensure!(count.answers > 0, "there was no answer");
    Ok(count)
}

/// A caller, on one connection, or another one if that was closed.
struct Caller {
    address: SocketAddr,
    stream: TcpStream,
    received: Vec<u8>,
}

impl Caller {
    fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self {
            address,
            stream: open(address)?,
            received: Vec::new(),
        })
    }

    /// The time from sending the request to the last byte of its answer, which must have this status.
    fn call(&mut self, request: &str, status: u16) -> Result<Duration> {
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
