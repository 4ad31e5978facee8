//! Asks a library where memory is, by one of its interfaces. Knows nothing of
//! what is in the memory.

use process_introspection::{Backing, Error, ExtentBacking, Process};

use crate::c_library;

/// What a library said of consecutive pages.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Run {
    pub(crate) virt: u64,
    pub(crate) size: u64,
    pub(crate) paddr: Option<u64>,
}

fn address(backing: Backing) -> Option<u64> {
    backing.address().map(|address| address.as_u64())
}

/// Asks by the interface of this number ([`truth::slot::INTERFACES`]); the PID
/// 0 is this process.
pub(crate) fn ask(interface: usize, pid: u32, start: u64, end: u64) -> Result<Vec<Run>, String> {
    let by_rust = || -> Result<Vec<Run>, Error> {
        let process = Process::open(pid)?;
        match interface {
            0 => process
                .physical_regions(start..end)?
                .map(|region| {
                    region.map(|region| Run {
                        virt: region.virt.start().as_u64(),
                        size: region.virt.size(),
                        paddr: address(region.backing),
                    })
                })
                .collect(),
            2 => process
                .page_table(start..end)?
                .map(|entry| {
                    entry.map(|entry| Run {
                        virt: entry.virt.start().as_u64(),
                        size: entry.virt.size(),
                        paddr: address(entry.backing),
                    })
                })
                .collect(),
            _ => process
                .extents(start..end)?
                .map(|extent| {
                    extent.map(|extent| Run {
                        virt: extent.virt.start().as_u64(),
                        size: extent.len(),
                        paddr: match extent.backing {
                            ExtentBacking::Ram(address) => Some(address.as_u64()),
                            _ => None,
                        },
                    })
                })
                .collect(),
        }
    };
    match interface {
        1 => c_library::physical(pid, start, end),
        3 => c_library::page_table(pid, start, end),
        5 => c_library::stream(pid, start, end),
        _ => by_rust().map_err(|error| error.to_string()),
    }
}
