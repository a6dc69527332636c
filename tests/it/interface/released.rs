//! What was released stays until a version says otherwise.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use semver::Version;

use super::package::Package;
use crate::support::in_repository;

/// `wit/` as it was last released.
const RELEASED: &str = "tests/fixtures/released-wit";

/// What became of a package.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    Nothing,
    Addition,
    Break,
}

impl Change {
    /// Strict: what others may see is changed, even where their component might run on.
    fn between(released: &Package, current: &Package) -> Self {
        if released.items == current.items {
            Self::Nothing
        } else if released.items.is_subset(&current.items) {
            Self::Addition
        } else {
            Self::Break
        }
    }

    /// The least version that may have it, after the released one: as the component model
    /// counts, the first number that is not 0 breaks, and the next one adds.
    fn version(self, released: &Version) -> Version {
        let Version {
            major,
            minor,
            patch,
            ..
        } = *released;
        match (self, major, minor) {
            (Self::Nothing, _, _) => released.clone(),
            (_, 0, 0) | (Self::Addition, 0, _) => Version::new(major, minor, patch + 1),
            (Self::Break, 0, _) | (Self::Addition, _, _) => Version::new(major, minor + 1, 0),
            (Self::Break, _, _) => Version::new(major + 1, 0, 0),
        }
    }
}

/// Whether the package may be like this after the released one; if not, what to do.
fn check(released: &Package, current: &Package) -> Result<(), String> {
    let change = Change::between(released, current);
    let least = change.version(&released.version);
    if current.version >= least {
        return Ok(());
    }
    let gone = released.items.difference(&current.items);
    let new = current.items.difference(&released.items);
    let changes: Vec<_> = gone
        .map(|item| format!("- {item}"))
        .chain(new.map(|item| format!("+ {item}")))
        .collect();
    Err(format!(
        "wit/ is version {} and not what was released as {}: set the version in wit/types.wit to {least}, or undo\n{}",
        current.version,
        released.version,
        changes.join("\n")
    ))
}

#[test]
fn the_interface_changes_as_its_version_says() {
    let [released, current] = [RELEASED, "wit"].map(|path| Package::read(&in_repository(path)));
    check(&released, &current).unwrap_or_else(|error| panic!("{error}"));
}

/// Texts, and what each becomes where it stands first.
type Edits<'a> = &'a [(&'a str, &'a str)];

/// What may be done to a file of the package.
#[rustfmt::skip]
const CHANGES: [(Change, &str, &str, Edits); 27] = {
    use Change::{Addition, Break, Nothing};
    const EXISTS: &str = "exists: async func(id: string) -> result<bool, error>;";
    const PING: &str = "ping: async func() -> result<duration, error>;";
    [
        (Nothing, "nothing", "types.wit", &[]),
        (Nothing, "another comment", "types.wit", &[("A span of time", "A while")]),
        (Nothing, "a deprecation", "cache.wit", &[("exists:", "@since(version = 0.1.0) @deprecated(version = 0.1.0) exists:")]),
        (Nothing, "another order of functions", "cache.wit", &[(PING, ""), ("get:", "ping: async func() -> result<duration, error>; get:")]),
        (Addition, "a function more", "cache.wit", &[("exists:", "touch: async func(); exists:")]),
        (Addition, "a type more", "types.wit", &[("type duration", "type instant = u64; type duration")]),
        (Addition, "a type more in use", "cache.wit", &[("use types.{", "use types.{source, ")]),
        (Addition, "an interface more", "worlds.wit", &[("world", "interface more {} world")]),
        (Addition, "a world more", "worlds.wit", &[("world", "world more {} world")]),
        (Addition, "an export of a world more", "worlds.wit", &[("world", "interface more {} world"), ("export cache;", "export cache; export more;")]),
        (Break, "a function less", "cache.wit", &[(EXISTS, "")]),
        (Break, "a function with another name", "cache.wit", &[("exists:", "is-there:")]),
        (Break, "a function that is not async", "cache.wit", &[("exists: async func", "exists: func")]),
        (Break, "a parameter more", "cache.wit", &[("exists: async func(", "exists: async func(user-id: string, ")]),
        (Break, "a parameter with another name", "cache.wit", &[("exists: async func(id:", "exists: async func(key:")]),
        (Break, "another result", "cache.wit", &[("result<bool, error>", "result<u32, error>")]),
        (Break, "a type in use with another name", "cache.wit", &[("duration}", "duration as time}"), ("result<duration", "result<time")]),
        (Break, "a type with another name", "types.wit", &[("record id-page", "type id-page = ids; record ids")]),
        (Break, "another type behind a name", "types.wit", &[("type duration = u64", "type duration = u32")]),
        (Break, "a field more", "types.wit", &[("ids: list<string>,", "ids: list<string>, more: bool,")]),
        (Break, "a field of another type", "types.wit", &[("up-to: option<duration>", "up-to: option<u64>")]),
        (Break, "another order of fields", "types.wit", &[("seconds: s64", "swapped: s64"), ("nanoseconds: u32", "seconds: s64"), ("swapped: s64", "nanoseconds: u32")]),
        (Break, "a case of an enum more", "types.wit", &[("        stale,", "stale, other,")]),
        (Break, "a case of a variant more", "types.wit", &[("origin-failed(string),", "origin-failed(string), other,")]),
        (Break, "a world with another name", "worlds.wit", &[("world provider-connection-cache-spin", "world other")]),
        (Break, "an export of a world less", "worlds.wit", &[("export wasi:http/handler@0.3.0;", "")]),
        (Break, "an import of a world more", "worlds.wit", &[("export cache;", "export cache; import wasi:random/random@0.3.0;")]),
    ]
};

