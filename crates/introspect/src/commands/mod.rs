//! What the command line can say.

mod beyond;
pub(crate) mod completions;
mod conditions;
mod details;
#[cfg(test)]
mod effects;
pub(crate) mod frame;
mod help;
pub(crate) mod man;
pub(crate) mod owner;
pub(crate) mod physical;
pub(crate) mod read;
pub(crate) mod summary;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, PossibleValue, TypedValueParser, ValueParserFactory};
use clap::error::ErrorKind;
use clap::{value_parser, Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use process_introspection::Process;
use process_introspection_export::Format;

use crate::commands::owner::OwnerArguments;
use crate::control::launch::Launch;
use crate::failure::Failure;
use crate::options::mounts::MountOptions;
use crate::options::pid::TargetText;
use crate::options::range::{Address, PhysicalText, RangeText, Size};
use crate::options::selection::Selection;

/// Which physical memory is behind a range of a process's addresses
#[derive(Debug, Parser)]
#[command(name = "introspect", version, after_help = help::COMMAND)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How long a process may keep a pass over all processes waiting.
pub(crate) const DEADLINE: &str = "5s";

/// What is asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the physical memory behind a process's addresses
    #[command(after_help = help::PHYSICAL, override_usage = help::PHYSICAL_USAGE)]
    Physical(Physical),
    /// Tells what a process's memory is made of, on one screen
    #[command(after_help = help::SUMMARY, override_usage = help::SUMMARY_USAGE)]
    Summary(Summary),
    /// Lists byte-exact physical extents, and checks that all is RAM
    #[command(after_help = help::EXTENTS)]
    Extents(Extents),
    /// Lists mappings, or what of them is in memory
    #[command(after_help = help::VIRTUAL)]
    Virtual(Virtual),
    /// Lists the leaf entries of the page table
    #[command(after_help = help::PAGETABLE)]
    Pagetable(Pagetable),
    /// Tells the file or other object that is mapped at an address
    #[command(after_help = help::OBJECT)]
    Object(Object),
    /// Tells what is at physical addresses of this machine
    #[command(after_help = help::ADDRESS)]
    Address(PhysicalAddresses),
    /// Tells which processes map physical memory, and what its pages are
    #[command(after_help = help::OWNER, override_usage = help::OWNER_USAGE)]
    Owner(OwnerArguments),
    /// Writes a process's own bytes
    #[command(after_help = help::READ)]
    Read(Read),
    /// Prints completions for a shell
    Completions(Completions),
    /// Writes the man pages into a directory
    #[command(hide = true)]
    Man(Man),
}

