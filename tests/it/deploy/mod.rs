//! What `deploy/` says: that it is valid, that its parts fit together, and that Valkey, configured like that, serves
//! the component.

mod files;
mod names;
mod valkey;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{in_repository, python};

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn run(command: &mut Command) -> Output {
    command.output().expect("it runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// A directory for one test, empty.
fn empty_directory(name: &str) -> PathBuf {
    let directory = directory(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// What the files of a directory say, or what is wrong with them.
fn checked(directory: &Path) -> Result<Vec<Value>, String> {
    let check = in_repository("tests/deploy/check.py");
    let output = run(Command::new(python()).arg(check).arg(directory));
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(said(&output))
    }
}

fn deployed() -> Vec<Value> {
    checked(&in_repository("deploy/kubernetes")).unwrap_or_else(|problems| panic!("{problems}"))
}

fn of_kind<'a>(documents: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let of_kind = documents.iter().filter(|document| document["kind"] == kind);
    of_kind.collect()
}

fn the_only<'a>(documents: &'a [Value], kind: &str) -> &'a Value {
    let [only] = of_kind(documents, kind)[..] else {
        panic!("there is not one {kind}");
    };
    only
}
