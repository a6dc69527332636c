//! docs/interface.md says what `wit/` says.

use std::collections::BTreeSet;
use std::fs;

use crate::support::in_repository;

fn page() -> String {
    fs::read_to_string(in_repository("docs/interface.md")).unwrap()
}

#[test]
fn the_page_on_the_interface_is_current() {
    let current = xtask::interface::page(&in_repository("wit")).unwrap();
    assert!(
        page() == current,
        "docs/interface.md is not what wit/ says: run `make interface`"
    );
}

#[test]
fn every_link_of_the_page_on_the_interface_leads_somewhere() {
    let page = page();
    let headings: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'))
        .collect();
    let links: BTreeSet<_> = page
        .split("\"#")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .chain(
            page.split("](#")
                .skip(1)
                .map(|rest| rest.split(')').next().unwrap()),
        )
        .collect();
    assert!(
        links.contains("get") && links.contains("error"),
        "{links:?}"
    );
    for link in links {
        // A second heading of the same name would have another anchor.
        let leads_to = headings.iter().filter(|heading| **heading == link).count();
        assert_eq!(leads_to, 1, "{link}");
    }
}
