//! The layers of the library: no module knows one above it.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of `src/lib.rs`, from the bottom to the top.
const LAYERS: [&str; 11] = [
    "connection",
    "rt",
    "config",
    "log",
    "stats",
    "edge_store",
    "origin",
    "redis",
    "cache",
    "instance",
    "http",
];

/// The source files of a module, each with its path inside the room: empty for the room itself.
fn files(module: &str) -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let root = src.join(format!("{module}.rs"));
    let mut files = vec![(String::new(), fs::read_to_string(root).unwrap())];
    let mut directories = vec![src.join(module)];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push((
                    name(&src.join(module), &path),
                    fs::read_to_string(&path).unwrap(),
                ));
            }
        }
    }
    files
}

fn name(room: &Path, path: &Path) -> String {
    let inside: PathBuf = path.strip_prefix(room).unwrap().with_extension("");
    inside.to_str().unwrap().replace('/', "::")
}

/// The paths after `prefix` in the code before the tests, up to the next `::`.
fn known<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let code = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(move |line| line.split(prefix).skip(1))
        .filter_map(|rest| {
            rest.split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
        })
}

#[test]
fn no_module_knows_one_above_it() {
    let height = |module: &str| LAYERS.iter().position(|layer| *layer == module);
    let lib = include_str!("../src/lib.rs");
    let declared = lib.lines().filter_map(|line| line.strip_prefix("pub mod "));
    let declared: BTreeSet<_> = declared.map(|name| name.trim_end_matches(';')).collect();
    assert_eq!(declared, LAYERS.into());
    for module in LAYERS {
        for (file, text) in files(module) {
            for other in known(&text, "crate::") {
                assert!(
                    height(other) <= height(module) && height(other).is_some(),
                    "{module}::{file} knows {other}"
                );
            }
        }
    }
}

/// Inside a room, the files that know each other form no circle. The file of the room declares the
/// others, and does not count.
#[test]
fn no_two_files_of_a_room_know_each_other() {
    for module in LAYERS {
        let files: BTreeMap<_, _> = files(module).into_iter().collect();
        let knows = |file: &str| -> Vec<&String> {
            let inside = format!("crate::{module}::");
            let parent = file.rsplit_once("::").map_or("", |(parent, _)| parent);
            let siblings = known(&files[file], "super::").map(|other| match parent {
                "" => other.to_owned(),
                parent => format!("{parent}::{other}"),
            });
            let others = known(&files[file], &inside)
                .map(str::to_owned)
                .collect::<Vec<_>>();
            let known: BTreeSet<_> = siblings.chain(others).collect();
            files
                .keys()
                .filter(|other| !other.is_empty() && *other != file && known.contains(*other))
                .collect()
        };
        for start in files.keys().filter(|file| !file.is_empty()) {
            let (mut seen, mut next) = (BTreeSet::new(), knows(start));
            while let Some(file) = next.pop() {
                assert_ne!(file, start, "{module}::{start} knows what knows it");
                if seen.insert(file) {
                    next.extend(knows(file));
                }
            }
        }
    }
}
