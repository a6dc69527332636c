//! docs/dependencies.md lists what the components are made of: no crate less, no crate more.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{
    explorer_component, in_repository, lean_component, middleware_component, spin_component,
};

/// The packages of the components.
const CACHE: &str = "provider-connection-cache-component";
const SERVICE: &str = "provider-connection-cache-service";

/// The crates on these edges from a component, sorted. One in two versions is there twice.
fn tree(package: &str, edges: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(in_repository("."))
        .args(["tree", "--offline", "--locked", "--prefix=none"])
        .args(["--target=wasm32-unknown-unknown", "--edges", edges])
        .args(["--package", package])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    // NAME VERSION …; the first is the component.
    let crates = text.lines().skip(1).map(|line| line.split(' ').take(2));
    let crates: BTreeSet<Vec<_>> = crates.map(Iterator::collect).collect();
    crates.iter().map(|words| words[0].to_owned()).collect()
}

/// The crates in the table of a section, except those with a dash in this column; sorted.
fn listed(section: &str, column: usize) -> Vec<String> {
    let text = fs::read_to_string(in_repository("docs/dependencies.md")).unwrap();
    let mut sections = text.split("\n## ");
    let section = sections.find(|text| text.starts_with(section)).unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|'));
    let mut crates: Vec<_> = rows
        .map(|row| row.split('|').map(str::trim).collect::<Vec<_>>())
        .filter(|cells| cells[column] != "–")
        .flat_map(|cells| cells[1].split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect();
    crates.sort();
    crates
}

#[test]
fn every_crate_of_the_components_is_listed_and_in_one_version() {
    let spin = tree(SERVICE, "normal,no-proc-macro");
    assert_eq!(listed("In the component", 4), spin);
    let lean = tree(CACHE, "normal,no-proc-macro");
    assert_eq!(listed("In the component", 5), lean);

    let mut macros = tree(SERVICE, "normal,build");
    macros.dedup();
    macros.retain(|name| !spin.contains(name));
    assert_eq!(listed("While building", 1), macros);
}

/// The crates that these options select, each with its features.
fn crates_with_features(options: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(in_repository("."))
        .args(["tree", "--offline", "--locked", "--prefix=none"])
        .args(["--no-dedupe", "--format={p} {f}"])
        .args(options)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Otherwise `make up` would compile wasmtime once more after `make test`, and the other way round. A crate may be
/// built for macros too, with other features: so the rest is compared without them first.
#[test]
fn the_embedded_host_is_built_once_for_all_commands() {
    for edges in ["normal,no-proc-macro", "normal,build"] {
        let in_tests = format!("--edges={edges},dev");
        let tests = crates_with_features(&["--workspace", &in_tests]);
        for package in ["provider-connection-cache-host", "xtask"] {
            let alone = format!("--edges={edges}");
            let alone = crates_with_features(&["--package", package, &alone]);
            let others: Vec<_> = alone.difference(&tests).collect();
            assert!(others.is_empty(), "{package} has others alone: {others:?}");
        }
    }
}

/// The names in a list of CycloneDX, sorted.
fn names(sbom: &Value) -> Vec<&str> {
    let components = sbom["components"].as_array().unwrap().iter();
    let mut names: Vec<_> = components
        .map(|component| component["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    names
}

/// All that a list of CycloneDX says is used by `reference`, directly or not.
fn used_by<'a>(reference: &'a Value, sbom: &'a Value, found: &mut BTreeSet<&'a str>) {
    if !found.insert(reference.as_str().unwrap()) {
        return;
    }
    let mut dependencies = sbom["dependencies"].as_array().unwrap().iter();
    let row = dependencies.find(|row| row["ref"] == *reference).unwrap();
    for used in row["dependsOn"].as_array().unwrap() {
        used_by(used, sbom, found);
    }
}

#[test]
fn each_component_comes_with_the_list_of_its_crates() {
    let lean = listed("In the component", 5);
    let components: [(&Path, _); 4] = [
        (&lean_component(), lean.clone()),
        (&middleware_component(), lean.clone()),
        (&spin_component(), listed("In the component", 4)),
        (&explorer_component(), lean),
    ];
    for (component, wanted) in components {
        let text = fs::read_to_string(component.with_extension("cdx.json")).unwrap();
        assert!(!text.contains(env!("CARGO_MANIFEST_DIR")));
        let sbom: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(names(&sbom), wanted);

        let this = &sbom["metadata"]["component"];
        assert_eq!(this["version"], env!("CARGO_PKG_VERSION"));
        let mut used = BTreeSet::new();
        used_by(&this["bom-ref"], &sbom, &mut used);
        for part in sbom["components"].as_array().unwrap() {
            assert!(used.contains(part["bom-ref"].as_str().unwrap()), "{part}");
            let license = part["licenses"][0]["expression"].as_str().unwrap();
            license.parse::<wasm_metadata::Licenses>().unwrap();
            let ours = [env!("CARGO_PKG_NAME"), CACHE, "single-packet-response"]
                .contains(&part["name"].as_str().unwrap());
            assert_ne!(part["purl"].is_string(), ours, "{part}");
        }
    }
}
