//! The table of allowed imports, as it is written in `table.txt`.

/// The lines of all crates.
pub(super) const TEXT: &str = include_str!("table.txt");

/// The lines of one crate.
#[derive(Default)]
pub(super) struct Crate<'a> {
    /// The file of its root, from the root of the project.
    pub(super) root: &'a str,
    /// Names must be imported from the module that defines them.
    pub(super) is_by_path: bool,
    /// Cycles that are tolerated.
    pub(super) cycles: Vec<&'a str>,
    /// Each module with the modules that it imports.
    pub(super) modules: Vec<(&'a str, Vec<&'a str>)>,
}

/// Reads a table.
pub(super) fn parse(text: &str) -> Vec<Crate<'_>> {
    let mut crates: Vec<Crate> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(root) = line.strip_prefix("crate ") {
            let (root, option) = root.split_once(' ').unwrap_or((root, ""));
            crates.push(Crate {
                root,
                is_by_path: option == "by-path",
                ..Crate::default()
            });
        } else if let (Some((name, rest)), Some(last)) = (line.split_once(':'), crates.last_mut()) {
            match name.strip_prefix("cycle ") {
                Some(cycle) => last.cycles.push(cycle),
                None => last.modules.push((name, rest.split_whitespace().collect())),
            }
        }
    }
    crates
}
