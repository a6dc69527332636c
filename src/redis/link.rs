//! The way to one Redis: one connection, opened once, shared by all that the instance
//! has in flight, replaced when it breaks.

use std::cell::RefCell;
use std::rc::Rc;

use spin_sdk::redis::Connection;

use super::{Command, Deadline, Failure, Reply};
use crate::config::{Address, Login};
use crate::flight::Flight;

/// A Redis, and what it takes to talk to it.
pub struct Endpoint {
    /// Where it listens.
    pub address: Address,
    /// How to introduce oneself.
    pub login: Option<Login>,
    /// The number of the database.
    pub database: u32,
}

impl Endpoint {
    /// A new connection. The login is sent as commands, for an address with a password in
    /// it would be one more place to leak it from.
    async fn connect(&self) -> Result<Connection, Failure> {
        let opened = Connection::open(self.address.as_str()).await;
        let connection = opened.map_err(|error| Failure::from_open(&error))?;
        if let Some(Login { username, password }) = &self.login {
            let auth = Command::new("AUTH").args(username).arg(password.expose());
            auth.run(&connection).await?;
        }
        if self.database != 0 {
            let select = Command::new("SELECT").integer(self.database.into());
            select
                .run(&connection)
                .await
                .map_err(|_| Failure::Refused)?;
        }
        Ok(connection)
    }
}

type Opening = Flight<Result<Rc<Connection>, Failure>>;

/// One Redis. Commands that are in flight together are pipelined on its one connection.
pub struct Link {
    endpoint: Endpoint,
    current: RefCell<Option<Rc<Connection>>>,
    /// The attempt to connect that is under way: those who come meanwhile wait for it,
    /// instead of making more.
    opening: RefCell<Option<Rc<Opening>>>,
}

/// A connection, and whether this call opened it.
struct Lease {
    connection: Rc<Connection>,
    fresh: bool,
}

impl Link {
    /// The way to this Redis. Connects at the first call.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            current: RefCell::new(None),
            opening: RefCell::new(None),
        }
    }

    /// What Redis answers to the command. If a connection that served before turns out
    /// to be dead, the command is sent once more, on a new one.
    pub async fn call(&self, command: &Command, deadline: &mut Deadline) -> Result<Reply, Failure> {
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
        deadline: &mut Deadline,
    ) -> Result<Reply, Failure> {
        let result = deadline.race(command.run(&lease.connection)).await;
        let result = result.unwrap_or(Err(Failure::Timeout));
        if let Err(failure) = &result
            && failure.is_transport()
        {
            self.discard(&lease.connection);
        }
        result
    }

    async fn connection(&self, deadline: &mut Deadline) -> Result<Lease, Failure> {
        if let Some(connection) = self.current() {
            return Ok(Lease {
                connection,
                fresh: false,
            });
        }
        deadline
            .race(self.open())
            .await
            .unwrap_or(Err(Failure::Timeout))
    }

    async fn open(&self) -> Result<Lease, Failure> {
        loop {
            let opening = self.opening.borrow().clone();
            let Some(opening) = opening else {
                break;
            };
            if let Some(opened) = opening.result().await {
                return Ok(Lease {
                    connection: opened?,
                    fresh: true,
                });
            }
            // Its caller ran out of time: make another attempt, unless one is made already.
            self.opening
                .borrow_mut()
                .take_if(|given_up| Rc::ptr_eq(given_up, &opening));
        }
        let (pilot, opening) = Flight::start();
        *self.opening.borrow_mut() = Some(opening);
        let opened = self.endpoint.connect().await.map(Rc::new);
        *self.opening.borrow_mut() = None;
        *self.current.borrow_mut() = opened.as_ref().ok().cloned();
        pilot.land(opened.clone());
        Ok(Lease {
            connection: opened?,
            fresh: true,
        })
    }

    fn current(&self) -> Option<Rc<Connection>> {
        self.current.borrow().clone()
    }

    /// Takes a broken connection out of use, unless another call already replaced it.
    fn discard(&self, broken: &Rc<Connection>) {
        let mut current = self.current.borrow_mut();
        if current
            .as_ref()
            .is_some_and(|current| Rc::ptr_eq(current, broken))
        {
            *current = None;
        }
    }
}
