//! Manual pages.

mod support;

use std::fs;

use support::{names_in, succeed};
use tempfile::TempDir;

#[test]
fn man_pages_are_made_for_every_subcommand() {
    let dir = TempDir::new().unwrap();
    let pages = dir.path().join("man1");
    succeed(&["man", pages.to_str().unwrap()]);
    let expected = [
        "introspect-completions.1",
        "introspect-diff.1",
        "introspect-extents.1",
        "introspect-files.1",
        "introspect-frame.1",
        "introspect-machine.1",
        "introspect-metrics.1",
        "introspect-object.1",
        "introspect-owner.1",
        "introspect-pagetable.1",
        "introspect-physical.1",
        "introspect-prune.1",
        "introspect-read.1",
        "introspect-report.1",
        "introspect-resident.1",
        "introspect-snapshot.1",
        "introspect-snapshots.1",
        "introspect-summary.1",
        "introspect-top.1",
        "introspect-virtual.1",
        "introspect.1",
    ];
    assert_eq!(names_in(&pages), expected);
    for name in expected {
        let page = fs::read_to_string(pages.join(name)).unwrap();
        assert!(page.contains("\n.SH DESCRIPTION\n"), "{name}: {page}");
        assert!(!page.contains("EXTRA"), "{name}: {page}");
        let has_examples = name != "introspect-completions.1";
        assert_eq!(page.contains("\n.SH EXAMPLES\n"), has_examples, "{name}");
    }
    let page = fs::read_to_string(pages.join("introspect-physical.1")).unwrap();
    assert!(page.contains("introspect physical self"), "{page}");
    let page = fs::read_to_string(pages.join("introspect.1")).unwrap();
    for title in [
        "\"PRIVILEGES\"",
        "\"EXIT STATUS\"",
        "SUBCOMMANDS",
        "OPTIONS",
    ] {
        assert!(
            page.contains(&format!("\n.SH {title}\n")),
            "{title}: {page}"
        );
    }
}
