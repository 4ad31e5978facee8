//! `-- COMMAND` and the moments at which the program is walked.

use std::ffi::OsString;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, ValueEnum};
use signal_hook::consts::{SIGUSR1, SIGUSR2};

use crate::options::freeze::FreezeOption;
use crate::options::mounts::MountOptions;

#[derive(Debug, Args)]
pub(crate) struct LaunchOptions {
    /// Walk COMMAND at its exit (default)
    #[arg(long, requires = "command", conflicts_with_all = ["after", "on"])]
    at_exit: bool,
    /// Walk COMMAND this time after its start (2s, 500ms)
    #[arg(long, value_name = "TIME", requires = "command", conflicts_with = "on",
        value_parser = humantime::parse_duration)]
    pub(crate) after: Option<Duration>,
    /// Walk COMMAND at each USR1 or USR2 sent to introspect
    #[arg(
        long,
        value_name = "SIGNAL",
        requires = "command",
        ignore_case = true,
        hide_possible_values = true
    )]
    pub(crate) on: Option<Signal>,
    /// Program to start and walk, with its arguments
    #[arg(value_name = "COMMAND", last = true)]
    pub(crate) command: Vec<OsString>,
}

/// Signals that no other part of the command uses.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Signal {
    #[value(name = "USR1", alias = "SIGUSR1")]
    User1,
    #[value(name = "USR2", alias = "SIGUSR2")]
    User2,
}

impl Signal {
    /// Returns the number of the signal.
    pub(crate) fn number(self) -> i32 {
        match self {
            Self::User1 => SIGUSR1,
            Self::User2 => SIGUSR2,
        }
    }
}

impl LaunchOptions {
    /// Returns whether there is a program to start.
    pub(crate) fn is_present(&self) -> bool {
        !self.command.is_empty()
    }

    /// Returns whether the program is walked at its exit.
    pub(crate) fn is_at_exit(&self) -> bool {
        self.is_present() && self.after.is_none() && self.on.is_none()
    }

    /// Refuses options that have no effect on a started program.
    pub(crate) fn check(
        &self,
        freeze: &FreezeOption,
        mounts: &MountOptions,
    ) -> Result<(), clap::Error> {
        let message = if self.is_present() && mounts.is_present() {
            "--procfs and --sysfs have no effect on COMMAND, which is a process of this /proc"
        } else if self.is_at_exit() && freeze.freeze {
            "--freeze has no effect at the exit of COMMAND, where it is stopped anyway: \
             use it with --after or --on"
        } else {
            return Ok(());
        };
        Err(clap::Error::raw(ErrorKind::ArgumentConflict, message))
    }
}
