//! Finds one VMA by the `PROCMAP_QUERY` ioctl: binary, and it seeks to an address. Since
//! Linux 6.11 (fs/proc/task_mmu.c, `do_procmap_query`).
//!
//! The build id that it offers is never requested: up to 6.17 the kernel's parser reads
//! special files through an operation they may lack (lib/buildid.c, `freader_get_folio`).

use super::{Device, Protection, Vma};
use crate::addr::{AddrRange, PageSize};
use crate::error::{CoreError, Errno, Operation, Result};
use crate::features;
use crate::lock_time::timed;
use crate::process::ProcessHandle;
use crate::{sys, uapi};

pub(super) enum Answer {
    /// VMA, the length of its name in the storage, and whether that is the whole name.
    Vma(Vma, usize, bool),
    PastLast,
    /// This kernel (if `unknown`) or this sandbox does not have the call.
    Unavailable {
        unknown: bool,
    },
}

pub(super) fn next_from(process: &ProcessHandle, address: u64, name: &mut [u8]) -> Result<Answer> {
    let mut query = uapi::procmap_query {
        size: 0,
        query_flags: uapi::QUERY_COVERING_OR_NEXT,
        query_addr: address,
        vma_start: 0,
        vma_end: 0,
        vma_flags: 0,
        vma_page_size: 0,
        vma_offset: 0,
        inode: 0,
        dev_major: 0,
        dev_minor: 0,
        vma_name_size: 0,
        build_id_size: 0,
        vma_name_addr: 0,
        build_id_addr: 0,
    };
    let mut complete = true;
    let mut result = timed(|| sys::procmap_query(process.maps(), &mut query, name));
    if result == Err(Errno::ENAMETOOLONG) {
        // A name that is too long fails the whole call.
        complete = false;
        result = timed(|| sys::procmap_query(process.maps(), &mut query, &mut []));
    }
    match result {
        Ok(()) => {}
        Err(Errno::ENOENT) => return Ok(Answer::PastLast),
        Err(errno) if features::is_unavailable(errno) => {
            let unknown = errno == Errno::ENOTTY;
            return Ok(Answer::Unavailable { unknown });
        }
        Err(errno) => return Err(CoreError::new(errno, Operation::ReadMaps)),
    }
    if query.vma_end <= address || query.vma_end <= query.vma_start {
        // The call succeeded without a result: the sandbox's filter pretends.
        return Ok(Answer::Unavailable { unknown: false });
    }
    let flag = |flag| query.vma_flags & flag != 0;
    let vma = Vma {
        range: AddrRange::new(query.vma_start, query.vma_end)
            .ok_or(CoreError::new(Errno::EIO, Operation::ReadMaps))?,
        protection: Protection::new(
            flag(uapi::QUERY_READABLE),
            flag(uapi::QUERY_WRITABLE),
            flag(uapi::QUERY_EXECUTABLE),
        ),
        shared: flag(uapi::QUERY_SHARED),
        offset: query.vma_offset,
        device: Device {
            major: query.dev_major,
            minor: query.dev_minor,
        },
        inode: query.inode,
        page_size: PageSize::from_bytes(query.vma_page_size),
    };
    // The kernel counts the NUL; it returns 0 for a VMA without a name.
    let name_len = if complete && !name.is_empty() {
        (query.vma_name_size as usize).saturating_sub(1)
    } else {
        0
    };
    Ok(Answer::Vma(vma, name_len, complete))
}
