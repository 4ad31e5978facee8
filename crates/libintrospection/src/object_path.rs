//! Stores the path of a mapped object in C's buffer.

use process_introspection_core::image::{object_at, ObjectAt};
use process_introspection_core::process::Access;
use process_introspection_core::vma::VmaCursor;
use process_introspection_core::{CoreError, Errno, Operation, ProcessHandle};

use crate::output::Output;
use crate::{regions, Result};

/// Size of the longest path that the kernel reports, with its NUL.
const LONGEST: usize = 4096;
/// Size of the longest path that fits the promised stack together with everything that
/// classifies an object. A longer path is read again on its own.
const LONG: usize = 2944;
/// Offset of `path` in `struct _procfs_debug_info`.
const PATH: usize = size_of::<u64>();

/// Maximum number of reads of a long path: the mapping can change between two reads.
const TRIES: u32 = 4;

pub(crate) fn mapped_object_path(pid64: i64, vaddr: u64, mut output: Output) -> Result<u64> {
    let process = regions::open(pid64, Access::Layout)?;
    for _ in 0..TRIES {
        let stored = match find(&process, vaddr, &mut output)? {
            Found::Stored(needed) => Some(needed),
            Found::WithLongPath(object) => find_path(&process, vaddr, &object, &mut output)?,
        };
        if let Some(needed) = stored {
            return Ok(needed);
        }
    }
    Err(CoreError::new(Errno::ENXIO, Operation::ReadObject))
}

#[allow(clippy::large_enum_variant)] // One exists at a time, for a short time.
enum Found {
    /// The path was stored as far as it fits; its size.
    Stored(u64),
    WithLongPath(ObjectAt),
}

// Not inlined, so that their stack frames add up neither with each other nor with those
// that open the target.

#[inline(never)]
fn find(process: &ProcessHandle, vaddr: u64, output: &mut Output) -> Result<Found> {
    let mut areas = VmaCursor::new([0u8; LONG]);
    let object = object_at(process, vaddr, &mut areas)?;
    let name = areas.name();
    if !name.complete {
        return Ok(Found::WithLongPath(object));
    }
    store(vaddr, &object, name.bytes, output).map(Found::Stored)
}

/// Stores the path alone; `None` if another object is mapped there by now. (A file with
/// such a path is opened only through its mapping, not by its path.)
#[inline(never)]
fn find_path(
    process: &ProcessHandle,
    vaddr: u64,
    object: &ObjectAt,
    output: &mut Output,
) -> Result<Option<u64>> {
    let mut areas = VmaCursor::new([0u8; LONGEST]);
    if areas.next_from(process, vaddr)? != Some(object.mapping.vma) {
        return Ok(None);
    }
    let name = areas.name();
    if !name.complete {
        return Err(CoreError::new(Errno::ENAMETOOLONG, Operation::ReadObject));
    }
    store(vaddr, object, name.bytes, output).map(Some)
}

fn store(vaddr: u64, object: &ObjectAt, path: &[u8], output: &mut Output) -> Result<u64> {
    let address = object.linked_address.unwrap_or(vaddr);
    let needed = path.len() + 1;
    let fits = output.size() >= PATH + needed;
    let stored: &[u8] = if fits { path } else { b"" };
    if output.size() >= PATH {
        if output.size() > PATH {
            // All or nothing is stored; the last bytes are fewer than a probe writes.
            output.reserve(0, PATH + stored.len() + 1)?;
        }
        output.store(0, &address.to_ne_bytes())?;
    }
    if output.size() > PATH {
        output.store(PATH, stored)?;
        output.store(PATH + stored.len(), b"\0")?;
    }
    Ok(needed as u64)
}
