//! Settings of transparent huge pages of the machine, in
//! `/sys/kernel/mm/transparent_hugepage` (Documentation/admin-guide/mm/transhuge.rst, Linux
//! 6.12). Reads files; decides nothing.

use std::fs;
use std::path::Path;

use crate::named::named_values;
use crate::process::mounts::Mounts;
use crate::text_files::number_in;

named_values! {
    /// Setting of anonymous memory: `enabled`, or `hugepages-SIZEkB/enabled`.
    #[derive(Copy, Clone, Debug, PartialEq, Eq)]
    pub enum AnonymousMode {
        /// Every mapping may have huge pages.
        Always = "always",
        /// Only mappings with `MADV_HUGEPAGE` may have huge pages.
        Madvise = "madvise",
        /// No mapping may have huge pages.
        Never = "never",
    }
    /// All modes.
    const ALL;
    /// Returns the name, as the kernel writes it.
    pub const fn name;
}

named_values! {
    /// Setting of shared memory: `shmem_enabled`, `hugepages-SIZEkB/shmem_enabled`, or
    /// the option `huge=` of a tmpfs.
    #[derive(Copy, Clone, Debug, PartialEq, Eq)]
    pub enum SharedMode {
        /// Every file may have huge pages.
        Always = "always",
        /// A huge page within the file's size is allowed, or one with `MADV_HUGEPAGE`.
        WithinSize = "within_size",
        /// Only mappings with `MADV_HUGEPAGE` may have huge pages.
        Advise = "advise",
        /// No file may have huge pages.
        Never = "never",
        /// No file may have huge pages, on any tmpfs.
        Deny = "deny",
        /// Every file may have huge pages, on any tmpfs.
        Force = "force",
    }
    /// All modes.
    const ALL;
    /// Returns the name, as the kernel writes it.
    pub const fn name;
}

impl AnonymousMode {
    fn parse(text: &str) -> Option<Self> {
        let name = chosen(text)?;
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

impl SharedMode {
    /// Returns the mode with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// Huge page settings of the machine. A setting that cannot be read is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HugePageSettings {
    /// True if the kernel has transparent huge pages.
    pub available: Option<bool>,
    /// Value of `enabled`.
    pub enabled: Option<AnonymousMode>,
    /// Value of `hugepages-SIZEkB/enabled` for the size that one PMD entry maps, where it
    /// does not inherit `enabled` (Linux 6.8).
    pub enabled_of_size: Option<AnonymousMode>,
    /// Value of `shmem_enabled`.
    pub shmem_enabled: Option<SharedMode>,
    /// Value of `hugepages-SIZEkB/shmem_enabled`, where it does not inherit `shmem_enabled`
    /// (Linux 6.11).
    pub shmem_enabled_of_size: Option<SharedMode>,
    /// Chosen word of `defrag`.
    pub defrag: Option<String>,
    /// Value of `use_zero_page`.
    pub use_zero_page: Option<bool>,
    /// Value of `khugepaged/max_ptes_none`: the maximum number of missing pages in a block
    /// that khugepaged makes one huge page.
    pub max_ptes_none: Option<u64>,
    /// Value of `khugepaged/max_ptes_swap`: the maximum number of swapped pages.
    pub max_ptes_swap: Option<u64>,
    /// Value of `khugepaged/max_ptes_shared`: the maximum number of pages shared with other
    /// processes.
    pub max_ptes_shared: Option<u64>,
    /// Size in bytes that one PMD entry maps, for the names of settings.
    pub size: u64,
}

/// Directory of the settings, below sysfs.
pub(super) const DIRECTORY: &str = "kernel/mm/transparent_hugepage";

impl HugePageSettings {
    /// Reads the settings; `size` is the number of bytes that one PMD entry maps.
    pub fn read(size: u64) -> Self {
        Self::read_in(&Mounts::new(), size)
    }

    /// Reads the settings below another sysfs.
    pub fn read_in(mounts: &Mounts, size: u64) -> Self {
        Self::read_from(&mounts.sys().join(DIRECTORY), size)
    }

    /// Reads the settings in a directory with the kernel's layout, such as a copy from
    /// another machine.
    pub fn read_from(directory: &Path, size: u64) -> Self {
        let text = |name: &str| fs::read_to_string(directory.join(name)).ok();
        let number = |name: &str| number_in(&directory.join(name));
        let of_size = |name: &str| text(&format!("hugepages-{}kB/{name}", size >> 10));
        let anonymous = |text: String| AnonymousMode::parse(&text);
        let shared = |text: String| SharedMode::named(chosen(&text)?);
        // Without the parent directory there is no sysfs to read.
        let above = directory.parent().is_some_and(Path::exists);
        Self {
            available: above.then(|| directory.exists()),
            enabled: text("enabled").and_then(anonymous),
            enabled_of_size: of_size("enabled").and_then(anonymous),
            shmem_enabled: text("shmem_enabled").and_then(shared),
            shmem_enabled_of_size: of_size("shmem_enabled").and_then(shared),
            defrag: text("defrag").and_then(|text| chosen(&text).map(str::to_owned)),
            use_zero_page: number("use_zero_page").map(|number| number != 0),
            max_ptes_none: number("khugepaged/max_ptes_none"),
            max_ptes_swap: number("khugepaged/max_ptes_swap"),
            max_ptes_shared: number("khugepaged/max_ptes_shared"),
            size,
        }
    }

    /// Returns the mode that applies to anonymous memory.
    pub fn anonymous(&self) -> Option<AnonymousMode> {
        self.enabled_of_size.or(self.enabled)
    }

    /// Returns the mode that applies to shared memory outside user-mounted tmpfs.
    pub fn shared(&self) -> Option<SharedMode> {
        self.shmem_enabled_of_size.or(self.shmem_enabled)
    }

    /// Returns the setting of anonymous memory as `enabled=VALUE`, preceded by the
    /// directory of the size if its setting applies.
    pub fn anonymous_setting(&self) -> Option<String> {
        let name = self.name("enabled", self.enabled_of_size.is_some());
        Some(format!("{name}={}", self.anonymous()?.name()))
    }

    /// Returns the setting of shared memory in the form of [`Self::anonymous_setting`].
    pub fn shared_setting(&self) -> Option<String> {
        let name = self.name("shmem_enabled", self.shmem_enabled_of_size.is_some());
        Some(format!("{name}={}", self.shared()?.name()))
    }

    fn name(&self, setting: &str, is_of_size: bool) -> String {
        match is_of_size {
            true => format!("hugepages-{}kB/{setting}", self.size >> 10),
            false => setting.to_owned(),
        }
    }
}

/// Returns the word in brackets.
pub(super) fn chosen(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word)
}
