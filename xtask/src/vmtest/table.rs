//! The table: which kernels on which machines the tests are run on. The one
//! place for it; `docs/KERNELS.md` holds the same, kept so by a test. Knows
//! nothing of how a row is run.

use testkit::storm;

use super::kernels::{
    Arch, Kernel, K5_10, K5_10_WHOLE, K6_1, K6_12, K6_12_ARM64, K6_12_ARM64_16K, K6_12_WHOLE,
    K6_1_686, K7, K7_WHOLE, RISCV64,
};

/// What a guest does.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// It runs every test program but those of [`LONG`] that the row does not
    /// name.
    AllTests,
    /// It runs [`BASE`], the C programs and what the row names: another row has
    /// the same kernel.
    TestsOfTheMachine,
    /// It runs what the row names alone, which is all that its machine matters
    /// for.
    NamedTests,
    /// It has its RAM looked into from outside while it writes there and says
    /// where: for so many seconds, and at least so many pages.
    Truth { seconds: u64, pages: u64 },
}

/// A row: a kernel on a machine, and the tests' programs on it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) kernel: Kernel,
    pub(crate) work: Work,
    /// What the tests are compiled for.
    pub(crate) programs: Arch,
    /// For people: what is special about the machine.
    pub(crate) machine: &'static str,
    /// RAM in MiB.
    pub(crate) memory: u32,
    /// Options of QEMU.
    pub(crate) options: &'static [&'static str],
    /// Words for the kernel's command line.
    pub(crate) command_line: &'static str,
    /// What the tests' environment says there, besides the scale.
    pub(crate) environment: &'static [(&'static str, &'static str)],
    /// Modules that the guest loads, in this order, below `kernel/` in the
    /// package, each with the options it gets behind a space.
    pub(crate) modules: &'static [&'static str],
    /// Modules of our own that the guest loads after these, by their names in
    /// `vmtest/modules`.
    pub(crate) own_modules: &'static [&'static str],
    /// Where it has regions of persistent memory, in MiB: with a file system, and
    /// two devices.
    pub(crate) persistent: Option<[u64; 3]>,
    /// The base page, in bytes.
    pub(crate) page: u64,
    /// Which programs it runs besides the usual ones.
    pub(crate) also: &'static [&'static str],
    /// Tests that must not be skipped: what the row is for.
    pub(crate) runs: &'static [&'static str],
    /// Tests that must be skipped: what this kernel or machine lacks.
    pub(crate) lacks: &'static [&'static str],
    /// Whether a failure is one of the whole matrix.
    pub(crate) is_bonus: bool,
}

impl Row {
    /// Whether it runs this test program of Rust's.
    pub(crate) fn has(&self, program: &str) -> bool {
        let is_usual = match self.work {
            Work::AllTests => !LONG.contains(&program),
            Work::TestsOfTheMachine => BASE.contains(&program),
            Work::NamedTests | Work::Truth { .. } => false,
        };
        is_usual || self.also.contains(&program)
    }

    /// Whether it runs this C program.
    pub(crate) fn has_in_c(&self, program: &str) -> bool {
        let has_usual = matches!(self.work, Work::AllTests | Work::TestsOfTheMachine);
        let is_usual = has_usual && !LONG_IN_C.contains(&program);
        is_usual || self.also.contains(&program)
    }
}

/// Test programs, without `.rs` or `.c`, that take an emulator minutes or take
/// memory away from the machine: only rows that name them run them.
pub(crate) const LONG: &[&str] = &["faults", "permissions", "poison", "storm"];

/// The same of C programs.
pub(crate) const LONG_IN_C: &[&str] = &["handlers"];

/// Rust's test programs that run on every machine: the core's own, all of a walk
/// against an oracle, and what machines have.
pub(crate) const BASE: &[&str] = &[
    "machines",
    "oracle",
    "process_introspection_core",
    "pure",
    "targets",
];

const PLAIN: Row = Row {
    name: "",
    kernel: K6_12,
    work: Work::AllTests,
    programs: Arch::Amd64,
    machine: "",
    memory: 1024,
    options: &[],
    command_line: "transparent_hugepage=madvise",
    environment: &[],
    modules: &[],
    own_modules: &[],
    persistent: None,
    page: 4096,
    also: &[],
    runs: &[],
    lacks: &[],
    is_bonus: false,
};

