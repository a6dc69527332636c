//! What the documents say of the tests and of the variables.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use toml::Table;

use crate::support::in_repository;

/// All source below a directory.
fn source(directory: &Path) -> String {
    let files = fs::read_dir(directory)
        .unwrap()
        .map(|file| file.unwrap().path());
    files
        .map(|path| match path.extension() {
            _ if path.is_dir() => source(&path),
            Some(extension) if extension == "rs" => fs::read_to_string(path).unwrap(),
            _ => String::new(),
        })
        .collect()
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let source: String = ["src", "components", "tests/it", "fuzz/src"]
        .map(|directory| source(&in_repository(directory)))
        .concat();
    let text = fs::read_to_string(in_repository("docs/security.md")).unwrap();
    let quoted = text.split('`').skip(1).step_by(2);
    let is_test = |name: &&str| {
        name.matches('_').count() > 2
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let names: Vec<_> = quoted.filter(is_test).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(
            source.contains(&format!("fn {name}()")),
            "there is no test {name}"
        );
    }
}

#[test]
fn the_table_of_variables_is_that_of_the_manifest() {
    let manifest: Table = fs::read_to_string(in_repository("spin.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let declared: BTreeMap<_, _> = manifest["variables"]
        .as_table()
        .unwrap()
        .iter()
        .map(|(name, variable)| {
            let default = variable["default"].as_str().unwrap();
            (name.clone(), default.to_owned())
        })
        .collect();
    let text = fs::read_to_string(in_repository("docs/configuration.md")).unwrap();
    let section = text.split("\n## ").find(|it| it.starts_with("Variables\n"));
    let rows = section.unwrap().lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let name = cells.next()?.strip_suffix('`')?;
        Some((name.to_owned(), cells.next()?.trim_matches('`').to_owned()))
    });
    assert_eq!(rows.collect::<BTreeMap<_, _>>(), declared);
}

#[test]
fn the_readme_is_for_a_reader_in_a_hurry() {
    let text = fs::read_to_string(in_repository("README.md")).unwrap();
    assert!(text.lines().count() <= 100);
}
