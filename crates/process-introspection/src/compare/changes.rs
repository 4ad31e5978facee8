//! Classes of changes: the class of one run of pages, and sums of bytes by class. Must not
//! know streams and mappings.

use process_introspection_core::backing::Backing;
use process_introspection_core::{AddrRange, PageSize};

/// Changes of memory between two times, in bytes: the result of
/// [`compare_regions`](crate::compare_regions).
///
/// Each page belongs to at most one class of this table. *None* is a page without memory of
/// its own: not mapped, not present, a guard, or the zero page.
///
/// | before | after | class |
/// |---|---|---|
/// | none | memory | [`grown`](Self::grown) |
/// | memory | none | [`freed`](Self::freed): unmapped, discarded, or reclaimed by the kernel (pages of files, and of shared memory in swap, of which page tables have no entry) |
/// | memory | swap | [`swapped_out`](Self::swapped_out) |
/// | swap | memory | [`swapped_in`](Self::swapped_in) |
/// | none | swap | [`new_in_swap`](Self::new_in_swap) |
/// | swap | none | [`freed_from_swap`](Self::freed_from_swap) |
/// | memory | memory in another frame | [`moved`](Self::moved): migration, compaction, merging (KSM), or a copy of a page that a fork shared; also a file's page that was reclaimed and read again |
/// | page of the object | private copy, or back | [`replaced`](Self::replaced): copy on write |
/// | any other | poisoned | [`poisoned`](Self::poisoned) |
/// | memory, at an unknown address on one side | memory | [`unknown_address`](Self::unknown_address): neither moved nor in its place |
/// | unknown on one side | any | [`unknown_state`](Self::unknown_state) |
///
/// Another question has other classes: pages that are in memory both times and that a page
/// table entry larger than a base page maps only after ([`became_huge`](Self::became_huge))
/// or only before ([`stopped_huge`](Self::stopped_huge)), or for which the size of an entry
/// is unknown ([`unknown_size`](Self::unknown_size)).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MemoryChanges {
    /// Virtual memory that only the second time has.
    pub mapped: u64,
    /// Virtual memory that only the first time had.
    pub unmapped: u64,
    /// Memory of the first time: RAM and memory of devices, without the zero page.
    pub memory_before: u64,
    /// Memory of the second time.
    pub memory_after: u64,
    /// Swap entries of the first time.
    pub swap_before: u64,
    /// Swap entries of the second time.
    pub swap_after: u64,
    /// Pages in memory that had none.
    pub grown: u64,
    /// Pages without memory that had some.
    pub freed: u64,
    /// Pages in swap that were in memory.
    pub swapped_out: u64,
    /// Pages in memory that were in swap.
    pub swapped_in: u64,
    /// Pages in swap that were neither there nor in memory.
    pub new_in_swap: u64,
    /// Pages that were in swap and now have neither swap nor memory.
    pub freed_from_swap: u64,
    /// Pages in another frame than before.
    pub moved: u64,
    /// Pages of an object that became private copies, and copies that became the object's
    /// pages again.
    pub replaced: u64,
    /// Pages that a memory error took away.
    pub poisoned: u64,
    /// Pages in memory both times that only afterwards a huge entry maps.
    pub became_huge: u64,
    /// Pages in memory both times that only before a huge entry mapped.
    pub stopped_huge: u64,
    /// Pages with at least one of these changes, each once.
    pub changed: u64,
    /// Pages in memory both times whose addresses were compared.
    pub compared_addresses: u64,
    /// Pages in memory both times, of which an address is unknown.
    pub unknown_address: u64,
    /// Pages in memory both times whose entries' sizes were compared.
    pub compared_sizes: u64,
    /// Pages in memory both times, of which the size of an entry is unknown.
    pub unknown_size: u64,
    /// Pages whose state is unknown at one of the times, or both.
    pub unknown_state: u64,
}

/// Page's memory, as far as changes depend on it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Presence {
    /// Address of the run's first byte.
    At(u64),
    /// In memory at an unknown address.
    Somewhere,
    /// In memory or the zero page: a walk without addresses.
    SomewhereOrZero,
    Zero,
    None,
    Swap,
    Poisoned,
    Unknown,
}

impl Presence {
    fn of(backing: Backing) -> Self {
        match backing {
            Backing::Ram(address) | Backing::Device(address) => Self::At(address.as_u64()),
            Backing::Migrating => Self::Somewhere,
            Backing::Resident => Self::SomewhereOrZero,
            Backing::Zero(_) => Self::Zero,
            Backing::NotPresent | Backing::Guard | Backing::Marker => Self::None,
            Backing::Swapped(_) => Self::Swap,
            Backing::Poisoned => Self::Poisoned,
            _ => Self::Unknown,
        }
    }

    fn is_memory(self) -> bool {
        matches!(self, Self::At(_) | Self::Somewhere | Self::SomewhereOrZero)
    }
}

/// Run of pages of one state.
#[derive(Copy, Clone, Debug)]
pub(super) struct PageRun {
    pub(super) start: u64,
    pub(super) end: u64,
    presence: Presence,
    anonymous: bool,
    /// Whether a huge entry maps it; `None` if it is unknown.
    huge: Option<bool>,
}

impl PageRun {
    pub(super) fn new(
        virt: AddrRange,
        backing: Backing,
        anonymous: bool,
        page_size: Option<PageSize>,
        base: PageSize,
    ) -> Self {
        Self {
            start: virt.start().as_u64(),
            end: virt.end().as_u64(),
            presence: Presence::of(backing),
            anonymous,
            huge: page_size.map(|size| size > base),
        }
    }

