//! Two servers of the same component, of which one does more: what that costs is less than noise,
//! and so they are measured in turns.

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

/// Measures hits of both, whose rows are named.
pub fn hits(
    setup: &Setup,
    name: &str,
    rows: [&'static str; 2],
    servers: [&mut Server; 2],
    results: &mut Results,
) -> Result<()> {
    let setup = of_hits(setup);
    let requests = Kind::Hit.ids().map(|id| get(&path(&id)));
    let load = Load::new(&setup, name, requests, 200)?;
    for round in 1..=setup.rounds {
        for callers in CALLERS {
            let rounds = setup.rounds;
            eprintln!("round {round} of {rounds}: {name}, callers: {callers}");
            for index in 0..2 {
                // So that neither is always the first.
                let index = (index + round) % 2;
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
