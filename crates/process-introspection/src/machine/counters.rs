//! Counters of the kernel about the machine's memory, as they were at one moment. Knows no
//! frame.

use std::fs;
use std::path::Path;

use process_introspection_core::PageSize;

use crate::error::Error;
use crate::machine::buddy::FreeBlocks;
use crate::machine::zones::Zone;
use crate::named::named_values;
use crate::process::mounts::Mounts;
use crate::text_files::{bytes_of_kib, number_in};

named_values! {
    /// Counter of the kernel, in bytes.
    #[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum MemoryCounter {
        /// Memory that the kernel manages (`/proc/meminfo`).
        MemTotal = "MemTotal",
        /// Free memory, some of which may not be initialized yet (`/proc/meminfo`).
        MemFree = "MemFree",
        /// Anonymous memory that is mapped (`/proc/meminfo`).
        AnonPages = "AnonPages",
        /// Shared memory and tmpfs (`/proc/meminfo`).
        Shmem = "Shmem",
        /// Page cache of files, and shared memory (`/proc/meminfo`).
        Cached = "Cached",
        /// Page cache of block devices (`/proc/meminfo`).
        Buffers = "Buffers",
        /// Slabs, and memory of kmalloc that is larger than a slab (`/proc/meminfo`).
        Slab = "Slab",
        /// Page tables (`/proc/meminfo`).
        PageTables = "PageTables",
        /// Page tables of virtual machines and of IOMMUs (`/proc/meminfo`, Linux 6.1).
        SecPageTables = "SecPageTables",
        /// hugetlb pages of all sizes, in use or not (`/proc/meminfo`, Linux 4.15).
        Hugetlb = "Hugetlb",
        /// Memory in which the hardware reported errors (`/proc/meminfo`).
        HardwareCorrupted = "HardwareCorrupted",
        /// Memory in balloons (`/proc/meminfo`; 6.18 has it, 6.12 does not: there
        /// `/proc/vmstat`, inflated less deflated, without those of Xen and Hyper-V).
        Balloon = "Balloon",
        /// Memory that the firmware has not accepted yet (`/proc/meminfo`, Linux 6.5).
        Unaccepted = "Unaccepted",
        /// Memory of vmalloc: modules, BPF, and kernel stacks on most architectures
        /// (`/proc/meminfo`).
        VmallocUsed = "VmallocUsed",
        /// Kernel stacks (`/proc/meminfo`).
        KernelStack = "KernelStack",
        /// Data of each CPU (`/proc/meminfo`).
        Percpu = "Percpu",
        /// Pools of zswap and zram (`/proc/vmstat`).
        Zsmalloc = "nr_zspages",
        /// Memory of drivers that they give back under pressure (`/proc/vmstat`).
        MiscReclaimable = "nr_kernel_misc_reclaimable",
        /// Arrays of frames that were allocated after boot (`/proc/vmstat`, Linux 6.11).
        Memmap = "nr_memmap_pages",
        /// Memory in use by GPUs (`/proc/vmstat`, Linux 7.1).
        GpuActive = "nr_gpu_active",
        /// Memory that GPU drivers keep for use (`/proc/vmstat`, Linux 7.1).
        GpuReclaim = "nr_gpu_reclaim",
        /// Memory of drivers in regions for contiguous allocations (`/sys/kernel/mm/cma`,
        /// Linux 6.9: allocated less released).
        CmaAllocated = "cma_allocated",
    }
    /// All counters.
    pub const ALL;
    /// Returns the kernel's name, in every output.
    pub const fn name;
}

/// Counters of the kernel about the machine's memory at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryCounters {
    values: [Option<u64>; MemoryCounter::ALL.len()],
    zones: Vec<Zone>,
    free_blocks: Vec<FreeBlocks>,
    /// Whether kernel stacks are memory of vmalloc.
    stacks_in_vmalloc: bool,
    page: PageSize,
}

impl MemoryCounters {
    /// Reads the counters from `/proc/meminfo`, `/proc/vmstat`, `/proc/zoneinfo`,
    /// `/proc/buddyinfo`, `/proc/vmallocinfo` and `/sys/kernel/mm/cma`.
    ///
    /// # Errors
    /// Errors of the system. A counter that the kernel does not have is no error.
    pub fn read() -> Result<Self, Error> {
        Self::read_in(&Mounts::new())
    }

    /// Reads the counters below other mounts of proc and sysfs.
    ///
    /// # Errors
    /// As [`MemoryCounters::read`].
    pub fn read_in(mounts: &Mounts) -> Result<Self, Error> {
        let base = PageSize::base();
        let page = base.bytes();
        let text = |name| fs::read_to_string(mounts.proc().join(name)).unwrap_or_default();
        let (meminfo, vmstat) = (text("meminfo"), text("vmstat"));
        let value = |counter: MemoryCounter| match counter {
            MemoryCounter::CmaAllocated => cma_pages(&mounts.sys().join("kernel/mm/cma"))
                .map(|pages| pages.saturating_mul(page)),
            MemoryCounter::Balloon => bytes_of_kib(meminfo.as_bytes(), counter.name())
                .or_else(|| balloon_pages(&vmstat)?.checked_mul(page)),
            _ => bytes_of_kib(meminfo.as_bytes(), counter.name())
                .or_else(|| of_vmstat(&vmstat, counter.name())?.checked_mul(page)),
        };
        Ok(Self {
            values: MemoryCounter::ALL.map(value),
            zones: Zone::read_all_in(mounts)?,
            free_blocks: FreeBlocks::read_all_in(mounts)?,
            stacks_in_vmalloc: has_stacks(&text("vmallocinfo")),
            page: base,
        })
    }

