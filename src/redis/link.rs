//! The link to one Redis: one connection that everything in flight shares. A lost connection is
//! replaced, and a Redis that failed is left alone for a while.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, join};
use spin_sdk::redis::Connection as HostConnection;
use spin_sdk::wasip3::clocks::monotonic_clock;
use spin_sdk::wit_bindgen::rt::async_support::yield_async;

use super::command::{Command, Purpose, Reply};
use super::error::Error;
use super::outage::Outage;
use super::refusal::Refusal;
use crate::config::{Address, Login};
use crate::log;
use crate::rt::deadline::{Deadline, Timer, nanoseconds};
use crate::rt::singleflight::{Flight, Leader};
use crate::rt::task::spawn;
use crate::rt::timings::{self, Part};
use crate::stats::{Counter, Stats};

/// How long a caller waits where it has little hope: for the probe of a Redis that failed, or on a
/// connection that has fallen silent.
const PROBE_TIMEOUT: Duration = Duration::from_millis(5);

/// A connection below this age, in nanoseconds, is not left for another server. So an address that
/// leads to a server which refuses for good costs two connections in a second at most.
const YOUNG: u64 = 500_000_000;

/// A Redis server, and how to connect to it.
#[derive(Clone)]
pub(super) struct Server {
    /// Its name in the log.
    pub(super) role: &'static str,
    pub(super) address: Address,
    pub(super) login: Option<Login>,
    pub(super) database: u32,
    /// Limits connecting, and each reply.
    pub(super) timeout: Duration,
}

impl Server {
    /// Opens a connection. Nothing but the login may be sent on it yet, and [what may go with
    /// it](Connection::run_with_login).
    async fn open(&self) -> Result<Connection, Error> {
        let begun = monotonic_clock::now();
        let host = HostConnection::open(self.address.as_str()).await;
        let host = host.map_err(|error| Error::from_open(&error, &self.address))?;
        let distance = monotonic_clock::now().saturating_sub(begun);
        Ok(Connection {
            host,
            opened: begun,
            left: Cell::new(false),
            silence: nanoseconds(self.usual_silence()).max(distance * 3),
            waiting: Cell::new(0),
            since: Cell::new(None),
        })
    }

    /// Sends the credentials as a command: an address with a password in it would be one more place to
    /// leak it from.
    async fn log_in(&self, connection: &Connection) -> Result<(), Error> {
        let now = monotonic_clock::now();
        let login = async {
            let Some(Login { username, password }) = &self.login else {
                return Ok(());
            };
            let auth = Command::read("AUTH")
                .args(username.as_deref())
                .arg(password.expose());
            connection.run(&auth, now).await.map(drop)
        };
        if self.database == 0 {
            return login.await;
        }
        let select = Command::read("SELECT").integer(self.database.into());
        let login = Box::pin(login);
        connection.run_with_login(login, &select, now).await?;
        Ok(())
    }

    /// Returns true if a read may go with the login. In another database than the first it waits: before
    /// SELECT it would read the wrong one.
    fn reads_may_go_with_login(&self) -> bool {
        self.login.is_some() && self.database == 0
    }

    /// Returns the longest usual time without a reply, if Redis is not far.
    fn usual_silence(&self) -> Duration {
        self.timeout / 4
    }

    fn connect_timeout(&self) -> Error {
        match self.address.is_tls() {
            true => Error::TlsTimeout,
            false => Error::Timeout,
        }
    }
}

/// An open connection, and the signs that Redis still answers on it.
struct Connection {
    host: HostConnection,
    /// When it was opened, by the monotonic clock, in nanoseconds.
    opened: u64,
    /// Whether a write hangs on it, behind which reads would wait.
    left: Cell<bool>,
    /// The longest usual time without a reply, in nanoseconds: a quarter of the timeout, but no less
    /// than the distance to Redis demands.
    silence: u64,
    /// How many reads wait for a reply.
    waiting: Cell<u32>,
    /// When the first command after the last reply was sent.
    since: Cell<Option<u64>>,
}

impl Connection {
    async fn run(&self, command: &Command, now: u64) -> Result<Reply, Error> {
        if command.waits_for_writes() {
            return command.run(&self.host).await;
        }
        if self.waiting.get() == 0 {
            self.since.set(Some(now));
        }
        let _waits = Waits::new(&self.waiting);
        let result = command.run(&self.host).await;
        self.since.set(None);
        result
    }

    /// Sends a command together with the login, without waiting for the answer to it. The host does not
    /// promise to keep their order: what Redis refused, maybe because it came first, is sent again once
    /// the login has succeeded. If it has not, the reply does not count.
    async fn run_with_login(
        &self,
        login: LocalBoxFuture<'_, Result<(), Error>>,
        command: &Command,
        now: u64,
    ) -> Result<Reply, Error> {
        let (login, reply) = join(login, self.run(command, now)).await;
        login?;
        match reply {
            Err(Error::Refused(_)) => self.run(command, now).await,
            reply => reply,
        }
    }

