//! `wit/`, for those who use it: a version says what may have changed, and a page what is there.
//!
//! `tests/fixtures/released-wit` is `wit/` as it was last released. Who makes a release replaces
//! it: `rm -r tests/fixtures/released-wit && cp -r wit tests/fixtures/released-wit`.

mod package;
mod page;
mod released;

use std::process::Command;

use self::package::Package;
use crate::support::in_repository;

/// Bindings and compositions name the package with its version.
#[test]
fn whoever_names_the_package_names_the_version_that_it_has() {
    let wanted = format!("@{}", Package::read(&in_repository("wit")).version);
    // The changelog and the released WIT name the versions that they are about.
    let output = Command::new("git")
        .current_dir(in_repository("."))
        .args([
            "grep",
            "--untracked",
            "-onE",
            "provider:connection-cache(/[a-z]+)?@[0-9.]*[0-9]",
        ])
        .args(["--", ":!CHANGELOG.md", ":!tests/fixtures/released-wit"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let found = String::from_utf8(output.stdout).unwrap();
    let other: Vec<_> = found
        .lines()
        .filter(|line| !line.ends_with(&wanted))
        .collect();
    assert!(
        other.is_empty(),
        "wit/ is {wanted}, not\n{}",
        other.join("\n")
    );
}
