//! The command line: one module a subcommand, with its arguments and what it does. A
//! subcommand must not know another one.

mod address_check;
mod cached_files;
mod comparison;
mod completions;
mod details;
mod diff;
mod extents;
mod files;
mod frame;
mod machine;
mod man;
mod mappings;
mod metrics;
mod object;
mod one_source;
mod owner;
mod pagetable;
mod physical;
mod prune;
mod read;
mod report;
mod resident;
mod selected;
mod several;
mod snapshot;
mod snapshots;
mod sources;
mod summaries;
mod summary;
mod top;
mod unread;

#[cfg(test)]
mod effects;

use clap::{CommandFactory, Parser, Subcommand};

use crate::failure::Failure;
use crate::options::pid::TargetText;
use crate::options::stats::StatsOption;

const EXAMPLES: &str = "\
Examples:
  introspect physical 1234
  introspect summary sshd
  introspect extents 1234 7f0000000000+2M --contiguous --align 2M
  introspect owner 11c183000
  introspect machine

The manual pages describe PID, RANGE, privileges and exit statuses: introspect(1).";

const MANUAL: &str = include_str!("manual/introspect.txt");

/// Show which physical memory is behind a range of a process's addresses
#[derive(Debug, Parser)]
#[command(name = "introspect", version, after_help = EXAMPLES)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Physical(physical::Arguments),
    Summary(summary::Arguments),
    Extents(extents::Arguments),
    Virtual(mappings::Arguments),
    Resident(resident::Arguments),
    Pagetable(pagetable::Arguments),
    Object(object::Arguments),
    Frame(frame::Arguments),
    Owner(owner::Arguments),
    Machine(machine::Arguments),
    Top(top::Arguments),
    Metrics(metrics::Arguments),
    Files(files::Arguments),
    Report(report::Arguments),
    Read(read::Arguments),
    Snapshot(snapshot::Arguments),
    Snapshots(snapshots::Arguments),
    Diff(diff::Arguments),
    Prune(prune::Arguments),
    Completions(completions::Arguments),
    #[command(hide = true)]
    Man(man::Arguments),
}

impl Command {
    /// Refuses options without effect that clap cannot refuse.
    fn check(&self) -> Result<(), clap::Error> {
        match self {
            Self::Physical(physical) => physical.check(),
            Self::Summary(summary) => summary.check(),
            Self::Extents(extents) => extents.check(),
            Self::Virtual(mappings) => mappings.check(),
            Self::Resident(resident) => resident.check(),
            Self::Snapshots(snapshots) => snapshots.check(),
            Self::Owner(owner) => owner.check(),
            Self::Files(files) => files.check(),
            Self::Diff(diff) => diff.check(),
            Self::Machine(machine) => machine.check(),
            Self::Snapshot(snapshot) => snapshot.check(),
            Self::Frame(frame) => frame.check(),
            Self::Report(report) => report.check(),
            Self::Metrics(metrics) => metrics.check(),
            _ => Ok(()),
        }
    }

    /// Returns the process that the command line names, if it names one.
    pub(crate) fn target(&self) -> Option<&TargetText> {
        match self {
            Self::Physical(physical) => physical.target(),
            Self::Summary(summary) => summary.target(),
            Self::Extents(extents) => Some(&extents.process.target.pid),
            Self::Virtual(mappings) => mappings.target(),
            Self::Resident(resident) => resident.target(),
            Self::Pagetable(pagetable) => Some(&pagetable.process.target.pid),
            Self::Object(object) => Some(&object.target.pid),
            Self::Read(read) => Some(&read.process.target.pid),
            Self::Snapshot(snapshot) => snapshot.target(),
            Self::Top(top) => top.target(),
            Self::Report(report) => report.target(),
            Self::Frame(_)
            | Self::Machine(_)
            | Self::Metrics(_)
            | Self::Snapshots(_)
            | Self::Diff(_)
            | Self::Prune(_)
            | Self::Owner(_)
            | Self::Files(_)
            | Self::Completions(_)
            | Self::Man(_) => None,
        }
    }

