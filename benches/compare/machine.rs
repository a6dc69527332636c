//! What the figures were measured with.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::setup::{Host, Setup, program};
use crate::support::in_repository;
use crate::table::Table;

/// The machine and the versions.
pub fn describe(setup: &Setup) -> Result<Table> {
    let mut table = Table::new(2, ["what", "which"]);
    let mut add = |what: &str, which: String| table.row([what.to_owned(), which]);
    add(
        "date",
        first_line(Command::new("date").arg("+%Y-%m-%d %H:%M %Z")),
    );
    add("processor", processor()?);
    add(
        "kernel",
        first_line(Command::new("uname").args(["-s", "-r", "-m"])),
    );
    add("rustc", first_line(Command::new("rustc").arg("--version")));
    match &setup.host {
        Host::Spin(spin) => add("Spin", first_line(Command::new(spin).arg("--version"))),
        Host::Embedded(_) => add("wasmtime", locked("wasmtime")?),
    }
    add("wrk", first_line(Command::new(&setup.wrk).arg("-v")));
    add(
        "Redis",
        first_line(Command::new(&setup.redis_server).arg("--version")),
    );
    if let Some(nginx) = program("NGINX") {
        add("nginx", first_line(Command::new(nginx).arg("-v")));
        add("its Lua", debian("libnginx-mod-http-lua"));
        add("its Redis client", debian("lua-nginx-redis"));
    }
    if program("WEBDIS").is_some() {
        add("webdis", debian("webdis"));
    }
    if let Some(python) = program("PYTHON") {
        add("Python", first_line(Command::new(python).arg("--version")));
        let requirements = in_repository("benches/peers/fastapi/requirements.txt");
        let requirements = fs::read_to_string(requirements)?;
        add("its packages", requirements.trim().replace('\n', ", "));
    }
    Ok(table)
}

fn processor() -> Result<String> {
    let info = fs::read_to_string("/proc/cpuinfo")?;
    let models = info
        .lines()
        .filter_map(|line| line.strip_prefix("model name"));
    let model = models.clone().next().unwrap_or("unknown");
    let model = model.trim_start_matches(['\t', ' ', ':']);
    Ok(format!("{model}, {} cores", models.count()))
}

/// The version of a crate in Cargo.lock.
fn locked(name: &str) -> Result<String> {
    let lock = fs::read_to_string(in_repository("Cargo.lock"))?;
    let version = lock
        .split_once(&format!("name = \"{name}\"\nversion = \""))
        .and_then(|(_, rest)| rest.split('"').next());
    Ok(version.context("not in Cargo.lock")?.to_owned())
}

fn debian(package: &str) -> String {
    first_line(Command::new("dpkg-query").args(["--show", "-f", "${Version}", package]))
}

/// The first line that a command prints, wherever it prints it.
fn first_line(command: &mut Command) -> String {
    let Ok(output) = command.output() else {
        return "unknown".to_owned();
    };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    text.lines().next().unwrap_or("unknown").trim().to_owned()
}
