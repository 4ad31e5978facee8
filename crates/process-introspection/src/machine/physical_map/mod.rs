//! Resources and NUMA nodes of physical addresses. Owns the files that report them; knows
//! no process.

mod nodes;
mod resources;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

use process_introspection_core::{Operation, PageSize, PhysAddr};

use crate::error::Error;
use crate::machine::range::PhysRange;
use crate::machine::zones::Zone;
use crate::process::mounts::Mounts;
use nodes::{Candidates, Piece};
use resources::Resources;

pub use resources::{PhysicalKind, Resource};

/// Map of this machine's physical addresses, as it was when it was read. After memory is
/// plugged in or removed, read another one.
#[derive(Clone, Debug)]
pub struct PhysicalMap {
    /// Resources; `None` if this caller may not see them.
    resources: Option<Resources>,
    /// RAM whose node is known.
    memory: Vec<Piece>,
    several_nodes: bool,
}

/// Place of a physical address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PhysicalPlace<'a> {
    /// Kind of memory; `None` if this caller may not see the resources.
    pub kind: Option<PhysicalKind>,
    /// Resources that contain the address, outermost first: System RAM, then Kernel code.
    /// Empty where no resource is claimed, and if they are hidden.
    pub resources: Vec<&'a Resource>,
    /// NUMA node of the memory; `None` for addresses that the kernel does not manage as
    /// RAM, and where the node is not known. (If the resources are hidden, gaps within a
    /// block of memory cannot be distinguished from the memory.)
    pub node: Option<u32>,
}

impl PhysicalMap {
    /// Reads the map of this machine.
    ///
    /// | facts | source | required |
    /// |---|---|---|
    /// | resources | `/proc/iomem` | CAP_SYS_ADMIN in the initial user namespace; otherwise they are hidden, see [`PhysicalMap::sees_resources`] |
    /// | nodes | `/sys/devices/system/node/nodeN/memoryK` and the block size; `/proc/zoneinfo` where there are no blocks, or one has memory of two nodes | nothing |
    ///
    /// ```
    /// use process_introspection::{PhysAddr, PhysicalKind, PhysicalMap};
    ///
    /// let map = PhysicalMap::read()?;
    /// let nowhere = map.at(PhysAddr::new(u64::MAX));
    /// assert_eq!(nowhere.node, None);
    /// assert_eq!(nowhere.kind, map.sees_resources().then_some(PhysicalKind::Unclaimed));
    /// # Ok::<(), process_introspection::Error>(())
    /// ```
    ///
    /// # Errors
    /// Errors of the system, such as EMFILE. A file that is absent, or closed to this
    /// caller, is no error: its facts are then unknown.
    pub fn read() -> Result<Self, Error> {
        Self::read_in(&Mounts::new())
    }

    /// Reads the map below other mounts of proc and sysfs, such as a host's within a
    /// container.
    ///
    /// # Errors
    /// As [`PhysicalMap::read`].
    pub fn read_in(mounts: &Mounts) -> Result<Self, Error> {
        Self::read_from(mounts.proc(), mounts.sys())
    }

    /// Reads the map from any directories that contain such files, such as copies from
    /// another machine.
    ///
    /// # Errors
    /// As [`PhysicalMap::read`].
    pub fn read_from(proc: impl AsRef<Path>, sys: impl AsRef<Path>) -> Result<Self, Error> {
        Self::assemble(proc.as_ref(), sys.as_ref())
            .map_err(|error| Error::of_io(&error, Operation::ReadPhysicalMap))
    }

    fn assemble(proc: &Path, sys: &Path) -> io::Result<Self> {
        let resources = available(fs::read(proc.join("iomem")))?;
        let resources = resources.and_then(|text| Resources::parse(&text));
        let candidates = candidates(&sys.join("devices/system"))?;
        let spans = if candidates.need_spans() {
            let text = available(fs::read(proc.join("zoneinfo")))?.unwrap_or_default();
            nodes::spans(
                &Zone::parse(&String::from_utf8_lossy(&text)),
                PageSize::base(),
            )
        } else {
            Vec::new()
        };
        let mut memory = candidates.pieces(&spans);
        if let Some(resources) = &resources {
            memory = nodes::within(&memory, &resources.system_ram());
        }
        let several_nodes = memory.windows(2).any(|pair| pair[0].node != pair[1].node);
        Ok(Self {
            resources,
            memory,
            several_nodes,
        })
    }

