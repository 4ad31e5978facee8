//! The table: kernels and machines on which the tests run. `docs/KERNELS.md` has the
//! same table, which a test ensures. Knows nothing of how a row is run.

use testkit::storm;

use super::kernels::{
    Arch, K5_10, K5_10_WHOLE, K6_1, K6_12_ARM64, K6_12_ARM64_16K, K6_12_WHOLE, K6_1_686, K7,
    K7_WHOLE, RISCV64,
};
use super::machines::{with_balloon, DRIVERS, PERSISTENT, PLAIN, POISON, WITH_BALLOON};
use super::row::{Row, Work};
use super::test_names::{
    AREA_QUERY, AS_IT_IS, BALLOON, CENSUS, CHANGED, CHANGED_NODE, CHANGED_SIZE, CHANGED_SWAP,
    COMPACTED, DEVICE, EXPLAINED, FRAMEBUFFER, FREE_INDICES, GIGANTIC, GROUPS_HUGETLB, HIGH, HUGE,
    HUGETLB, HUGE_WALK, HUGE_ZERO, HUGE_ZERO_OF_CHILD, LEFT_OUT, LOST, LOST_GIGANTIC, LOST_HUGETLB,
    LOST_OF_FILE, LOST_OF_HUGE, LOST_SMALL, MAPPING_ALONE, MARKED, MARKED_HUGETLB, MOVED, MOVING,
    MOVING_HUGE, MOVING_HUGETLB, NODES, NODES_BY_KIND, OFFLINE, PAGE_SCAN, PROC_PCI, RESERVATION,
    RINGS, SOFTLY_OFFLINE, STORM, SWAP, SWAP_FACTS, SWAP_SUM, THROUGH, TYPED, UIO, VFIO, WIDER,
    YAMA,
};

/// The driver allocates the buffer when a program asks for it: a buffer that it
/// allocates in advance is always one piece.
const SET_ASIDE_LATER: &str = "sound/core/snd-pcm.ko preallocate_dma=0";

/// The driver then allocates write-combining memory, as for some AMD devices.
const NO_SNOOP: &str = "sound/pci/hda/snd-hda-intel.ko snoop=0";

