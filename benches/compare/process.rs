//! Servers: processes that serve on a port of their own until they are dropped.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// A tick of the clock in `/proc`: `USER_HZ` is 100 on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// A server. It ends when this is dropped.
pub struct Server {
    name: String,
    child: Child,
    log: PathBuf,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl Server {
    /// Runs a command that serves on this port, and waits until it does.
    pub fn start(name: &str, mut command: Command, port: u16, directory: &Path) -> Result<Self> {
        let log = directory.join(format!("{port}.log"));
        let file = File::create(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("{name} cannot be run"))?;
        let mut server = Self {
            name: name.to_owned(),
            child,
            log,
            port,
        };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            server.ensure_alive()?;
            ensure!(
                start.elapsed() < Duration::from_secs(60),
                "{name} does not listen"
            );
            sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// An error that shows what it printed, if the server ended.
    pub fn ensure_alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            bail!("{} ended with {status}:\n{log}", self.name);
        }
        Ok(())
    }

    /// The CPU time that it and its children took so far.
    pub fn cpu_time(&self) -> Result<Duration> {
        let mut tree = vec![self.child.id()];
        let mut time = Duration::ZERO;
        while let Some(process) = tree.pop() {
            time += cpu_time(&process.to_string())?;
            for thread in fs::read_dir(format!("/proc/{process}/task"))? {
                // A thread may end meanwhile.
                let children = fs::read_to_string(thread?.path().join("children"));
                let children = children.unwrap_or_default();
                tree.extend(
                    children
                        .split_whitespace()
                        .filter_map(|id| id.parse::<u32>().ok()),
                );
            }
        }
        Ok(time)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let start = Instant::now();
        let _ = signal(self.child.id(), "TERM");
        while let Ok(None) = self.child.try_wait() {
            if start.elapsed() > Duration::from_secs(5) {
                let _ = self.child.kill();
            }
            sleep(Duration::from_millis(5));
        }
    }
}

/// The CPU time that a process, or `self`, took so far, in user and system mode.
pub fn cpu_time(process: &str) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the program, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
    let ticks = |field: usize| -> Result<u32> {
        let field = fields.split_whitespace().nth(field);
        Ok(field.context("stat is short")?.parse()?)
    };
    Ok(TICK * (ticks(11)? + ticks(12)?))
}

/// Sends a signal to a process.
pub fn signal(process: u32, signal: &str) -> Result<()> {
    let sent = Command::new("kill")
        .args(["-s", signal, &process.to_string()])
        .status()?;
    ensure!(sent.success(), "cannot send {signal} to {process}");
    Ok(())
}
