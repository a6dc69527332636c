//! Programs that end with the tests, however those end.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Kills the program, and all that it started, when the tests are over: then the pipe to this shell
/// closes. What the program prints goes to the file that is named first.
const KEEPER: &str = r#"log=$1; shift; $(command -v setsid) "$@" >"$log" 2>&1 </dev/null & echo $!
cat >/dev/null; kill -KILL -$! 2>/dev/null || kill -KILL $! 2>/dev/null"#;

/// A program that runs in the background. It ends when this is dropped.
pub struct Process {
    keeper: Child,
    id: u32,
}

impl Process {
    /// Starts a program with these arguments. What it prints goes to the file, or nowhere.
    pub fn start(
        program: impl AsRef<OsStr>,
        arguments: &[impl AsRef<OsStr>],
        log: Option<&Path>,
    ) -> Self {
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(log.unwrap_or(Path::new("/dev/null")))
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut line = String::new();
        let stdout = keeper.stdout.take().expect("it is piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the shell says the process id");
        let id = line.trim().parse().expect("a process id");
        Self { keeper, id }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Sends a signal, such as `STOP`.
    pub fn signal(&self, signal: &str) {
        let process = self.id.to_string();
        let sent = Command::new("kill")
            .args(["-s", signal, &process])
            .status()
            .expect("kill");
        assert!(sent.success(), "cannot send {signal} to process {process}");
    }

    /// Returns true if it ended by itself.
    pub fn has_ended(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id));
        stat.map_or(true, |stat| stat.contains(") Z "))
    }

    /// Ends it, and waits until it did.
    pub fn end(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
