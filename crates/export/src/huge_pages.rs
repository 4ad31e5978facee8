//! Records of huge pages in a summary: what they map, why not more, and what the
//! kernel is set to.

use std::collections::BTreeMap;

use process_introspection::{HugePageSettings, HugePolicy, PolicyBytes, Summary};
use serde::Serialize;

/// What huge entries map of resident memory, and why not more; in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HugePagesRecord {
    /// The size of a huge page.
    pub size: u64,
    /// Mapped by huge entries.
    pub mapped: u64,
    /// Of mappings for which a policy forbids them.
    pub policy: u64,
    /// Of mappings that are smaller than a huge page.
    pub too_small: u64,
    /// At the edges of mappings, or of files that are mapped out of step.
    pub alignment: u64,
    /// In blocks with pages that are not there.
    pub holes: u64,
    /// In full blocks of frames that are not consecutive, or not aligned.
    pub fragmented: u64,
    /// In full blocks of files whose page cache has smaller folios.
    pub page_cache: u64,
    /// In full blocks of the right frames that small entries map.
    pub small_entries: u64,
    /// In full blocks whose frames this caller cannot see.
    pub frames_hidden: u64,
    /// The policies of `policy`, in the order in which they are asked.
    pub policies: Vec<PolicyRecord>,
    /// What the machine and the process are set to.
    pub settings: HugeSettingsRecord,
}

/// Memory that one policy keeps from being huge, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyRecord {
    /// Its name.
    pub reason: &'static str,
    /// The kernel's setting, as `FILE=VALUE`; none where it is another thing.
    pub setting: Option<String>,
    /// All of it.
    pub bytes: u64,
    /// What another policy would make eligible.
    pub eligible: u64,
    /// The same in blocks whose pages are all there.
    pub eligible_full: u64,
    /// Which it is.
    #[serde(skip)]
    pub policy: HugePolicy,
}

/// What the machine and the process are set to; null where it is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HugeSettingsRecord {
    /// The kernel has transparent huge pages.
    pub available: Option<bool>,
    /// For anonymous memory, with the size's own setting before the general one.
    pub enabled: Option<&'static str>,
    /// For shared memory, likewise.
    pub shmem_enabled: Option<&'static str>,
    /// Whether a page fault waits for a huge page to be made.
    pub defrag: Option<String>,
    /// Whether a huge zero page is used.
    pub use_zero_page: Option<bool>,
    /// So many pages of a block may be missing for khugepaged.
    pub max_ptes_none: Option<u64>,
    /// So many may be in swap.
    pub max_ptes_swap: Option<u64>,
    /// So many may be shared with other processes.
    pub max_ptes_shared: Option<u64>,
    /// The process has huge pages switched off.
    pub process_disabled: Option<bool>,
    /// The advice of mappings was read.
    pub advice_read: bool,
}

impl HugeSettingsRecord {
    /// Settings that are words, by the names of their fields.
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

    /// Settings that are numbers.
    pub(crate) fn numbers(&self) -> [(&'static str, Option<u64>); 3] {
        [
            ("max_ptes_none", self.max_ptes_none),
            ("max_ptes_swap", self.max_ptes_swap),
            ("max_ptes_shared", self.max_ptes_shared),
        ]
    }
}

/// The setting that a policy is, as `FILE=VALUE`.
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

    /// The reasons, by the names of their fields, each with its bytes; policy is
    /// the first.
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
        reason: policy.name(),
        setting: setting(policy, settings),
        bytes: of_it.bytes,
        eligible: of_it.eligible,
        eligible_full: of_it.eligible_full,
        policy,
    };
    policies.iter().map(record).collect()
}
