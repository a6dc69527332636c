//! The way to one Redis: one connection, opened once, shared by all that the instance has
//! in flight, replaced when it breaks, and a Redis that failed left alone for a while.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use spin_sdk::redis::Connection as HostConnection;
use spin_sdk::wasip3::clocks::monotonic_clock;
use spin_sdk::wit_bindgen::rt::async_support::yield_async;

use super::outage::Outage;
use super::{Command, Failure, Reply};
use crate::config::{Address, Login};
use crate::deadline::{Deadline, Timer, nanoseconds};
use crate::flight::Flight;
use crate::log;
use crate::stats::{Event, Stats};
use crate::task::spawn;

/// How long a caller waits where there is little hope: for the probe of a Redis that
/// failed, or on a connection that has fallen silent.
const LITTLE_HOPE: Duration = Duration::from_millis(5);

/// A Redis, and what it takes to talk to it.
pub struct Endpoint {
    /// What the log calls it.
    pub role: &'static str,
    /// Where it listens.
    pub address: Address,
    /// How to introduce oneself.
    pub login: Option<Login>,
    /// The number of the database.
    pub database: u32,
    /// How long it may take to connect, or to answer.
    pub timeout: Duration,
}

impl Endpoint {
    /// A new connection. The login is sent as commands, for an address with a password in
    /// it would be one more place to leak it from.
    async fn connect(&self) -> Result<Connection, Failure> {
        let begun = monotonic_clock::now();
        let opened = HostConnection::open(self.address.as_str()).await;
        let connection = Connection {
            host: opened.map_err(|error| Failure::from_open(&error))?,
            silence: Cell::new(0),
            waiting: Cell::new(0),
            since: Cell::new(None),
        };
        if let Some(Login { username, password }) = &self.login {
            let auth = Command::new("AUTH")
                .args(username.as_deref())
                .arg(password.expose());
            connection.run(&auth, begun).await?;
        }
        if self.database != 0 {
            let select = Command::new("SELECT").integer(self.database.into());
            let selected = connection.run(&select, begun).await;
            selected.map_err(|_| Failure::Refused)?;
        }
        let round_trips = monotonic_clock::now().saturating_sub(begun);
        let timeout = nanoseconds(self.timeout);
        connection.silence.set((timeout / 4).max(round_trips * 3));
        Ok(connection)
    }
}

/// An open connection, and what tells whether Redis still answers on it.
struct Connection {
    host: HostConnection,
    /// The longest time without an answer that is nothing unusual, in nanoseconds: a
    /// quarter of the time-out, but no less than Redis is away.
    silence: Cell<u64>,
    /// How many commands wait for an answer.
    waiting: Cell<u32>,
    /// When the first of them was sent, or the first after an answer.
    since: Cell<Option<u64>>,
}

impl Connection {
    async fn run(&self, command: &Command, now: u64) -> Result<Reply, Failure> {
        if self.waiting.get() == 0 {
            self.since.set(Some(now));
        }
        let _waiting = Waiting::new(&self.waiting);
        let result = command.run(&self.host).await;
        self.since.set(None);
        result
    }

    /// Whether others wait for answers longer than is usual.
    fn is_silent(&self, now: u64) -> bool {
        let since = self.since.get().unwrap_or(now);
        self.since.set(Some(since));
        self.waiting.get() > 0 && now.saturating_sub(since) > self.silence.get()
    }
}

/// A command that waits for its answer, or is given up.
struct Waiting<'a>(&'a Cell<u32>);

