//! Which row is next: the first whose kernel is there and whose programs are
//! built, while the others' are still being fetched and built. One at a time
//! until all are built: what is built last is run last, and should not be run
//! alone. Runs nothing itself.

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
    /// How many architectures are still to be built for.
    to_build: usize,
    /// How many rows are running.
    running: usize,
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
                to_build: arches(rows).len(),
                running: 0,
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
        let mut state = self.state();
        state.programs.insert(arch, programs);
        state.to_build = state.to_build.saturating_sub(1);
        drop(state);
        self.changed.notify_all();
    }

    /// Why some programs could not be built.
    pub(super) fn not_built(&self) -> Vec<String> {
        let state = self.state();
        let programs = state.programs.values();
        programs.filter_map(|it| it.clone().err()).collect()
    }

    /// A row that [`Self::next`] gave has been run.
    pub(super) fn done(&self) {
        self.state().running -= 1;
        self.changed.notify_all();
    }

    /// The next row, as soon as there is one; `None` when none is left.
    pub(super) fn next(&self) -> Option<Ready> {
        let mut state = self.state();
        loop {
            if state.waiting.is_empty() {
                return None;
            }
            if let Some(ready) = state.start() {
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
    /// The next row, which runs from now on; `None` if none can be run yet.
    fn start(&mut self) -> Option<Ready> {
        let may_start = self.to_build == 0 || self.running == 0;
        let mut places = 0..if may_start { self.waiting.len() } else { 0 };
        let (at, ready) = places.find_map(|at| self.ready(at))?;
        self.waiting.remove(at);
        self.running += 1;
        Some(ready)
    }

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

/// What is to be built for, first what most rows need.
pub(super) fn arches(rows: &[&Row]) -> Vec<Arch> {
    let needed: Vec<Arch> = (rows.iter())
        .flat_map(|row| [row.programs, row.kernel.arch])
        .collect();
    let mut arches = needed.clone();
    arches.sort_unstable();
    arches.dedup();
    arches.sort_by_key(|arch| std::cmp::Reverse(needed.iter().filter(|one| *one == arch).count()));
    arches
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
    fn one_row_is_run_at_a_time_while_anything_is_built() {
        let [old, plain, arm] = ["amd64-6.1", "amd64-6.12", "arm64-4k"].map(row);
        let schedule = Schedule::new(&[old, plain, arm]);
        let next = || schedule.next().map(|ready| ready.row.name);
        for row in [old, plain, arm] {
            schedule.kernel(row.kernel.packages, nothing());
        }
        schedule.programs(Arch::Amd64, nothing());
        assert_eq!(next(), Some(old.name));
        assert!(schedule.state().start().is_none());
        std::thread::scope(|scope| {
            let waits = scope.spawn(next);
            schedule.done();
            assert_eq!(waits.join().unwrap(), Some(plain.name));
            assert!(schedule.state().start().is_none());
            let waits = scope.spawn(next);
            schedule.programs(Arch::Arm64, nothing());
            assert_eq!(waits.join().unwrap(), Some(arm.name));
        });
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
