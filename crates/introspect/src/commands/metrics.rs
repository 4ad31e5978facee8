//! `introspect metrics`: metrics for Prometheus, once or over HTTP.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, ValueHint};

use crate::control::interruption::Interruption;
use crate::failure::Failure;
use crate::grouping::Property;
use crate::metrics::background::listen;
use crate::metrics::text::Format;
use crate::metrics::{self, Selection, Service};
use crate::options::mounts::MountOptions;
use crate::options::output::OutputFile;
use crate::options::pace::{budget, interval};
use crate::output::destination::Destination;
use crate::output::place::Place;

const EXAMPLES: &str = "\
Examples:
  introspect metrics
  introspect metrics -o /var/lib/prometheus/node-exporter/introspect.prom
  introspect metrics --listen 127.0.0.1:9925
  introspect metrics --listen 127.0.0.1:9925 --budget 5% --by container
  introspect metrics --top 5 --format openmetrics";

pub(crate) const MANUAL: &str = include_str!("manual/metrics.txt");

/// Print metrics for Prometheus, or answer its scrapes
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Answer scrapes there, from walks in the background
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address, value_hint = ValueHint::Other,
        conflicts_with_all = ["output", "format"])]
    listen: Option<SocketAddr>,
    /// Sum processes by unit (default), container, cgroup, command, user
    #[arg(
        long,
        value_name = "GROUP",
        value_enum,
        default_value = "unit",
        hide_default_value = true,
        hide_possible_values = true
    )]
    by: Property,
    /// List the largest N groups, and the sum of the others
    #[arg(long, value_name = "N", default_value = "20",
        value_parser = clap::value_parser!(u16).range(0..=1000))]
    top: u16,
    /// Begin a walk at most this often [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = interval)]
    interval: Option<Duration>,
    /// Let walks use at most this part of one CPU [default: 1%]
    #[arg(long, value_name = "PERCENT", value_parser = budget)]
    budget: Option<u32>,
    /// Give up a process without progress
    #[arg(long, value_name = "TIME", default_value = "5s",
        value_parser = humantime::parse_duration)]
    deadline: Duration,
    /// Format: prometheus (default) or openmetrics
    #[arg(
        long,
        value_enum,
        default_value_t,
        hide_default_value = true,
        hide_possible_values = true
    )]
    format: Format,
    #[command(flatten)]
    mounts: MountOptions,
    #[command(flatten)]
    output: OutputFile,
}

/// Time between the begins of two walks, unless another one is given.
const INTERVAL: Duration = Duration::from_secs(60);

/// Part of one CPU for walks, in thousandths, unless another one is given.
const BUDGET: u32 = 10;

/// Parses an address and a port. Names are not looked up: what is open follows from the command
/// line alone.
fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = "it must be a numeric address and a port, such as 127.0.0.1:9925 or [::1]:9925";
    text.parse().map_err(|_| wrong.to_owned())
}

impl Arguments {
    /// Refuses options that have no effect.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        // A requirement is lost beside an option that excludes --listen.
        let is_paced = self.interval.is_some() || self.budget.is_some();
        if is_paced && self.listen.is_none() {
            let message = "--interval and --budget are for walks in the background: use them with \
                           --listen ADDRESS:PORT";
            let kind = ErrorKind::MissingRequiredArgument;
            return Err(clap::Error::raw(kind, message));
        }
        Ok(())
    }

    /// Runs the subcommand.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let selection = Selection {
            mounts: self.mounts.mounts()?,
            by: self.by,
            top: self.top.into(),
            deadline: self.deadline,
        };
        if let Some(address) = self.listen {
            let service = Service {
                address,
                interval: self.interval.unwrap_or(INTERVAL),
                budget: self.budget.unwrap_or(BUDGET),
            };
            return listen(&selection, service);
        }
        let place = Place::of(self.output.output.as_deref(), false);
        let opened = Destination::open(&place);
        let mut out = opened.map_err(|error| place.open(&error))?;
        let interruption = out.interruption();
        let check = move || interruption.as_ref().map_or(Ok(()), Interruption::check);
        let text = metrics::once(&selection, self.format, check)?;
        let written = out.write_all(&text).and_then(|()| out.keep());
        written.map_err(|error| place.write(&error))
    }
}
