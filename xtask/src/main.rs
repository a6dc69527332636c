//! `cargo run -p xtask`: builds the components, small, into `dist/`, each with the list of what it is
//! made of. `cargo run -p xtask -- interface`: writes `docs/interface.md`. `cargo run -p xtask --
//! check-wit FILE`: compares a WIT package with `wit/`.

mod sbom;
mod wit;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};
use wasm_metadata::{AddMetadata, AddMetadataField};
use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

/// Without an operating system: what `std` needs of one (environment, standard input,
/// terminals, exit) is no import of the component then, and 17 KB smaller.
const TARGET: &str = "wasm32-unknown-unknown";

/// Of every component: those of the workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");
const LICENSE: &str = env!("CARGO_PKG_LICENSE");

/// A component: `dist/NAME.wasm` is built from this package in `components/`.
struct Component {
    name: &'static str,
    description: &'static str,
    package: &'static str,
}

const COMPONENTS: [Component; 4] = [
    Component {
        name: "provider-connection-cache",
        description: "Cached provider connections, for other components to be composed with",
        package: "provider-connection-cache-component",
    },
    Component {
        name: "provider-connection-cache-spin",
        description: "Cached provider connections, served over HTTP by Spin",
        package: "provider-connection-cache-service",
    },
    Component {
        name: "provider-connection-cache-middleware",
        description: "Cached provider connections, before another HTTP component",
        package: "provider-connection-cache-middleware",
    },
    Component {
        name: "provider-connection-explorer",
        description: "A page that shows what is in the provider connection cache",
        package: "provider-connection-explorer",
    },
];

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask has a parent")?;
    let arguments: Vec<_> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => COMPONENTS
            .iter()
            .try_for_each(|component| make(root, component)),
        ["interface"] => {
            let page = xtask::interface::page(&root.join("wit"))?;
            Ok(fs::write(root.join("docs/interface.md"), page)?)
        }
        ["check-wit", file] => wit::check(root, Path::new(file)),
        _ => bail!("usage: xtask [interface | check-wit FILE]"),
    }
}

fn make(root: &Path, component: &Component) -> Result<()> {
    let module = fs::read(build(root, component)?)?;
    let mut encoder = ComponentEncoder::default().validate(true).module(&module)?;
    let bytes = describe(component)?.to_wasm(&strip_names(&encoder.encode()?)?)?;
    let name = component.name;
    write(&root.join(format!("dist/{name}.wasm")), &bytes)?;
    let sbom = sbom::of(root, component)?;
    write(&root.join(format!("dist/{name}.cdx.json")), sbom.as_bytes())?;
    println!("dist/{name}.wasm: {} bytes", bytes.len());
    Ok(())
}

/// What tools and registries show of a component. No revision: it would change the bytes of what
/// is the same, and provenance tells it.
fn describe(component: &Component) -> Result<AddMetadata> {
    let mut metadata = AddMetadata::default();
    metadata.name = AddMetadataField::Set(component.name.to_owned());
    metadata.description = AddMetadataField::Set(component.description.parse()?);
    metadata.version = AddMetadataField::Set(VERSION.parse()?);
    metadata.licenses = AddMetadataField::Set(LICENSE.parse()?);
    Ok(metadata)
}

/// Unchanged bytes keep their time stamp, so that nothing downstream is rebuilt.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).ok().as_deref() != Some(bytes) {
        let directory = path.parent().context("a file is in a directory")?;
        fs::create_dir_all(directory)?;
        fs::write(path, bytes)?;
    }
    Ok(())
}

/// A cargo, in the repository.
fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Builds the module of a component, and says where it is.
fn build(root: &Path, component: &Component) -> Result<PathBuf> {
    let package = component.package;
    // As a `cdylib` alone, for link-time optimization leaves out a crate that is an `rlib`
    // too; with relocations compressed, which are padded to five bytes each otherwise.
    let status = cargo(root)
        .args(["rustc", "--package", package, "--lib"])
        .args(["--release", "--target", TARGET, "--crate-type", "cdylib"])
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