impl<'a> Waiting<'a> {
    fn new(count: &'a Cell<u32>) -> Self {
        count.update(|count| count + 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.update(|count| count - 1);
    }
}

type Opening = Flight<Result<Rc<Connection>, Failure>>;

enum State {
    /// The next call connects.
    Idle,
    /// The attempt to connect that is under way: those who come meanwhile wait for it,
    /// instead of making more.
    Opening(Rc<Opening>),
    /// In use.
    Open(Rc<Connection>),
    /// It failed: calls fail at once.
    Down(Outage),
    /// One attempt to connect after an outage. Until it succeeds, calls fail at once.
    Probing(Outage, Rc<Opening>),
}

/// One Redis. Commands that are in flight together are pipelined on its one connection.
pub struct Link {
    endpoint: Endpoint,
    timer: Rc<Timer>,
    stats: Rc<Stats>,
    state: RefCell<State>,
    /// Whether there was a connection before.
    connected: Cell<bool>,
}

/// A connection, and whether it was opened for this call.
struct Lease {
    connection: Rc<Connection>,
    fresh: bool,
}

impl Link {
    /// The way to this Redis. Connects at the first call.
    pub fn new(endpoint: Endpoint, timer: Rc<Timer>, stats: Rc<Stats>) -> Rc<Self> {
        Rc::new(Self {
            endpoint,
            timer,
            stats,
            state: RefCell::new(State::Idle),
            connected: Cell::new(false),
        })
    }

    /// Whether nothing is known to be wrong with it.
    pub fn is_well(&self) -> bool {
        let state = self.state.borrow();
        matches!(&*state, State::Idle | State::Opening(_) | State::Open(_))
    }

    /// Sends a command once, for it may not be sent twice, and without a word of what comes of it.
    /// Nobody who looks something up has to do with it: so it is none of those by whose waiting a
    /// silent connection is known.
    pub async fn tell(self: &Rc<Self>, command: &Command, deadline: &Deadline) {
        if let Ok(Lease { connection, .. }) = self.connection(deadline).await {
            let _told = deadline.race(command.run(&connection.host)).await;
        }
    }

    /// What Redis answers to the command. If a connection that served before turns out
    /// to be dead, the command is sent once more, on a new one.
    pub async fn call(
        self: &Rc<Self>,
        command: &Command,
        deadline: &Deadline,
    ) -> Result<Reply, Failure> {
        let lease = self.connection(deadline).await?;
        match self.send(command, &lease, deadline).await {
            Err(Failure::ConnectionLost) if !lease.fresh => {
                let lease = self.connection(deadline).await?;
                self.send(command, &lease, deadline).await
            }
            result => result,
        }
    }

    async fn send(
        &self,
        command: &Command,
        lease: &Lease,
        deadline: &Deadline,
    ) -> Result<Reply, Failure> {
        let connection = &lease.connection;
        let now = deadline.begun();
        let silent = connection.is_silent(now);
        let little = silent.then(|| deadline.at_most(LITTLE_HOPE));
        let deadline = little.as_ref().unwrap_or(deadline);
        let result = deadline.race(connection.run(command, now)).await;
        let result = result.unwrap_or_else(|| Err(self.timed_out()));
        match &result {
            // Those who wait for longer will find out what is wrong, if anything is.
            Err(Failure::Timeout) if silent => {}
            // Redis may have closed it for being idle: no reason to leave Redis alone.
            Err(Failure::ConnectionLost) if !lease.fresh => {
                self.replace(connection, State::Idle);
            }
            Err(failure) if failure.is_transport() => {
                let outage = Outage::begin(failure.clone(), monotonic_clock::now());
                if self.replace(connection, State::Down(outage)) {
                    self.breaker_opened(failure);
                }
            }
            _ => {}
        }
        result
    }

    /// Takes a broken connection out of use, unless another call already did. Whether it did.
    fn replace(&self, broken: &Rc<Connection>, with: State) -> bool {
        let mut state = self.state.borrow_mut();
        let is_used = matches!(&*state, State::Open(connection) if Rc::ptr_eq(connection, broken));
        if is_used {
            *state = with;
        }
        is_used
    }

    fn timed_out(&self) -> Failure {
        self.stats.happen(Event::Timeout);
        Failure::Timeout
    }

    fn connected(&self, after_an_outage: bool) {
        if self.connected.replace(true) {
            self.stats.happen(Event::Reconnection);
        }
        if after_an_outage {
            log::event(log::Event::BreakerClosed, &[("redis", &self.endpoint.role)]);
        }
    }

    fn breaker_opened(&self, cause: &Failure) {
        self.stats.happen(Event::BreakerOpening);
        let redis = &self.endpoint.role;
        log::event(
            log::Event::BreakerOpened,
            &[("redis", redis), ("reason", cause)],
        );
    }