/// All rows in the order in which they start, the longest first.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "arm64-16k",
        kernel: K6_12_ARM64_16K,
        programs: Arch::Arm64,
        machine: "16 KiB pages, 32 MiB huge ones",
        memory: 1536,
        page: 16384,
        runs: &[PAGE_SCAN, AREA_QUERY, HUGE],
        ..PLAIN
    },
    Row {
        name: "arm64-4k",
        kernel: K6_12_ARM64,
        programs: Arch::Arm64,
        machine: "4 KiB pages",
        runs: &[PAGE_SCAN, AREA_QUERY, HUGE],
        ..PLAIN
    },
    Row {
        name: "riscv64",
        kernel: RISCV64,
        programs: Arch::Riscv64,
        machine: "default",
        runs: &[PAGE_SCAN, AREA_QUERY, HUGE],
        ..PLAIN
    },
    Row {
        name: "686-6.1",
        kernel: K6_1_686,
        programs: Arch::I386,
        machine: "32 bit with PAE, a VESA framebuffer",
        options: &["-device", "VGA"],
        // 800 x 600 in 16 bits.
        command_line: "vga=0x314 transparent_hugepage=madvise",
        runs: &[HUGE_WALK, FRAMEBUFFER],
        lacks: &[PAGE_SCAN, AREA_QUERY, RESERVATION],
        ..PLAIN
    },
    TRUTH,
    Row {
        name: "amd64-5.10",
        kernel: K5_10,
        machine: "default",
        also: &["handlers", "permissions", "storm"],
        runs: &[HUGE_WALK],
        lacks: &[PAGE_SCAN, AREA_QUERY],
        ..PLAIN
    },
    Row {
        name: "amd64-6.1",
        kernel: K6_1,
        machine: "default",
        runs: &[HUGE_WALK],
        lacks: &[PAGE_SCAN, AREA_QUERY],
        ..PLAIN
    },
    Row {
        name: "amd64-6.12",
        machine: "default",
        also: &["faults", "handlers", "permissions", "storm"],
        runs: &[PAGE_SCAN, AREA_QUERY, HUGE, RESERVATION],
        lacks: &[NODES, GIGANTIC, SWAP, DEVICE, WIDER],
        ..PLAIN
    },
    Row {
        name: "amd64-6.12-numa",
        machine: "three NUMA nodes, one without CPUs",
        memory: 1536,
        options: &[
            "-object",
            "memory-backend-ram,id=m0,size=1G",
            "-object",
            "memory-backend-ram,id=m1,size=256M",
            "-object",
            "memory-backend-ram,id=m2,size=256M",
            "-numa",
            "node,nodeid=0,cpus=0,memdev=m0",
            "-numa",
            "node,nodeid=1,cpus=1,memdev=m1",
            "-numa",
            "node,nodeid=2,memdev=m2",
        ],
        // Otherwise the kernel moves pages of targets that stand still, and two
        // reads differ.
        command_line: "numa_balancing=disable transparent_hugepage=madvise",
        work: Work::TestsOfTheMachine,
        also: &[
            "census",
            "changes",
            "groups",
            "metrics",
            "migration",
            "page_facts",
            "parallel",
            "physical_map",
            "storm",
            "summary",
        ],
        environment: &[(storm::SECONDS, "15"), (storm::MUST, "nodes")],
        runs: &[
            NODES,
            MOVED,
            NODES_BY_KIND,
            STORM,
            MOVING,
            MOVING_HUGE,
            MOVING_HUGETLB,
            CHANGED_NODE,
            COMPACTED,
            CENSUS,
            FREE_INDICES,
        ],
        ..PLAIN
    },
    Row {
        name: "amd64-6.12-huge",
        machine: "hugetlb pages of 2 MiB and 1 GiB, transparent ones always",
        memory: 3072,
        command_line: "default_hugepagesz=2M hugepagesz=2M hugepages=16 \
                       hugepagesz=1G hugepages=1 transparent_hugepage=always",
        work: Work::TestsOfTheMachine,
        also: &[
            "census",
            "changes",
            "churn",
            "groups",
            "huge_policy",
            "metrics",
            "page_facts",
            "parallel",
            "summary",
            "system_calls",
        ],
        runs: &[
            HUGETLB,
            GIGANTIC,
            HUGE,
            HUGE_ZERO,
            HUGE_ZERO_OF_CHILD,
            MARKED,
            MARKED_HUGETLB,
            CHANGED_SIZE,
            CENSUS,
            FREE_INDICES,
            GROUPS_HUGETLB,
        ],
        ..PLAIN
    },
    Row {
        name: "amd64-6.12-zones",
        machine:
            "ZONE_MOVABLE, memory that was added and goes offline, a device that gives memory \
                  in parts (virtio-mem), a balloon, CMA, reserved for a crash kernel",
        kernel: K6_12_WHOLE,
        options: with_balloon!(
            "amd64-6.12-zones",
            "-m",
            "slots=4,maxmem=4G",
            "-object",
            "memory-backend-ram,id=added,size=256M",
            "-device",
            "pc-dimm,memdev=added",
            "-object",
            "memory-backend-ram,id=parts,size=512M",
            "-device",
            "virtio-mem-pci,memdev=parts,requested-size=200M",
        ),
        command_line: "movablecore=128M crashkernel=64M cma=32M \
                       memhp_default_state=online_movable transparent_hugepage=madvise",
        modules: &[
            "drivers/virtio/virtio_mem.ko",
            "drivers/virtio/virtio_balloon.ko",
        ],
        work: Work::NamedTests,
        also: &["census", "machines"],
        environment: &[("INTROSPECTION_TAKE_OFFLINE", "1")],
        runs: &[CENSUS, EXPLAINED, OFFLINE, BALLOON],
        ..PLAIN
    },
    Row {
        name: "amd64-6.12-yama",
        machine: "only ancestors may trace a process (Yama)",
        command_line: "sysctl.kernel.yama.ptrace_scope=1 transparent_hugepage=madvise",
        work: Work::NamedTests,
        also: &[
            "confined",
            "permissions",
            "processes",
            "qnx_debugger",
            "qnx_dumper",
            "qnx_profiler",
            "registers",
        ],
        runs: &[YAMA],
        ..PLAIN
    },
    Row {
        name: "amd64-6.12-5level",
        machine: "5-level page tables",
        work: Work::TestsOfTheMachine,
        runs: &[HIGH],
        ..PLAIN
    },
    Row {
        name: "amd64-6.12-4level",
        machine: "the same processor with `no5lvl`: the control",
        command_line: "no5lvl transparent_hugepage=madvise",
        work: Work::TestsOfTheMachine,
        lacks: &[HIGH],
        ..PLAIN
    },
    Row {
        name: "amd64-6.12-swap",
        machine: "swap space on a RAM disk",
        command_line: "vmtest.swap transparent_hugepage=madvise",
        // A RAM disk of 64 MiB, which uses memory only where it was written.
        modules: &["drivers/block/brd.ko rd_nr=1 rd_size=65536"],
        work: Work::TestsOfTheMachine,
        also: &["changes", "page_facts", "storm", "summary"],
        environment: &[(storm::SECONDS, "15"), (storm::MUST, "swap")],
        runs: &[SWAP, SWAP_SUM, SWAP_FACTS, STORM, CHANGED_SWAP],
        ..PLAIN
    },
    Row {
        name: "amd64-6.12-device",
        machine:
            "PCI devices whose memory programs can map, one of them a driver's of UIO, one of VFIO",
        options: &[
            "-machine",
            "q35",
            "-device",
            "intel-iommu",
            "-device",
            "edu",
            "-device",
            "pci-testdev,membar=2M",
            "-object",
            "memory-backend-ram,id=iv,size=4M,share=on",
            "-device",
            "ivshmem-plain,memdev=iv",
            "-device",
            "edu,addr=0x10",
            "-object",
            "memory-backend-ram,id=uio,size=1M,share=on",
            "-device",
            "ivshmem-plain,memdev=uio,addr=0x11",
        ],
        // The second driver is made for other devices, whose memory is in the same
        // BAR.
        command_line: "intel_iommu=on vmtest.bind=0000:00:10.0=vfio-pci \
                       vmtest.bind=0000:00:11.0=netx transparent_hugepage=madvise",
        modules: &[
            "virt/lib/irqbypass.ko",
            "drivers/vfio/vfio.ko",
            // QEMU's IOMMU does not remap interrupts.
            "drivers/vfio/vfio_iommu_type1.ko allow_unsafe_interrupts=1",
            "drivers/vfio/pci/vfio-pci-core.ko",
            "drivers/vfio/pci/vfio-pci.ko",
            "drivers/uio/uio.ko",
            "drivers/uio/uio_netx.ko",
        ],
        work: Work::TestsOfTheMachine,
        also: &["devices", "kinds", "user_drivers"],
        runs: &[DEVICE, PROC_PCI, VFIO, UIO],
        ..PLAIN
    },
    Row {
        name: "amd64-6.12-drivers",
        kernel: K6_12_WHOLE,
        modules: &[
            "drivers/gpu/drm/drm.ko",
            "drivers/gpu/drm/drm_kms_helper.ko",
            "drivers/gpu/drm/drm_shmem_helper.ko",
            "drivers/gpu/drm/vgem/vgem.ko",
            "sound/soundcore.ko",
            "sound/core/snd.ko",
            "sound/core/snd-timer.ko",
            SET_ASIDE_LATER,
            "sound/hda/snd-hda-core.ko",
            "sound/core/snd-hwdep.ko",
            "sound/pci/hda/snd-hda-codec.ko",
            "sound/pci/hda/snd-hda-codec-generic.ko",
            "sound/hda/snd-intel-sdw-acpi.ko",
            "sound/hda/snd-intel-dspcfg.ko",
            NO_SNOOP,
        ],
        runs: &[CHANGED, TYPED, AS_IT_IS, LEFT_OUT, RINGS],
        lacks: &[MAPPING_ALONE, THROUGH],
        ..DRIVERS
    },
    Row {
        name: "amd64-5.10-drivers",
        kernel: K5_10_WHOLE,
        modules: &[
            "drivers/gpu/drm/drm.ko",
            "drivers/gpu/drm/vgem/vgem.ko",
            "sound/soundcore.ko",
            "sound/core/snd.ko",
            "sound/core/snd-timer.ko",
            SET_ASIDE_LATER,
            "sound/hda/snd-hda-core.ko",
            "sound/core/snd-hwdep.ko",
            "sound/pci/hda/snd-hda-codec.ko",
            "drivers/leds/trigger/ledtrig-audio.ko",
            "sound/pci/hda/snd-hda-codec-generic.ko",
            "drivers/soundwire/soundwire-bus.ko",
            "drivers/soundwire/soundwire-generic-allocation.ko",
            "drivers/soundwire/soundwire-cadence.ko",
            "sound/core/snd-compress.ko",
            "sound/soc/snd-soc-core.ko",
            "drivers/soundwire/soundwire-intel.ko",
            "sound/hda/snd-intel-dspcfg.ko",
            NO_SNOOP,
        ],
        runs: &[CHANGED, TYPED, THROUGH, AS_IT_IS, MAPPING_ALONE],
        lacks: &[LEFT_OUT],
        ..DRIVERS
    },
    Row {
        name: "amd64-6.12-poison",
        kernel: K6_12_WHOLE,
        runs: &[
            LOST,
            LOST_SMALL,
            LOST_OF_HUGE,
            LOST_OF_FILE,
            LOST_HUGETLB,
            LOST_GIGANTIC,
            SOFTLY_OFFLINE,
        ],
        ..POISON
    },
    Row {
        name: "amd64-5.10-poison",
        kernel: K5_10_WHOLE,
        lacks: &[LOST_GIGANTIC],
        ..POISON
    },
    Row {
        name: "amd64-6.12-pmem",
        kernel: K6_12_WHOLE,
        modules: PERSISTENT_MODULES,
        ..PERSISTENT
    },
    Row {
        name: "amd64-5.10-pmem",
        kernel: K5_10_WHOLE,
        modules: &[
            "lib/crc16.ko",
            "crypto/crc32c_generic.ko",
            "fs/mbcache.ko",
            "fs/jbd2/jbd2.ko",
            "fs/ext4/ext4.ko",
            "drivers/nvdimm/libnvdimm.ko",
            "drivers/nvdimm/nd_btt.ko",
            "drivers/nvdimm/nd_pmem.ko",
            "drivers/dax/device_dax.ko",
            "drivers/dax/pmem/dax_pmem_core.ko",
            "drivers/dax/pmem/dax_pmem.ko",
            "drivers/nvdimm/nd_e820.ko",
        ],
        ..PERSISTENT
    },
    Row {
        name: "amd64-7.x-pmem",
        kernel: K7_WHOLE,
        modules: &[
            "lib/crc/crc16.ko",
            "fs/mbcache.ko",
            "fs/jbd2/jbd2.ko",
            "fs/ext4/ext4.ko",
            "drivers/nvdimm/libnvdimm.ko",
            "drivers/nvdimm/nd_btt.ko",
            "drivers/nvdimm/nd_pmem.ko",
            "drivers/dax/device_dax.ko",
            "drivers/dax/dax_pmem.ko",
            "drivers/nvdimm/nd_e820.ko",
        ],
        is_bonus: true,
        ..PERSISTENT
    },
    Row {
        name: "amd64-5.10-balloon",
        kernel: K5_10,
        options: with_balloon!("amd64-5.10-balloon"),
        modules: &[
            "drivers/virtio/virtio.ko",
            "drivers/virtio/virtio_ring.ko",
            "drivers/virtio/virtio_pci.ko",
            "drivers/char/virtio_console.ko",
            "drivers/virtio/virtio_balloon.ko",
        ],
        ..WITH_BALLOON
    },
    Row {
        name: "amd64-7.x-balloon",
        kernel: K7_WHOLE,
        options: with_balloon!("amd64-7.x-balloon"),
        modules: &["drivers/virtio/virtio_balloon.ko"],
        is_bonus: true,
        ..WITH_BALLOON
    },
    Row {
        name: "amd64-6.12-32bit",
        programs: Arch::I386,
        machine: "32-bit programs on a 64-bit kernel",
        runs: &[PAGE_SCAN, AREA_QUERY, HUGE, WIDER],
        lacks: &[RESERVATION],
        ..PLAIN
    },
    Row {
        name: "amd64-7.x",
        kernel: K7,
        machine: "default; its failure fails nothing",
        runs: &[PAGE_SCAN, AREA_QUERY, HUGE],
        is_bonus: true,
        ..PLAIN
    },
];