    /// Measures how long reads have waited, from the last reply or from now on. Returns true if that is
    /// longer than usual.
    fn measure_silence(&self, now: u64) -> bool {
        let since = self.since.get().unwrap_or(now);
        self.since.set(Some(since));
        self.waiting.get() > 0 && now.saturating_sub(since) > self.silence
    }
}

/// Counts a read until its reply comes or its caller gives up.
struct Waits<'a>(&'a Cell<u32>);

impl<'a> Waits<'a> {
    fn new(count: &'a Cell<u32>) -> Self {
        count.update(|count| count + 1);
        Self(count)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.update(|count| count - 1);
    }
}

/// An attempt to connect. One task makes it; the calls that come meanwhile wait for it.
struct Attempt {
    /// The connection as soon as reads may go with the login. There is none if they may not.
    open: Rc<Flight<Rc<Connection>>>,
    /// The connection once the login has succeeded.
    connected: Rc<Flight<Result<Rc<Connection>, Error>>>,
}

impl Attempt {
    /// Waits until a command for this purpose may be sent. Returns none if the task gave up.
    async fn check_out(self: Rc<Self>, purpose: Purpose) -> Option<Result<Checkout, Error>> {
        let open = match purpose {
            Purpose::Read => self.open.result().await,
            Purpose::Write => None,
        };
        let (connection, login) = match open {
            Some(connection) => (connection, Some(self)),
            None => match self.connected.result().await? {
                Ok(connection) => (connection, None),
                Err(error) => return Some(Err(error)),
            },
        };
        Some(Ok(Checkout {
            connection,
            fresh: login.is_none(),
            login,
        }))
    }

    /// Waits for the answer to the login. If the task gave up, the connection is of no use.
    async fn login(&self) -> Result<(), Error> {
        let connected = self.connected.result().await;
        connected.unwrap_or(Err(Error::ConnectionLost)).map(drop)
    }
}

/// The state of a link. `Down` and `Probing` are those of an open circuit breaker.
enum State {
    /// The next call connects.
    Idle,
    /// One call connects, and calls that come meanwhile wait for it.
    Connecting(Rc<Attempt>),
    Connected(Rc<Connection>),
    /// Redis failed: calls fail at once.
    Down(Outage),
    /// One call connects after an outage. Until it succeeds, other calls fail at once.
    Probing(Outage, Rc<Attempt>),
}

/// The link to one Redis. It pipelines the commands in flight on one connection.
pub(super) struct Link {
    server: Server,
    timer: Rc<Timer>,
    stats: Rc<Stats>,
    state: RefCell<State>,
    /// Whether there was a connection before.
    has_connected: Cell<bool>,
}

/// A connection for one call.
struct Checkout {
    connection: Rc<Connection>,
    /// Whether it was opened for this call. Then losing it is a failure of Redis.
    fresh: bool,
    /// The attempt whose login the call goes with.
    login: Option<Rc<Attempt>>,
}

/// What became of a command that was sent once.
pub(super) enum Delivery {
    Confirmed,
    /// Redis did not carry it out, and said so.
    Refused(Refusal),
    /// There was no connection to send it on.
    Unsent,
    /// Redis may have carried it out.
    Unknown,
}

/// How a call gets a connection.
enum Admission {
    Use(Checkout),
    Wait(Rc<Attempt>),
    /// Wait briefly, because Redis has failed.
    Probe(Rc<Attempt>, Outage),
}

impl Link {
    /// Connects at the first call.
    pub(super) fn new(server: Server, timer: Rc<Timer>, stats: Rc<Stats>) -> Rc<Self> {
        Rc::new(Self {
            server,
            timer,
            stats,
            state: RefCell::new(State::Idle),
            has_connected: Cell::new(false),
        })
    }

    /// Returns true unless Redis is known to fail.
    pub(super) fn is_well(&self) -> bool {
        let state = self.state.borrow();
        matches!(
            &*state,
            State::Idle | State::Connecting(_) | State::Connected(_)
        )
    }

    /// Returns the longest usual time without a reply.
    pub(super) fn usual_silence(&self) -> Duration {
        match &*self.state.borrow() {
            State::Connected(connection) => Duration::from_nanos(connection.silence),
            _ => self.server.usual_silence(),
        }
    }

    /// Leaves the connection, on which a write hangs, to those writes that wait on it. The next call
    /// connects anew, and reads that wait are sent again. Returns false if there is no connection.
    pub(super) fn leave_to_writes(&self) -> bool {
        let mut state = self.state.borrow_mut();
        let State::Connected(connection) = &*state else {
            return false;
        };
        connection.left.set(true);
        *state = State::Idle;
        self.timer.ring();
        true
    }

