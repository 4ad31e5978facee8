//! Records of huge pages in a summary: the memory that they map, the reasons why not more,
//! and the settings.

use std::collections::BTreeMap;

use process_introspection::{
    AnonymousMode, HugePageSettings, HugePolicy, PolicyBytes, SharedMode, Summary,
};

use crate::field::record;

record! {
    /// Resident memory by huge page-table entries, in bytes: the part that they map, and the
    /// reasons why they do not map the rest.
    pub struct HugePagesRecord: Readable {
        /// Size of a huge page.
        pub size: u64 = bytes(),
        /// Mapped by huge entries. A huge page counts whole, however little of it is used, which
        /// the kernel does not export.
        pub mapped: u64 = bytes(),
        /// In mappings for which a policy forbids huge pages, or may forbid them: the sum of
        /// policies.
        pub policy: u64 = bytes(),
        /// In mappings that are smaller than a huge page.
        pub too_small: u64 = bytes(),
        /// At the edges of mappings, or of files whose mapping is not aligned with them.
        pub alignment: u64 = bytes(),
        /// In blocks with pages that are not present.
        pub holes: u64 = bytes(),
        /// In full blocks of frames that are not consecutive, or not aligned.
        pub fragmented: u64 = bytes(),
        /// In full blocks of files whose page cache has smaller folios.
        pub page_cache: u64 = bytes(),
        /// In full blocks of suitable frames that small entries map.
        pub small_entries: u64 = bytes(),
        /// In full blocks whose frames the caller cannot see.
        pub frames_hidden: u64 = bytes(),
        /// Policies of memory that is not huge, in the order in which the kernel applies
        /// them, without those of no memory.
        pub policies: Vec<PolicyRecord>,
        /// Settings of the machine, the process and its mappings.
        pub settings: HugeSettingsRecord,
    }
}

record! {
    /// Memory that one policy keeps from being huge, in bytes.
    pub struct PolicyRecord: Readable {
        /// Policy.
        pub reason: HugePolicy,
        /// Setting of the policy, as FILE=VALUE below /sys/kernel/mm/transparent_hugepage,
        /// or the option of a tmpfs.
        pub setting: Option<String> = pattern("=").null("if the policy is no setting"),
        /// All memory of the policy.
        pub bytes: u64 = bytes(),
        /// Memory that another policy would make eligible: anonymous and shared memory in
        /// whole blocks of its mapping.
        pub eligible: u64 = bytes(),
        /// Part of it in blocks whose pages are all present.
        pub eligible_full: u64 = bytes(),
    }
}

record! {
    /// Settings of the machine, the process and its mappings.
    pub struct HugeSettingsRecord: Readable {
        /// Whether the kernel has transparent huge pages.
        pub available: Option<bool> = null("without sysfs"),
        /// Setting of anonymous memory: hugepages-SIZEkB/enabled, or enabled where that
        /// inherits.
        pub enabled: Option<&'static str> = one_of(anonymous_modes).null("if it is unknown"),
        /// Setting of shared memory: hugepages-SIZEkB/shmem_enabled, or shmem_enabled where
        /// that inherits.
        pub shmem_enabled: Option<&'static str> = one_of(shared_modes).null("if it is unknown"),
        /// Selected word of defrag.
        pub defrag: Option<String> = null("if it is unknown"),
        /// Value of use_zero_page.
        pub use_zero_page: Option<bool> = null("if it is unknown"),
        /// Value of khugepaged/max_ptes_none: number of pages of a block that may be missing.
        pub max_ptes_none: Option<u64> = pages().null("if it is unknown"),
        /// Value of khugepaged/max_ptes_swap: number of pages that may be in swap.
        pub max_ptes_swap: Option<u64> = pages().null("if it is unknown"),
        /// Value of khugepaged/max_ptes_shared: number of pages that may be shared.
        pub max_ptes_shared: Option<u64> = pages().null("if it is unknown"),
        /// Whether the process has huge pages disabled (PR_SET_THP_DISABLE).
        pub process_disabled: Option<bool> = null("before Linux 5.0"),
        /// Whether the advice of mappings was read (smaps). It is not read if nothing depends
        /// on it, or if reading would hold the process's mmap lock for long.
        pub advice_read: bool,
    }
}

fn anonymous_modes() -> Vec<&'static str> {
    use AnonymousMode::{Always, Madvise, Never};
    [Always, Madvise, Never].map(AnonymousMode::name).to_vec()
}

fn shared_modes() -> Vec<&'static str> {
    use SharedMode::{Advise, Always, Deny, Force, Never, WithinSize};
    let all = [Always, WithinSize, Advise, Never, Deny, Force];
    all.map(SharedMode::name).to_vec()
}