/// A machine with drivers whose RAM is not all write-back.
const DRIVERS: Row = Row {
    machine: "a sound device that does not see the processor's caches, a graphics driver, and a \
              module of our own",
    own_modules: &["typed_ram"],
    options: &[
        "-audiodev",
        "none,id=sound",
        "-device",
        "intel-hda",
        "-device",
        "hda-output,audiodev=sound",
    ],
    work: Work::TestsOfTheMachine,
    also: &["driver_ram"],
    ..PLAIN
};

/// A machine with persistent memory, which lies in its RAM.
const PERSISTENT: Row = Row {
    machine: "persistent memory: ext4 mounted with `-o dax`, devices with pages of 4 KiB and 2 MiB",
    memory: 1536,
    persistent: Some([1024, 1152, 1280]),
    work: Work::NamedTests,
    also: &["persistent"],
    runs: &[
        DAX_SHARED,
        DAX_PRIVATE,
        DAX_COPIES,
        DAX_HOLES,
        DAX_HUGE,
        DAX_DEVICES,
        DAX_OWNER,
    ],
    ..PLAIN
};

/// A machine that can lose memory.
const POISON: Row = Row {
    machine: "memory errors, injected; hugetlb pages of 1 GiB",
    memory: 3072,
    command_line: "hugepagesz=1G hugepages=1 transparent_hugepage=madvise",
    work: Work::NamedTests,
    also: &["owners", "poison"],
    runs: &[
        LOST,
        LOST_SMALL,
        LOST_OF_HUGE,
        LOST_OF_FILE,
        LOST_HUGETLB,
        SOFTLY_OFFLINE,
    ],
    ..PLAIN
};

const LOST: &str = "owners::a_process_that_lost_pages_to_memory_errors_is_found";
const LOST_SMALL: &str = "poison::a_small_page_of_anonymous_memory_that_was_lost_is_poisoned";
const LOST_OF_HUGE: &str =
    "poison::a_page_of_a_transparent_huge_page_that_was_lost_is_poisoned_and_the_others_are_not";
const LOST_OF_FILE: &str = "poison::a_page_of_a_file_that_was_lost_is_poisoned";
const LOST_HUGETLB: &str = "poison::a_hugetlb_page_that_was_lost_is_never_reported_absent";
const LOST_GIGANTIC: &str =
    "poison::a_hugetlb_page_of_a_gibibyte_that_was_lost_is_never_reported_absent";
const SOFTLY_OFFLINE: &str =
    "poison::pages_that_were_taken_offline_softly_are_where_their_bytes_went";
const MOVING: &str = "migration::small_pages_on_the_move_are_where_they_were_seen_or_on_the_move";
const MOVING_HUGE: &str =
    "migration::transparent_huge_pages_on_the_move_are_where_they_were_seen_or_on_the_move";
const MOVING_HUGETLB: &str =
    "migration::hugetlb_pages_on_the_move_are_where_they_were_seen_and_never_absent";
const DAX_SHARED: &str = "persistent::shared_pages_of_a_file_lie_where_its_extents_are";
const DAX_PRIVATE: &str = "persistent::private_pages_that_were_only_read_are_the_files";
const DAX_COPIES: &str = "persistent::private_copies_are_ram_and_their_neighbours_are_not";
const DAX_HOLES: &str = "persistent::holes_that_were_read_are_the_zero_page";
const DAX_HUGE: &str = "persistent::huge_pages_of_a_file_and_of_a_hole_are_told_apart";
const DAX_OWNER: &str = "persistent::the_owner_of_persistent_memory_is_who_maps_it";
const DAX_DEVICES: &str = "persistent::a_dax_device_lies_where_its_resource_is";

/// What the driver sets aside by itself is one piece, and so is all that
/// it sets aside instead.
const SET_ASIDE_LATER: &str = "sound/core/snd-pcm.ko preallocate_dma=0";

/// The driver then takes memory that is write-combining, as for some of AMD's
/// devices.
const NO_SNOOP: &str = "sound/pci/hda/snd-hda-intel.ko snoop=0";

const PAGE_SCAN: &str = "system_calls::huge_pages_cost_half_a_read_each";
const AREA_QUERY: &str = "system_calls::one_address_of_oneself_takes_no_call_too_many";
const HUGE: &str = "oracle::huge_pages_are_consecutive_and_their_leaf_entries_whole";
const HUGE_WALK: &str = "parallel::huge_pages_come_out_as_in_an_ordinary_walk";
const HUGETLB: &str = "oracle::hugetlb_pages_have_their_size";
const HUGE_ZERO: &str =
    "oracle::states::the_huge_zero_page_of_dev_zero_is_no_memory_of_the_mapping";