    /// Returns counters with these values, of a machine with this base page size.
    pub fn from_parts(
        value: impl Fn(MemoryCounter) -> Option<u64>,
        zones: Vec<Zone>,
        free_blocks: Vec<FreeBlocks>,
        stacks_in_vmalloc: bool,
        page: PageSize,
    ) -> Self {
        Self {
            values: MemoryCounter::ALL.map(value),
            zones,
            free_blocks,
            stacks_in_vmalloc,
            page,
        }
    }

    /// Returns the value in bytes; `None` if this kernel does not have the counter.
    pub fn get(&self, counter: MemoryCounter) -> Option<u64> {
        self.values[counter as usize]
    }

    /// Returns the zones with their counts.
    pub fn zones(&self) -> &[Zone] {
        &self.zones
    }

    /// Returns the free blocks of each zone.
    pub fn free_blocks(&self) -> &[FreeBlocks] {
        &self.free_blocks
    }

    /// Returns a count of all zones in bytes.
    pub(crate) fn bytes_of_zones(&self, count: impl Fn(&Zone) -> u64) -> u64 {
        let frames: u64 = self.zones.iter().map(count).sum();
        frames * self.page.bytes()
    }

    /// Returns whether kernel stacks are memory of vmalloc, which then counts them, too; true
    /// also if this is not known.
    pub fn stacks_in_vmalloc(&self) -> bool {
        self.stacks_in_vmalloc
    }
}

/// Returns a line of vmstat.
fn of_vmstat(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let (_, value) = lines.find(|&(key, _)| key == name)?;
    value.parse().ok()
}

/// Returns the pages in balloons by the events of mm/balloon_compaction.c, 5.10 and 6.12, which
/// do not count a page that moves.
fn balloon_pages(vmstat: &str) -> Option<u64> {
    let taken = of_vmstat(vmstat, "balloon_inflate")?;
    taken.checked_sub(of_vmstat(vmstat, "balloon_deflate")?)
}

/// Returns the pages that drivers hold in all CMA regions; `None` before Linux 6.9, which does
/// not count what they give back (mm/cma_sysfs.c).
fn cma_pages(folder: &Path) -> Option<u64> {
    let mut pages = 0;
    for region in fs::read_dir(folder).ok()?.flatten() {
        let read = |name: &str| -> Option<u64> { number_in(&region.path().join(name)) };
        let released = read("release_pages_success")?;
        pages += read("alloc_pages_success")?.saturating_sub(released);
    }
    Some(pages)
}

/// Returns whether `/proc/vmallocinfo` has stacks of tasks. It names the function that
/// allocated, which is the one into which kernel/fork.c `alloc_thread_stack_node` was inlined.
/// Without the file they are taken for vmalloc's: their memory is not counted twice then.
fn has_stacks(vmallocinfo: &str) -> bool {
    const CALLERS: [&str; 5] = [
        "alloc_thread_stack_node+",
        "dup_task_struct+",
        "copy_process+",
        "kernel_clone+",
        "fork_idle+",
    ];
    let mut callers = vmallocinfo.lines();
    vmallocinfo.is_empty()
        || callers.any(|line| {
            let mut words = line.split_whitespace();
            words.any(|word| CALLERS.iter().any(|caller| word.starts_with(caller)))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_the_number_behind_its_whole_name() {
        let vmstat = "nr_zspages 5\nnr_memmap_boot_pages 9\n";
        assert_eq!(of_vmstat(vmstat, "nr_zspages"), Some(5));
        assert_eq!(of_vmstat(vmstat, "nr_memmap_pages"), None);
    }

    #[test]
    fn a_balloon_has_what_it_took_and_did_not_give_back() {
        let vmstat = "balloon_inflate 7\nballoon_deflate 4\nballoon_migrate 9\n";
        assert_eq!(balloon_pages(vmstat), Some(3));
        assert_eq!(balloon_pages("balloon_inflate 7\n"), None);
        // The events of the CPUs are added up one after another.
        assert_eq!(
            balloon_pages("balloon_inflate 7\nballoon_deflate 8\n"),
            None
        );
    }

    #[test]
    fn stacks_are_known_by_the_function_that_allocated_them() {
        let line = |name: &str| format!("0x0-0x1 20480 {name}+0x1/0x2 pages=4 vmalloc N0=4\n");
        assert!(has_stacks(
            &(line("htab_map_alloc") + &line("kernel_clone"))
        ));
        assert!(!has_stacks(&line("htab_map_alloc")));
        assert!(has_stacks(""));
    }
}
