//! Machines that several rows of the table have: what differs between those rows is in the table.

use super::kernels::{Arch, K6_12};
use super::row::{Row, Work};
use super::test_names::{
    BALLOON, CENSUS, DAX_COPIES, DAX_DEVICES, DAX_HOLES, DAX_HUGE, DAX_OWNER, DAX_PRIVATE,
    DAX_SHARED, EXPLAINED, LOST, LOST_HUGETLB, LOST_OF_FILE, LOST_OF_HUGE, LOST_SMALL,
    SOFTLY_OFFLINE,
};

/// Most rows: kernel 6.12 and all tests.
pub(super) const PLAIN: Row = Row {
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

/// A machine with drivers that use RAM that is not write-back.
pub(super) const DRIVERS: Row = Row {
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

/// A machine whose RAM is in part persistent memory.
pub(super) const PERSISTENT: Row = Row {
    machine: "persistent memory: ext4 mounted with `-o dax`, devices with pages of 4 KiB and 2 MiB",
    memory: 1536,
    persistent: Some([1024, 1152, 1280]),
    work: Work::NamedTests,
    also: &["census", "persistent"],
    runs: &[
        DAX_SHARED,
        DAX_PRIVATE,
        DAX_COPIES,
        DAX_HOLES,
        DAX_HUGE,
        DAX_DEVICES,
        DAX_OWNER,
        CENSUS,
    ],
    ..PLAIN
};

/// A machine with injected memory errors.
pub(super) const POISON: Row = Row {
    machine: "memory errors, injected; hugetlb pages of 1 GiB",
    memory: 3072,
    command_line: "hugepagesz=1G hugepages=1 transparent_hugepage=madvise",
    work: Work::NamedTests,
    also: &["census", "owners", "poison"],
    runs: &[
        LOST,
        LOST_SMALL,
        LOST_OF_HUGE,
        LOST_OF_FILE,
        LOST_HUGETLB,
        SOFTLY_OFFLINE,
        CENSUS,
    ],
    ..PLAIN
};

/// Options of a row with a balloon, behind others. The emulator is connected to its own
/// monitor, by a socket with the row's name: the guest sets the size of its balloon itself.
macro_rules! with_balloon {
    ($row:literal $(, $option:literal)* $(,)?) => {
        &[
            $($option,)*
            "-device",
            "virtio-balloon-pci",
            "-chardev",
            concat!("socket,id=monitor,path=", $row, ".monitor,server=on,wait=off"),
            "-mon",
            "chardev=monitor,mode=control",
            "-chardev",
            concat!("socket,id=port,path=", $row, ".monitor"),
            "-device",
            "virtio-serial-pci",
            "-device",
            "virtserialport,chardev=port,name=vmtest.monitor",
        ]
    };
}

/// A machine with a balloon.
pub(super) const WITH_BALLOON: Row = Row {
    machine: "a balloon (virtio-balloon)",
    work: Work::NamedTests,
    also: &["census"],
    runs: &[CENSUS, EXPLAINED, BALLOON],
    ..PLAIN
};

pub(super) use with_balloon;
