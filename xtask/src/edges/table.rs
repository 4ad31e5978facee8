//! The table of allowed imports, as it is written in `table.txt`.

use std::collections::BTreeMap;

/// The lines of all crates.
pub(super) const TEXT: &str = include_str!("table.txt");

/// The lines of one crate.
pub(super) struct Crate<'a> {
    /// The file of its root, from the root of the project.
    pub(super) root: &'a str,
    /// Each module with the modules that it imports.
    pub(super) modules: BTreeMap<&'a str, Vec<&'a str>>,
}

/// Reads a table.
pub(super) fn parse(text: &str) -> Vec<Crate<'_>> {
    let mut crates: Vec<Crate> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(root) = line.strip_prefix("crate ") {
            let modules = BTreeMap::new();
            crates.push(Crate { root, modules });
        } else if let (Some((name, rest)), Some(last)) = (line.split_once(':'), crates.last_mut()) {
            last.modules.insert(name, rest.split_whitespace().collect());
        }
    }
    crates
}
