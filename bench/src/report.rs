//! The rows as text and as Markdown.

use std::fmt::Write;

use crate::floors::calls;
use crate::row::{Bound, Outcome, Row, Unit, Verdict};
use crate::spread::Spread;

/// Returns a table for a terminal, with the notes below it.
pub(crate) fn text(rows: &[Row]) -> String {
    let mut text = columns(
        [
            "case",
            "against",
            "theirs",
            "ours",
            "ratio",
            "least..most",
            "target",
        ],
        "result",
    );
    text.push('\n');
    for row in rows {
        let _ = writeln!(text, "{}", line(row));
    }
    for row in rows.iter().filter(|row| !row.notes.is_empty()) {
        let _ = writeln!(
            text,
            "{} / {}: {}",
            row.name,
            row.against,
            row.notes.join("; ")
        );
    }
    text
}

/// Returns a row of that table.
pub(crate) fn line(row: &Row) -> String {
    let cells = Cells::of(row);
    columns(
        [
            &row.name,
            &row.against,
            &cells.theirs,
            &cells.ours,
            &cells.ratio,
            &cells.spread,
            &cells.target,
        ],
        &cells.result,
    )
}

fn columns(
    [name, against, theirs, ours, ratio, spread, target]: [&str; 7],
    result: &str,
) -> String {
    format!(
        "{name:<44} {against:<38} {theirs:>8} {ours:>8} {ratio:>7} {spread:>16} {target:>9}  {result}"
    )
}

/// Returns the generated part of the document.
pub(crate) fn markdown(machine: &str, rounds: u64, rows: &[Row]) -> String {
    let count = |verdict| rows.iter().filter(|row| row.verdict() == verdict).count();
    let mut text = format!(
        "{machine}; {rounds} rounds. Targets met: {}, missed: {}, not measurable here: {}.\n\n\
         | case | against | theirs | ours | ratio | least to most | target | result |\n\
         |---|---|--:|--:|--:|--:|--:|---|\n",
        count(Verdict::Met),
        count(Verdict::Missed) + count(Verdict::Stale),
        count(Verdict::Absent),
    );
    for row in rows {
        let cells = Cells::of(row);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            row.name,
            row.against,
            cells.theirs,
            cells.ours,
            cells.ratio,
            cells.spread,
            cells.target,
            cells.result
        );
    }
    text.push_str("\nNotes of single rows:\n\n");
    for row in rows.iter().filter(|row| !row.notes.is_empty()) {
        let _ = writeln!(
            text,
            "* {}, against {}: {}.",
            row.name,
            row.against,
            row.notes.join("; ")
        );
    }
    for (whose, list) in [
        ("the calling process", calls::OWN),
        ("another process", calls::OTHER),
    ] {
        let _ = write!(
            text,
            "\nThe {} system calls for one address of {whose}:\n\n| call | why |\n|---|---|\n",
            list.len()
        );
        for (call, why) in list {
            let _ = writeln!(text, "| `{call}` | {why} |");
        }
    }
    text
}

struct Cells {
    theirs: String,
    ours: String,
    ratio: String,
    spread: String,
    target: String,
    result: String,
}

impl Cells {
    fn of(row: &Row) -> Self {
        let nothing = || "-".to_owned();
        let from_to = |Spread { least, most, .. }: &Spread, show: fn(f64) -> String| {
            format!("{}..{}", show(*least), show(*most))
        };
        let (theirs, ours, ratio, spread) = match &row.outcome {
            Outcome::Ratio {
                theirs,
                ours,
                ratio,
            } => (
                time(theirs.median),
                time(ours.median),
                number(ratio.median),
                from_to(ratio, number),
            ),
            Outcome::Amount(amount, unit) => {
                let show = shown(*unit);
                (
                    nothing(),
                    show(amount.median),
                    nothing(),
                    from_to(amount, show),
                )
            }
            Outcome::Absent(_) => (nothing(), nothing(), nothing(), nothing()),
        };
        let target = match (row.bound, &row.outcome) {
            (Bound::AtMost(most), Outcome::Amount(_, unit)) => format!("≤ {}", shown(*unit)(most)),
            (Bound::AtMost(most), _) => format!("≤ {most}"),
            (Bound::About(value, part), _) => format!("{value} ± {}%", (part * 100.0).round()),
            (Bound::TimesFaster(Some(least)), _) => format!("≥ {least}"),
            (Bound::TimesFaster(None) | Bound::Shown, _) => nothing(),
        };
        let result = match row.verdict() {
            Verdict::Met => "met".to_owned(),
            Verdict::Missed => "**MISSED**".to_owned(),
            Verdict::Stale => "**FLOOR IS STALE**".to_owned(),
            Verdict::NoTarget => nothing(),
            Verdict::Absent => match &row.outcome {
                Outcome::Absent(why) => why.clone(),
                _ => nothing(),
            },
        };
        Self {
            theirs,
            ours,
            ratio,
            spread,
            target,
            result,
        }
    }
}

