//! Results of a guest, from the lines of its tests and its closing line, never from
//! QEMU's exit status, which is 0 even if the kernel died.

use std::collections::BTreeMap;

use super::row::Row;

/// Results of a guest's tests.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// The kernel's release.
    pub(crate) release: String,
    pub(crate) ok: usize,
    pub(crate) failed: usize,
    /// Skipped tests, each with the reason.
    pub(crate) skipped: BTreeMap<String, String>,
    /// Remarks that are no problems.
    pub(crate) notes: Vec<String>,
    /// Reasons why the row failed; empty if it holds.
    pub(crate) problems: Vec<String>,
}

/// Whether the guest's first program has started.
pub(crate) fn has_begun(log: &str) -> bool {
    log.lines().any(|line| line.starts_with("vmtest: guest "))
}

/// Reads the console of a guest that ran `program`, or all. The kernel's release must
/// begin with `release`.
pub(crate) fn judge(log: &str, row: &Row, release: &str, program: Option<&str>) -> Report {
    let has = |test: &str| program.is_none_or(|program| test.split("::").next() == Some(program));
    let mut report = Report::default();
    let mut ok: Vec<&str> = Vec::new();
    let mut closing = None;
    for line in log.lines().map(str::trim_end) {
        if let Some(name) = line.strip_prefix("ok ") {
            ok.push(name);
        } else if let Some(rest) = line.strip_prefix("skipped ") {
            let (name, why) = rest.split_once(": ").unwrap_or((rest, ""));
            report.skipped.insert(name.to_owned(), why.to_owned());
        } else if let Some(name) = line.strip_prefix("FAILED ") {
            report.problems.push(format!("{name} failed"));
            report.failed += 1;
        } else if let Some(rest) = line.strip_prefix("vmtest: closing ") {
            closing = Some(rest);
        } else if let Some(why) = line.strip_prefix("vmtest: not set up: ") {
            report.problems.push(format!("not set up: {why}"));
        }
    }
    report.ok = ok.len();
    let Some(closing) = closing else {
        let last = log.lines().rev().take(3).collect::<Vec<_>>();
        let last: Vec<_> = last.into_iter().rev().collect();
        let problem = format!("no closing line; the last ones: {}", last.join(" | "));
        report.problems.push(problem);
        return report;
    };
    let value = |name: &str| {
        let mut words = closing.split(' ');
        let found = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_default().to_owned()
    };
    report.release = value("release");
    let counts = [
        ("ok", report.ok),
        ("failed", report.failed),
        ("skipped", report.skipped.len()),
    ];
    for (name, count) in counts {
        if value(name) != count.to_string() {
            let problem = format!("{count} {name}, but the closing line says {closing}");
            report.problems.push(problem);
        }
    }
    // A row that is a control can skip every test of one program.
    if ok.is_empty() && (program.is_none() || report.skipped.is_empty()) {
        report.problems.push("no test was run".to_owned());
    }
    if !report.release.starts_with(release) {
        let problem = format!("the kernel is {}, not {release}", report.release);
        report.problems.push(problem);
    }
    if value("page") != row.page.to_string() {
        let problem = format!("pages of {}, not of {}", value("page"), row.page);
        report.problems.push(problem);
    }
    for program in row.also.iter().filter(|program| has(program)) {
        if !ok
            .iter()
            .any(|test| test.split("::").next() == Some(program))
        {
            report
                .problems
                .push(format!("nothing of {program} was run"));
        }
    }
    for test in row
        .runs
        .iter()
        .filter(|test| has(test) && !ok.contains(test))
    {
        let why = report.skipped.get(*test);
        let why = why.map_or("it is not there", String::as_str);
        report.problems.push(format!("{test} did not run: {why}"));
    }
    for test in row.lacks.iter().filter(|test| has(test)) {
        if ok.contains(test) {
            let problem =
                format!("{test} has run, although this machine should not have what it needs");
            report.problems.push(problem);
        } else if !report.skipped.contains_key(*test) {
            let problem = format!("{test} was not skipped: it is not there, or failed");
            report.problems.push(problem);
        }
    }
    report
}

impl Report {
    /// Reasons for skipped tests, each with the number of tests.
    pub(crate) fn reasons(&self) -> Vec<(usize, &str)> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for why in self.skipped.values() {
            // The text is `TEST: REASON`.
            let why = why.split_once(": ").map_or(why.as_str(), |(_, why)| why);
            *counts.entry(why).or_default() += 1;
        }
        let mut reasons: Vec<_> = counts
            .into_iter()
            .map(|(why, count)| (count, why))
            .collect();
        reasons.sort_by(|one, other| other.cmp(one));
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmtest::table::ROWS;

    fn row() -> &'static Row {
        let mut rows = ROWS.iter();
        rows.find(|row| row.name == "amd64-6.12-4level").unwrap()
    }

    const LOG: &str = "[    0.1] something\r\nvmtest: guest release=6.12.1 page=4096\r\n\
        ok a::b\r\nskipped machines::memory_above_the_lower_47_bits_is_reported: high: none\r\n\
        vmtest: closing ok=1 failed=0 skipped=1 release=6.12.1 page=4096\r\n";

    #[test]
    fn a_guest_whose_lines_are_as_they_should_be_holds() {
        let report = judge(LOG, row(), "6.12.", None);
        assert_eq!(report.problems, [""; 0]);
        assert_eq!((report.ok, report.failed), (1, 0));
        assert_eq!(report.reasons(), [(1, "none")]);
        assert!(has_begun(LOG));
    }

    #[test]
    fn whatever_is_missing_or_wrong_is_a_problem() {
        for (this, other) in [
            ("vmtest: closing", "vmtest: clos"),
            ("ok a::b\r\n", ""),
            ("ok a::b", "FAILED a::b"),
            ("skipped machines", "ok machines"),
            ("skipped machines::memory", "skipped machines::memories"),
            (
                "release=6.12.1 page=4096\r\n",
                "release=6.1.1 page=4096\r\n",
            ),
            ("page=4096", "page=16384"),
            ("failed=0", "failed=1"),
        ] {
            let log = LOG.replace(this, other);
            assert_ne!(log, LOG);
            assert!(
                !judge(&log, row(), "6.12.", None).problems.is_empty(),
                "{log}"
            );
        }
    }
}
