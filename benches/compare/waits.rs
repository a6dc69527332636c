//! How many answers of each kind wait for their caller: those whose body leaves after their head do,
//! until the caller acknowledges that, for 40 ms.
//!
//! Not with `wrk`: for an answer that was late it adds those that its callers would have asked for meanwhile,
//! and one late answer among a thousand becomes forty.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::caller::Caller;
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
