//! The commands of the Makefile, as one who is new here types them.

use std::fs;
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::Duration;

use toml::Table;

use crate::support::process::Process;
use crate::support::redis::{Redis, free_port, unique_prefix};
use crate::support::service::{READ_TOKEN, WRITE_TOKEN};
use crate::support::{empty_directory, in_repository, spin};

fn make(arguments: &[&str]) -> Output {
    let mut make = Command::new("make");
    make.current_dir(in_repository("."))
        .arg("--no-print-directory")
        .args(arguments)
        // Of a make that runs these tests.
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .env("CARGO_TERM_QUIET", "false");
    make.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What make says of arguments that it does not take.
fn refusal(arguments: &[&str]) -> String {
    let output = make(arguments);
    assert!(!output.status.success());
    text(&output.stderr)
}

/// The variables that a user can set, as settings.
fn settings() -> Vec<String> {
    let manifest: Table = fs::read_to_string(in_repository("spin.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let variables = manifest["variables"].as_table().unwrap().keys();
    let mut settings: Vec<_> = variables.map(|name| name.to_uppercase()).collect();
    // It follows from ORIGIN_URL.
    settings.retain(|name| name != "ORIGIN_ADDRESS");
    let others = [
        "EXAMPLE",
        "EXPLORER",
        "ORIGIN",
        "ORIGIN_FAULT",
        "PORT",
        "SPIN",
    ];
    settings.extend(others.map(str::to_owned));
    settings.sort();
    settings
}

#[test]
fn a_misspelt_setting_is_an_error_that_names_the_right_one() {
    let refusal = refusal(&["up", "REDIS_PASWORD=of-nobody"]);
    assert!(refusal.contains("unknown setting REDIS_PASWORD (did you mean REDIS_PASSWORD?)"));
    assert!(!refusal.contains("of-nobody"), "{refusal}");
}

#[test]
fn a_setting_that_is_like_no_other_is_an_error_too() {
    let refusal = refusal(&["up", "COLOUR=red"]);
    assert!(
        refusal.contains("unknown setting COLOUR; `make help`"),
        "{refusal}"
    );
}

#[test]
fn settings_of_other_commands_and_of_the_tools_are_no_errors() {
    let mut arguments = vec!["--dry-run".to_owned(), "up".to_owned()];
    arguments.extend(settings().iter().map(|name| format!("{name}=x")));
    let others = [
        "SECONDS=1",
        "ONLY=x",
        "REDIS_SERVER=x",
        "CARGO_TARGET_DIR=/x",
        "RUSTFLAGS=-O",
        "SPIN_MAX_INSTANCE_MEMORY=1",
        "SHELL=bash",
        "-j2",
    ];
    arguments.extend(others.map(str::to_owned));
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let output = make(&arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn make_help_names_the_settings_of_make_up() {
    let help = text(&make(&["help"]).stdout);
    let (_, listed) = help.split_once("settings of make up").unwrap();
    let (_, listed) = listed.split_once(":\n").unwrap();
    let mut listed: Vec<_> = listed.split_whitespace().collect();
    listed.sort_unstable();
    assert_eq!(listed, settings());
}

/// What `scripts/step.sh` prints where nobody sees a bar.
fn step(arguments: &[&str], quiet: &str) -> String {
    let output = Command::new(in_repository("scripts/step.sh"))
        .args(arguments)
        .args(["sh", "-c", "echo quiet=$CARGO_TERM_QUIET >&2"])
        .env("CARGO_TERM_QUIET", quiet)
        .output()
        .unwrap();
    assert!(output.stdout.is_empty());
    text(&output.stderr)
}

#[test]
fn a_step_is_one_line_where_there_is_no_terminal() {
    assert_eq!(step(&["building it"], ""), "building it\nquiet=true\n");
    let once = |file| step(&["--once", file, "about a minute", "building it"], "");
    assert_eq!(
        once("/nowhere"),
        "building it, about a minute, once\nquiet=true\n"
    );
    assert_eq!(once("/"), "building it\nquiet=true\n");
}

#[test]
fn a_script_that_asks_for_quiet_hears_nothing_of_a_step() {
    assert_eq!(step(&["building it"], "true"), "quiet=true\n");
}

#[test]
fn make_up_says_what_serves_and_where_the_components_log() {
    let redis = Redis::shared();
    let log = empty_directory("make-up").join("log.txt");
    let settings = [
        format!("REDIS_ADDRESS={}", redis.address()),
        format!("KEY_PREFIX={}", unique_prefix()),
        format!("PORT={}", free_port()),
        // Others are printed.
        format!("READ_TOKEN={READ_TOKEN}"),
        format!("WRITE_TOKEN={WRITE_TOKEN}"),
    ];
    let program = in_repository("scripts/up.sh");
    // What cargo tells its tests makes the build script of ring, and so the host, out of date.
    let of_cargo = std::env::vars().map(|(name, _)| name);
    let of_cargo = of_cargo
        .filter(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
    let mut arguments: Vec<_> = of_cargo.map(|name| format!("--unset={name}")).collect();
    arguments.extend(settings);
    arguments.push(program.to_str().unwrap().to_owned());
    let up = Process::start("env", &arguments, Some(&log));
    // It is not there at once.
    let said = || fs::read_to_string(&log).unwrap_or_default();
    while !said().contains("\nready http://127.0.0.1:") {
        assert!(!up.has_ended(), "{}", said());
        sleep(Duration::from_millis(50));
    }
    let expected = match spin::program() {
        Some(spin) => format!(
            "serving with {}, so the embedded host is not built; the components log to .spin/logs/, and here",
            spin.display()
        ),
        None => "serving with the embedded host, for there is no Spin 4.1 on the PATH; the components log here".to_owned(),
    };
    assert!(said().lines().any(|line| line == expected), "{}", said());
    let builds_host = said().contains("building the embedded host");
    assert_eq!(builds_host, spin::program().is_none(), "{}", said());
    up.signal("TERM");
    while !up.has_ended() {
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn make_up_refuses_a_spin_that_cannot_serve_it() {
    let refusal = refusal(&["up", "SPIN=true"]);
    assert!(
        refusal.contains("make up: SPIN must be Spin 4.1 or newer"),
        "{refusal}"
    );
}
