//! Policy of huge pages in a mapping: settings of the machine, of the process, of the
//! mapping. Pure except that it reads the settings of a process.
//!
//! The rules are those of `thp_vma_allowable_orders`, `__thp_vma_allowable_orders` and
//! `vma_thp_disabled` (include/linux/huge_mm.h, mm/huge_memory.c), of
//! `shmem_allowable_huge_orders` (mm/shmem.c), and of `do_set_pmd` (mm/memory.c) for
//! files; read in Linux 5.10 and 6.12, and as changed in 6.18.

use std::cell::OnceCell;

use process_introspection_core::mapping::MappingKind;
use process_introspection_core::proc_text::value_of;
use process_introspection_core::ProcessHandle;

use super::tmpfs::TmpfsModes;
use crate::facts::vm_flags::AreaFlags;
use crate::machine::huge_pages::{AnonymousMode, HugePageSettings, SharedMode};
use crate::named::named_values;
use crate::process::mapping::Mapping;
use crate::text_files::read_of;

named_values! {
    /// Policy that prevents huge pages.
    #[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum HugePolicy {
        /// The kernel has no transparent huge pages.
        NoKernelSupport = "no_kernel_support",
        /// The process has disabled them: `PR_SET_THP_DISABLE`, which children and executed
        /// programs inherit (`THP_enabled` in `status`, Linux 5.0).
        ProcessDisabled = "process_disabled",
        /// `enabled=never` for anonymous memory.
        EnabledNever = "enabled_never",
        /// `enabled=madvise`, and the mapping has no `MADV_HUGEPAGE`.
        NotAdvised = "not_advised",
        /// `MADV_NOHUGEPAGE` on the mapping.
        AdvisedAgainst = "advised_against",
        /// `shmem_enabled` is `never` or `deny`, for shared memory.
        SharedNever = "shmem_never",
        /// `shmem_enabled=advise`, and the mapping has no `MADV_HUGEPAGE`.
        SharedNotAdvised = "shmem_not_advised",
        /// The file's tmpfs is not mounted with `huge=`, or with `huge=never`.
        TmpfsNever = "tmpfs_never",
        /// The file's tmpfs is mounted with `huge=advise`, and the mapping has no
        /// `MADV_HUGEPAGE`.
        TmpfsNotAdvised = "tmpfs_not_advised",
        /// The block contains a private copy of a file's page: the kernel never makes such
        /// a block huge.
        PrivateCopy = "private_copy",
        /// The mapping belongs to a driver or to the kernel.
        SpecialMapping = "special_mapping",
        /// The kernel reports it (`THPeligible` in `smaps`), and none of the others is
        /// known to be the reason: `PR_THP_DISABLE_EXCEPT_ADVISED` (Linux 6.18), which
        /// nothing else shows to other processes; or the option of a tmpfs that the process
        /// has not mounted.
        NotEligible = "not_eligible",
        /// The advice of the mapping decides, `MADV_HUGEPAGE` or `MADV_NOHUGEPAGE`, and was
        /// not read.
        AdviceUnread = "advice_unread",
    }
    /// All policies.
    pub const ALL;
    /// Returns its name, as the command prints it in JSON.
    pub const fn name;
}

/// Class of mappings with the same rules.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum MappingClass {
    /// Mapping without a file, or private mapping of `/dev/zero`.
    Anonymous,
    /// Mapping of shared memory; `None` where its setting is not known.
    Shared(Option<SharedSetting>),
    /// Mapping of another file, whose file system decides the sizes of folios.
    File,
    /// Mapping of hugetlb, without transparent huge pages.
    HugeTlb,
    /// Mapping of a driver or the kernel.
    Special,
}

/// Source of the mode of shared memory.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum SharedSetting {
    /// `shmem_enabled`.
    Machine,
    /// The option of a tmpfs.
    Tmpfs(SharedMode),
}

/// Decision about a mapping.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Huge pages may be used.
    Allowed,
    /// Huge pages may not be used.
    Forbidden(HugePolicy),
    /// The flags of the mapping decide.
    Undecided,
}

/// The rules for one process.
#[derive(Debug)]
pub(crate) struct HugeRules<'a> {
    /// Settings of the machine.
    pub(crate) settings: &'a HugePageSettings,
    process: Option<&'a ProcessHandle>,
    /// True if the process has disabled huge pages; `None` where the kernel does not
    /// report it.
    pub(crate) is_disabled: Option<bool>,
    tmpfs: OnceCell<TmpfsModes>,
}