const HUGE_ZERO_OF_CHILD: &str =
    "oracle::states::the_huge_zero_page_is_no_memory_of_a_child_that_inherits_it";
const MARKED: &str =
    "oracle::states::a_page_that_is_marked_without_being_there_is_a_marker_or_poisoned";
const MARKED_HUGETLB: &str =
    "oracle::states::a_hugetlb_page_that_is_marked_is_never_called_not_present";
const GIGANTIC: &str = "machines::hugetlb_pages_of_a_gibibyte_are_one_leaf_entry_each";
const NODES: &str = "machines::memory_of_each_node_is_reported_where_that_node_is";
const MOVED: &str = "machines::a_page_that_is_moved_to_another_node_is_reported_there";
const NODES_BY_KIND: &str = "machines::a_summary_has_the_memory_of_each_kind_by_node";
const HIGH: &str = "machines::memory_above_the_lower_47_bits_is_reported";
const SWAP: &str = "machines::swapped_pages_are_told_with_their_place";
const SWAP_SUM: &str = "summary::swapped_memory_is_what_the_kernel_counts";
const SWAP_FACTS: &str = "page_facts::a_page_in_swap_has_the_facts_of_its_entry_and_the_areas_name";
const STORM: &str = "storm::order_addresses_and_errors_are_right_in_a_storm";
const DEVICE: &str = "machines::device_memory_is_never_told_to_be_absent_or_ram";
const PROC_PCI: &str = "devices::the_memory_of_pci_devices_is_found_by_proc_too";
const FRAMEBUFFER: &str =
    "other_devices::a_framebuffer_is_unknown_because_only_its_own_file_tells_where_it_is";
const VFIO: &str = "user_drivers::a_vfio_region_lies_in_its_bar";
const UIO: &str = "user_drivers::the_maps_of_uio_devices_lie_where_sysfs_says";
const CHANGED: &str = "driver_ram::ram_whose_own_type_a_driver_has_changed_has_that_type";
const AS_IT_IS: &str =
    "driver_ram::ram_that_a_driver_maps_as_it_is_has_no_type_because_nothing_tells_that";
const MAPPING_ALONE: &str =
    "driver_ram::ram_that_only_its_mapping_makes_write_combining_has_no_type";
const LEFT_OUT: &str =
    "driver_ram::ram_of_a_driver_that_the_page_map_leaves_out_is_unknown_and_has_no_type";
const TYPED: &str =
    "driver_ram::consecutive_pages_of_several_types_are_pieces_of_one_region_with_each_its_type";
const THROUGH: &str = "driver_ram::ram_that_a_driver_has_made_write_through_is_so";
const RINGS: &str = "driver_ram::rings_of_the_kernel_and_ordinary_memory_are_write_back";
const WIDER: &str = "machines::a_64_bit_process_is_seen_whole_by_a_32_bit_program";
const RESERVATION: &str = "oracle::a_reservation_of_a_terabyte_is_skipped_not_read";

/// All rows, in the order in which they are started: the longest first.
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
        machine: "as it is",
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
        machine: "as it is",
        also: &["handlers", "permissions", "storm"],
        runs: &[HUGE_WALK],
        lacks: &[PAGE_SCAN, AREA_QUERY],
        ..PLAIN
    },
    Row {
        name: "amd64-6.1",
        kernel: K6_1,
        machine: "as it is",
        runs: &[HUGE_WALK],
        lacks: &[PAGE_SCAN, AREA_QUERY],
        ..PLAIN
    },
    Row {
        name: "amd64-6.12",
        machine: "as it is",
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
        // Otherwise the kernel moves pages of targets that hold still, and
        // nothing read twice is the same.
        command_line: "numa_balancing=disable transparent_hugepage=madvise",
        work: Work::TestsOfTheMachine,
        also: &[
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
            "churn",
            "huge_policy",
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
        ],
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
        // 64 MiB of RAM disk, which is there only when it is written to.
        modules: &["drivers/block/brd.ko rd_nr=1 rd_size=65536"],
        work: Work::TestsOfTheMachine,
        also: &["page_facts", "storm", "summary"],
        environment: &[(storm::SECONDS, "15"), (storm::MUST, "swap")],
        runs: &[SWAP, SWAP_SUM, SWAP_FACTS, STORM],
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
        // The second driver is for other devices that have their memory in the
        // same place.
        command_line: "intel_iommu=on vmtest.bind=0000:00:10.0=vfio-pci \
                       vmtest.bind=0000:00:11.0=netx transparent_hugepage=madvise",
        modules: &[
            "virt/lib/irqbypass.ko",
            "drivers/vfio/vfio.ko",
            // QEMU's IOMMU does not sort out interrupts.
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
        machine: "as it is; a bonus, its failure fails nothing",
        runs: &[PAGE_SCAN, AREA_QUERY, HUGE],
        is_bonus: true,
        ..PLAIN
    },
];

