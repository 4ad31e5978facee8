//! Arguments of a subcommand that lists the memory of one process, of several or of all.
//! Knows no subcommand.

use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, ValueHint};

use crate::options::freeze::{FreezeOption, FOR_ONE_PROCESS};
use crate::options::mounts::MountOptions;
use crate::options::pid::{TargetList, TargetText};
use crate::options::range::RangeText;
use crate::options::selection::{RangeArgument, Selection};

/// Time without progress after which a process is given up, unless another one is given.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// Error of a picture of several processes.
pub(crate) const PICTURE_OF_ONE: &str =
    "--format svg shows the addresses of one process: give one PID; introspect summary and \
     introspect machine have pictures of several and of all";

/// Returns the text of the process that is named, if only one is.
pub(crate) fn only(texts: &[TargetText]) -> Option<&TargetText> {
    match texts {
        [one] => Some(one),
        _ => None,
    }
}

// A subcommand with other processes than these says so by `mut_arg`.
#[derive(Debug, Args)]
pub(crate) struct ProcessesArguments {
    /// Process: PID (or PID,PID...), unique PID, `self`, or exact name
    #[arg(value_name = "PID", required_unless_present = "all", value_hint = ValueHint::Other)]
    pids: Option<TargetList>,
    #[command(flatten)]
    range: RangeArgument,
    /// List every process
    #[arg(long, conflicts_with = "freeze")]
    all: bool,
    /// Give up a process without progress [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    deadline: Option<Duration>,
    #[command(flatten)]
    pub(crate) freeze: FreezeOption,
    #[command(flatten)]
    pub(crate) mounts: MountOptions,
}

impl ProcessesArguments {
    /// Returns whether all processes are listed.
    pub(crate) fn is_all(&self) -> bool {
        self.all
    }

    /// Returns the processes that are named; none with `--all`.
    pub(crate) fn targets(&self) -> &[TargetText] {
        match &self.pids {
            Some(TargetList(texts)) if !self.all => texts,
            _ => &[],
        }
    }

    /// Returns the process that is named, if one is.
    pub(crate) fn target(&self) -> Option<&TargetText> {
        only(self.targets())
    }

    /// Returns how long a process may keep the others waiting.
    pub(crate) fn deadline(&self) -> Duration {
        self.deadline.unwrap_or(DEADLINE)
    }

    /// Refuses options that have no effect.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        let message = match self.targets() {
            [_, _, ..] if self.freeze.freeze => FOR_ONE_PROCESS,
            [TargetText::This | TargetText::Number(_) | TargetText::TooLarge(_)]
                if self.deadline.is_some() =>
            {
                "--deadline is for several processes"
            }
            _ if self.all => return self.selection().map(drop),
            _ => return Ok(()),
        };
        Err(clap::Error::raw(ErrorKind::ArgumentConflict, message))
    }

    /// Refuses several processes for a picture, which has the addresses of one.
    pub(crate) fn check_picture(&self, is_picture: bool) -> Result<(), clap::Error> {
        match is_picture && (self.all || self.targets().len() > 1) {
            true => Err(clap::Error::raw(
                ErrorKind::ArgumentConflict,
                PICTURE_OF_ONE,
            )),
            false => Ok(()),
        }
    }

    /// Returns the selected addresses of each process. With `--all` there is no PID, and the
    /// argument in its place is RANGE.
    pub(crate) fn selection(&self) -> Result<Selection<'_>, clap::Error> {
        match self.all {
            true => self.selection_without_pid("--all", "with --all"),
            false => Ok(self.range.selection()),
        }
    }

    /// Returns the selected addresses if `others`, not PID, says which processes are listed.
    pub(crate) fn selection_without_pid(
        &self,
        others: &str,
        place: &str,
    ) -> Result<Selection<'_>, clap::Error> {
        let selection = self.range.selection();
        let Some(list) = &self.pids else {
            return Ok(selection);
        };
        let wrong = |message: String| clap::Error::raw(ErrorKind::ValueValidation, message);
        // A number alone is a PID rather than an address.
        let is_range = matches!(&list.0[..], [TargetText::Named(_)]) && selection.range.is_none();
        if !is_range {
            return Err(wrong(format!(
                "both the process {list} and {others} are given"
            )));
        }
        let range = list.to_string().parse::<RangeText>();
        let range = range.map_err(|error| {
            wrong(format!(
                "{place} there can be RANGE, which {list} is not: {error}"
            ))
        })?;
        Ok(Selection {
            range: Some(range),
            ..selection
        })
    }
}
