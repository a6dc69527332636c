//! `spin:redis/redis@3.0.0`: Spin's outbound Redis over the same `redis` crate.
//!
//! As in Spin, and unlike what one may hope for: each `open` makes a new TCP connection, without
//! TCP_NODELAY, that is never reopened and waits for answers for ever; calls on it are pipelined;
//! dropping the resource closes it. `rediss://` is served with rustls and the system's root
//! certificates where Spin uses native-tls, so only the texts of TLS errors differ.

use std::{fmt::Display, mem::size_of, sync::Arc};

use redis::{AsyncCommands as _, FromRedisValue, Value, aio::MultiplexedConnection};
// Linked for its crypto provider, which the redis crate's TLS does not choose by itself.
use rustls as _;
use wasmtime::component::{Accessor, HasSelf, Resource, ResourceTable};

use crate::{
    allowed_hosts::AllowedHosts,
    bindings::spin::redis::redis::{
        Error, Host, HostConnection, HostConnectionWithStore, RedisParameter, RedisResult,
    },
    limits::check_buffered,
    waiting::{Call, Waiting},
};

/// More connections in one instance are refused with `too-many-connections`.
const MAX_CONNECTIONS: usize = 1024;

/// The Redis side of one instance.
pub(crate) struct Redis {
    allowed_hosts: Arc<AllowedHosts>,
    connections: ResourceTable,
    waiting: Waiting,
}

/// What stands behind the resource `connection`.
pub struct Connection(MultiplexedConnection);

impl Redis {
    pub(crate) fn new(allowed_hosts: Arc<AllowedHosts>, waiting: Waiting) -> Self {
        let mut connections = ResourceTable::new();
        connections.set_max_capacity(MAX_CONNECTIONS);
        Self {
            allowed_hosts,
            connections,
            waiting,
        }
    }
}

/// The connection is cloned, so that calls on it run at the same time.
fn connection<T>(
    accessor: &Accessor<T, HasSelf<Redis>>,
    connection: Resource<Connection>,
) -> Result<MultiplexedConnection, Error> {
    accessor.with(|mut access| {
        let connection = access.get().connections.get(&connection);
        connection
            .map(|connection| connection.0.clone())
            .map_err(|_| Error::Other("could not find connection for resource".to_owned()))
    })
}

/// Counts a call until it ends.
fn waits<T>(accessor: &Accessor<T, HasSelf<Redis>>) -> Call {
    accessor.with(|mut access| access.get().waiting.begin())
}

fn other(error: impl Display) -> Error {
    Error::Other(error.to_string())
}

fn check_size(bytes: usize) -> Result<(), Error> {
    check_buffered(bytes).map_err(Error::Other)
}

impl Host for Redis {}

impl HostConnection for Redis {
    fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.connections.delete(connection)?;
        Ok(())
    }
}

impl<T: Send> HostConnectionWithStore<T> for HasSelf<Redis> {
    async fn open(
        accessor: &Accessor<T, Self>,
        address: String,
    ) -> Result<Resource<Connection>, Error> {
        let _waits = waits(accessor);
        let allowed_hosts = accessor.with(|mut access| Arc::clone(&access.get().allowed_hosts));
        if !allowed_hosts.allows(&address, "redis") {
            return Err(Error::InvalidAddress);
        }
        let connection = redis::Client::open(address)
            .map_err(|_| Error::InvalidAddress)?
            .get_multiplexed_async_connection()
            .await
            .map_err(other)?;
        accessor.with(|mut access| {
            let connections = &mut access.get().connections;
            connections
                .push(Connection(connection))
                .map_err(|_| Error::TooManyConnections)
        })
    }

    async fn publish(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        channel: String,
        payload: Vec<u8>,
    ) -> Result<(), Error> {
        let mut connection = connection(accessor, this)?;
        connection.publish(channel, payload).await.map_err(other)
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        key: String,
    ) -> Result<Option<Vec<u8>>, Error> {
        let mut connection = connection(accessor, this)?;
        let value: Option<Vec<u8>> = connection.get(key).await.map_err(other)?;
        check_size(size_of::<Option<Vec<u8>>>() + value.as_ref().map_or(0, Vec::len))?;
        Ok(value)
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), Error> {
        let mut connection = connection(accessor, this)?;
        connection.set(key, value).await.map_err(other)
    }

    async fn incr(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        key: String,
    ) -> Result<i64, Error> {
        let mut connection = connection(accessor, this)?;
        connection.incr(key, 1).await.map_err(other)
    }

    async fn del(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        keys: Vec<String>,
    ) -> Result<u32, Error> {
        let mut connection = connection(accessor, this)?;
        connection.del(keys).await.map_err(other)
    }