/// In kernels from 6.1 on.
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

/// At the end of its RAM, so that a GiB from 4 GiB on is left in one piece.
pub(crate) const PERSISTENT_OF_TRUTH: [u64; 3] = [6160, 6240, 6320];

/// The row whose RAM is a file.
pub(crate) const TRUTH: Row = Row {
    name: "amd64-6.12-truth",
    machine: "its RAM is a file, where each reported byte range is looked for",
    kernel: K6_12_WHOLE,
    modules: PERSISTENT_MODULES,
    persistent: Some(PERSISTENT_OF_TRUTH),
    // The greater part of it lies above 4 GiB.
    memory: 3328,
    command_line: "transparent_hugepage=madvise",
    work: Work::Truth {
        seconds: 40,
        pages: 2_000_000,
    },
    ..PLAIN
};

/// What stands before and behind the table in the document.
const MARKS: [&str; 2] = ["<!-- vmtest: begin -->\n", "<!-- vmtest: end -->"];

/// The table as Markdown.
pub(crate) fn markdown() -> String {
    let quoted = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    };
    let mut text = format!(
        "Rows that do not say \"only\", all but the one of the truth, run the C library's test programs, and of Rust's {}. \"All\" are all of Rust's. \
         Only where they are named are run those that take an emulator long or memory away ({}, {}). Rows whose kernel another row has \
         name what the machine matters for.\n\n",
        quoted(BASE),
        quoted(LONG),
        quoted(LONG_IN_C)
    );
    text += "| row | kernel | programs | machine | tests |\n|---|---|---|---|---|\n";
    for row in ROWS {
        let kernel = format!("{} {}", row.kernel.arch.debian(), row.kernel.line);
        let also = quoted(row.also);
        let long = match row.also {
            [] => String::new(),
            _ => format!(", {also}"),
        };
        let tests = match row.work {
            Work::AllTests => format!("all{long}"),
            Work::TestsOfTheMachine => format!("those of all rows{long}"),
            Work::NamedTests => format!("only {also}"),
            Work::Truth { seconds, pages } => format!(
                "`cargo xtask truth` for {seconds} s: at least {pages} pages checked, none wrong"
            ),
        };
        let programs = row.programs.debian();
        text += &format!(
            "| {} | {kernel} | {programs} | {} | {tests} |\n",
            row.name, row.machine
        );
    }
    text
}

/// The document with the table in its place.
///
/// # Errors
/// The document has no place for it.
pub(crate) fn in_document(document: &str) -> Result<String, String> {
    let [begin, end] = MARKS;
    let (before, rest) = document
        .split_once(begin)
        .ok_or_else(|| format!("no line {begin}"))?;
    let (_, after) = rest
        .split_once(end)
        .ok_or_else(|| format!("no line {end}"))?;
    Ok(format!("{before}{begin}{}{end}{after}", markdown()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_holds_the_table() {
        let path = crate::run::root().join("docs/KERNELS.md");
        let document = std::fs::read_to_string(path).unwrap();
        assert!(
            in_document(&document).unwrap() == document,
            "run `cargo xtask vmtest --write`"
        );
    }

    #[test]
    fn rows_have_names_of_their_own() {
        let mut names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROWS.len());
    }

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

    #[test]
    fn each_of_our_own_modules_exists_and_some_row_loads_it() {
        let place = crate::run::root().join("vmtest/modules");
        let mut there: Vec<String> = std::fs::read_dir(place)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut named: Vec<String> = (ROWS.iter().flat_map(|row| row.own_modules))
            .map(|name| format!("{name}.c"))
            .collect();
        there.sort_unstable();
        named.sort_unstable();
        named.dedup();
        assert_eq!(there, named);
    }

    /// Or one of the same release that only has more drivers.
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