impl<'a> HugeRules<'a> {
    /// Returns rules that are complete but for the modes of the process's tmpfs.
    pub(crate) fn new(settings: &'a HugePageSettings, is_disabled: Option<bool>) -> Self {
        Self {
            settings,
            process: None,
            is_disabled,
            tmpfs: OnceCell::new(),
        }
    }

    /// Reads the settings of the process.
    pub(crate) fn of(process: &'a ProcessHandle, settings: &'a HugePageSettings) -> Self {
        let status = read_of(process, "status").unwrap_or_default();
        Self {
            process: Some(process),
            ..Self::new(settings, is_disabled(&status))
        }
    }

    /// Returns the class of a mapping.
    pub(crate) fn class(&self, mapping: &Mapping) -> MappingClass {
        match mapping.kind() {
            MappingKind::Anonymous
            | MappingKind::Heap
            | MappingKind::Stack
            | MappingKind::ThreadStack => MappingClass::Anonymous,
            // Zeroed memory behind the data.
            MappingKind::Elf if !mapping.has_object() => MappingClass::Anonymous,
            MappingKind::Elf | MappingKind::File => MappingClass::File,
            MappingKind::SharedMemory => MappingClass::Shared(self.shared_setting(mapping)),
            MappingKind::HugeTlb => MappingClass::HugeTlb,
            _ => MappingClass::Special,
        }
    }

    fn shared_setting(&self, mapping: &Mapping) -> Option<SharedSetting> {
        let tmpfs = self.tmpfs.get_or_init(|| {
            let read = self.process.map(TmpfsModes::read);
            read.unwrap_or_default()
        });
        if let Some(mode) = tmpfs.of(mapping.device) {
            return Some(SharedSetting::Tmpfs(mode));
        }
        // The kernel's own tmpfs is mounted nowhere; a tmpfs of another mount namespace
        // is not listed either.
        const OWN: [&[u8]; 4] = [b"/dev/zero", b"/memfd:", b"/SYSV", b"[anon_shmem:"];
        let name = mapping.name().as_bytes();
        let is_own = OWN.iter().any(|own| name.starts_with(own));
        is_own.then_some(SharedSetting::Machine)
    }

    /// Returns the decision for a mapping. `has_block` is true if huge pages fit into
    /// it.
    pub(crate) fn decide(
        &self,
        class: MappingClass,
        flags: Option<AreaFlags>,
        has_block: bool,
    ) -> Decision {
        use Decision::{Allowed, Forbidden, Undecided};
        let forbidden_unless = |advised: HugePolicy| match flags {
            None => Undecided,
            Some(flags) if flags.has(AreaFlags::NOHUGEPAGE) => {
                Forbidden(HugePolicy::AdvisedAgainst)
            }
            Some(flags) if flags.has(AreaFlags::HUGEPAGE) => Allowed,
            Some(_) => Forbidden(advised),
        };
        // Huge pages are allowed without advice; advice can forbid them.
        let allowed = match flags {
            None => Undecided,
            Some(flags) if flags.has(AreaFlags::NOHUGEPAGE) => {
                Forbidden(HugePolicy::AdvisedAgainst)
            }
            Some(_) => Allowed,
        };
        let decided = match class {
            MappingClass::HugeTlb => return Allowed,
            _ if self.settings.available == Some(false) => Forbidden(HugePolicy::NoKernelSupport),
            // Most of them, such as the vDSO, are too small for any policy.
            MappingClass::Special if has_block => Forbidden(HugePolicy::SpecialMapping),
            MappingClass::Special => Allowed,
            _ if self.is_disabled == Some(true) => Forbidden(HugePolicy::ProcessDisabled),
            _ if flags.is_some_and(AreaFlags::is_special) => Forbidden(HugePolicy::SpecialMapping),
            MappingClass::Anonymous => match self.settings.anonymous() {
                Some(AnonymousMode::Never) => Forbidden(HugePolicy::EnabledNever),
                Some(AnonymousMode::Madvise) => forbidden_unless(HugePolicy::NotAdvised),
                Some(AnonymousMode::Always) => allowed,
                None => return Allowed,
            },
            // For a tmpfs that the process has not mounted, the kernel's report
            // decides.
            MappingClass::Shared(None) => allowed,
            MappingClass::Shared(Some(set)) => match (set, self.settings.shmem_enabled) {
                (_, Some(SharedMode::Deny)) => Forbidden(HugePolicy::SharedNever),
                (SharedSetting::Tmpfs(_), Some(SharedMode::Force)) => allowed,
                (SharedSetting::Machine, _) => match self.settings.shared() {
                    Some(SharedMode::Never | SharedMode::Deny) => {
                        Forbidden(HugePolicy::SharedNever)
                    }
                    Some(SharedMode::Advise) => forbidden_unless(HugePolicy::SharedNotAdvised),
                    Some(_) => allowed,
                    None => return Allowed,
                },
                (SharedSetting::Tmpfs(mode), _) => match mode {
                    SharedMode::Never | SharedMode::Deny => Forbidden(HugePolicy::TmpfsNever),
                    SharedMode::Advise => forbidden_unless(HugePolicy::TmpfsNotAdvised),
                    _ => allowed,
                },
            },
            // Settings have no effect when folios of a file are mapped.
            MappingClass::File => match flags {
                Some(flags) if flags.has(AreaFlags::NOHUGEPAGE) => {
                    return Forbidden(HugePolicy::AdvisedAgainst)
                }
                _ => return Allowed,
            },
        };
        match (decided, flags.and_then(|flags| flags.eligible)) {
            // The kernel's report includes size and alignment.
            (Allowed, Some(false)) if has_block => Forbidden(HugePolicy::NotEligible),
            _ => decided,
        }
    }
}