    /// Leaves the connection, unless it is young, so that the next call connects anew. Returns true if
    /// a command that began at `begun` would be sent on another connection than then.
    pub(super) fn reconnect_unless_young(&self, begun: u64) -> bool {
        let mut state = self.state.borrow_mut();
        let State::Connected(connection) = &*state else {
            return true;
        };
        let age = monotonic_clock::now().saturating_sub(connection.opened);
        if connection.opened <= begun && age >= YOUNG {
            *state = State::Idle;
            return true;
        }
        connection.opened > begun
    }

    /// Sends a command that must not be sent twice. That it is not confirmed is no sign that Redis
    /// fails.
    pub(super) async fn send_once(
        self: &Rc<Self>,
        command: &Command,
        deadline: &Deadline,
    ) -> Delivery {
        let checkout = self.check_out(Purpose::Write, deadline).await;
        let Ok(Checkout { connection, .. }) = checkout else {
            return Delivery::Unsent;
        };
        match deadline.race(pin!(command.run(&connection.host))).await {
            Some(Ok(_)) => Delivery::Confirmed,
            Some(Err(Error::Refused(refusal))) => Delivery::Refused(refusal),
            Some(Err(_)) | None => Delivery::Unknown,
        }
    }

    /// Sends a command and returns its reply. If a connection that served before turns out to be
    /// dead, or a write hangs on it, the command is sent once more on a new one.
    pub(super) async fn call(
        self: &Rc<Self>,
        command: &Command,
        deadline: &Deadline,
    ) -> Result<Reply, Error> {
        let _part = timings::begin(Part::Redis);
        let purpose = command.purpose();
        let checkout = self.check_out(purpose, deadline).await?;
        match self.send(command, &checkout, deadline).await {
            Err(Error::ConnectionLost)
                if !command.is_sent_once()
                    && (!checkout.fresh || checkout.connection.left.get()) =>
            {
                let checkout = self.check_out(purpose, deadline).await?;
                self.send(command, &checkout, deadline).await
            }
            result => result,
        }
    }

    async fn send(
        &self,
        command: &Command,
        checkout: &Checkout,
        deadline: &Deadline,
    ) -> Result<Reply, Error> {
        let connection = &checkout.connection;
        // What is sent again has waited, but not on this connection.
        let now = deadline.begun().max(connection.opened);
        let silent = connection.measure_silence(now);
        let shorter = silent.then(|| deadline.at_most(PROBE_TIMEOUT));
        let deadline = shorter.as_ref().unwrap_or(deadline);
        let is_left = || connection.left.get() && !command.waits_for_writes();
        let run = pin!(async {
            match &checkout.login {
                Some(attempt) => {
                    let login = Box::pin(attempt.login());
                    connection.run_with_login(login, command, now).await
                }
                None => connection.run(command, now).await,
            }
        });
        let result = deadline.race_unless(&is_left, run).await;
        let result = result.unwrap_or_else(|| match is_left() {
            true => Err(Error::ConnectionLost),
            false => Err(self.timed_out(Error::Timeout)),
        });
        match &result {
            // The calls that wait longer will find out what is wrong, if anything is.
            Err(Error::Timeout) if silent => {}
            // Redis may have closed an idle connection: no reason to leave Redis alone.
            Err(Error::ConnectionLost) if !checkout.fresh => {
                self.replace(connection, State::Idle);
            }
            Err(error) if error.is_transport() => {
                let outage = Outage::begin(error.clone(), monotonic_clock::now());
                if self.replace(connection, State::Down(outage)) {
                    self.breaker_opened(error);
                }
            }
            _ => {}
        }
        result
    }

    /// Takes a broken connection out of use. Returns false if another call already did.
    fn replace(&self, broken: &Rc<Connection>, with: State) -> bool {
        let mut state = self.state.borrow_mut();
        let in_use =
            matches!(&*state, State::Connected(connection) if Rc::ptr_eq(connection, broken));
        if in_use {
            *state = with;
        }
        in_use
    }

    fn timed_out(&self, error: Error) -> Error {
        self.stats.increment(Counter::Timeouts);
        error
    }

    fn connected(&self, after_an_outage: bool) {
        if self.has_connected.replace(true) {
            self.stats.increment(Counter::Reconnections);
        }
        if after_an_outage {
            log::event(log::Event::BreakerClosed, &[("redis", &self.server.role)]);
        }
    }

    fn breaker_opened(&self, cause: &Error) {
        self.stats.increment(Counter::BreakerOpenings);
        let redis = &self.server.role;
        log::event(
            log::Event::BreakerOpened,
            &[("redis", redis), ("reason", cause)],
        );
    }