/// The released package with a change.
fn changed(file: &str, edits: Edits) -> Package {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("changed-wit");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    symlink(in_repository(RELEASED).join("deps"), directory.join("deps")).unwrap();
    for name in ["cache.wit", "types.wit", "worlds.wit"] {
        let mut text = fs::read_to_string(in_repository(RELEASED).join(name)).unwrap();
        for (from, to) in edits.iter().filter(|_| name == file) {
            assert!(text.contains(from), "{file} has no {from:?}");
            text = text.replacen(from, to, 1);
        }
        fs::write(directory.join(name), text).unwrap();
    }
    Package::read(&directory)
}

#[test]
fn every_change_is_told_by_what_it_does_to_others() {
    let released = Package::read(&in_repository(RELEASED));
    for (change, name, file, edits) in CHANGES {
        assert_eq!(
            Change::between(&released, &changed(file, edits)),
            change,
            "{name}"
        );
    }
}

#[test]
fn each_version_allows_what_the_component_model_lets_it() {
    // After a release, the least version that may be as it is, add to it, and break it.
    let versions = [
        ("0.0.1", ["0.0.1", "0.0.2", "0.0.2"]),
        ("0.1.0", ["0.1.0", "0.1.1", "0.2.0"]),
        ("0.1.9", ["0.1.9", "0.1.10", "0.2.0"]),
        ("1.0.0", ["1.0.0", "1.1.0", "2.0.0"]),
        ("1.2.3", ["1.2.3", "1.3.0", "2.0.0"]),
    ];
    for (released, least) in versions {
        let released = released.parse().unwrap();
        let changes = [Change::Nothing, Change::Addition, Change::Break];
        let found = changes.map(|change| change.version(&released).to_string());
        assert_eq!(found, least);
    }
}

#[test]
fn a_forbidden_change_says_what_to_do() {
    let package = |version: &str, items: &[&str]| Package {
        version: version.parse().unwrap(),
        items: items.iter().map(|item| (*item).to_owned()).collect(),
    };
    let released = package("0.1.0", &["a", "b"]);
    let broken = check(&released, &package("0.1.1", &["a", "c"])).unwrap_err();
    assert_eq!(
        broken,
        "wit/ is version 0.1.1 and not what was released as 0.1.0: \
         set the version in wit/types.wit to 0.2.0, or undo\n- b\n+ c"
    );
    assert_eq!(check(&released, &package("0.2.0", &["a", "c"])), Ok(()));
    assert!(check(&released, &package("0.0.9", &["a", "b"])).is_err());
}
