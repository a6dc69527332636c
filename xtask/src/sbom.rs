//! What a component is made of, as a software bill of materials: CycloneDX 1.5, JSON.
//!
//! From `cargo tree`, which alone says what is in one component: `cargo metadata`, and so what
//! reads it, says what is in any member of the workspace, three times as many crates. The same
//! input makes the same bytes: no time, no serial number, no path.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{Component, LICENSE, TARGET, VERSION, cargo};

/// The list of the crates in a component, macros not among them.
pub fn of(root: &Path, component: &Component) -> Result<String> {
    let output = cargo(root)
        .args(["tree", "--quiet", "--package", component.package])
        .args(["--target", TARGET, "--edges", "normal,no-proc-macro"])
        .args(["--no-dedupe", "--prefix", "depth", "--format", "\t{p}\t{l}"])
        .output()
        .context("cargo cannot be run")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo tree fails: {errors}");

    let this = component.name.to_owned() + ".wasm";
    let mut crates = BTreeMap::new();
    let mut dependencies = BTreeMap::from([(this.clone(), BTreeSet::new())]);
    let mut path = vec![this.clone()];
    // The first is the component, as what the list is about.
    for line in String::from_utf8(output.stdout)?.lines().skip(1) {
        let fields: Vec<_> = line.split('\t').collect();
        let [depth, package, license] = fields[..] else {
            bail!("cargo tree prints a line of another form: {line}");
        };
        let (reference, description) = describe(package, license)?;
        path.truncate(depth.parse()?);
        let parent = path.last().context("cargo tree has one root")?;
        dependencies
            .entry(parent.clone())
            .or_default()
            .insert(reference.clone());
        dependencies.entry(reference.clone()).or_default();
        crates.insert(reference.clone(), description);
        path.push(reference);
    }

    let dependencies = dependencies.iter();
    let sbom = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": this,
                "name": component.name,
                "version": VERSION,
                "description": component.description,
                "licenses": [{ "expression": LICENSE }],
            },
        },
        "components": crates.into_values().collect::<Vec<_>>(),
        "dependencies": dependencies
            .map(|(reference, on)| json!({ "ref": reference, "dependsOn": on }))
            .collect::<Vec<_>>(),
    });
    Ok(format!("{sbom:#}\n"))
}

/// The reference and the description of a crate, of `NAME vVERSION`, and where it is if that is
/// here.
fn describe(package: &str, license: &str) -> Result<(String, Value)> {
    let words: Vec<_> = package.split(' ').collect();
    let (name, version) = match words[..] {
        [name, version, ..] => (name, version.trim_start_matches('v')),
        _ => bail!("cargo tree names a crate in another form: {package}"),
    };
    let reference = format!("{name}@{version}");
    let mut description = json!({
        "type": "library",
        "bom-ref": reference,
        "name": name,
        "version": version,
        // The slash is of old.
        "licenses": [{ "expression": license.replace('/', " OR ") }],
    });
    // A crate of this repository has no address elsewhere.
    if words.len() == 2 {
        let version = version.replace('+', "%2B");
        description["purl"] = json!(format!("pkg:cargo/{name}@{version}"));
    }
    Ok((reference, description))
}