    /// Waits for a connection on which a command for this purpose may be sent.
    async fn check_out(
        self: &Rc<Self>,
        purpose: Purpose,
        deadline: &Deadline,
    ) -> Result<Checkout, Error> {
        loop {
            let (attempt, outage) = match self.admit()? {
                Admission::Use(checkout) => return Ok(checkout),
                Admission::Wait(attempt) => (attempt, None),
                Admission::Probe(attempt, outage) => (attempt, Some(outage)),
            };
            // The host polls a new task when it polls this one.
            yield_async().await;
            // In a box, for commands on an open connection would carry it along.
            let mut checkout = Box::pin(attempt.check_out(purpose));
            let checkout = match &outage {
                None => deadline.race(checkout.as_mut()).await,
                Some(_) => {
                    let brief = deadline.at_most(PROBE_TIMEOUT);
                    brief.race(checkout.as_mut()).await
                }
            };
            match checkout {
                Some(Some(checkout)) => return checkout,
                // The attempt ended with its request. Make another, unless a call already does.
                Some(None) => {}
                None => {
                    let cause = outage.map(|outage| outage.cause);
                    return Err(cause.unwrap_or_else(|| self.server.connect_timeout()));
                }
            }
        }
    }

    /// Decides how a call gets a connection, and begins to connect if no other call does.
    fn admit(self: &Rc<Self>) -> Result<Admission, Error> {
        let mut state = self.state.borrow_mut();
        let outage = match &*state {
            State::Connected(connection) => {
                return Ok(Admission::Use(Checkout {
                    connection: Rc::clone(connection),
                    fresh: false,
                    login: None,
                }));
            }
            State::Connecting(attempt) if !attempt.connected.is_over() => {
                return Ok(Admission::Wait(Rc::clone(attempt)));
            }
            State::Connecting(_) | State::Idle => None,
            State::Probing(outage, attempt) if !attempt.connected.is_over() => {
                return Err(outage.cause.clone());
            }
            State::Down(outage) if !outage.is_over(monotonic_clock::now()) => {
                return Err(outage.cause.clone());
            }
            State::Down(outage) | State::Probing(outage, _) => Some(outage.clone()),
        };
        let (open_leader, open) = Flight::start();
        let (leader, connected) = Flight::start();
        let attempt = Rc::new(Attempt { open, connected });
        self.connect_in_background(open_leader, leader, outage.clone());
        Ok(match outage {
            None => {
                *state = State::Connecting(Rc::clone(&attempt));
                Admission::Wait(attempt)
            }
            Some(outage) => {
                *state = State::Probing(outage.clone(), Rc::clone(&attempt));
                Admission::Probe(attempt, outage)
            }
        })
    }

    /// Connects in a task of its own, which serves all calls that wait and not only the first.
    fn connect_in_background(
        self: &Rc<Self>,
        open: Leader<Rc<Connection>>,
        leader: Leader<Result<Rc<Connection>, Error>>,
        outage: Option<Outage>,
    ) {
        let link = Rc::clone(self);
        spawn(async move {
            let connected = link.connect(open, outage).await;
            leader.complete(connected);
        });
    }

    async fn connect(
        &self,
        open: Leader<Rc<Connection>>,
        outage: Option<Outage>,
    ) -> Result<Rc<Connection>, Error> {
        let connect = async {
            let connection = Rc::new(self.server.open().await?);
            match outage.is_none() && self.server.reads_may_go_with_login() {
                true => open.complete(Rc::clone(&connection)),
                false => drop(open),
            }
            self.server.log_in(&connection).await?;
            if outage.is_some() {
                // A stopped Redis still accepts connections. Any reply to PING proves that it runs:
                // the user may not be allowed to send PING.
                let now = monotonic_clock::now();
                let reply = connection.run(&Command::read("PING"), now).await;
                if let Err(error) = reply
                    && error.is_transport()
                {
                    return Err(error);
                }
            }
            Ok(connection)
        };
        let deadline = self.timer.deadline(self.server.timeout);
        let connected = deadline.race(pin!(connect)).await;
        let connected =
            connected.unwrap_or_else(|| Err(self.timed_out(self.server.connect_timeout())));
        match (&connected, &outage) {
            (Ok(_), outage) => self.connected(outage.is_some()),
            (Err(error), None) => self.breaker_opened(error),
            (Err(_), Some(_)) => {}
        }
        let now = monotonic_clock::now();
        *self.state.borrow_mut() = match (&connected, outage) {
            (Ok(connection), _) => State::Connected(Rc::clone(connection)),
            (Err(error), None) => State::Down(Outage::begin(error.clone(), now)),
            (Err(error), Some(outage)) => State::Down(outage.go_on(error.clone(), now)),
        };
        connected
    }
}
