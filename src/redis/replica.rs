//! The replica.

use std::rc::Rc;

use super::command::{Command, Reply};
use super::error::Error;
use super::link::{Link, Server};
use super::refusal_log::RefusalLog;
use crate::rt::deadline::{Deadline, Timer};
use crate::stats::Stats;

/// A replica, and the way to it.
pub(super) struct Replica {
    link: Rc<Link>,
    refusals: RefusalLog,
}

impl Replica {
    /// Connects at the first call.
    pub(super) fn new(server: Server, timer: Rc<Timer>, stats: Rc<Stats>) -> Self {
        Self {
            refusals: RefusalLog::new(server.role),
            link: Link::new(server, timer, stats),
        }
    }

    /// Sends a command and returns its reply.
    pub(super) async fn call(
        &self,
        command: &Command,
        deadline: &Deadline,
    ) -> Result<Reply, Error> {
        let result = self.link.call(command, deadline).await;
        self.refusals.note(command.purpose(), &result);
        result
    }
}
