//! The modules of each crate, compared with the table. Knows no module by name.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::Modules;
use super::table::{self, Crate};
use crate::run::{root, Result};

/// Imports between modules of the same folder, by that folder.
type Graphs = BTreeMap<Vec<String>, Graph>;
type Graph = BTreeMap<String, BTreeSet<String>>;

pub(super) fn check_all() -> Result<()> {
    let mut wrong = Vec::new();
    let crates = table::parse(table::TEXT);
    for table in &crates {
        let modules = Modules::read(&root().join(table.root))?;
        let found = check(table, &modules).into_iter();
        wrong.extend(found.map(|what| format!("{}: {what}", table.root)));
    }
    if wrong.is_empty() {
        eprintln!("  modules of {} crates keep to their edges", crates.len());
        return Ok(());
    }
    Err(wrong.join("\n") + "\nthe table is xtask/src/edges/table.txt")
}

/// Differences between a crate and its lines of the table, and its cycles.
fn check(table: &Crate, modules: &Modules) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut graphs = Graphs::new();
    let mut examples = BTreeMap::new();
    for import in modules.imports() {
        let (from, to) = (&import.from, &import.to);
        let example = format!("{} in {}", import.written, from.join("::"));
        if import.is_through_root {
            wrong.push(format!("{example} goes through the root"));
        }
        let both = from.iter().zip(to);
        let common = both.take_while(|(from, to)| from == to).count();
        // Modules inside and around a module are the same folder. The root
        // counts only for what it defines itself.
        let to = match to.get(common) {
            Some(to) => to.as_str(),
            None if to.is_empty() && !import.is_through_root => "root",
            None => continue,
        };
        let Some(by) = from.get(common) else { continue };
        let graph = graphs.entry(from[..common].to_vec()).or_default();
        graph.entry(by.clone()).or_default().insert(to.to_owned());
        if common == 0 {
            examples
                .entry((by.clone(), to.to_owned()))
                .or_insert(example);
        }
    }
    let cycles = graphs.iter().flat_map(cycles);
    wrong.extend(cycles.map(|cycle| format!("a cycle: {cycle}")));
    compare(table, modules, &examples, &mut wrong);
    wrong
}

/// Compares the imports of top-level modules with the lines of the table.
fn compare(
    table: &Crate,
    modules: &Modules,
    found: &BTreeMap<(String, String), String>,
    wrong: &mut Vec<String>,
) {
    let lines = &table.modules;
    let missing = modules.top().filter(|module| !lines.contains_key(module));
    wrong.extend(missing.map(|module| format!("{module} has no line")));
    for ((by, to), example) in found {
        let allowed = lines.get(by.as_str());
        if !allowed.is_some_and(|allowed| allowed.contains(&to.as_str())) {
            wrong.push(format!("{by} must not import {to}: {example}"));
        }
    }
    for (module, imports) in lines {
        if !modules.top().any(|top| top == *module) {
            wrong.push(format!("{module} is no module any more"));
        }
        for to in imports {
            if !found.contains_key(&((*module).to_owned(), (*to).to_owned())) {
                wrong.push(format!("{module} does not import {to} any more"));
            }
        }
    }
}

/// Groups of modules of one folder that import each other.
fn cycles((folder, graph): (&Vec<String>, &Graph)) -> BTreeSet<String> {
    let reached = |from: &str| {
        let (mut seen, mut left) = (BTreeSet::new(), vec![from]);
        while let Some(module) = left.pop() {
            let imports = graph.get(module).into_iter().flatten();
            left.extend(
                imports
                    .filter(|to| seen.insert((*to).clone()))
                    .map(String::as_str),
            );
        }
        seen
    };
    let all: BTreeMap<_, _> = graph.keys().map(|from| (from, reached(from))).collect();
    let mut cycles = BTreeSet::new();
    for (module, reached) in all
        .iter()
        .filter(|(module, reached)| reached.contains(**module))
    {
        let reaches_back = |other: &&String| all.get(other).is_some_and(|it| it.contains(*module));
        let cycle: Vec<&str> = reached
            .iter()
            .filter(reaches_back)
            .map(String::as_str)
            .collect();
        let place: String = folder.iter().map(|part| format!("{part}::")).collect();
        cycles.insert(place + &cycle.join(" "));
    }
    cycles
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crate in which `a` imports `b` by a path, `b` `a` through a re-export.
    const ROOT: &str = "mod a { fn f() { println!(\"{}\", crate::b::B) } pub(crate) struct A; }
        mod b { use crate::A; pub(crate) const B: u8 = 1; #[cfg(test)] mod t { use crate::c; } }
        mod c {} use a::A;";

    fn checked(table: &str) -> Vec<String> {
        let name = format!("edges-{}.rs", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, ROOT).unwrap();
        let modules = Modules::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        check(&table::parse(table)[0], &modules)
    }

    #[test]
    fn forbidden_imports_cycles_and_needless_lines_are_found() {
        let [cycle, root] = ["a cycle: a b", "crate::A in b goes through the root"];
        assert_eq!(checked("crate x\na: b\nb: a\nc:"), [root, cycle]);
        let forbidden = "b must not import a: crate::A in b";
        let needless = "c does not import a any more";
        let wrong = checked("crate x\na: b\nb:\nc: a");
        assert_eq!(wrong, [root, cycle, forbidden, needless]);
    }
}