/// Formats seconds in a suitable unit.
pub(crate) fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        1.0.. => (seconds, "s"),
        1e-3.. => (seconds * 1e3, "ms"),
        1e-6.. => (seconds * 1e6, "µs"),
        _ => (seconds * 1e9, "ns"),
    };
    let digits = if value < 10.0 {
        2
    } else if value < 100.0 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {unit}")
}

/// Formats a ratio with about three significant digits.
fn number(ratio: f64) -> String {
    let digits = match ratio {
        100.0.. => 0,
        10.0.. => 1,
        0.1.. => 2,
        0.01.. => 3,
        _ => 5,
    };
    // One more around 1, where targets are that close.
    let digits = if (0.1..2.0).contains(&ratio) {
        3
    } else {
        digits
    };
    format!("{ratio:.digits$}")
}

/// Returns the format of amounts in a unit.
fn shown(unit: Unit) -> fn(f64) -> String {
    match unit {
        Unit::Kibibytes => |size| format!("{size:.0} KiB"),
        Unit::Bytes => |size| format!("{size:.2} B"),
        Unit::Seconds => time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, bound: Bound, outcome: Outcome) -> Row {
        Row {
            name: name.to_owned(),
            against: "a floor".to_owned(),
            bound,
            outcome,
            notes: vec![format!("{name} noted")],
            stale: false,
        }
    }

    #[test]
    fn numbers_have_their_units_and_digits() {
        assert_eq!(time(1.5), "1.50 s");
        assert_eq!(time(0.0123), "12.3 ms");
        assert_eq!(time(8.25e-6), "8.25 µs");
        assert_eq!(time(183e-9), "183 ns");
        assert_eq!(number(1.0432), "1.043");
        assert_eq!(number(0.0432), "0.043");
        assert_eq!(number(0.00321), "0.00321");
        assert_eq!(number(31.23), "31.2");
        assert_eq!(number(812.3), "812");
    }

    #[test]
    fn every_row_is_shown_also_the_missed_and_the_absent() {
        let bound = Bound::AtMost(1.05);
        let rows = [
            row("good", bound, Outcome::of_pairs(bound, &[(1.0, 1.0)])),
            row("bad", bound, Outcome::of_pairs(bound, &[(1.0, 2.0)])),
            row(
                "none",
                bound,
                Outcome::Absent("not on this machine".to_owned()),
            ),
            row(
                "a command",
                Bound::AtMost(2.0),
                Outcome::Amount(Spread::of([2.5]), Unit::Seconds),
            ),
            row(
                "memory",
                Bound::AtMost(1024.0),
                Outcome::Amount(Spread::of([4.0]), Unit::Kibibytes),
            ),
        ];
        let markdown = markdown("a machine", 7, &rows);
        assert!(markdown.contains("met: 2, missed: 2, not measurable here: 1."));
        assert!(markdown.contains(
            "| bad | a floor | 1.00 s | 2.00 s | 2.00 | 2.00..2.00 | ≤ 1.05 | **MISSED** |"
        ));
        assert!(
            markdown.contains("| none | a floor | - | - | - | - | ≤ 1.05 | not on this machine |")
        );
        assert!(markdown.contains(
            "| a command | a floor | - | 2.50 s | - | 2.50 s..2.50 s | ≤ 2.00 s | **MISSED** |"
        ));
        assert!(markdown
            .contains("| memory | a floor | - | 4 KiB | - | 4 KiB..4 KiB | ≤ 1024 KiB | met |"));
        let text = text(&rows);
        for row in &rows {
            assert!(text.contains(&row.notes[0]) && markdown.contains(&row.notes[0]));
        }
    }
}
