//! `introspect read`: bytes of a process, raw or as a hex dump.

use std::io::{self, BufWriter, Write};

use clap::Args;
use process_introspection::{AddrRange, Process};

use crate::control::freeze::freeze;
use crate::control::interruption::Interruption;
use crate::failure::Failure;
use crate::options::output::OutputFile;
use crate::options::process::ProcessArguments;
use crate::output::deferred::Output;
use crate::output::destination::Destination;
use crate::output::hex_dump::HexDump;
use crate::output::place::Place;
use crate::output::progress::Progress;
use crate::output::sink::BUFFER;

/// Bytes read at a time.
const CHUNK: u64 = 1 << 20;

const USAGE: &str = "\
introspect read [OPTIONS] <PID> <RANGE>
       introspect read [OPTIONS] <PID> [RANGE] --mapping <NAME>";

const EXAMPLES: &str = "\
Examples:
  introspect read 1234 7ffd1c000000+256
  introspect read 1234 --mapping '[vdso]' -o vdso.so
  introspect read self 400000+64 --hex";

pub(crate) const MANUAL: &str = include_str!("manual/read.txt");

/// Write the bytes of a process's memory
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_help = EXAMPLES,
    mut_arg("range", |range| range.required_unless_present("mapping")))]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) process: ProcessArguments,
    /// Write a hex dump (default on a terminal)
    #[arg(long, conflicts_with = "raw")]
    hex: bool,
    /// Write raw bytes (default elsewhere)
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    file: OutputFile,
}

impl Arguments {
    /// Runs the subcommand.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let process = self.process.target.open()?;
        let freeze = freeze(&self.process.freeze, &process, &self.process.target.pid)?;
        let ranges = self.process.range.selection().ranges(&process)?;
        // A refusal is reported before the output is opened.
        if let Err(error) = process.read_memory(0, &mut []) {
            if !error.is_not_mapped() {
                return Err(error.into());
            }
        }
        let place = Place::of(self.file.output.as_deref(), false);
        let out = Destination::open(&place).map_err(|error| place.open(&error))?;
        let (interruption, is_terminal) = (out.interruption(), out.is_terminal());
        let out = Output::new(out, freeze.is_some());
        let mut out = BufWriter::with_capacity(BUFFER, out);
        let (guard, report) = freeze.map(|freeze| (freeze.guard, freeze.report)).unzip();
        let progress = Progress::new(&ranges, is_terminal && guard.is_none());
        // Dropped first: the process is released before anything is waited for.
        let guard = guard;
        let passed = |range| {
            progress.passed(range);
            interruption.as_ref().map_or(Ok(()), Interruption::check)
        };
        for range in ranges {
            if self.hex || (!self.raw && is_terminal) {
                let mut dump = HexDump::new(&mut out, range.start().as_u64());
                let copied = copy(&process, range, passed, |bytes| {
                    dump.write(bytes).map_err(|error| place.write(&error))
                });
                // Bytes before one that cannot be read are written.
                copied.and(dump.finish().map_err(|error| place.write(&error)))?;
            } else {
                copy(&process, range, passed, |bytes| {
                    out.write_all(bytes).map_err(|error| place.write(&error))
                })?;
            }
        }
        drop((guard, progress, report));
        out.into_inner()
            .map_err(io::IntoInnerError::into_error)
            .and_then(Output::keep)
            .map_err(|error| place.write(&error))
    }
}

fn copy(
    process: &Process,
    range: AddrRange,
    mut passed: impl FnMut(AddrRange) -> Result<(), Failure>,
    mut write: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let page = process.page_size().bytes();
    let (mut at, end) = (range.start().as_u64(), range.end().as_u64());
    // After a failure page by page, to come up to the first that fails.
    let mut step = CHUNK.max(page);
    let mut buffer = Vec::new();
    while at < end {
        let next = (at & !(step - 1)).saturating_add(step).min(end);
        buffer.resize((next - at) as usize, 0);
        match process.read_memory(at, &mut buffer) {
            Ok(()) => {
                write(&buffer)?;
                passed(AddrRange::new(at, next).unwrap_or_default())?;
                at = next;
            }
            Err(error) if error.is_not_mapped() && step > page => step = page,
            Err(error) if error.is_not_mapped() => {
                return Err(Failure::Message(format!(
                    "{error}: nothing can be read from {at:#x} on"
                )));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
