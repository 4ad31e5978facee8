//! The tables of docs/PRIVILEGES.md. The test writes nothing; when it fails it
//! prints the correct tables.

use crate::answers::QUESTIONS;
use crate::denials::DENIALS;
use crate::table::{Expected, Line, SITUATIONS};

const BEGIN: &str = "<!-- The permission matrix: tests/permissions -->\n";
const END: &str = "<!-- End of the permission matrix -->\n";

fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn head(first: &str) -> String {
    let mut cells = vec![first.to_owned(), "target".to_owned()];
    cells.extend(QUESTIONS.map(str::to_owned));
    let rule = "|---".repeat(cells.len());
    format!("{}{rule}|\n", row(&cells))
}

/// Neighbouring lines with the same answers are one.
fn lines(words: &str, lines: &[Line]) -> String {
    let cells = |line: &Line| -> Vec<String> {
        let of_c = line.c.unwrap_or(line.answers);
        let both = line.answers.iter().zip(of_c);
        both.map(|(&rust, c)| cell(rust, c)).collect()
    };
    let mut text = String::new();
    let mut first = words;
    for same in lines.chunk_by(|left, right| cells(left) == cells(right)) {
        let whom: Vec<&str> = same.iter().map(|line| line.whom.words()).collect();
        let mut row_cells = vec![first.to_owned(), whom.join("; ")];
        row_cells.extend(cells(&same[0]));
        text += &row(&row_cells);
        first = "";
    }
    text
}

fn cell(rust: Expected, c: Expected) -> String {
    if rust == c {
        rust.words()
    } else {
        format!("{}, C: {}", rust.words(), c.words())
    }
}

fn tables() -> String {
    let mut text = head("situation");
    for situation in SITUATIONS {
        text += &lines(situation.words, situation.lines);
    }
    text += "\n";
    text += &head("denied to root");
    for denial in DENIALS {
        text += &lines(denial.words, denial.lines);
    }
    text
}

#[test]
fn the_document_shows_these_tables() {
    let document = include_str!("../../../../docs/PRIVILEGES.md");
    let (_, behind) = document.split_once(BEGIN).expect("a beginning");
    let (shown, _) = behind.split_once(END).expect("an end");
    let expected = tables();
    assert!(
        shown == expected,
        "docs/PRIVILEGES.md should say:\n{expected}"
    );
}
