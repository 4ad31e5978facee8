//! One run of the benchmark: the selected rows, the number of rounds, the rows so
//! far. Each row is shown as soon as it is complete.

use std::path::{Path, PathBuf};
use testkit::memory::{self, page};

use crate::library::{CLibrary, Record};
use crate::measure;
use crate::report;
use crate::row::{Bound, Outcome, Row};

/// Upper bound of the number of records of a case.
const RECORDS: usize = 300_000;

/// Text of a row beside its figures.
pub(crate) struct Case {
    name: String,
    against: String,
    bound: Bound,
    notes: Vec<String>,
    stale: bool,
    scale: f64,
}

impl Case {
    pub(crate) fn new(name: &str, against: impl Into<String>, bound: Bound) -> Self {
        Self {
            name: name.to_owned(),
            against: against.into(),
            bound,
            notes: Vec::new(),
            stale: false,
            scale: 1.0,
        }
    }

    /// Returns the name, what it is measured against, and the target.
    pub(crate) fn parts(&self) -> (String, String, Bound) {
        (self.name.clone(), self.against.clone(), self.bound)
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// The floor differs from its description.
    pub(crate) fn stale(mut self, stale: bool) -> Self {
        self.stale = stale;
        self
    }

    /// Factor of their time, which is that of a part of the target.
    pub(crate) fn scaled(mut self, scale: u64, what: &str) -> Self {
        self.scale = scale as f64;
        self.note(format!(
            "theirs was measured on {what} and multiplied by {scale}"
        ))
    }
}

pub(crate) struct Session {
    pub(crate) library: CLibrary,
    /// Path of the loaded library.
    pub(crate) library_path: PathBuf,
    /// Path of the command.
    pub(crate) command: PathBuf,
    pub(crate) rounds: usize,
    /// Memory in use in the case of many processes.
    pub(crate) resident_gib: u64,
    /// Buffer for the C library, entirely resident.
    pub(crate) records: Vec<Record>,
    peers: PathBuf,
    only: Option<String>,
    rows: Vec<Row>,
}

impl Session {
    pub(crate) fn new(
        library: CLibrary,
        library_path: PathBuf,
        command: PathBuf,
        peers: PathBuf,
        only: Option<String>,
        rounds: usize,
        resident_gib: u64,
    ) -> Self {
        let mut records = Vec::new();
        records.resize_with(RECORDS, || Record {
            paddr: 1,
            ..Record::default()
        });
        // Targets are children, and have only the memory of their cases.
        let (start, size) = (records.as_ptr() as u64, size_of_val(&records[..]) as u64);
        let first = start.next_multiple_of(page());
        memory::advise(
            first,
            (start + size - first) & !(page() - 1),
            libc::MADV_DONTFORK,
        );
        Self {
            library,
            library_path,
            command,
            rounds,
            resident_gib,
            records,
            peers,
            only,
            rows: Vec::new(),
        }
    }

    /// Directory of the peer programs.
    pub(crate) fn peers(&self) -> &Path {
        &self.peers
    }

    /// Returns whether a row of these names is selected, so that its target is needed.
    pub(crate) fn wants(&self, names: &[&str]) -> bool {
        let Some(only) = &self.only else { return true };
        names.iter().any(|name| name.contains(only.as_str()))
    }

    /// Measures a pair, if it is selected. `ours` gets the library and the
    /// buffer for its records.
    pub(crate) fn pairs(
        &mut self,
        case: Case,
        theirs: impl FnMut(),
        mut ours: impl FnMut(&CLibrary, &mut [Record]),
    ) {
        if self.wants(&[&case.name]) {
            let (library, records) = (&self.library, &mut self.records);
            let pairs = measure::pairs(self.rounds, theirs, || ours(library, records));
            self.add_pairs(case, pairs);
        }
    }

    /// Adds a row of pairs that were measured elsewhere, if it is selected.
    pub(crate) fn add_pairs(&mut self, case: Case, pairs: Vec<(f64, f64)>) {
        let scaled: Vec<_> = pairs
            .into_iter()
            .map(|(theirs, ours)| (theirs * case.scale, ours))
            .collect();
        let outcome = Outcome::of_pairs(case.bound, &scaled);
        self.add(case, outcome);
    }

    /// Adds a row that could not be measured, if it is selected.
    pub(crate) fn absent(&mut self, case: Case, why: impl Into<String>) {
        let outcome = Outcome::Absent(why.into());
        self.add(case, outcome);
    }

    /// Adds a row, if it is selected.
    pub(crate) fn add(&mut self, case: Case, outcome: Outcome) {
        if !self.wants(&[&case.name]) {
            return;
        }
        let row = Row {
            name: case.name,
            against: case.against,
            bound: case.bound,
            outcome,
            notes: case.notes,
            stale: case.stale,
        };
        eprintln!("{}", report::line(&row));
        self.rows.push(row);
    }

    pub(crate) fn into_rows(self) -> Vec<Row> {
        self.rows
    }
}
