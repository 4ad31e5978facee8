//! `introspect top`: the live view in a terminal.

use std::env;
use std::io::{stdin, stdout, IsTerminal};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, ValueHint};

use crate::failure::Failure;
use crate::grouping::Property;
use crate::options::mounts::MountOptions;
use crate::options::pace::{budget, interval};
use crate::options::pid::TargetText;
use crate::top::{self, Options};

const EXAMPLES: &str = "\
Examples:
  introspect top
  introspect top postgres
  introspect top --by unit
  introspect top --interval 10s --budget 1%
  introspect top --procfs /host/proc --sysfs /host/sys

Keys: ? help, Enter open, Esc back, m machine, g groups, d changes, q quit";

pub(crate) const MANUAL: &str = include_str!("manual/top.txt");

/// Watch processes, their memory and the machine in a terminal
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Process to open: PID, unique PID, `self`, or exact name
    #[arg(value_name = "PID", value_hint = ValueHint::Other)]
    pid: Option<TargetText>,
    /// Show groups: command, cgroup, unit, container, user
    #[arg(long, value_name = "GROUP", value_enum, hide_possible_values = true)]
    by: Option<Property>,
    /// Read nothing again that is younger
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval)]
    interval: Duration,
    /// Use at most this part of one CPU
    #[arg(long, value_name = "PERCENT", default_value = "5%", value_parser = budget)]
    budget: u32,
    #[command(flatten)]
    mounts: MountOptions,
}

impl Arguments {
    /// Returns the process that is named, if one is.
    pub(crate) fn target(&self) -> Option<&TargetText> {
        self.pid.as_ref()
    }

    /// Fails without a terminal that can show the view.
    fn require_terminal() -> Result<(), clap::Error> {
        let why = match env::var("TERM").as_deref() {
            _ if !stdin().is_terminal() || !stdout().is_terminal() => {
                "top needs a terminal for its input and its output"
            }
            Ok("dumb" | "") | Err(_) => "top needs a terminal that can move its cursor (TERM)",
            Ok(_) => return Ok(()),
        };
        let message = format!("{why}: `introspect summary --all` prints the same numbers once");
        Err(clap::Error::raw(ErrorKind::ArgumentConflict, message))
    }

    /// Runs the subcommand.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        Self::require_terminal()?;
        let mounts = self.mounts.mounts()?;
        let process = self.pid.as_ref().map(|pid| pid.open(&mounts)).transpose()?;
        let options = Options {
            mounts,
            interval: self.interval,
            budget: self.budget,
            by: self.by,
        };
        top::run(options, process.as_ref())
    }
}
