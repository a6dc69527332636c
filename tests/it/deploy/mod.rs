//! What `deploy/` says: that it is valid, that its parts fit together, and that Valkey, configured like that, serves
//! the component.

mod drain;
mod files;
mod names;
mod spin;
mod valkey;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
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

/// What every object of the application is called, and its pods are labelled.
const APPLICATION: &str = "provider-connection-cache";

fn named<'a>(documents: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let of_kind = of_kind(documents, kind);
    let named = of_kind
        .into_iter()
        .find(|document| document["metadata"]["name"] == name);
    named.unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

/// The pods of the application.
fn pod(documents: &[Value]) -> &Value {
    &named(documents, "Deployment", APPLICATION)["spec"]["template"]
}

/// The container that a pod has, and no other.
fn container(pod: &Value) -> &Value {
    let containers = pod["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1);
    &containers[0]
}

/// The value of an option that Spin is given.
fn option<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let mut arguments = container["args"].as_array().unwrap().iter();
    let prefix = format!("--{name}=");
    arguments.find_map(|argument| argument.as_str().unwrap().strip_prefix(&prefix))
}

/// The variables that the environment of a container sets, by their names in spin.toml.
fn variables(container: &Value) -> BTreeMap<String, &Value> {
    let environment = container["env"].as_array().unwrap().iter();
    let variables = environment.filter_map(|entry| {
        let name = entry["name"]
            .as_str()
            .unwrap()
            .strip_prefix("SPIN_VARIABLE_")?;
        // The name in spin.toml is in small letters; one that is not in capitals here sets nothing.
        assert_eq!(name, name.to_uppercase());
        Some((name.to_lowercase(), entry))
    });
    variables.collect()
}

/// A variable of spin.toml.
struct Declared {
    default: String,
    is_secret: bool,
}

fn declared() -> BTreeMap<String, Declared> {
    let manifest = read(in_repository("spin.toml"));
    let section = manifest.split("[variables]\n").nth(1).unwrap();
    let lines = section.lines().take_while(|line| !line.is_empty());
    let declared = lines.map(|line| {
        let (name, of_it) = line.split_once(" = ").unwrap();
        let default = of_it.split('"').nth(1).unwrap().to_owned();
        let is_secret = of_it.contains("secret = true");
        (name.to_owned(), Declared { default, is_secret })
    });
    declared.collect()
}