/// Modules of persistent memory in 6.12.
pub(crate) const PERSISTENT_MODULES: &[&str] = &[
    "lib/crc16.ko",
    "crypto/crc32c_generic.ko",
    "fs/mbcache.ko",
    "fs/jbd2/jbd2.ko",
    "fs/ext4/ext4.ko",
    "drivers/nvdimm/libnvdimm.ko",
    "drivers/nvdimm/nd_btt.ko",
    "drivers/nvdimm/nd_pmem.ko",
    "drivers/dax/device_dax.ko",
    "drivers/dax/dax_pmem.ko",
    "drivers/nvdimm/nd_e820.ko",
];

/// At the end of its RAM, so that one GiB from 4 GiB on is free in one piece.
pub(crate) const PERSISTENT_OF_TRUTH: [u64; 3] = [6160, 6240, 6320];

/// The row whose RAM is a file on the host.
pub(crate) const TRUTH: Row = Row {
    name: "amd64-6.12-truth",
    machine: "its RAM is a file, where each reported byte range is looked for",
    kernel: K6_12_WHOLE,
    modules: PERSISTENT_MODULES,
    persistent: Some(PERSISTENT_OF_TRUTH),
    // Most of it is above 4 GiB.
    memory: 3328,
    command_line: "transparent_hugepage=madvise",
    work: Work::Truth {
        seconds: 40,
        pages: 2_000_000,
    },
    ..PLAIN
};

#[cfg(test)]
mod tests {
    use super::super::row::{LONG, LONG_IN_C};
    use super::*;

    #[test]
    fn programs_that_take_long_run_on_some_row() {
        for name in LONG.iter().chain(LONG_IN_C) {
            let mut rows = ROWS.iter();
            assert!(
                rows.any(|row| row.has(name) || row.has_in_c(name)),
                "{name}"
            );
        }
    }

    /// Also by one of the same release that only has more drivers.
    #[test]
    fn rows_that_leave_tests_out_have_the_kernel_of_one_that_does_not() {
        let release = |row: &Row| (row.kernel.arch, row.kernel.packages[0].2);
        for row in ROWS.iter().filter(|row| row.work != Work::AllTests) {
            let mut others = ROWS.iter().filter(|row| row.work == Work::AllTests);
            assert!(
                others.any(|other| release(other) == release(row)
                    && other.programs == row.programs
                    && !other.is_bonus)
                    || row.is_bonus,
                "{}",
                row.name
            );
        }
    }
}
