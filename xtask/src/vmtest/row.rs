//! A row of the table: its fields, and which test programs it runs. Knows no row.

use super::kernels::{Arch, Kernel};

/// Work of a guest.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Every test program except those of [`LONG`] that the row does not name.
    AllTests,
    /// [`BASE`], the C programs and the programs that the row names, because another
    /// row has the same kernel.
    TestsOfTheMachine,
    /// Only the programs that the row names.
    NamedTests,
    /// Writes patterns and reports their addresses for some seconds, while the host
    /// checks at least so many pages in the guest's RAM.
    Truth { seconds: u64, pages: u64 },
}

/// A row: a kernel on a machine, and the test programs that run on it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) kernel: Kernel,
    pub(crate) work: Work,
    /// Architecture of the test programs.
    pub(crate) programs: Arch,
    /// Description of the machine, for the document.
    pub(crate) machine: &'static str,
    /// RAM in MiB.
    pub(crate) memory: u32,
    /// Options for QEMU.
    pub(crate) options: &'static [&'static str],
    /// Words for the kernel's command line.
    pub(crate) command_line: &'static str,
    /// Environment variables of the tests, besides the scale.
    pub(crate) environment: &'static [(&'static str, &'static str)],
    /// Kernel modules that the guest loads in this order: paths below `kernel/` in the
    /// package, each followed by a space and its options if it has any.
    pub(crate) modules: &'static [&'static str],
    /// Kernel modules from `vmtest/modules`, which the guest loads after these.
    pub(crate) own_modules: &'static [&'static str],
    /// Addresses in MiB of three regions of persistent memory: for a file system and
    /// for two devices.
    pub(crate) persistent: Option<[u64; 3]>,
    /// Size of the base page in bytes.
    pub(crate) page: u64,
    /// Test programs besides the usual ones.
    pub(crate) also: &'static [&'static str],
    /// Tests that must run: the purpose of the row.
    pub(crate) runs: &'static [&'static str],
    /// Tests that must be skipped, because the kernel or the machine lacks something.
    pub(crate) lacks: &'static [&'static str],
    /// Whether the matrix passes even if this row fails.
    pub(crate) is_bonus: bool,
}

impl Row {
    /// Whether it runs this Rust test program.
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

/// Rust test programs that take minutes in an emulator or take memory away from the
/// machine: only rows that name them run them.
pub(crate) const LONG: &[&str] = &["faults", "permissions", "poison", "storm"];

/// C programs for which the same is true.
pub(crate) const LONG_IN_C: &[&str] = &["handlers"];

/// Rust test programs that run on every machine.
pub(crate) const BASE: &[&str] = &[
    "machines",
    "oracle",
    "process_introspection_core",
    "pure",
    "targets",
];
