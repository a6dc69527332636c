//! A WIT package, as others see it.

use std::collections::BTreeSet;
use std::path::Path;

use semver::Version;
use wit_component::WitPrinter;
use wit_parser::{InterfaceId, Resolve, WorldId, WorldKey};

/// A WIT package, as far as others depend on it: not its comments, since when something is
/// there, and the order of functions.
pub struct Package {
    pub version: Version,
    /// Each of its items by itself, in a line.
    pub items: BTreeSet<String>,
}

impl Package {
    pub fn read(directory: &Path) -> Self {
        let mut resolve = Resolve::default();
        let (id, _) = resolve.push_path(directory).unwrap();
        // With it, everything that names the package would change with each version.
        let version = resolve.packages[id].name.version.take().unwrap();
        let package = &resolve.packages[id];
        let interfaces = package.interfaces.iter().flat_map(|(name, id)| {
            let items = items_of_interface(&resolve, *id);
            let inside = items.into_iter().map(move |item| format!("{name}: {item}"));
            inside.chain([format!("interface {name}")])
        });
        let worlds = package.worlds.iter().flat_map(|(name, id)| {
            let exports = exports_of_world(&resolve, *id);
            let exports = exports.map(move |key| format!("{name}: export {key}"));
            // Together, for what a host must offer besides is no addition.
            exports.chain([format!(
                "world {name}, which imports {}",
                imports_of_world(&resolve, *id)
            )])
        });
        let items = interfaces.chain(worlds).collect();
        Self { version, items }
    }
}

fn items_of_interface(resolve: &Resolve, id: InterfaceId) -> Vec<String> {
    let mut printer = WitPrinter::default();
    printer
        .emit_docs(false)
        .print_interface(resolve, id)
        .unwrap();
    let text = printer.output.to_string();
    let mut items = Vec::new();
    for item in text.split("\n\n") {
        let lines = item.lines().filter(|line| !line.starts_with('@'));
        let (uses, rest): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with("use "));
        for names in uses {
            let (from, names) = names.trim_end_matches("};").split_once(".{").unwrap();
            items.extend(names.split(", ").map(|name| format!("{from}.{{{name}}};")));
        }
        let words: Vec<_> = rest
            .iter()
            .flat_map(|line| line.split_whitespace())
            .collect();
        items.push(words.join(" "));
    }
    items.retain(|item| !item.is_empty());
    items
}

fn exports_of_world(resolve: &Resolve, id: WorldId) -> impl Iterator<Item = String> {
    resolve.worlds[id]
        .exports
        .keys()
        .map(|key| interface_name(resolve, key))
}

fn imports_of_world(resolve: &Resolve, id: WorldId) -> String {
    let imports = resolve.worlds[id].imports.keys();
    let imports: BTreeSet<_> = imports.map(|key| interface_name(resolve, key)).collect();
    imports.into_iter().collect::<Vec<_>>().join(", ")
}

fn interface_name(resolve: &Resolve, key: &WorldKey) -> String {
    // What a world defines by itself has more to compare than a name.
    assert!(
        matches!(key, WorldKey::Interface(_)),
        "{key:?} is no interface of a package"
    );
    resolve.name_world_key(key)
}