/// Returns true if `THP_enabled` is 0 in the text of `status`; `None` if it is not
/// there (before Linux 5.0, and for processes without memory).
fn is_disabled(status: &[u8]) -> Option<bool> {
    match value_of(status, b"THP_enabled:")? {
        b"0" => Some(true),
        b"1" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(settings: &HugePageSettings) -> HugeRules<'_> {
        HugeRules::new(settings, Some(false))
    }

    fn area(bits: u16, eligible: Option<bool>) -> Option<AreaFlags> {
        Some(AreaFlags { bits, eligible })
    }

    const MACHINE: MappingClass = MappingClass::Shared(Some(SharedSetting::Machine));
    const fn tmpfs(mode: SharedMode) -> MappingClass {
        MappingClass::Shared(Some(SharedSetting::Tmpfs(mode)))
    }

    /// Compares the decision with the expected one, also where something else forbids huge
    /// pages in all mappings.
    fn check(
        (enabled, shmem_enabled): (AnonymousMode, SharedMode),
        class: MappingClass,
        flags: Option<AreaFlags>,
        expected: Decision,
    ) {
        let mut settings = HugePageSettings {
            available: Some(true),
            enabled: Some(enabled),
            shmem_enabled: Some(shmem_enabled),
            ..HugePageSettings::default()
        };
        let decided = rules(&settings).decide(class, flags, true);
        let case = format!("{enabled:?} {shmem_enabled:?} {class:?} {flags:?}");
        assert_eq!(decided, expected, "{case}");
        if !matches!(class, MappingClass::HugeTlb | MappingClass::Special) {
            let decided = HugeRules::new(&settings, Some(true)).decide(class, flags, true);
            let disabled = Decision::Forbidden(HugePolicy::ProcessDisabled);
            assert_eq!(decided, disabled, "{case}");
        }
        settings.available = Some(false);
        let decided = rules(&settings).decide(class, flags, true);
        let expected = match class {
            MappingClass::HugeTlb => Decision::Allowed,
            _ => Decision::Forbidden(HugePolicy::NoKernelSupport),
        };
        assert_eq!(decided, expected, "{case}");
    }

    /// Compares combinations of settings and flags with the kernel's documentation of each.
    #[test]
    fn the_policy_of_each_class_is_the_one_that_the_settings_and_flags_say() {
        use AnonymousMode as A;
        use Decision::{Allowed, Forbidden, Undecided};
        use HugePolicy as P;
        use MappingClass as C;
        use SharedMode as S;
        let none = area(0, Some(true));
        let advised = area(AreaFlags::HUGEPAGE, Some(true));
        let against = area(AreaFlags::NOHUGEPAGE, Some(false));
        let not_eligible = area(0, Some(false));
        for (enabled, flags, expected) in [
            (A::Never, None, Forbidden(P::EnabledNever)),
            (A::Never, advised, Forbidden(P::EnabledNever)),
            (A::Madvise, None, Undecided),
            (A::Madvise, none, Forbidden(P::NotAdvised)),
            (A::Madvise, advised, Allowed),
            (A::Madvise, against, Forbidden(P::AdvisedAgainst)),
            (A::Always, None, Undecided),
            (A::Always, none, Allowed),
            (A::Always, against, Forbidden(P::AdvisedAgainst)),
        ] {
            for shmem in [S::Always, S::Never] {
                check((enabled, shmem), C::Anonymous, flags, expected);
            }
        }
        for (shmem, flags, expected) in [
            (S::Never, None, Forbidden(P::SharedNever)),
            (S::Never, advised, Forbidden(P::SharedNever)),
            (S::Advise, none, Forbidden(P::SharedNotAdvised)),
            (S::Advise, advised, Allowed),
            (S::Advise, None, Undecided),
            (S::WithinSize, none, Allowed),
            (S::Always, against, Forbidden(P::AdvisedAgainst)),
            (S::Force, none, Allowed),
            (S::Deny, advised, Forbidden(P::SharedNever)),
        ] {
            for enabled in [A::Always, A::Never] {
                check((enabled, shmem), MACHINE, flags, expected);
            }
        }
        for (shmem, class, flags, expected) in [
            (S::Always, tmpfs(S::Never), None, Forbidden(P::TmpfsNever)),
            (
                S::Always,
                tmpfs(S::Advise),
                none,
                Forbidden(P::TmpfsNotAdvised),
            ),
            (S::Never, tmpfs(S::Always), none, Allowed),
            (S::Force, tmpfs(S::Never), none, Allowed),
            (S::Deny, tmpfs(S::Always), none, Forbidden(P::SharedNever)),
            (S::Never, C::Shared(None), None, Undecided),
            (S::Never, C::Shared(None), none, Allowed),
            (
                S::Never,
                C::Shared(None),
                not_eligible,
                Forbidden(P::NotEligible),
            ),
            (S::Never, C::File, None, Allowed),
            (S::Never, C::File, against, Forbidden(P::AdvisedAgainst)),
            (S::Always, C::Special, none, Forbidden(P::SpecialMapping)),
            (S::Never, C::HugeTlb, None, Allowed),
        ] {
            for enabled in [A::Always, A::Never] {
                check((enabled, shmem), class, flags, expected);
            }
        }
    }

    #[test]
    fn what_the_kernel_calls_not_eligible_without_another_reason_is_that() {
        let settings = HugePageSettings {
            available: Some(true),
            enabled: Some(AnonymousMode::Always),
            ..HugePageSettings::default()
        };
        let rules = rules(&settings);
        let decide = |bits, eligible, has_block| {
            rules.decide(MappingClass::Anonymous, area(bits, eligible), has_block)
        };
        let not_eligible = Decision::Forbidden(HugePolicy::NotEligible);
        assert_eq!(decide(0, Some(false), true), not_eligible);
        // The mapping is too small, or the kernel does not report it.
        assert_eq!(decide(0, Some(false), false), Decision::Allowed);
        assert_eq!(decide(0, None, true), Decision::Allowed);
        let special = Decision::Forbidden(HugePolicy::SpecialMapping);
        assert_eq!(decide(AreaFlags::MIXEDMAP, Some(false), true), special);
    }

    #[test]
    fn settings_that_cannot_be_read_forbid_nothing() {
        let settings = HugePageSettings::default();
        let rules = rules(&settings);
        for class in [MappingClass::Anonymous, MACHINE, MappingClass::File] {
            assert_eq!(rules.decide(class, None, true), Decision::Allowed);
        }
    }

    #[test]
    fn the_status_says_whether_the_process_has_them_switched_off() {
        assert_eq!(
            is_disabled(b"Name:\tx\nTHP_enabled:\t0\nThreads:\t1\n"),
            Some(true)
        );
        assert_eq!(is_disabled(b"THP_enabled:\t1\n"), Some(false));
        assert_eq!(is_disabled(b"Name:\tTHP_enabled: 0\n"), None);
    }
}
