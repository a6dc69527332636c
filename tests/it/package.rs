//! What is released: what the components say of themselves, the WIT package, the version.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};
use std::{env, fs};

use serde::Deserialize;
use wasm_metadata::Payload;
use wit_parser::Resolve;

use crate::support::{
    explorer_component, in_repository, lean_component, middleware_component, spin_component,
};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn each_component_says_what_it_is() {
    for component in [
        lean_component(),
        spin_component(),
        middleware_component(),
        explorer_component(),
    ] {
        let name = component.file_stem().unwrap().to_str().unwrap();
        let bytes = fs::read(&component).unwrap();
        let payload = Payload::from_binary(&bytes).unwrap();
        let metadata = payload.metadata();
        assert_eq!(metadata.name.as_deref(), Some(name));
        let version = metadata.version.as_ref().map(ToString::to_string);
        assert_eq!(
            version.as_deref(),
            Some(env!("CARGO_PKG_VERSION")),
            "{name}"
        );
        let licenses = metadata.licenses.as_ref().map(ToString::to_string);
        assert_eq!(
            licenses.as_deref(),
            Some(env!("CARGO_PKG_LICENSE")),
            "{name}"
        );
        assert!(metadata.description.is_some(), "{name}");
    }
}

/// `wkg.toml`, of which this is what is not for wkg alone.
#[derive(Deserialize)]
struct Wkg {
    overrides: BTreeMap<String, Override>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Override {
    path: String,
}

#[derive(Deserialize)]
struct Metadata {
    licenses: String,
}

/// What is not overridden is looked for in a registry.
#[test]
fn the_wit_package_takes_what_it_uses_from_this_repository() {
    let file = fs::read_to_string(in_repository("wkg.toml")).unwrap();
    let wkg: Wkg = toml::from_str(&file).unwrap();
    let mut resolve = Resolve::default();
    let (this, _) = resolve.push_path(in_repository("wit")).unwrap();
    let used: BTreeSet<_> = resolve
        .packages
        .iter()
        .filter(|(id, _)| *id != this)
        .map(|(_, package)| format!("{}:{}", package.name.namespace, package.name.name))
        .collect();
    assert_eq!(wkg.overrides.keys().cloned().collect::<BTreeSet<_>>(), used);
    for (name, Override { path }) in &wkg.overrides {
        let group = wit_parser::UnresolvedPackageGroup::parse_dir(in_repository(path));
        let package = &group.unwrap().main.name;
        assert_eq!(*name, format!("{}:{}", package.namespace, package.name));
    }
    assert_eq!(wkg.metadata.licenses, env!("CARGO_PKG_LICENSE"));
}

/// As `make package` checks what wkg makes.
fn check_wit(file: &Path) -> Output {
    Command::new(env!("CARGO"))
        .current_dir(in_repository("."))
        .args([
            "run",
            "--quiet",
            "--offline",
            "--profile",
            "host",
            "-p",
            "xtask",
        ])
        .args(["--", "check-wit"])
        .arg(file)
        .output()
        .unwrap()
}

#[test]
fn a_wit_package_with_a_word_of_another_is_refused() {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(in_repository("wit")).unwrap();
    let file = env::temp_dir().join(format!("package-{}.wit.wasm", std::process::id()));

    // As wkg does, with the same library.
    fs::write(&file, wit_component::encode(&resolve, package).unwrap()).unwrap();
    let output = check_wit(&file);
    assert!(output.status.success(), "{}", text(&output.stderr));

    let docs = &mut resolve.packages[package].docs.contents;
    docs.as_mut().unwrap().push_str("And more.");
    fs::write(&file, wit_component::encode(&resolve, package).unwrap()).unwrap();
    let output = check_wit(&file);
    assert!(!output.status.success());
    let errors = text(&output.stderr);
    assert!(errors.contains("is not what wit/ says"), "{errors}");
    fs::remove_file(&file).unwrap();
}

#[test]
fn a_tag_must_be_that_of_the_version() {
    let tag = |tag: &str| {
        let mut script = Command::new(in_repository("scripts/release.sh"));
        script.args(["tag", tag]).output().unwrap()
    };
    let version = env!("CARGO_PKG_VERSION");
    let output = tag(&format!("v{version}"));
    assert!(output.status.success(), "{}", text(&output.stderr));
    for wrong in [
        version,
        "v",
        &format!("v{version}0"),
        &format!("v{version}-rc.1"),
    ] {
        let output = tag(wrong);
        assert!(!output.status.success(), "{wrong}");
        assert!(text(&output.stderr).contains(version));
    }
}
