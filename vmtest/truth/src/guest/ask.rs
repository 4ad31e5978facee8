//! Queries of addresses through one interface of a library. Knows nothing of the
//! memory's content.

use process_introspection::{Backing, Error, Extent, ExtentBacking, Process};
use truth::pattern::PAGE;

use crate::c_library;

/// Sort of memory that a library reported.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Ram,
    Zero,
    /// The C library does not distinguish zero pages from other RAM.
    RamOrZero,
    Device,
}

impl Sort {
    /// Whether this report is true for memory of that sort.
    pub(crate) fn is(self, what: Self) -> bool {
        match self {
            Self::RamOrZero => matches!(what, Self::Ram | Self::Zero),
            _ => self == what,
        }
    }
}

/// Report about consecutive pages.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Run {
    pub(crate) virt: u64,
    pub(crate) size: u64,
    pub(crate) memory: Option<(Sort, u64)>,
}

fn memory(backing: Backing) -> Option<(Sort, u64)> {
    match backing {
        Backing::Ram(address) => Some((Sort::Ram, address.as_u64())),
        Backing::Zero(address) => Some((Sort::Zero, address.as_u64())),
        Backing::Device(address) => Some((Sort::Device, address.as_u64())),
        _ => None,
    }
}

/// Makes runs of an extent. An extent of zero pages has the address of the one frame of
/// zeros and becomes one run for each page.
fn of_extent(extent: &Extent) -> Vec<Run> {
    let (start, end) = (extent.virt.start().as_u64(), extent.virt.end().as_u64());
    let (memory, step) = match extent.backing {
        ExtentBacking::Ram(address) => (Some((Sort::Ram, address.as_u64())), end - start),
        ExtentBacking::Device(address) => (Some((Sort::Device, address.as_u64())), end - start),
        ExtentBacking::Zero(address) => (Some((Sort::Zero, address.as_u64())), PAGE),
        _ => (None, end - start),
    };
    let runs = (start..end).step_by(step as usize).map(|virt| Run {
        virt,
        size: step,
        memory,
    });
    runs.collect()
}

/// Queries a range through the interface with this number
/// ([`truth::slot::INTERFACES`]). The PID 0 is this process.
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
                        memory: memory(region.backing),
                    })
                })
                .collect(),
            2 => process
                .page_table(start..end)?
                .map(|entry| {
                    entry.map(|entry| Run {
                        virt: entry.virt.start().as_u64(),
                        size: entry.virt.size(),
                        memory: memory(entry.backing),
                    })
                })
                .collect(),
            _ => {
                let mut runs = Vec::new();
                for extent in process.extents(start..end)? {
                    runs.extend(of_extent(&extent?));
                }
                Ok(runs)
            }
        }
    };
    match interface {
        1 => c_library::physical(pid, start, end),
        3 => c_library::page_table(pid, start, end),
        5 => c_library::stream(pid, start, end),
        _ => by_rust().map_err(|error| error.to_string()),
    }
}