impl Command {
    /// Refuses options that would have no effect and that no rule of a single
    /// argument can refuse.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        match self {
            Self::Physical(physical) => {
                physical.check_fold()?;
                physical.launch.check(&physical.freeze, &physical.mounts)
            }
            Self::Summary(Summary {
                freeze,
                launch,
                mounts,
                ..
            }) => launch.check(freeze, mounts),
            _ => Ok(()),
        }
    }

    /// The process that is asked about, if any is.
    pub(crate) fn target(&self) -> Option<&TargetText> {
        match self {
            Self::Physical(Physical { pid, launch, .. }) => {
                pid.as_ref().filter(|_| !launch.is_asked_for())
            }
            Self::Summary(Summary { pids, .. }) => match &pids[..] {
                [one] => Some(one),
                _ => None,
            },
            Self::Extents(Extents { target, .. })
            | Self::Virtual(Virtual { target, .. })
            | Self::Pagetable(Pagetable { target, .. })
            | Self::Object(Object { target, .. })
            | Self::Read(Read { target, .. }) => Some(&target.pid),
            Self::Address(_) | Self::Owner(_) | Self::Completions(_) | Self::Man(_) => None,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct TargetArgument {
    /// The process: PID, unique PID, `self`, or an exact name
    #[arg(value_name = "PID", value_hint = ValueHint::Other)]
    pub(crate) pid: TargetText,
    #[command(flatten)]
    pub(crate) mounts: MountOptions,
}

impl TargetArgument {
    /// Opens the process.
    pub(crate) fn open(&self) -> Result<Process, Failure> {
        self.pid.open(&self.mounts.mounts()?)
    }
}

#[derive(Debug, Args)]
pub(crate) struct FreezeOption {
    /// Stops the process for the walk, and sets it going again
    #[arg(long)]
    pub(crate) freeze: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OptionalRange {
    /// START-END, START+SIZE, or one address: its page [default: everything]
    #[arg(value_name = "RANGE")]
    range: Option<RangeText>,
    /// Only mappings with NAME in their name, such as `[heap]` or `libc.so`
    #[arg(long, value_name = "NAME", value_parser = non_empty(), value_hint = ValueHint::Other)]
    mapping: Option<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct RequiredRange {
    /// START-END, START+SIZE, or one address: its page
    #[arg(value_name = "RANGE", required_unless_present = "mapping")]
    range: Option<RangeText>,
    /// Mappings with NAME in their name, such as `[heap]` or `libc.so`
    #[arg(long, value_name = "NAME", value_parser = non_empty(), value_hint = ValueHint::Other)]
    mapping: Option<OsString>,
}

fn non_empty() -> impl TypedValueParser<Value = OsString> {
    OsStringValueParser::new().try_map(|name| {
        if name.is_empty() {
            Err("a name has at least one byte")
        } else {
            Ok(name)
        }
    })
}

impl OptionalRange {
    pub(crate) fn selection(&self) -> Selection<'_> {
        Selection {
            range: self.range,
            mapping: self.mapping.as_deref(),
        }
    }
}

impl RequiredRange {
    pub(crate) fn selection(&self) -> Selection<'_> {
        Selection {
            range: self.range,
            mapping: self.mapping.as_deref(),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct OutputOptions {
    /// The form of the output
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: FormatArgument,
    /// Writes to FILE, which is replaced only by a complete output
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Physical {
    /// The process: PID, unique PID, `self`, or an exact name
    #[arg(value_name = "PID", required_unless_present = "command")]
    pub(crate) pid: Option<TargetText>,
    #[command(flatten)]
    pub(crate) range: OptionalRange,
    #[command(flatten)]
    pub(crate) freeze: FreezeOption,
    /// Leaves out what is not backed by memory
    #[arg(long)]
    pub(crate) backed: bool,
    /// Joins records of the zero page, and absent ones, in the table [default without RANGE and
    /// --mapping]
    #[arg(long, conflicts_with_all = ["no_fold", "details"])]
    pub(crate) fold: bool,
    /// Lists every record in the table
    #[arg(long)]
    pub(crate) no_fold: bool,
    /// Reads the kernel's flags of mappings first, which tell for certain what the page map leaves
    /// out; holds the target's memory lock for long
    #[arg(long)]
    pub(crate) vm_flags: bool,
    /// Tells threads' stacks by where their stack pointers stand
    #[arg(long)]
    pub(crate) thread_stacks: bool,
    /// Walks with up to N threads, at most 64; 0 means as many as help
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u8).range(..=64))]
    pub(crate) threads: u8,
    /// Adds facts of the pages: flags of entries and frames, numbers of mappings
    #[arg(long)]
    pub(crate) details: bool,
    #[command(flatten)]
    pub(crate) mounts: MountOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
    #[command(flatten)]
    pub(crate) launch: Launch,
}

impl Physical {
    /// Whether records are joined in rows.
    pub(crate) fn folds(&self, selection: &Selection<'_>) -> bool {
        let is_whole = selection.range.is_none() && selection.mapping.is_none();
        let is_table = self.output.format.0 == Format::Table;
        is_table && (self.fold || is_whole && !self.no_fold && !self.details)
    }

    fn check_fold(&self) -> Result<(), clap::Error> {
        match self.fold && self.output.format.0 != Format::Table {
            false => Ok(()),
            true => Err(Arguments::command().error(
                ErrorKind::ArgumentConflict,
                "--fold is for tables: other formats have every record",
            )),
        }
    }

    /// What is selected. With COMMAND there is no PID, and what stands in its
    /// place is RANGE.
    pub(crate) fn selection(&self) -> Result<Selection<'_>, clap::Error> {
        let selection = self.range.selection();
        let Some(text) = self.pid.as_ref().filter(|_| self.launch.is_asked_for()) else {
            return Ok(selection);
        };
        let wrong =
            |message: String| Arguments::command().error(ErrorKind::ValueValidation, message);
        // A number alone is rather a PID than an address.
        let is_range = matches!(text, TargetText::Named(_)) && selection.range.is_none();
        if !is_range {
            return Err(wrong(format!(
                "both the process {text} and COMMAND are given"
            )));
        }
        let range = text.to_string().parse::<RangeText>();
        let range = range.map_err(|error| {
            wrong(format!(
                "before -- COMMAND there can be RANGE, which {text} is not: {error}"
            ))
        })?;
        Ok(Selection {
            range: Some(range),
            ..selection
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct Summary {
    /// The processes: PID, unique PID, `self`, or an exact name
    #[arg(value_name = "PID", required_unless_present_any = ["all", "command"],
        conflicts_with_all = ["all", "command", "at", "after", "on"])]
    pub(crate) pids: Vec<TargetText>,
    /// Every process, one line each, by PSS
    #[arg(long, conflicts_with_all = ["command", "by", "mapping", "freeze", "at", "after", "on"])]
    pub(crate) all: bool,
    /// With --all, leaves out a process that does not answer for so long
    #[arg(long, value_name = "TIME", conflicts_with_all = ["pids", "command"], default_value = DEADLINE,
        value_parser = humantime::parse_duration)]
    pub(crate) deadline: Duration,
    /// Lists what each mapping is made of, by PSS
    #[arg(long, value_name = "WHAT")]
    pub(crate) by: Option<By>,
    /// Reads what was advised about huge pages (smaps), even if that holds the target's memory lock
    /// for long
    #[arg(long, conflicts_with_all = ["all", "by"])]
    pub(crate) vm_flags: bool,
    /// Only mappings with NAME in their name, such as `[heap]` or `libc.so`
    #[arg(long, value_name = "NAME", value_parser = non_empty(), value_hint = ValueHint::Other)]
    pub(crate) mapping: Option<OsString>,
    #[command(flatten)]
    pub(crate) freeze: FreezeOption,
    #[command(flatten)]
    pub(crate) mounts: MountOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
    #[command(flatten)]
    pub(crate) launch: Launch,
}

impl Summary {
    /// What is selected of a process.
    pub(crate) fn selection(&self) -> Selection<'_> {
        Selection {
            range: None,
            mapping: self.mapping.as_deref(),
        }
    }
}

/// What a line is of.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    Mapping,
}