    /// Returns whether this caller can see the resources. Without CAP_SYS_ADMIN the kernel
    /// shows all of them at address 0, which is never returned.
    pub fn sees_resources(&self) -> bool {
        self.resources.is_some()
    }

    /// Returns the last byte of the machine's RAM; `None` if this caller may not see the
    /// resources.
    pub fn last_of_ram(&self) -> Option<PhysAddr> {
        let ram = self.resources.as_ref()?.system_ram();
        let last = ram.iter().map(|&(_, last)| last).max();
        last.map(PhysAddr::new)
    }

    /// Returns the ranges of the machine's RAM, ascending; `None` if this caller may not see
    /// the resources.
    pub fn ram(&self) -> Option<Vec<PhysRange>> {
        let ram = self.resources.as_ref()?.system_ram().into_iter();
        let range = |(first, last): (u64, u64)| {
            PhysRange::new(PhysAddr::new(first), PhysAddr::new(last.saturating_add(1)))
        };
        Some(ram.filter_map(range).collect())
    }

    /// Returns the last byte that any resource claims; `None` if this caller may not see
    /// the resources.
    pub fn last_claimed(&self) -> Option<PhysAddr> {
        self.resources.as_ref()?.last()
    }

    /// Returns whether memory is known to belong to more than one node.
    pub fn has_several_nodes(&self) -> bool {
        self.several_nodes
    }

    /// Returns the place of an address.
    pub fn at(&self, address: PhysAddr) -> PhysicalPlace<'_> {
        let found = self.resources.as_ref().map(|known| known.at(address));
        let (path, kind) = found.unzip();
        PhysicalPlace {
            kind,
            resources: path.unwrap_or_default(),
            node: self.node_of(address, 1),
        }
    }

    /// Returns the number of pages from an address on that lie in the same resources, at
    /// least 1.
    pub(crate) fn uniform_pages_from(&self, address: PhysAddr, page: PageSize) -> u64 {
        let border = self
            .resources
            .as_ref()
            .map(|known| known.border_after(address));
        let size = border.unwrap_or(u64::MAX) - address.as_u64();
        (size >> page.shift()).max(1)
    }

    /// Returns the NUMA node of all of `size` bytes of RAM; `None` if it is not known for
    /// one of them, or differs between them.
    pub fn node_of(&self, start: PhysAddr, size: u64) -> Option<u32> {
        nodes::node_of(&self.memory, start.as_u64(), size)
    }

    /// Returns the NUMA nodes of `size` bytes, piece by piece in the order of addresses;
    /// `None` where the node is not known.
    pub fn nodes_of(
        &self,
        start: PhysAddr,
        size: u64,
    ) -> impl Iterator<Item = (Option<u32>, u64)> + '_ {
        nodes::parts(&self.memory, start.as_u64(), size)
    }

    /// Returns the addresses around this one that are known to be of the same node.
    pub(crate) fn node_around(&self, address: PhysAddr) -> Range<u64> {
        nodes::around(&self.memory, address.as_u64())
    }
}

/// Returns the memory blocks of each node: the links in its directory. A block's number
/// times the size of all blocks is its address (drivers/base/memory.c `phys_index_show`,
/// 5.10 to 6.18).
fn candidates(system: &Path) -> io::Result<Candidates> {
    let size = available(fs::read_to_string(system.join("memory/block_size_bytes")))?;
    let size = size.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
    let Some(size) = size.filter(|&size| size > 0) else {
        return Ok(Candidates::Everywhere);
    };
    let mut nodes = BTreeMap::<u64, Vec<u32>>::new();
    for node in numbered(&system.join("node"), "node")? {
        let Ok(number) = u32::try_from(node) else {
            continue;
        };
        for block in numbered(&system.join(format!("node/node{node}")), "memory")? {
            nodes.entry(block).or_default().push(number);
        }
    }
    // A kernel without NUMA links no blocks to its only node.
    Ok(if nodes.is_empty() {
        Candidates::Everywhere
    } else {
        Candidates::Blocks { size, nodes }
    })
}

/// Returns the numbers in a directory's entries with this name and a number.
fn numbered(directory: &Path, name: &str) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    let Some(entries) = available(fs::read_dir(directory))? else {
        return Ok(numbers);
    };
    for entry in entries {
        let entry = entry?.file_name();
        let number = entry.to_str().and_then(|entry| entry.strip_prefix(name));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    Ok(numbers)
}

/// Returns `None` for a file that is absent or closed to this caller.
fn available<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::PermissionDenied => Ok(None),
            _ => Err(error),
        },
    }
}
