//! Serves a Spin application without Spin.

mod cli;

use std::{
    io::{ErrorKind, Write as _, stdout},
    net::SocketAddr,
    process::{ExitCode, exit},
    sync::Arc,
};

use anyhow::{Result, anyhow};
use clap::Parser as _;
use cli::Args;
use provider_connection_cache_host::{App, AppOptions, LogSink, serve_with};
use tokio::net::TcpListener;

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
    let options = AppOptions {
        variables: args.variables()?,
        use_env: true,
        max_instance_memory: args.max_instance_memory,
        counts_instructions: false,
        state_dir: args.state_dir(),
        runtime_config_file: args.runtime_config_file.clone(),
        log: LogSink::stderr(),
    };
    let app = Arc::new(App::load(&args.from, options)?);
    let listener = listen(args.listen).await?;
    print_routes(&app, listener.local_addr()?)?;
    tokio::select! {
        result = serve_with(app, listener, Arc::new(move || args.reuse())) => result,
        stopped = stop_signal() => {
            stopped?;
            // Not by returning: dropping the runtime would report every instance as failed.
            exit(0)
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => anyhow!(
                "{address} is already in use. To listen on another address, use the --listen option."
            ),
            _ => anyhow!("Unable to listen on {address}: {error}"),
        })
}

fn print_routes(app: &App, address: SocketAddr) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "\nServing http://{address}")?;
    writeln!(out, "Available Routes:")?;
    for (route, component_id) in app.route_descriptions() {
        writeln!(out, "  {component_id}: http://{address}{route}")?;
    }
    Ok(())
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
