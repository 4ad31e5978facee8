//! Text about policies of huge pages: the label of a policy, the effect of another policy,
//! and what cannot be known. A function of the records.

use process_introspection::HugePolicy;

use crate::huge_pages::{HugePagesRecord, HugeSettingsRecord, PolicyRecord};
use crate::number::rough;

/// Returns the label of a policy's bar, in 20 characters.
pub fn label(policy: &PolicyRecord) -> String {
    let setting = policy.setting.as_deref().unwrap_or_default();
    // The file in a directory for each size has the name of the general one.
    let setting = setting.rsplit('/').next().unwrap_or_default();
    match policy.reason {
        HugePolicy::NoKernelSupport => "no kernel support".to_owned(),
        HugePolicy::ProcessDisabled => "PR_SET_THP_DISABLE".to_owned(),
        HugePolicy::AdvisedAgainst => "MADV_NOHUGEPAGE".to_owned(),
        HugePolicy::TmpfsNever | HugePolicy::TmpfsNotAdvised => format!("tmpfs {setting}"),
        HugePolicy::PrivateCopy => "private copies".to_owned(),
        HugePolicy::SpecialMapping => "special mappings".to_owned(),
        HugePolicy::NotEligible => "not eligible".to_owned(),
        // The advice that decides was not read.
        HugePolicy::AdviceUnread if setting == "enabled=madvise" => format!("{setting}?"),
        HugePolicy::AdviceUnread => "advice not read".to_owned(),
        _ => setting.to_owned(),
    }
}

/// Returns the effects of other policies, a sentence for each policy that another could
/// replace with effect.
pub fn advice(huge: &HugePagesRecord) -> Vec<String> {
    let of_each = huge.policies.iter();
    of_each
        .filter_map(|policy| of_policy(policy, huge))
        .collect()
}

/// Limit of what is known of memory that huge pages map.
pub(crate) const LIMIT: &str =
    "a huge page counts whole: how much of it is used, the kernel does not export";

fn of_policy(policy: &PolicyRecord, huge: &HugePagesRecord) -> Option<String> {
    let (size, some) = (rough(huge.size), rough(policy.eligible));
    let name = label(policy);
    let setting = policy.setting.as_deref().unwrap_or_default();
    let file = setting.split('=').next().unwrap_or_default();
    let none = policy.eligible == 0;
    let change = match policy.reason {
        HugePolicy::NoKernelSupport | HugePolicy::PrivateCopy | HugePolicy::SpecialMapping => {
            return None
        }
        // Memory outside whole blocks has another reason besides the policy.
        _ if none && policy.bytes < huge.size => return None,
        _ if none => {
            let why = match policy.reason {
                HugePolicy::SharedNever | HugePolicy::SharedNotAdvised => {
                    " (the kernel aligns shared memory that is mapped while it may be huge)"
                }
                _ => "",
            };
            return Some(format!(
                "{name}: nothing of it lies in whole blocks of {size}, so that another policy \
                 alone changes nothing{why}"
            ));
        }
        HugePolicy::ProcessDisabled => {
            let set = machine(&huge.settings);
            format!("without it, which children inherit, {some} would be subject to {set}")
        }
        HugePolicy::EnabledNever => format!(
            "{some} would be eligible with {file}=always, or with {file}=madvise and \
             madvise(MADV_HUGEPAGE)"
        ),
        HugePolicy::NotAdvised | HugePolicy::SharedNotAdvised => {
            format!("{some} would be eligible with madvise(MADV_HUGEPAGE), or with {file}=always")
        }
        HugePolicy::AdvisedAgainst => {
            format!("{some} would be eligible with madvise(MADV_HUGEPAGE) instead")
        }
        HugePolicy::SharedNever => format!(
            "{some} would be eligible with {file}=always, or with {file}=advise and \
             madvise(MADV_HUGEPAGE)"
        ),
        HugePolicy::TmpfsNever => format!(
            "{some} would be eligible if the tmpfs were mounted with huge=always, or with \
             huge=advise and madvise(MADV_HUGEPAGE)"
        ),
        HugePolicy::TmpfsNotAdvised => format!(
            "{some} would be eligible with madvise(MADV_HUGEPAGE), or with the tmpfs mounted \
             with huge=always"
        ),
        HugePolicy::NotEligible => format!(
            "the kernel says so (THPeligible in smaps), as with PR_THP_DISABLE_EXCEPT_ADVISED; \
             {some} is in whole blocks"
        ),
        HugePolicy::AdviceUnread => {
            let what = match huge.settings.enabled {
                Some("madvise") => "can be huge only with MADV_HUGEPAGE; whether mappings have it",
                _ => "depends on MADV_HUGEPAGE and MADV_NOHUGEPAGE; whether mappings have them",
            };
            format!(
                "{some} {what} was not read: introspect summary --vm-flags does, and holds the \
                 process's mmap lock meanwhile"
            )
        }
        _ => return None,
    };
    Some(format!("{name}: {change}"))
}

/// Returns the known settings of the machine.
pub(crate) fn machine(settings: &HugeSettingsRecord) -> String {
    known(&[
        ("enabled", settings.enabled.map(str::to_owned)),
        ("shmem_enabled", settings.shmem_enabled.map(str::to_owned)),
    ])
}

/// Returns all known settings for a line below the bars; empty if none is known.
pub(crate) fn settings(settings: &HugeSettingsRecord) -> String {
    let pages = settings.max_ptes_none.map(|pages| pages.to_string());
    let more = known(&[
        ("defrag", settings.defrag.clone()),
        ("max_ptes_none", pages),
    ]);
    format!("{} {more}", machine(settings)).trim().to_owned()
}

fn known(settings: &[(&str, Option<String>)]) -> String {
    let known = settings
        .iter()
        .filter_map(|(name, word)| Some(format!("{name}={}", word.as_ref()?)));
    known.collect::<Vec<_>>().join(" ")
}
