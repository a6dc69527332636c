//! That Spin takes the command line of the container, and what its SIGTERM does to requests. Where SPIN names one.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use super::{container, deployed, pod, read};
use crate::support::connection::{entry, id};
use crate::support::empty_directory;
use crate::support::process::Process;
use crate::support::raw::{Raw, bearer, request};
use crate::support::redis::{Redis, free_port, unique_prefix};
use crate::support::secrets::WRITE_TOKEN;
use crate::support::service::path;
use crate::support::{in_repository, spin, spin_component};

/// What the container is told. Only the application, the address and the directories are those of this machine.
fn arguments(address: SocketAddr, cache: &Path) -> Vec<String> {
    let documents = deployed();
    let arguments = container(pod(&documents))["args"].as_array().unwrap();
    let arguments = arguments.iter().map(|argument| argument.as_str().unwrap());
    let here = |option: &str| match option {
        "--from" => Some(in_repository("spin.toml").display().to_string()),
        "--listen" => Some(address.to_string()),
        "--runtime-config-file" => {
            let file = in_repository("deploy/kubernetes/runtime-config.toml");
            Some(file.display().to_string())
        }
        "--cache-dir" => Some(cache.display().to_string()),
        _ => None,
    };
    let arguments = arguments.map(|argument| {
        let (option, _) = argument.split_once('=').unwrap_or((argument, ""));
        here(option).map_or_else(|| argument.to_owned(), |value| format!("{option}={value}"))
    });
    arguments.collect()
}

/// A `PUT` of which half has been sent, and the other half.
async fn half_a_put(address: SocketAddr) -> (Raw, String) {
    let body = entry(&id(1)).to_string();
    let headers = format!(
        "{}content-type: application/json\r\ncontent-length: {}\r\n",
        bearer(WRITE_TOKEN),
        body.len()
    );
    let mut raw = Raw::connect(address).await;
    let (sent, rest) = body.split_at(body.len() / 2);
    assert!(
        raw.send(request("PUT", &path(&id(1)), &headers) + sent)
            .await
    );
    // The component reads it by now.
    tokio::time::sleep(Duration::from_secs(1)).await;
    (raw, rest.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_cuts_a_request_that_has_not_ended_before() {
    let Some(program) = spin::program() else {
        println!("not tried: there is no SPIN");
        return;
    };
    let _there = spin_component();
    let directory = empty_directory("spin-up");
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut command = vec![
        format!("SPIN_VARIABLE_REDIS_ADDRESS={}", Redis::shared().address()),
        format!("SPIN_VARIABLE_WRITE_TOKEN={WRITE_TOKEN}"),
        format!("SPIN_VARIABLE_KEY_PREFIX={}", unique_prefix()),
        program.display().to_string(),
    ];
    command.extend(arguments(address, &directory.join("cache")));
    let log = directory.join("log.txt");
    let spin = Process::start("env", &command, Some(&log));
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        let waits = !spin.has_ended() && start.elapsed() < Duration::from_secs(120);
        assert!(waits, "{}", read(&log));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    // With time to end, it is answered.
    let (mut put, rest) = half_a_put(address).await;
    assert!(put.send(rest).await);
    assert_eq!(put.status().await, 204);

    let (mut put, _) = half_a_put(address).await;
    spin.signal("TERM");
    assert!(put.answer().await.is_none());
    let signalled = Instant::now();
    while !spin.has_ended() {
        assert!(
            signalled.elapsed() < Duration::from_millis(super::drain::ENDING),
            "{}",
            read(&log)
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
