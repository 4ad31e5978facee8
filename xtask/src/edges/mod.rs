//! Who may depend on whom: packages, and the modules inside them.

mod imports;
mod modules;
mod packages;
mod table;

use crate::run::Result;

/// Compares packages and modules with what is allowed.
pub(crate) fn check() -> Result<()> {
    packages::check()?;
    modules::check_all()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::imports::Modules;
    use super::table;
    use crate::run::root;

    /// Each crate has a section `### FOLDER`, each module of it a row whose first
    /// cell names it.
    #[test]
    fn the_map_in_the_document_has_exactly_the_modules_of_the_crates() {
        let document = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
        for line in table::parse(table::TEXT) {
            let (folder, _) = line.root.split_once("/src/").unwrap();
            let title = format!("\n### `{folder}`\n");
            let (_, section) = document.split_once(&title).expect(folder);
            let section = section.split("\n#").next().unwrap_or_default();
            let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
            let cells = rows.filter_map(|row| row.split(" |").next());
            let mut named: Vec<&str> = cells
                .flat_map(|cell| cell.split(", "))
                .map(|name| name.trim_matches('`'))
                .collect();
            named.sort_unstable();
            let modules = Modules::read(&root().join(line.root)).unwrap();
            let mut there: Vec<&str> = modules.top().collect();
            there.sort_unstable();
            assert_eq!(named, there, "left: ARCHITECTURE.md, right: {folder}");
        }
    }
}
