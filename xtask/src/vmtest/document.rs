//! The table as Markdown, in `docs/KERNELS.md`.

use std::fs;

use super::row::{Work, BASE, LONG, LONG_IN_C};
use super::table::ROWS;
use crate::run::{root, Result};

/// Lines of the document before and after the table.
const MARKS: [&str; 2] = ["<!-- vmtest: begin -->\n", "<!-- vmtest: end -->"];

/// The table as Markdown.
fn markdown() -> String {
    let quoted = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    };
    let mut text = format!(
        "\"Base\" means the C library's test programs and the Rust test programs {}. \"All\" means every test program, except those that take long \
         or take memory away ({}, {}), which run only where they are named. Rows with \"base\" or \"only\" have a kernel that another row has, and name \
         the programs that depend on the machine.\n\n",
        quoted(BASE),
        quoted(LONG),
        quoted(LONG_IN_C)
    );
    text += "| row | kernel | programs | machine | tests |\n|---|---|---|---|---|\n";
    for row in ROWS {
        let kernel = format!("{} {}", row.kernel.arch.debian(), row.kernel.line);
        let also = quoted(row.also);
        let long = match row.also {
            [] => String::new(),
            _ => format!(", {also}"),
        };
        let tests = match row.work {
            Work::AllTests => format!("all{long}"),
            Work::TestsOfTheMachine => format!("base{long}"),
            Work::NamedTests => format!("only {also}"),
            Work::Truth { seconds, pages } => format!(
                "`cargo xtask truth` for {seconds} s: at least {pages} pages checked, none wrong"
            ),
        };
        let programs = row.programs.debian();
        text += &format!(
            "| {} | {kernel} | {programs} | {} | {tests} |\n",
            row.name, row.machine
        );
    }
    text
}

/// Returns the document with the table between its marks.
///
/// # Errors
/// The document has no such marks.
fn in_document(document: &str) -> Result<String> {
    let [begin, end] = MARKS;
    let (before, rest) = document
        .split_once(begin)
        .ok_or_else(|| format!("no line {begin}"))?;
    let (_, after) = rest
        .split_once(end)
        .ok_or_else(|| format!("no line {end}"))?;
    Ok(format!("{before}{begin}{}{end}{after}", markdown()))
}

/// Writes the table into the document.
pub(crate) fn write() -> Result<()> {
    let path = root().join("docs/KERNELS.md");
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let document = fs::read_to_string(&path).map_err(failed)?;
    fs::write(&path, in_document(&document)?).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_contains_the_table() {
        let path = root().join("docs/KERNELS.md");
        let document = fs::read_to_string(path).unwrap();
        assert!(
            in_document(&document).unwrap() == document,
            "run `cargo xtask generate`"
        );
    }
}
