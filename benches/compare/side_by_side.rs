//! Servers of which one does more than another: what that costs is less than noise, and so they are
//! measured in turns.

use anyhow::Result;

use crate::entries::Kind;
use crate::process::Server;
use crate::results::Results;
use crate::setup::Setup;
use crate::support::service::path;
use crate::wrk::{Load, get};

/// Numbers of callers.
pub const CALLERS: [usize; 2] = [1, 16];

/// How hits are measured: what is to be told from noise is less than elsewhere.
pub fn of_hits(setup: &Setup) -> Setup {
    setup.finer(8, 4)
}

/// Measures hits of each server, whose row is named.
pub fn hits<const N: usize>(
    setup: &Setup,
    name: &str,
    rows: [&'static str; N],
    servers: [&mut Server; N],
    results: &mut Results,
) -> Result<()> {
    let setup = of_hits(setup);
    let requests = Kind::Hit.ids().map(|id| get(&path(&id)));
    let load = Load::new(&setup, name, requests, 200)?;
    for round in 1..=setup.rounds {
        for callers in CALLERS {
            let rounds = setup.rounds;
            eprintln!("round {round} of {rounds}: {name}, callers: {callers}");
            for index in 0..N {
                // So that none is always the first.
                let index = (index + round) % N;
                let server = &mut *servers[index];
                load.warm_up(&setup, server.port, callers)?;
                let found = load.measure(&setup, server, callers);
                server.ensure_alive()?;
                results.add(rows[index], Kind::Hit, callers, found?);
            }
        }
    }
    Ok(())
}
