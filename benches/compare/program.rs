//! How each server is started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::setup::{Setup, program};
use crate::support::redis::Redis;
use crate::support::service::READ_TOKEN;
use crate::support::{Variables, in_repository};

/// The component that is compared with the others.
pub const CACHE: &str = "provider-connection-cache-spin";

/// What serves.
#[derive(Clone, Copy)]
pub enum Program {
    /// A component in the host, with these options.
    Component(&'static str, &'static [&'static [&'static str]]),
    /// nginx with Lua.
    Nginx,
    /// webdis, which answers what Redis commands in paths return.
    Webdis,
    /// FastAPI in uvicorn.
    Python,
}

impl Program {
    /// The command that serves on this port; none if the program is not there.
    pub fn command(self, setup: &Setup, redis: &Redis, port: u16) -> Result<Option<Command>> {
        match self {
            Self::Component(name, options) => {
                let mut command = component(setup, &redis.address(), port, name, options)?;
                // On a busy machine a time-out would be taken for a wrong answer.
                command.args(["--variable", "redis_timeout_ms=30000"]);
                Ok(Some(command))
            }
            Self::Nginx => with("NGINX", |command| nginx(setup, redis, port, command)),
            Self::Webdis => with("WEBDIS", |command| webdis(setup, redis, port, command)),
            Self::Python => with("PYTHON", |command| {
                python(redis, port, command);
                Ok(())
            }),
        }
    }
}

/// The program that this variable names, with the arguments that `finish` adds.
fn with(
    variable: &str,
    finish: impl FnOnce(&mut Command) -> Result<()>,
) -> Result<Option<Command>> {
    let Some(mut command) = program(variable).map(Command::new) else {
        return Ok(None);
    };
    finish(&mut command)?;
    Ok(Some(command))
}

/// More requests for an instance, more at a time, and more patience than by default.
pub const REUSE_RAISED: &[&str] = &[
    "--max-instance-reuse-count=1000000",
    "--max-instance-concurrent-reuse-count=64",
    "--idle-instance-timeout=60s",
];

/// The application of `spin.toml`, with this component in it, over Redis at this address.
pub fn component(
    setup: &Setup,
    redis_address: &str,
    port: u16,
    name: &str,
    options: &[&[&str]],
) -> Result<Command> {
    let ours = "dist/provider-connection-cache-spin.wasm";
    let wasm = setup.component(name);
    let wasm = wasm.to_str().context("the path is not text")?;
    let manifest = fs::read_to_string(in_repository("spin.toml"))?.replace(ours, wasm);
    // The others are where they are; paths are relative to the manifest.
    let dist = in_repository("dist");
    let dist = dist.to_str().context("the path is not text")?;
    let manifest = manifest.replace("\"dist/", &format!("\"{dist}/"));
    let file = setup.directory.join(format!("{name}.toml"));
    fs::write(&file, manifest)?;
    let mut command = setup.host.serve(&file, port, &setup.directory);
    command
        .args(["--variable", &format!("redis_address={redis_address}")])
        .args(["--variable", &format!("read_token={READ_TOKEN}")])
        .args(options.concat());
    Ok(command)
}

/// The application of a manifest, with these variables.
pub fn application(setup: &Setup, manifest: &Path, port: u16, variables: &Variables) -> Command {
    let mut command = setup.host.serve(manifest, port, &setup.directory);
    for (name, value) in variables {
        command.args(["--variable", &format!("{name}={value}")]);
    }
    command
}

fn nginx(setup: &Setup, redis: &Redis, port: u16, command: &mut Command) -> Result<()> {
    let template = fs::read_to_string(in_repository("benches/peers/nginx.conf"))?;
    let directory = setup.directory.to_str().context("the path is not text")?;
    let configuration = template
        .replace("@DIRECTORY@", directory)
        .replace("@PORT@", &port.to_string())
        .replace("@READ_TOKEN@", READ_TOKEN)
        .replace("@REDIS_PORT@", &redis_port(redis)?.to_string());
    let file = written(setup, "nginx.conf", &configuration)?;
    command.arg("-p").arg(&setup.directory).arg("-c").arg(file);
    Ok(())
}

fn webdis(setup: &Setup, redis: &Redis, port: u16, command: &mut Command) -> Result<()> {
    let configuration = json!({
        "redis_host": "127.0.0.1",
        "redis_port": redis_port(redis)?,
        "http_host": "127.0.0.1",
        "http_port": port,
        "daemonize": false,
        "verbosity": 0,
        "logfile": setup.directory.join("webdis.log"),
    });
    command.arg(written(setup, "webdis.json", &configuration.to_string())?);
    Ok(())
}

fn python(redis: &Redis, port: u16, command: &mut Command) {
    command
        .args(["-m", "uvicorn", "app:app", "--workers", "1"])
        .args(["--loop", "uvloop", "--http", "httptools"])
        .args(["--no-access-log", "--log-level", "warning"])
        .args(["--port", &port.to_string(), "--app-dir"])
        .arg(in_repository("benches/peers/fastapi"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("REDIS_ADDRESS", redis.address())
        .env("READ_TOKEN", READ_TOKEN);
}

fn written(setup: &Setup, name: &str, text: &str) -> Result<PathBuf> {
    let file = setup.directory.join(name);
    fs::write(&file, text)?;
    Ok(file)
}

/// The port of the Redis that all share.
pub fn redis_port(redis: &Redis) -> Result<u16> {
    let address = redis.address();
    let (_, port) = address.rsplit_once(':').context("no port")?;
    Ok(port.parse()?)
}
