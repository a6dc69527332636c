//! What `scripts/bench.sh` found, and how long to measure.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context as _, Result, bail};

use crate::support::in_repository;

/// The programs, and how long each is measured.
#[derive(Clone)]
pub struct Setup {
    /// Where the components of the peers are.
    peers: PathBuf,
    /// For files of this run.
    pub directory: PathBuf,
    /// What serves the components.
    pub host: Host,
    /// The reference origin.
    pub origin: PathBuf,
    /// The load generator.
    pub wrk: PathBuf,
    /// What the Redis server came with.
    pub redis_benchmark: PathBuf,
    /// The Redis server.
    pub redis_server: PathBuf,
    /// How long each cell of the table is measured in each round.
    pub time: Duration,
    /// How often.
    pub rounds: usize,
    /// Whether this run only shows that everything works.
    pub smoke: bool,
    /// What alone is measured and printed, if not everything.
    pub only: Option<Section>,
}

/// A section of the document that can be had without the others.
#[derive(Clone, Copy)]
pub enum Section {
    /// `distance`.
    Distance,
}

/// What serves the components, and where it is.
#[derive(Clone)]
pub enum Host {
    /// The embedded host.
    Embedded(PathBuf),
    /// `spin`, which SPIN names.
    Spin(PathBuf),
}

impl Host {
    /// Its name, as a heading has it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Embedded(_) => "The embedded host",
            Self::Spin(_) => "Spin",
        }
    }

    /// The file of benches/compare that keeps what was measured with it.
    pub fn file(&self) -> PathBuf {
        let name = match self {
            Self::Embedded(_) => "embedded",
            Self::Spin(_) => "spin",
        };
        in_repository(&format!("benches/compare/figures/{name}.md"))
    }

    /// The command that serves an application on a port of this machine. Its variables follow.
    pub fn serve(&self, manifest: &Path, port: u16, directory: &Path) -> Command {
        let mut command = match self {
            Self::Embedded(host) => Command::new(host),
            Self::Spin(spin) => {
                let mut command = Command::new(spin);
                command
                    .args(["up", "--quiet", "--state-dir"])
                    .arg(directory);
                command
            }
        };
        command.arg("--from").arg(manifest);
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
        command
    }
}

impl Setup {
    /// From the arguments and the environment. `BENCH_SECONDS` is the time of a cell.
    pub fn read() -> Result<Self> {
        let (mut smoke, mut only) = (false, None);
        for argument in env::args().skip(1) {
            match argument.as_str() {
                "--smoke" => smoke = true,
                "--only=distance" => only = Some(Section::Distance),
                // Cargo's own.
                "--bench" => {}
                other => bail!("unknown argument {other}"),
            }
        }
        let seconds = match env::var("BENCH_SECONDS") {
            Ok(seconds) => seconds.parse().context("BENCH_SECONDS must be a number")?,
            Err(_) if smoke => 0.2,
            Err(_) => 2.0,
        };
        let redis_server = program("REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        let benchmark = redis_server
            .to_string_lossy()
            .replace("-server", "-benchmark");
        // target/host/deps/compare-…
        let executable = env::current_exe()?;
        let built = executable.ancestors().nth(2).context("a directory")?;
        let target = built.parent().context("a directory")?;
        let peers = target.join("bench");
        let directory = peers.join("run");
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;
        Ok(Self {
            peers,
            directory,
            host: match program("SPIN") {
                Some(spin) => Host::Spin(spin),
                None => Host::Embedded(built.join("provider-connection-cache-host")),
            },
            origin: built.join("provider-connection-origin"),
            wrk: program("WRK").unwrap_or_else(|| "wrk".into()),
            redis_benchmark: benchmark.into(),
            redis_server,
            time: Duration::try_from_secs_f64(seconds)?,
            rounds: if smoke { 1 } else { 3 },
            smoke,
            only,
        })
    }

    /// So many times as many rounds, of a part of the time: for ratios near 1, which the machine's
    /// other work is not to decide.
    pub fn finer(&self, rounds: usize, part: u32) -> Self {
        Self {
            time: self.time / part,
            rounds: self.rounds * rounds,
            ..self.clone()
        }
    }

    /// One of the components, by the name of its build.
    pub fn component(&self, name: &str) -> PathBuf {
        match name {
            "provider-connection-cache" | "provider-connection-cache-spin" => {
                in_repository(&format!("dist/{name}.wasm"))
            }
            peer => self.peers.join(format!("{peer}.wasm")),
        }
    }
}

/// The program that this variable names, if it was found.
pub fn program(variable: &str) -> Option<PathBuf> {
    let program = env::var_os(variable).filter(|program| !program.is_empty());
    program.map(PathBuf::from)
}
