//! A Redis far away: a proxy that takes its time.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::support::redis::Redis;

/// The address of this Redis, so far away: what it is sent takes half of the round trip, and what it
/// replies the other half. Connecting takes a round trip too. All is in order, and as much as one likes is
/// under way at a time. No distance is no proxy.
///
/// In threads: what is timed by tokio is up to a millisecond late. They end with this process.
pub fn address(redis: &Redis, round_trip: Duration) -> Result<String> {
    if round_trip.is_zero() {
        return Ok(redis.address());
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("redis://{}", listener.local_addr()?);
    let port = redis.port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // An error is the end of this connection only, as it is on any way.
            thread::spawn(move || connect(client, port, round_trip));
        }
    });
    Ok(address)
}

fn connect(client: TcpStream, port: u16, round_trip: Duration) -> Result<()> {
    sleep(round_trip);
    let server = TcpStream::connect(("127.0.0.1", port))?;
    for (from, to) in [(&client, &server), (&server, &client)] {
        to.set_nodelay(true)?;
        let (from, to) = (from.try_clone()?, to.try_clone()?);
        let (on_the_way, arriving) = channel();
        thread::spawn(move || send(from, &on_the_way, round_trip / 2));
        thread::spawn(move || arrive(&arriving, to));
    }
    Ok(())
}

/// Bytes, and when they arrive.
type Segment = (Instant, Vec<u8>);

fn send(mut from: TcpStream, on_the_way: &Sender<Segment>, delay: Duration) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let segment = (Instant::now() + delay, buffer[..length].to_vec());
        if on_the_way.send(segment).is_err() {
            return;
        }
    }
}

fn arrive(arriving: &Receiver<Segment>, mut to: TcpStream) {
    for (arrival, bytes) in arriving {
        sleep(arrival.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    // Where one side ends, so does the other, which may have done so before.
    let _ = to.shutdown(Shutdown::Both);
}
