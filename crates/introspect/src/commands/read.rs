//! `introspect read`: a process's own bytes, raw or as a hex dump.

use std::io::{self, BufWriter, Write};

use process_introspection::{AddrRange, Process};

use crate::commands::Read;
use crate::control::freeze::Standing;
use crate::failure::Failure;
use crate::output::deferred::Output;
use crate::output::destination::Destination;
use crate::output::hex_dump::HexDump;
use crate::output::place::Place;
use crate::output::progress::Progress;
use crate::output::sink::BUFFER;

/// Bytes read at a time.
const CHUNK: u64 = 1 << 20;

/// `introspect read`.
pub(crate) fn read(arguments: &Read) -> Result<(), Failure> {
    let process = arguments.target.open()?;
    let standing = arguments.freeze.stop(&process, &arguments.target.pid)?;
    let ranges = arguments.range.selection().ranges(&process)?;
    // Refused or gone: said before anything is opened for writing.
    if let Err(error) = process.read_memory(0, &mut []) {
        if !error.is_not_mapped() {
            return Err(error.into());
        }
    }
    let place = Place::of(arguments.output.as_deref(), Place::StandardOutput);
    let out = Destination::open(&place).map_err(|error| place.open(&error))?;
    let (interruption, is_terminal) = (out.interruption(), out.is_terminal());
    let out = match standing {
        Some(_) => Output::in_the_end(out),
        None => Output::direct(out),
    };
    let mut out = BufWriter::with_capacity(BUFFER, out);
    let (note, stop) = match standing {
        Some(Standing { stop, note }) => (Some(note), Some(stop)),
        None => (None, None),
    };
    let progress = Progress::new(&ranges, is_terminal && stop.is_none());
    // Dropped first: the process goes on before anything is waited for.
    let stop = stop;
    let passed = |range| {
        progress.passed(range);
        interruption
            .as_ref()
            .map_or(Ok(()), |interruption| interruption.check())
    };
    for range in ranges {
        if arguments.hex || (!arguments.raw && is_terminal) {
            let mut dump = HexDump::new(&mut out, range.start().as_u64());
            let copied = copy(&process, range, passed, |bytes| {
                dump.write(bytes).map_err(|error| place.write(&error))
            });
            // What came before a byte that cannot be read is shown whole.
            copied.and(dump.finish().map_err(|error| place.write(&error)))?;
        } else {
            copy(&process, range, passed, |bytes| {
                out.write_all(bytes).map_err(|error| place.write(&error))
            })?;
        }
    }
    drop(stop);
    drop(progress);
    drop(note);
    out.into_inner()
        .map_err(io::IntoInnerError::into_error)
        .and_then(Output::keep)
        .map_err(|error| place.write(&error))
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
