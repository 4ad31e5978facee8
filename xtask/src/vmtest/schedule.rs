//! Which row is next: the first whose kernel is there and whose programs are
//! built, while the others' are still being fetched and built. Runs nothing
//! itself.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::kernels::{Arch, Packages};
use super::packages::Unpacked;
use super::programs::Programs;
use super::table::Row;
use crate::run::Result;

/// What there is so far, and which rows wait for the rest.
pub(super) struct Schedule {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    kernels: BTreeMap<Packages, Result<Unpacked>>,
    programs: BTreeMap<Arch, Result<Programs>>,
    waiting: Vec<&'static Row>,
}

/// A row that can be run.
pub(super) struct Ready {
    pub(super) row: &'static Row,
    pub(super) kernel: Result<Unpacked>,
    /// The tests' programs, and those of the kernel's architecture.
    pub(super) programs: Result<(Programs, Programs)>,
}

impl Schedule {
    pub(super) fn new(rows: &[&'static Row]) -> Self {
        Self {
            state: Mutex::new(State {
                kernels: BTreeMap::new(),
                programs: BTreeMap::new(),
                waiting: rows.to_vec(),
            }),
            changed: Condvar::new(),
        }
    }

    /// All that is locked is whole at any time.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A kernel is there, or cannot be had.
    pub(super) fn kernel(&self, packages: Packages, kernel: Result<Unpacked>) {
        self.state().kernels.insert(packages, kernel);
        self.changed.notify_all();
    }

    /// The programs of an architecture are built, or cannot be.
    pub(super) fn programs(&self, arch: Arch, programs: Result<Programs>) {
        self.state().programs.insert(arch, programs);
        self.changed.notify_all();
    }

    /// The next row, as soon as there is one; `None` when none is left.
    pub(super) fn next(&self) -> Option<Ready> {
        let mut state = self.state();
        loop {
            if state.waiting.is_empty() {
                return None;
            }
            let ready = (0..state.waiting.len()).find_map(|at| state.ready(at));
            if let Some((at, ready)) = ready {
                state.waiting.remove(at);
                return Some(ready);
            }
            state = match self.changed.wait(state) {
                Ok(state) => state,
                Err(poisoned) => poisoned.into_inner(),
            };
        }
    }
}

impl State {
    fn ready(&self, at: usize) -> Option<(usize, Ready)> {
        let row = self.waiting[at];
        let kernel = self.kernels.get(row.kernel.packages)?.clone();
        let tests = self.programs.get(&row.programs)?.clone();
        let first = self.programs.get(&row.kernel.arch)?.clone();
        let programs = tests.and_then(|tests| Ok((tests, first?)));
        let ready = Ready {
            row,
            kernel,
            programs,
        };
        Some((at, ready))
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::ROWS;
    use super::*;

    fn row(name: &str) -> &'static Row {
        ROWS.iter().find(|row| row.name == name).unwrap()
    }

    fn nothing<T>() -> Result<T> {
        Err("not to be had".to_owned())
    }

    #[test]
    fn the_first_row_that_has_what_it_needs_is_next_and_each_comes_once() {
        let [arm, plain, small] = ["arm64-4k", "amd64-6.12", "amd64-6.12-32bit"].map(row);
        let schedule = Schedule::new(&[arm, plain, small]);
        let next = || schedule.next().map(|ready| ready.row.name);
        schedule.kernel(plain.kernel.packages, nothing());
        schedule.programs(Arch::Amd64, nothing());
        assert_eq!(next(), Some(plain.name));
        schedule.programs(Arch::Arm64, nothing());
        std::thread::scope(|scope| {
            let waits = scope.spawn(next);
            schedule.programs(Arch::I386, nothing());
            assert_eq!(waits.join().unwrap(), Some(small.name));
        });
        schedule.kernel(arm.kernel.packages, nothing());
        assert_eq!(next(), Some(arm.name));
        assert_eq!(next(), None);
    }
}