    /// Removes the pages before `start`; returns whether some are left.
    pub(super) fn cut(&mut self, start: u64) -> bool {
        if let Presence::At(address) = &mut self.presence {
            *address += start - self.start;
        }
        self.start = start;
        start < self.end
    }
}

/// Kind of change of a run.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Class {
    Same,
    Grown,
    Freed,
    SwappedOut,
    SwappedIn,
    NewInSwap,
    FreedFromSwap,
    Moved,
    Replaced,
    Poisoned,
    UnknownAddress,
    UnknownState,
}

fn class(before: PageRun, after: PageRun) -> Class {
    use Presence::{At, None, Poisoned, SomewhereOrZero, Swap, Unknown, Zero};
    match (before.presence, after.presence) {
        (Unknown, _) | (_, Unknown) => Class::UnknownState,
        (SomewhereOrZero, Zero) | (Zero, SomewhereOrZero) => Class::UnknownState,
        (Poisoned, Poisoned) => Class::Same,
        (_, Poisoned) => Class::Poisoned,
        (a, b) if a.is_memory() && b.is_memory() => match (a, b) {
            _ if before.anonymous != after.anonymous => Class::Replaced,
            (At(a), At(b)) if a == b => Class::Same,
            (At(_), At(_)) => Class::Moved,
            _ => Class::UnknownAddress,
        },
        (Swap, Swap) => Class::Same,
        (a, Swap) if a.is_memory() => Class::SwappedOut,
        (Swap, b) if b.is_memory() => Class::SwappedIn,
        (_, Swap) => Class::NewInSwap,
        (Swap, _) => Class::FreedFromSwap,
        (a, None | Zero) if a.is_memory() => Class::Freed,
        (_, b) if b.is_memory() => Class::Grown,
        _ => Class::Same,
    }
}

impl MemoryChanges {
    /// Returns whether anything is known to differ.
    pub fn differ(&self) -> bool {
        self.changed | self.mapped | self.unmapped != 0
    }

    /// Adds other changes.
    pub fn add(&mut self, other: &Self) {
        macro_rules! add {
            ($($field:ident)+) => {
                // Names each field: one that is not added is an error.
                let Self { $($field),+ } = other;
                $(self.$field += $field;)+
            };
        }
        add!(mapped unmapped memory_before memory_after swap_before swap_after grown freed
            swapped_out swapped_in new_in_swap freed_from_swap moved replaced poisoned
            became_huge stopped_huge changed compared_addresses unknown_address compared_sizes
            unknown_size unknown_state);
    }

    /// Adds pages that only the first time mapped, up to `end`.
    pub(super) fn add_unmapped(&mut self, before: PageRun, end: u64) {
        self.unmapped += end - before.start;
        let presence = Presence::None;
        self.add_pages(before, PageRun { presence, ..before }, end);
    }

    /// Adds pages that only the second time maps, up to `end`.
    pub(super) fn add_mapped(&mut self, after: PageRun, end: u64) {
        self.mapped += end - after.start;
        let presence = Presence::None;
        self.add_pages(PageRun { presence, ..after }, after, end);
    }

    /// Adds pages that begin together, up to `end`.
    pub(super) fn add_pages(&mut self, before: PageRun, after: PageRun, end: u64) {
        let size = end - after.start;
        let class = class(before, after);
        let sum = match class {
            Class::Same => None,
            Class::Grown => Some(&mut self.grown),
            Class::Freed => Some(&mut self.freed),
            Class::SwappedOut => Some(&mut self.swapped_out),
            Class::SwappedIn => Some(&mut self.swapped_in),
            Class::NewInSwap => Some(&mut self.new_in_swap),
            Class::FreedFromSwap => Some(&mut self.freed_from_swap),
            Class::Moved => Some(&mut self.moved),
            Class::Replaced => Some(&mut self.replaced),
            Class::Poisoned => Some(&mut self.poisoned),
            Class::UnknownAddress => Some(&mut self.unknown_address),
            Class::UnknownState => Some(&mut self.unknown_state),
        };
        if let Some(sum) = sum {
            *sum += size;
        }
        let is_known = !matches!(class, Class::UnknownAddress | Class::UnknownState);
        let mut is_changed = is_known && class != Class::Same;
        let was_memory = before.presence.is_memory();
        let is_memory = after.presence.is_memory();
        if was_memory && is_memory {
            if is_known {
                self.compared_addresses += size;
            }
            match (before.huge, after.huge) {
                (Some(was_huge), Some(is_huge)) => {
                    self.compared_sizes += size;
                    match (was_huge, is_huge) {
                        (false, true) => self.became_huge += size,
                        (true, false) => self.stopped_huge += size,
                        _ => {}
                    }
                    is_changed |= was_huge != is_huge;
                }
                _ => self.unknown_size += size,
            }
        }
        if is_changed {
            self.changed += size;
        }
        for (presence, memory, swap) in [
            (
                before.presence,
                &mut self.memory_before,
                &mut self.swap_before,
            ),
            (after.presence, &mut self.memory_after, &mut self.swap_after),
        ] {
            match presence {
                Presence::Swap => *swap += size,
                presence if presence.is_memory() => *memory += size,
                _ => {}
            }
        }
    }
}
