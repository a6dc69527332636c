//! What others rely on: names, exports, imports, sizes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use wit_component::DecodedWasm;
use wit_parser::{Docs, Resolve, TypeDefKind, WorldItem, WorldKey};

use crate::support::{
    explorer_component, in_repository, lean_component, middleware_component, spin_component,
};

const CACHE: &str = "provider:connection-cache/cache@0.1.0";
const HANDLER: &str = "wasi:http/handler@0.3.0";

/// The names of what a component imports and exports.
fn interfaces(component: &Path) -> (BTreeSet<String>, BTreeSet<String>) {
    let bytes = fs::read(component).unwrap();
    let DecodedWasm::Component(resolve, world) = wit_component::decode(&bytes).unwrap() else {
        panic!("it is not a component");
    };
    let world = &resolve.worlds[world];
    let names = |items: &mut dyn Iterator<Item = (&WorldKey, &WorldItem)>| {
        items.map(|(key, _)| resolve.name_world_key(key)).collect()
    };
    (
        names(&mut world.imports.iter()),
        names(&mut world.exports.iter()),
    )
}

#[test]
fn the_lean_component_exports_the_cache_alone() {
    let (_, exports) = interfaces(&lean_component());
    assert_eq!(exports, [CACHE.to_owned()].into());
}

#[test]
fn the_spin_component_exports_the_cache_and_the_handler() {
    let (_, exports) = interfaces(&spin_component());
    assert_eq!(exports, [CACHE.to_owned(), HANDLER.to_owned()].into());
}

/// What both components import: all that they can do. A new row is a decision, to be
/// explained in docs/security.md.
const IMPORTS: [&str; 12] = [
    // Our own types, without a function.
    "provider:connection-cache/types@0.1.0",
    "spin:key-value/key-value@3.0.0",
    "spin:redis/redis@3.0.0",
    "spin:variables/variables@3.0.0",
    // The log, and the error of writing it.
    "wasi:cli/stderr@0.3.0",
    "wasi:cli/types@0.3.0",
    // Deadlines, and what depends on the time in a summary.
    "wasi:clocks/monotonic-clock@0.3.0",
    "wasi:clocks/system-clock@0.3.0",
    "wasi:clocks/types@0.3.0",
    // Asking the origin.
    "wasi:http/client@0.3.0",
    "wasi:http/types@0.3.0",
    // Who asks the origin, and how much earlier than others an entry runs out.
    "wasi:random/random@0.3.0",
];

#[test]
fn the_components_import_what_they_use_and_nothing_else() {
    let wanted: BTreeSet<_> = IMPORTS.map(str::to_owned).into();
    let (lean, _) = interfaces(&lean_component());
    assert_eq!(lean, wanted);
    let (spin, _) = interfaces(&spin_component());
    assert_eq!(spin, wanted);
}

/// It asks the next component, and so nobody else over HTTP; it is asked over HTTP alone.
#[test]
fn the_middleware_has_the_next_component_instead_of_a_way_out() {
    let (imports, exports) = interfaces(&middleware_component());
    let mut wanted: BTreeSet<_> = IMPORTS.map(str::to_owned).into();
    wanted.remove("provider:connection-cache/types@0.1.0");
    wanted.remove("wasi:http/client@0.3.0");
    wanted.insert(HANDLER.to_owned());
    assert_eq!(imports, wanted);
    assert_eq!(exports, [HANDLER.to_owned()].into());
}

/// It reaches Redis through the cache alone, and nobody else.
#[test]
fn the_explorer_imports_the_cache_and_neither_redis_nor_a_way_out() {
    let (imports, exports) = interfaces(&explorer_component());
    let wanted = [
        CACHE,
        "provider:connection-cache/types@0.1.0",
        "spin:variables/variables@3.0.0",
        "wasi:cli/stderr@0.3.0",
        "wasi:cli/types@0.3.0",
        "wasi:clocks/monotonic-clock@0.3.0",
        "wasi:clocks/system-clock@0.3.0",
        "wasi:http/types@0.3.0",
    ];
    assert_eq!(imports, wanted.map(str::to_owned).into());
    assert_eq!(exports, [HANDLER.to_owned()].into());
}

/// Each kilobyte is paid for on a cold start: these grow by decision, not by accident.
#[test]
fn the_components_are_small() {
    let size = |path: &Path| fs::metadata(path).unwrap().len();
    assert!(
        size(&lean_component()) <= 429_500,
        "{}",
        size(&lean_component())
    );
    assert!(
        size(&spin_component()) <= 551_000,
        "{}",
        size(&spin_component())
    );
    assert!(
        size(&middleware_component()) <= 474_500,
        "{}",
        size(&middleware_component())
    );
    assert!(
        size(&explorer_component()) <= 211_500,
        "{}",
        size(&explorer_component())
    );
}

#[test]
fn every_item_of_the_package_is_there_and_documented() {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(in_repository("wit")).unwrap();
    let package = &resolve.packages[package];
    assert_eq!(package.name.to_string(), "provider:connection-cache@0.1.0");

    let mut undocumented = Vec::new();
    let mut check = |name: &str, docs: &Docs| {
        if docs
            .contents
            .as_deref()
            .unwrap_or_default()
            .trim()
            .is_empty()
        {
            undocumented.push(name.to_owned());
        }
    };
    check("package", &package.docs);
    let worlds: BTreeSet<_> = package.worlds.keys().map(String::as_str).collect();
    let wanted = [
        "provider-connection-cache",
        "provider-connection-cache-spin",
    ];
    assert_eq!(worlds, wanted.into());
    for (name, world) in &package.worlds {
        check(name, &resolve.worlds[*world].docs);
    }
    for (name, interface) in &package.interfaces {
        let interface = &resolve.interfaces[*interface];
        check(name, &interface.docs);
        for (name, function) in &interface.functions {
            check(name, &function.docs);
        }
        for (name, id) in &interface.types {
            let kind = &resolve.types[*id];
            // What `use` brings in is documented where it comes from.
            if matches!(kind.kind, TypeDefKind::Type(wit_parser::Type::Id(_))) {
                continue;
            }
            check(name, &kind.docs);
            match &kind.kind {
                TypeDefKind::Record(record) => {
                    record
                        .fields
                        .iter()
                        .for_each(|field| check(&field.name, &field.docs));
                }
                TypeDefKind::Variant(variant) => {
                    variant
                        .cases
                        .iter()
                        .for_each(|case| check(&case.name, &case.docs));
                }
                TypeDefKind::Enum(all) => {
                    all.cases
                        .iter()
                        .for_each(|case| check(&case.name, &case.docs));
                }
                _ => {}
            }
        }
    }
    assert!(undocumented.is_empty(), "{undocumented:?}");

    let cache = &resolve.interfaces[package.interfaces["cache"]];
    let functions: BTreeSet<_> = cache.functions.keys().map(String::as_str).collect();
    let wanted = [
        "get",
        "get-many",
        "get-summary",
        "exists",
        "lookup",
        "lookup-sourced",
        "set",
        "set-if",
        "set-many",
        "delete",
        "delete-if",
        "delete-many",
        "ping",
        "inspect",
        "inspect-many",
        "ready",
        "list-ids",
        "stats",
    ];
    assert_eq!(functions, wanted.into());
    assert!(
        cache
            .functions
            .values()
            .all(|function| function.kind.is_async())
    );
}
