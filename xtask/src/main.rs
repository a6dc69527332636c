//! `cargo run -p xtask` builds the components, small, into `dist/`; with the argument `interface`
//! it writes `docs/interface.md`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};
use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

/// Without an operating system: what `std` needs of one (environment, standard input,
/// terminals, exit) is no import of the component then, and 17 KB smaller.
const TARGET: &str = "wasm32-unknown-unknown";

/// Each component: its file, its package, and the features that make it.
const COMPONENTS: [(&str, &str, &[&str]); 3] = [
    (
        "provider-connection-cache.wasm",
        "provider-connection-cache",
        &["--no-default-features", "--features", "component"],
    ),
    (
        "provider-connection-cache-spin.wasm",
        "provider-connection-cache",
        &[],
    ),
    (
        "provider-connection-explorer.wasm",
        "provider-connection-explorer",
        &[],
    ),
];

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask has a parent")?;
    match env::args().nth(1).as_deref() {
        None => components(root),
        Some("interface") => {
            let page = xtask::interface::page(&root.join("wit"))?;
            Ok(fs::write(root.join("docs/interface.md"), page)?)
        }
        Some(task) => bail!("xtask knows no {task:?}: say `interface`, or nothing"),
    }
}

/// Builds every component into `dist/`.
fn components(root: &Path) -> Result<()> {
    let dist = root.join("dist");
    fs::create_dir_all(&dist)?;
    for (name, package, features) in COMPONENTS {
        let module = fs::read(build(root, package, features)?)?;
        let mut encoder = ComponentEncoder::default().validate(true).module(&module)?;
        let component = strip_names(&encoder.encode()?)?;
        let path = dist.join(name);
        // Unchanged bytes keep their time stamp, so that nothing downstream is rebuilt.
        if fs::read(&path).ok().as_deref() != Some(&component) {
            fs::write(&path, &component)?;
        }
        println!("dist/{name}: {} bytes", component.len());
    }
    Ok(())
}

/// Builds the module of the component of this package with these features, and says where it is.
fn build(root: &Path, package: &str, features: &[&str]) -> Result<PathBuf> {
    // As a `cdylib` alone, for link-time optimization leaves out a crate that is an `rlib`
    // too; with relocations compressed, which are padded to five bytes each otherwise.
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(root)
        .args(["rustc", "--quiet", "--package", package, "--lib"])
        .args(["--release", "--target", TARGET, "--crate-type", "cdylib"])
        .args(features)
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags().join("\x1f"))
        .status()
        .context("cargo cannot be run")?;
    ensure!(status.success(), "the component does not build");
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let module = package.replace('-', "_");
    Ok(target.join(format!("{TARGET}/release/{module}.wasm")))
}

/// Flags for every crate. Paths of this machine do not belong in what is shipped.
fn rustflags() -> Vec<String> {
    let mut flags = vec!["-Clink-arg=--compress-relocations".to_owned()];
    let cargo_home = env::var("CARGO_HOME")
        .or_else(|_| env::var("HOME").map(|home| format!("{home}/.cargo")))
        .unwrap_or_default();
    let sources = fs::read_dir(format!("{cargo_home}/registry/src"));
    for registry in sources.into_iter().flatten().flatten() {
        flags.push(format!(
            "--remap-path-prefix={}=",
            registry.path().display()
        ));
    }
    flags
}

/// The component without the names of its parts, which only people look at, in tools.
fn strip_names(component: &[u8]) -> Result<Vec<u8>> {
    let mut stripped = Vec::with_capacity(component.len());
    let (mut depth, mut kept_to, mut end_of_last) = (0, 0, 0);
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload?;
        match &payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) if depth > 0 => depth -= 1,
            Payload::CustomSection(custom) if depth == 0 && custom.name() == "component-name" => {
                stripped.extend(&component[kept_to..end_of_last]);
                kept_to = custom.range().end;
            }
            _ => {}
        }
        end_of_last = match &payload {
            Payload::ModuleSection {
                unchecked_range, ..
            }
            | Payload::ComponentSection {
                unchecked_range, ..
            } => unchecked_range.end,
            payload => payload
                .as_section()
                .map_or(end_of_last, |(_, range)| range.end),
        };
    }
    stripped.extend(&component[kept_to..]);
    Ok(stripped)
}