    async fn connection(self: &Rc<Self>, deadline: &Deadline) -> Result<Lease, Failure> {
        loop {
            let (opening, outage) = match self.admit()? {
                Admission::Use(lease) => return Ok(lease),
                Admission::Wait(opening) => (opening, None),
                Admission::Probe(opening, outage) => (opening, Some(outage)),
            };
            // What was just spawned is polled when this task is.
            yield_async().await;
            let opened = match &outage {
                None => deadline.race(opening.result()).await,
                Some(_) => {
                    let deadline = deadline.at_most(LITTLE_HOPE);
                    deadline.race(opening.result()).await
                }
            };
            match opened {
                Some(Some(opened)) => {
                    return Ok(Lease {
                        connection: opened?,
                        fresh: true,
                    });
                }
                // Its request was cancelled: make another attempt, if nobody does already.
                Some(None) => {}
                None => return Err(outage.map_or(Failure::Timeout, |outage| outage.cause)),
            }
        }
    }

    /// Says how this call gets a connection.
    fn admit(self: &Rc<Self>) -> Result<Admission, Failure> {
        let mut state = self.state.borrow_mut();
        let outage = match &*state {
            State::Open(connection) => {
                return Ok(Admission::Use(Lease {
                    connection: Rc::clone(connection),
                    fresh: false,
                }));
            }
            State::Opening(opening) if !opening.is_over() => {
                return Ok(Admission::Wait(Rc::clone(opening)));
            }
            State::Opening(_) | State::Idle => None,
            State::Probing(outage, opening) if !opening.is_over() => {
                return Err(outage.cause.clone());
            }
            State::Down(outage) if !outage.is_over(monotonic_clock::now()) => {
                return Err(outage.cause.clone());
            }
            State::Down(outage) | State::Probing(outage, _) => Some(outage.clone()),
        };
        let (pilot, opening) = Flight::start();
        let link = Rc::clone(self);
        let before = outage.clone();
        // In a task of its own, which is there for all who wait, not only for this call.
        spawn(async move {
            let opened = link.open(before).await;
            pilot.land(opened);
        });
        Ok(match outage {
            None => {
                *state = State::Opening(Rc::clone(&opening));
                Admission::Wait(opening)
            }
            Some(outage) => {
                *state = State::Probing(outage.clone(), Rc::clone(&opening));
                Admission::Probe(opening, outage)
            }
        })
    }

    async fn open(&self, outage: Option<Outage>) -> Result<Rc<Connection>, Failure> {
        let connect = async {
            let connection = self.endpoint.connect().await?;
            if outage.is_some() {
                // A Redis that is stopped still takes connections. Any answer will do: the
                // user may not be allowed to send PING.
                let now = monotonic_clock::now();
                let answer = connection.run(&Command::new("PING"), now).await;
                if let Err(failure) = answer
                    && failure.is_transport()
                {
                    return Err(failure);
                }
            }
            Ok(Rc::new(connection))
        };
        let deadline = self.timer.deadline(self.endpoint.timeout);
        let opened = deadline.race(connect).await;
        let opened = opened.unwrap_or_else(|| Err(self.timed_out()));
        match (&opened, &outage) {
            (Ok(_), outage) => self.connected(outage.is_some()),
            (Err(failure), None) => self.breaker_opened(failure),
            (Err(_), Some(_)) => {}
        }
        let now = monotonic_clock::now();
        *self.state.borrow_mut() = match (&opened, outage) {
            (Ok(connection), _) => State::Open(Rc::clone(connection)),
            (Err(failure), None) => State::Down(Outage::begin(failure.clone(), now)),
            (Err(failure), Some(outage)) => State::Down(outage.go_on(failure.clone(), now)),
        };
        opened
    }
}

/// How a call gets a connection.
enum Admission {
    /// There is one.
    Use(Lease),
    /// One is being opened.
    Wait(Rc<Opening>),
    /// This call has the Redis probed, which failed in this way before.
    Probe(Rc<Opening>, Outage),
}
