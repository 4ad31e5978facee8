//! The path of a mapped object, into a buffer of C's.

use process_introspection_core::object;
use process_introspection_core::process::Access;
use process_introspection_core::vma::VmaCursor;
use process_introspection_core::{Errno, Error, Operation, Process};

use crate::output::Output;
use crate::{regions, Result};

/// The longest path that the kernel tells, with its NUL.
const LONGEST: usize = 4096;
/// Where `path` begins in `struct _procfs_debug_info`.
const PATH: usize = size_of::<u64>();

pub(crate) fn mapped_object_path(pid64: i64, vaddr: u64, output: Output) -> Result<u64> {
    find_and_store(&regions::open(pid64, Access::Layout)?, vaddr, output)
}

/// Apart from what opens the target, so that their frames are not added up.
#[inline(never)]
fn find_and_store(process: &Process, vaddr: u64, mut output: Output) -> Result<u64> {
    let mut areas = VmaCursor::new([0u8; LONGEST]);
    let object = object::object_at(process, vaddr, &mut areas)?;
    let name = areas.name();
    if !name.complete {
        return Err(Error::new(Errno::ENAMETOOLONG, Operation::ReadObject));
    }
    let address = object.linked_address.unwrap_or(vaddr);
    let needed = name.bytes.len() + 1;
    let stored: &[u8] = if output.size() >= PATH + needed {
        name.bytes
    } else {
        b""
    };
    if output.size() >= PATH {
        if output.size() > PATH {
            // All of it or nothing; and its last bytes are less than a probe.
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
