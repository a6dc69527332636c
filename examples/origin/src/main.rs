//! Serves an origin for the cache until it is told to stop.

use std::{
    env,
    io::{Write as _, stdout},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use provider_connection_origin::{Fault, Options, Origin};

/// A reference origin for the provider connection cache: a database with a little HTTP service.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// IP address and port to listen on.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,

    /// The SQLite database; without it, one in memory.
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,

    /// How many connections an empty database is filled with.
    #[arg(long, default_value_t = 10_000, value_name = "COUNT")]
    connections: u32,

    /// The environment variable that has the bearer token to ask for; without it, none is.
    // Not the token itself: whoever may list processes sees command lines.
    #[arg(long, value_name = "NAME")]
    token_env: Option<String>,

    /// The Cache-Control of what it says of a connection.
    #[arg(long, value_name = "VALUE")]
    cache_control: Option<String>,

    /// How lookups go wrong: slow=500ms, status=503, garbage, other-id, large, redirect, hang or cut.
    #[arg(long, default_value = "none", value_name = "FAULT")]
    fault: Fault,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    let origin = Origin::start(Options {
        listen: args.listen,
        database: args.database,
        connections: args.connections,
        token: args.token_env.as_deref().map(token).transpose()?,
        cache_control: args.cache_control,
        fault: args.fault,
    })
    .await?;
    let mut out = stdout();
    let connections = origin.connections()?;
    writeln!(out, "serving {connections} connections on {}", origin.url())?;
    out.flush()?;
    stop_signal().await
}

fn token(name: &str) -> Result<String> {
    // Not the error of `var`, which can show the value.
    let token = env::var(name)
        .ok()
        .with_context(|| format!("{name} is not set"))?;
    ensure!(!token.is_empty(), "{name} is empty");
    Ok(token)
}

/// Waits for Ctrl-C or, where there is such a thing, SIGTERM.
async fn stop_signal() -> Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result?,
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    Ok(())
}
