//! The load: `wrk`, told by `walk.lua` what to send.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::process::{Server, signal};
use crate::results::Measurement;
use crate::setup::Setup;
use crate::support::in_repository;
use crate::support::service::READ_TOKEN;

/// Requests that are sent in turn, and the status that each must be answered with.
pub struct Load {
    file: PathBuf,
    status: u16,
    /// How many answers may have another status before that is an error.
    tolerated: f64,
}

/// What the callers saw.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// How many requests were answered.
    pub requests: f64,
    /// How many of the answers had another status than expected, and were tolerated.
    pub wrong: f64,
    /// How many requests were answered in a second.
    pub per_second: f64,
    /// The median of the times, in microseconds.
    pub p50: f64,
    /// The time that one request in a hundred exceeds, in microseconds.
    pub p99: f64,
}

impl Load {
    /// These requests.
    pub fn new(
        setup: &Setup,
        name: &str,
        requests: impl IntoIterator<Item = String>,
        status: u16,
    ) -> Result<Self> {
        let file = setup.directory.join(format!("{name}.requests"));
        let requests: Vec<_> = requests.into_iter().collect();
        fs::write(&file, requests.join("\0"))?;
        Ok(Self {
            file,
            status,
            tolerated: 0.0,
        })
    }

    /// The same for a server that is known to mix up answers now and then.
    pub fn tolerating(self, answers: u32) -> Self {
        Self {
            tolerated: answers.into(),
            ..self
        }
    }

    /// Sends the requests to a port of this machine over so many kept-alive connections, for
    /// as long as a cell of the table takes.
    pub fn run(&self, setup: &Setup, port: u16, callers: usize) -> Result<Sample> {
        let sample = self.send(setup, port, callers, setup.time)?;
        ensure!(sample.requests > 0.0, "there was no answer");
        Ok(sample)
    }

    /// The same to a server, with the CPU time that it takes meanwhile.
    pub fn measure(&self, setup: &Setup, server: &Server, callers: usize) -> Result<Measurement> {
        let before = server.cpu_time()?;
        let sample = self.run(setup, server.port, callers)?;
        let cpu = Some(server.cpu_time()? - before);
        Ok(Measurement { sample, cpu })
    }

    /// The same for a short while: what a server is slow at only at first is of no interest.
    pub fn warm_up(&self, setup: &Setup, port: u16, callers: usize) -> Result<()> {
        self.send(setup, port, callers, setup.time / 5).map(drop)
    }

    fn send(&self, setup: &Setup, port: u16, callers: usize, time: Duration) -> Result<Sample> {
        // It takes whole seconds only, so it is interrupted, which it takes for the end. By
        // the line it begins with one can tell that it can be.
        let mut wrk = Command::new("stdbuf")
            .arg("--output=L")
            .arg(&setup.wrk)
            .args(["--threads", "1", "--connections", &callers.to_string()])
            .args(["--duration", &format!("{}s", time.as_secs() + 10)])
            .args(["--timeout", "10s", "--script"])
            .arg(in_repository("benches/compare/walk.lua"))
            .arg(format!("http://127.0.0.1:{port}"))
            .arg("--")
            .arg(&self.file)
            .arg(self.status.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .context("stdbuf cannot be run")?;
        let mut output = String::new();
        let mut stdout = BufReader::new(wrk.stdout.take().context("it is piped")?);
        stdout.read_line(&mut output)?;
        sleep(time);
        signal(wrk.id(), "INT")?;
        stdout.read_to_string(&mut output)?;
        wrk.wait()?;
        let report = output.lines().find(|line| line.starts_with('{'));
        let report = report.with_context(|| format!("wrk did not report:\n{output}"))?;
        let report: Value = serde_json::from_str(report)?;
        let number = |name: &str| report[name].as_f64().context("a number is missing");
        ensure!(
            number("wrong")? <= self.tolerated && number("failed")? == 0.0,
            "not every answer was {}: {report}",
            self.status
        );
        Ok(Sample {
            requests: number("requests")?,
            wrong: number("wrong")?,
            per_second: number("requests")? / number("microseconds")? * 1e6,
            p50: number("p50")?,
            p99: number("p99")?,
        })
    }
}

/// The bytes of a `GET` with the read token.
pub fn get(path: &str) -> String {
    get_with(READ_TOKEN, path)
}

/// The bytes of a `GET` with this token.
pub fn get_with(token: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\n{}\r\n", headers(token))
}

/// The bytes of a `POST` of JSON with the read token.
pub fn post(path: &str, json: &str) -> String {
    let length = json.len();
    format!(
        "POST {path} HTTP/1.1\r\n{}content-type: application/json\r\n\
         content-length: {length}\r\n\r\n{json}",
        headers(READ_TOKEN)
    )
}

fn headers(token: &str) -> String {
    format!("host: 127.0.0.1\r\nauthorization: Bearer {token}\r\n")
}