#[derive(Debug, Args)]
pub(crate) struct Extents {
    #[command(flatten)]
    pub(crate) target: TargetArgument,
    #[command(flatten)]
    pub(crate) range: RequiredRange,
    #[command(flatten)]
    pub(crate) freeze: FreezeOption,
    /// Demands that all is one extent
    #[arg(long)]
    pub(crate) contiguous: bool,
    /// Demands that the physical address of each extent is a multiple of SIZE, and the length of
    /// each but the last
    #[arg(long, value_name = "SIZE")]
    pub(crate) align: Option<Size>,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Virtual {
    #[command(flatten)]
    pub(crate) target: TargetArgument,
    #[command(flatten)]
    pub(crate) range: OptionalRange,
    #[command(flatten)]
    pub(crate) freeze: FreezeOption,
    /// Lists what is in memory and what is not, without addresses
    #[arg(long)]
    pub(crate) resident: bool,
    /// Tells threads' stacks by where their stack pointers stand
    #[arg(long, conflicts_with_all = ["resident", "backed"])]
    pub(crate) thread_stacks: bool,
    /// With --resident, leaves out what is not in memory
    #[arg(long, requires = "resident")]
    pub(crate) backed: bool,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Pagetable {
    #[command(flatten)]
    pub(crate) target: TargetArgument,
    #[command(flatten)]
    pub(crate) range: RequiredRange,
    #[command(flatten)]
    pub(crate) freeze: FreezeOption,
    /// Leaves out what is not backed by memory
    #[arg(long)]
    pub(crate) backed: bool,
    /// Adds facts of the pages: flags of entries and frames, numbers of mappings
    #[arg(long)]
    pub(crate) details: bool,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Object {
    #[command(flatten)]
    pub(crate) target: TargetArgument,
    /// An address, in hexadecimal
    #[arg(value_name = "ADDR")]
    pub(crate) address: Address,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

#[derive(Debug, Args)]
pub(crate) struct PhysicalAddresses {
    /// Physical addresses in hexadecimal, or pfn:N, a page frame in decimal or with 0x
    #[arg(value_name = "PADDR", required = true)]
    pub(crate) addresses: Vec<PhysicalText>,
    #[command(flatten)]
    pub(crate) mounts: MountOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Read {
    #[command(flatten)]
    pub(crate) target: TargetArgument,
    #[command(flatten)]
    pub(crate) range: RequiredRange,
    #[command(flatten)]
    pub(crate) freeze: FreezeOption,
    /// Writes a hex dump [default on a terminal]
    #[arg(long, conflicts_with = "raw")]
    pub(crate) hex: bool,
    /// Writes the bytes as they are [default elsewhere]
    #[arg(long)]
    pub(crate) raw: bool,
    /// Writes to FILE, which is replaced only by a complete output
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The directory, which is made if need be
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

/// Any bytes: a process can have any name.
impl ValueParserFactory for TargetText {
    type Parser = clap::builder::MapValueParser<OsStringValueParser, fn(OsString) -> Self>;

    fn value_parser() -> Self::Parser {
        OsStringValueParser::new().map(Self::from as fn(OsString) -> Self)
    }
}

/// A form of the output.
#[derive(Copy, Clone, Debug)]
pub(crate) struct FormatArgument(pub(crate) Format);

impl ValueEnum for FormatArgument {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [FormatArgument; 4] = {
            let [a, b, c, d] = Format::ALL;
            [
                FormatArgument(a),
                FormatArgument(b),
                FormatArgument(c),
                FormatArgument(d),
            ]
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_subcommand_that_is_seen_has_examples() {
        for command in Arguments::command().get_subcommands() {
            let name = command.get_name();
            if matches!(name, "completions" | "man" | "help") {
                continue;
            }
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let example = format!("\nExamples:\n  introspect {name} ");
            assert!(help.contains(&example), "{name}");
        }
    }

    #[test]
    fn every_example_in_the_help_is_right_usage() {
        let mut command = Arguments::command();
        let mut texts = vec![help::COMMAND];
        texts.extend([help::PHYSICAL, help::EXTENTS, help::VIRTUAL]);
        texts.extend([help::PAGETABLE, help::OBJECT, help::READ]);
        texts.extend([help::ADDRESS, help::SUMMARY, help::OWNER]);
        let lines = texts.iter().flat_map(|text| text.lines());
        let mut count = 0;
        for line in lines.filter_map(|line| line.strip_prefix("  introspect ")) {
            let line = line.split(" | ").next().unwrap_or_default();
            let words = line.split(' ').map(|word| word.trim_matches('\''));
            let parsed =
                command.try_get_matches_from_mut(std::iter::once("introspect").chain(words));
            assert!(parsed.is_ok(), "{line}: {parsed:?}");
            count += 1;
        }
        assert!(count > 20, "{count}");
    }
}
