//! The primary. Reads and writes share a connection until a write hangs on it.
//!
//! Redis can hold writes back while it answers reads: `CLIENT PAUSE WRITE`, which a failover sends, does
//! so. Whatever follows a held write on its connection waits too, so from then on writes have a
//! connection of their own.

use std::cell::OnceCell;
use std::rc::Rc;

use futures_util::future::LocalBoxFuture;

use super::command::{Command, Reply};
use super::error::Error;
use super::link::{Delivery, Link, Server};
use super::refusal_log::RefusalLog;
use crate::rt::deadline::{Deadline, Timer};
use crate::stats::Stats;

/// The primary, and the way to it.
pub(super) struct Primary {
    server: Server,
    timer: Rc<Timer>,
    stats: Rc<Stats>,
    shared: Rc<Link>,
    /// The link of the writes, once one has hung.
    writes: OnceCell<Rc<Link>>,
    refusals: RefusalLog,
}

impl Primary {
    /// Connects at the first call.
    pub(super) fn new(server: Server, timer: Rc<Timer>, stats: &Rc<Stats>) -> Self {
        Self {
            shared: Link::new(server.clone(), Rc::clone(&timer), Rc::clone(stats)),
            writes: OnceCell::new(),
            refusals: RefusalLog::new(server.role),
            stats: Rc::clone(stats),
            timer,
            server,
        }
    }

    /// Returns true unless Redis is known to take no writes.
    pub(super) fn takes_writes(&self) -> bool {
        self.link_of_writes().is_well()
    }

    /// Sends a command and returns its reply. If the server that answers has been replaced by another
    /// one, sends the command once more, to that.
    pub(super) async fn call(
        &self,
        command: &Command,
        deadline: &Deadline,
    ) -> Result<Reply, Error> {
        // The path of a lookup has no more than this. The rest is in boxes, to keep its future small.
        let result = match command.waits_for_writes() {
            false => self.shared.call(command, deadline).await,
            true => self.call_once(command, deadline).await,
        };
        match &result {
            Err(Error::Refused(refusal)) if refusal.suggests_failover() => {
                self.call_again(command, deadline, result).await
            }
            _ => {
                self.refusals.note(command.purpose(), &result);
                result
            }
        }
    }

    /// Sends a command again if there is another server to send it to.
    fn call_again<'a>(
        &'a self,
        command: &'a Command,
        deadline: &'a Deadline,
        refused: Result<Reply, Error>,
    ) -> LocalBoxFuture<'a, Result<Reply, Error>> {
        Box::pin(async move {
            let of_writes = command.waits_for_writes();
            let result = match self.reconnect_unless_young(of_writes, deadline.begun()) {
                true if of_writes => self.call_once(command, deadline).await,
                true => self.shared.call(command, deadline).await,
                false => refused,
            };
            self.refusals.note(command.purpose(), &result);
            result
        })
    }

    /// Sends a write that must not be sent twice.
    pub(super) async fn send_once(&self, command: &Command, deadline: &Deadline) -> Delivery {
        let link = self.link_of_writes();
        let delivery = Box::pin(link.send_once(command, deadline));
        let delivery = self.watch(delivery, deadline).await;
        if let Delivery::Refused(refusal) = &delivery
            && refusal.suggests_failover()
        {
            self.reconnect_unless_young(true, deadline.begun());
        }
        delivery
    }

    /// Sends a command that waits for writes.
    fn call_once<'a>(
        &'a self,
        command: &'a Command,
        deadline: &'a Deadline,
    ) -> LocalBoxFuture<'a, Result<Reply, Error>> {
        Box::pin(async move {
            let call = self.link_of_writes().call(command, deadline);
            self.watch(Box::pin(call), deadline).await
        })
    }

    fn link_of_writes(&self) -> &Rc<Link> {
        self.writes.get().unwrap_or(&self.shared)
    }

    /// Does what sends a write. If that takes unusually long, lets the reads go on without it.
    async fn watch<T>(&self, mut write: LocalBoxFuture<'_, T>, deadline: &Deadline) -> T {
        if self.writes.get().is_some() {
            return write.await;
        }
        let usual = deadline.at_most(self.shared.usual_silence());
        if let Some(result) = usual.race(write.as_mut()).await {
            return result;
        }
        // Another write that hangs there may have left it meanwhile. The reads have a connection of their
        // own by then.
        if self.writes.get().is_none() && self.shared.leave_to_writes() {
            self.writes.get_or_init(|| {
                let server = Server {
                    role: "primary-writes",
                    ..self.server.clone()
                };
                Link::new(server, Rc::clone(&self.timer), Rc::clone(&self.stats))
            });
        }
        write.await
    }

    /// Leaves the server that answers for the one that the address leads to now. Reads leave it too:
    /// it does not know the writes that follow. Returns true if a command that began at `begun` and
    /// was refused, on the link of the writes or on the other, should be sent again.
    fn reconnect_unless_young(&self, of_writes: bool, begun: u64) -> bool {
        let shared = self.shared.reconnect_unless_young(begun);
        let writes = self.writes.get();
        let writes = writes.map(|link| link.reconnect_unless_young(begun));
        match writes {
            Some(writes) if of_writes => writes,
            _ => shared,
        }
    }
}