    /// Returns the option to print for how long locks were held.
    fn stats(&self) -> Option<&StatsOption> {
        Some(match self {
            Self::Physical(physical) => &physical.stats,
            Self::Summary(summary) => &summary.stats,
            Self::Extents(extents) => &extents.stats,
            Self::Virtual(mappings) => &mappings.stats,
            Self::Resident(resident) => &resident.stats,
            Self::Pagetable(pagetable) => &pagetable.stats,
            Self::Owner(owner) => &owner.stats,
            Self::Snapshot(snapshot) => &snapshot.stats,
            Self::Report(report) => &report.stats,
            Self::Diff(diff) => &diff.stats,
            _ => return None,
        })
    }

    /// Runs the subcommand and returns the exit status.
    pub(crate) fn run(&self) -> Result<u8, Failure> {
        self.check()?;
        match self.stats() {
            Some(stats) => stats.print(|| self.run_checked()),
            None => self.run_checked(),
        }
    }

    fn run_checked(&self) -> Result<u8, Failure> {
        match self {
            Self::Physical(physical) => return physical.run(),
            Self::Summary(summary) => return summary.run(),
            Self::Diff(diff) => return diff.run(),
            Self::Extents(extents) => extents.run(),
            Self::Virtual(mappings) => mappings.run(),
            Self::Resident(resident) => resident.run(),
            Self::Pagetable(pagetable) => pagetable.run(),
            Self::Object(object) => object.run(),
            Self::Frame(frame) => frame.run(),
            Self::Owner(owner) => owner.run(),
            Self::Machine(machine) => machine.run(),
            Self::Top(top) => top.run(),
            Self::Metrics(metrics) => metrics.run(),
            Self::Files(files) => files.run(),
            Self::Report(report) => report.run(),
            Self::Read(read) => read.run(),
            Self::Snapshot(snapshot) => snapshot.run(),
            Self::Snapshots(snapshots) => snapshots.run(),
            Self::Prune(prune) => prune.run(),
            Self::Completions(completions) => completions.run(CommandLine::command()),
            Self::Man(man) => man.run(CommandLine::command(), manual),
        }
        .map(|()| 0)
    }
}

/// Returns the text that the manual page of a subcommand has beside its help.
fn manual(subcommand: &str) -> &'static str {
    match subcommand {
        "introspect" => MANUAL,
        "physical" => physical::MANUAL,
        "summary" => summary::MANUAL,
        "extents" => extents::MANUAL,
        "virtual" => mappings::MANUAL,
        "resident" => resident::MANUAL,
        "pagetable" => pagetable::MANUAL,
        "object" => object::MANUAL,
        "frame" => frame::MANUAL,
        "owner" => owner::MANUAL,
        "machine" => machine::MANUAL,
        "top" => top::MANUAL,
        "metrics" => metrics::MANUAL,
        "files" => files::MANUAL,
        "report" => report::MANUAL,
        "read" => read::MANUAL,
        "snapshot" => snapshot::MANUAL,
        "snapshots" => snapshots::MANUAL,
        "diff" => diff::MANUAL,
        "prune" => prune::MANUAL,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        CommandLine::command().debug_assert();
    }

    /// Lines of a text that are examples, as arguments.
    fn examples(text: &str) -> impl Iterator<Item = Vec<&str>> {
        let lines = text.lines().filter_map(|line| line.strip_prefix("  "));
        let calls = lines.filter_map(|line| line.find("introspect ").map(|at| &line[at..]));
        calls.map(|call| {
            let call = call.split(" | ").next().unwrap_or_default();
            call.split(' ')
                .map(|word| word.trim_matches('\''))
                .collect()
        })
    }

    #[test]
    fn every_example_is_valid_usage() {
        let mut command = CommandLine::command();
        command.build();
        let names = command.get_subcommands().map(|it| it.get_name().to_owned());
        let names: Vec<_> = names.chain(["introspect".to_owned()]).collect();
        for name in &names {
            let shown = command.find_subcommand(name).unwrap_or(&command);
            let help = shown.get_after_help().map(ToString::to_string);
            let text = help.unwrap_or_default() + "\n" + manual(name);
            let has_no_manual = ["completions", "man", "help"].contains(&name.as_str());
            assert_eq!(manual(name).is_empty(), has_no_manual, "{name}");
            for example in examples(&text) {
                let parsed = CommandLine::try_parse_from(&example);
                let checked = parsed.and_then(|line| line.command.check());
                assert!(checked.is_ok(), "{example:?}: {checked:?}");
            }
        }
    }
}