    async fn sadd(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Result<u32, Error> {
        let mut connection = connection(accessor, this)?;
        connection
            .sadd(key, values)
            .await
            .map_err(|error| match error.kind() {
                redis::ErrorKind::TypeError => Error::TypeError,
                _ => other(error),
            })
    }

    async fn smembers(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        key: String,
    ) -> Result<Vec<String>, Error> {
        let mut connection = connection(accessor, this)?;
        connection.smembers(key).await.map_err(other)
    }

    async fn srem(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Result<u32, Error> {
        let mut connection = connection(accessor, this)?;
        connection.srem(key, values).await.map_err(other)
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        command: String,
        arguments: Vec<RedisParameter>,
    ) -> Result<Vec<RedisResult>, Error> {
        let _waits = waits(accessor);
        let mut connection = connection(accessor, this)?;
        let mut command = redis::cmd(&command);
        for argument in arguments {
            match argument {
                RedisParameter::Int64(number) => command.arg(number),
                RedisParameter::Binary(bytes) => command.arg(bytes),
            };
        }
        let Results(results) = command.query_async(&mut connection).await.map_err(other)?;
        let bytes: usize = results.iter().map(memory_size).sum();
        check_size(size_of::<Vec<RedisResult>>() + bytes)?;
        Ok(results)
    }
}

fn memory_size(result: &RedisResult) -> usize {
    size_of::<RedisResult>()
        + match result {
            RedisResult::Nil | RedisResult::Int64(_) => 0,
            RedisResult::Status(text) => text.len(),
            RedisResult::Binary(bytes) => bytes.len(),
        }
}

/// An answer as `execute` returns it: a flat list, whatever its depth was.
#[derive(Debug)]
struct Results(Vec<RedisResult>);

impl FromRedisValue for Results {
    fn from_redis_value(value: &Value) -> redis::RedisResult<Self> {
        let mut results = Vec::new();
        flatten(value, &mut results)?;
        Ok(Self(results))
    }
}

fn flatten(value: &Value, results: &mut Vec<RedisResult>) -> redis::RedisResult<()> {
    results.push(match value {
        Value::Array(values) | Value::Set(values) => {
            return values.iter().try_for_each(|value| flatten(value, results));
        }
        Value::Nil => RedisResult::Nil,
        Value::Int(number) => RedisResult::Int64(*number),
        Value::Boolean(value) => RedisResult::Int64((*value).into()),
        Value::Okay => RedisResult::Status("OK".to_owned()),
        Value::SimpleString(text) => RedisResult::Status(text.clone()),
        Value::BulkString(bytes) => RedisResult::Binary(bytes.clone()),
        Value::Double(number) => RedisResult::Binary(number.to_string().into_bytes()),
        Value::BigNumber(number) => RedisResult::Binary(number.to_string().into_bytes()),
        Value::Map(_) => return refuse("Redis Map type is not supported"),
        Value::Attribute { .. } => return refuse("Redis Attribute type is not supported"),
        Value::VerbatimString { .. } => {
            return refuse("Redis string with format attribute is not supported");
        }
        Value::Push { .. } => return refuse("Redis Pub/Sub types are not supported"),
        Value::ServerError(error) => {
            let error = (
                redis::ErrorKind::ResponseError,
                "Server error",
                format!("{error:?}"),
            );
            return Err(error.into());
        }
    });
    Ok(())
}

fn refuse(reason: &str) -> redis::RedisResult<()> {
    let error = (
        redis::ErrorKind::TypeError,
        "Could not convert Redis response",
        reason.to_owned(),
    );
    Err(error.into())
}

#[cfg(test)]
mod tests {
    use redis::{PushKind, VerbatimFormat};

    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn answers_become_flat_lists() -> redis::RedisResult<()> {
        let binary = |text: &str| RedisResult::Binary(text.as_bytes().to_vec());
        for (value, expected) in [
            (Value::Nil, vec![RedisResult::Nil]),
            (Value::Int(-7), vec![RedisResult::Int64(-7)]),
            (Value::Okay, vec![RedisResult::Status("OK".to_owned())]),
            (
                Value::SimpleString("PONG".to_owned()),
                vec![RedisResult::Status("PONG".to_owned())],
            ),
            (bulk("bytes"), vec![binary("bytes")]),
            (Value::Boolean(true), vec![RedisResult::Int64(1)]),
            (Value::Boolean(false), vec![RedisResult::Int64(0)]),
            (Value::Double(1.5), vec![binary("1.5")]),
            (
                Value::BigNumber(123_456_789_012_345_678_901_u128.into()),
                vec![binary("123456789012345678901")],
            ),
            (Value::Array(vec![]), vec![]),
            (
                Value::Array(vec![
                    bulk("a"),
                    Value::Nil,
                    Value::Array(vec![Value::Int(1), Value::Set(vec![bulk("b")])]),
                    bulk("c"),
                ]),
                vec![
                    binary("a"),
                    RedisResult::Nil,
                    RedisResult::Int64(1),
                    binary("b"),
                    binary("c"),
                ],
            ),
        ] {
            let Results(results) = Results::from_redis_value(&value)?;
            assert_eq!(format!("{results:?}"), format!("{expected:?}"), "{value:?}");
        }
        Ok(())
    }

    #[test]
    fn what_the_interface_cannot_say_is_refused() {
        let server_error = redis::parse_redis_value(b"-WRONGTYPE wrong kind\r\n");
        for (value, expected) in [
            (Ok(Value::Map(vec![])), "Map type is not supported"),
            (
                Ok(Value::Attribute {
                    data: Box::new(Value::Nil),
                    attributes: vec![],
                }),
                "Attribute type is not supported",
            ),
            (
                Ok(Value::VerbatimString {
                    format: VerbatimFormat::Text,
                    text: String::new(),
                }),
                "string with format attribute is not supported",
            ),
            (
                Ok(Value::Push {
                    kind: PushKind::Message,
                    data: vec![],
                }),
                "Pub/Sub types are not supported",
            ),
            (server_error, "WRONGTYPE"),
        ] {
            // Refused at any depth.
            let error = value
                .and_then(|value| Results::from_redis_value(&Value::Array(vec![value])))
                .map_err(|error| error.to_string());
            assert!(
                error.as_ref().is_err_and(|error| error.contains(expected)),
                "{error:?}"
            );
        }
    }

    #[test]
    fn the_limit_is_on_memory_not_on_bytes_sent() {
        assert!(memory_size(&RedisResult::Nil) > 0);
    }
}