impl HugeSettingsRecord {
    /// Returns the known settings that are words, by the names of their fields.
    pub(crate) fn words(&self) -> Vec<(&'static str, String)> {
        let truth = |value: Option<bool>| value.map(|value| value.to_string());
        let words = [
            ("available", truth(self.available)),
            ("enabled", self.enabled.map(str::to_owned)),
            ("shmem_enabled", self.shmem_enabled.map(str::to_owned)),
            ("defrag", self.defrag.clone()),
            ("use_zero_page", truth(self.use_zero_page)),
            ("process_disabled", truth(self.process_disabled)),
            ("advice_read", Some(self.advice_read.to_string())),
        ];
        let known = |(name, word): (_, Option<String>)| Some((name, word?));
        words.into_iter().filter_map(known).collect()
    }

    /// Returns the settings that are numbers.
    pub(crate) fn numbers(&self) -> [(&'static str, Option<u64>); 3] {
        [
            ("max_ptes_none", self.max_ptes_none),
            ("max_ptes_swap", self.max_ptes_swap),
            ("max_ptes_shared", self.max_ptes_shared),
        ]
    }
}

/// Returns the setting of a policy, as `FILE=VALUE`.
fn setting(policy: HugePolicy, settings: &HugePageSettings) -> Option<String> {
    match policy {
        HugePolicy::EnabledNever | HugePolicy::NotAdvised | HugePolicy::AdviceUnread => {
            settings.anonymous_setting()
        }
        HugePolicy::SharedNever | HugePolicy::SharedNotAdvised => settings.shared_setting(),
        HugePolicy::TmpfsNever => Some("huge=never".to_owned()),
        HugePolicy::TmpfsNotAdvised => Some("huge=advise".to_owned()),
        _ => None,
    }
}

impl HugePagesRecord {
    pub(crate) fn of(summary: &Summary) -> Option<Self> {
        let coverage = summary.coverage?;
        let settings = &summary.huge_settings;
        let policies = &summary.policies;
        Some(Self {
            size: summary.huge_page,
            mapped: coverage.huge,
            policy: coverage.policy,
            too_small: coverage.too_small,
            alignment: coverage.alignment,
            holes: coverage.holes,
            fragmented: coverage.fragmented,
            page_cache: coverage.page_cache,
            small_entries: coverage.small_entries,
            frames_hidden: coverage.frames_hidden,
            policies: policy_records(policies, settings),
            settings: HugeSettingsRecord {
                available: settings.available,
                enabled: settings.anonymous().map(|mode| mode.name()),
                shmem_enabled: settings.shared().map(|mode| mode.name()),
                defrag: settings.defrag.clone(),
                use_zero_page: settings.use_zero_page,
                max_ptes_none: settings.max_ptes_none,
                max_ptes_swap: settings.max_ptes_swap,
                max_ptes_shared: settings.max_ptes_shared,
                process_disabled: summary.huge_disabled,
                advice_read: summary.advice_read,
            },
        })
    }

    /// Returns the reasons beside policies that have any memory, in words of pictures, each with
    /// its bytes.
    pub fn reasons(&self) -> impl Iterator<Item = (&'static str, u64)> {
        const NAMES: [&str; 7] = [
            "mapping small",
            "alignment",
            "holes",
            "frames scattered",
            "page cache's folios",
            "small entries",
            "frames hidden",
        ];
        // The first one is the sum of the policies.
        let bytes = self.missed().into_iter().skip(1).map(|(_, bytes)| bytes);
        NAMES.into_iter().zip(bytes).filter(|&(_, bytes)| bytes > 0)
    }

    /// Returns the reasons by the names of their fields, each with its bytes; policy is the
    /// first.
    pub(crate) fn missed(&self) -> [(&'static str, u64); 8] {
        [
            ("policy", self.policy),
            ("too_small", self.too_small),
            ("alignment", self.alignment),
            ("holes", self.holes),
            ("fragmented", self.fragmented),
            ("page_cache", self.page_cache),
            ("small_entries", self.small_entries),
            ("frames_hidden", self.frames_hidden),
        ]
    }
}

fn policy_records(
    policies: &BTreeMap<HugePolicy, PolicyBytes>,
    settings: &HugePageSettings,
) -> Vec<PolicyRecord> {
    let record = |(&policy, of_it): (&HugePolicy, &PolicyBytes)| PolicyRecord {
        reason: policy,
        setting: setting(policy, settings),
        bytes: of_it.bytes,
        eligible: of_it.eligible,
        eligible_full: of_it.eligible_full,
    };
    policies.iter().map(record).collect()
}
