//! Joiner of runs that were cut between two pieces of a walk. Pure.

use std::ops::ControlFlow;

use process_introspection_core::physical::Run;

/// Joiner, which takes the runs of pieces in order and keeps the last run of each piece
/// until the next piece shows whether it continues.
#[derive(Debug)]
pub(super) struct Joiner {
    /// The last run of a VMA that is not complete.
    open: Option<Run>,
}

impl Joiner {
    pub(super) fn new() -> Self {
        Self { open: None }
    }

    /// Returns the start of the run that may continue; `None` if there is none.
    pub(super) fn open_from(&self) -> Option<u64> {
        self.open.as_ref().map(|run| run.start)
    }

    /// Takes the next runs, in order. They must be in the same VMA as the runs before,
    /// unless that VMA was `complete`.
    pub(super) fn join(
        &mut self,
        runs: impl IntoIterator<Item = Run>,
        complete: bool,
        give: &mut impl FnMut(&Run) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut runs = runs.into_iter();
        let Some(mut last) = self.open.take().or_else(|| runs.next()) else {
            return ControlFlow::Continue(());
        };
        let mut first = true;
        for run in runs {
            // Within a piece runs are joined already; without an open run, one attempt
            // in vain does no harm.
            let one = std::mem::take(&mut first)
                && last.end == run.start
                && last.continues_with(&run.state);
            if one {
                last.end = run.end;
            } else {
                give(&std::mem::replace(&mut last, run))?;
            }
        }
        if complete {
            return give(&last);
        }
        self.open = Some(last);
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use process_introspection_core::backing::Backing;
    use process_introspection_core::physical::PageState;
    use process_introspection_core::PhysAddr;

    fn run(start: u64, end: u64, backing: Backing) -> Run {
        let anonymous = true;
        let state = PageState { backing, anonymous };
        Run { start, end, state }
    }

    fn ram(start: u64, end: u64, address: u64) -> Run {
        run(start, end, Backing::Ram(PhysAddr::new(address)))
    }

    fn nothing(start: u64, end: u64) -> Run {
        run(start, end, Backing::NotPresent)
    }

    fn joined(pieces: &[(&[Run], bool)]) -> Vec<Run> {
        let mut joiner = Joiner::new();
        let mut given = Vec::new();
        for (runs, complete) in pieces {
            let flow = joiner.join(runs.iter().copied(), *complete, &mut |run| {
                given.push(*run);
                ControlFlow::Continue(())
            });
            assert!(flow.is_continue());
        }
        given
    }

    #[test]
    fn runs_that_go_on_behind_a_border_are_one() {
        let given = joined(&[
            (&[ram(0, 2, 50), ram(2, 4, 90)], false),
            (&[ram(4, 6, 92)], false),
            (&[ram(6, 8, 94), nothing(8, 9)], false),
            (&[nothing(9, 12)], true),
        ]);
        assert_eq!(given, [ram(0, 2, 50), ram(2, 8, 90), nothing(8, 12)]);
    }

    #[test]
    fn runs_that_do_not_go_on_stay_apart() {
        let given = joined(&[
            (&[ram(0, 2, 50)], false),
            (&[ram(2, 4, 60)], false),
            (&[nothing(4, 5)], false),
            (&[ram(5, 6, 63)], true),
        ]);
        let expected = [ram(0, 2, 50), ram(2, 4, 60), nothing(4, 5), ram(5, 6, 63)];
        assert_eq!(given, expected);
    }

    #[test]
    fn no_run_crosses_the_end_of_an_area() {
        let given = joined(&[(&[ram(0, 2, 50)], true), (&[ram(2, 4, 52)], true)]);
        assert_eq!(given, [ram(0, 2, 50), ram(2, 4, 52)]);
    }

    #[test]
    fn nothing_is_given_before_it_is_known_to_be_whole() {
        let given = joined(&[(&[ram(0, 2, 50), ram(2, 4, 60)], false), (&[], false)]);
        assert_eq!(given, [ram(0, 2, 50)]);
    }

    #[test]
    fn whoever_has_enough_gets_no_more() {
        let mut joiner = Joiner::new();
        let mut count = 0;
        let runs = [ram(0, 1, 5), ram(1, 2, 9), ram(2, 3, 20)];
        let flow = joiner.join(runs, true, &mut |_| {
            count += 1;
            ControlFlow::Break(())
        });
        assert_eq!((flow, count), (ControlFlow::Break(()), 1));
    }
}
