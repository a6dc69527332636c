//! What the documents say of the tests.

use std::fs;
use std::path::Path;

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
