//! Stores the name of a process's program in C's buffer.

use process_introspection_core::program_name::{self, LONGEST};

use crate::output::Output;
use crate::{lists, Result};

/// Stores the name without its leading slash and with a NUL if both fit, else an empty one if
/// there is room for that. Returns the length of the name.
pub(crate) fn process_name(pid64: i64, mut output: Output) -> Result<u64> {
    let process = lists::open(pid64)?;
    let mut buffer = [0; LONGEST];
    // Shorter than the buffer: a NUL fits behind it.
    let len = program_name::read(&process, &mut buffer)?;
    buffer[len] = 0;
    let start = usize::from(buffer[0] == b'/');
    let name = &buffer[start..len];
    if output.size() > name.len() {
        output.store_few(&process, &buffer[start..=len])?;
    } else if output.size() > 0 {
        output.store_few(&process, b"\0")?;
    }
    Ok(name.len() as u64)
}
