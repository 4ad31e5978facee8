//! Resident regions made of physical regions of any source. Pure; this module must not
//! know how either is walked.

use std::sync::Arc;

use process_introspection_core::backing::{Backing, Unlisted};
use process_introspection_core::{AddrRange, PageSize};

use crate::process::mapping::Mapping;
use crate::walk::attributed::Attributed;
use crate::walk::regions::PhysicalRegion;
use crate::walk::resident::ResidentRegion;

/// The resident regions that physical regions amount to, in the same order: addresses are
/// forgotten, and regions of one mapping that then do not differ are joined. They are
/// those of [`Process::resident_regions`](crate::Process::resident_regions). Memory use is
/// constant.
///
/// Whether huge entries map a region follows from its
/// [page size](Attributed::page_size): it is unknown if that was not requested, or is not
/// the same everywhere in the region, see
/// [`Walk::split_page_sizes`](crate::Walk::split_page_sizes).
///
/// Two things do not follow from addresses. Pages that the page map contains although the
/// place of a device's memory is known are reported as unknown, as those are that it
/// leaves out. And pages whose frame does not identify their contents remain unknown,
/// which a walk without addresses reports as resident.
///
/// ```
/// use process_introspection::{PageSize, Process, ResidentOfPhysical};
///
/// let process = Process::current()?;
/// if let Ok(regions) = process.walk(..).split_page_sizes().iter() {
///     for region in ResidentOfPhysical::new(regions, PageSize::base()) {
///         let region = region?;
///         println!("{} {:?} {:?}", region.virt, region.backing, region.huge);
///     }
/// }
/// # Ok::<(), process_introspection::Error>(())
/// ```
#[derive(Debug)]
pub struct ResidentOfPhysical<I> {
    regions: I,
    base: PageSize,
    /// The last mapping, and the same as a walk without addresses reports it.
    mapping: Option<(Arc<Mapping>, Arc<Mapping>)>,
    /// Region that the next one may continue.
    pending: Option<ResidentRegion>,
}

impl<I> ResidentOfPhysical<I> {
    /// Makes resident regions of physical ones, in the order of addresses. `base` is the
    /// base page size of the machine that they were read on.
    pub fn new(regions: I, base: PageSize) -> Self {
        Self {
            regions,
            base,
            mapping: None,
            pending: None,
        }
    }

    fn resident(&mut self, region: &Attributed<PhysicalRegion>) -> ResidentRegion {
        let mapping = self.without_addresses(&region.mapping);
        let backing = backing_of(region, &mapping);
        let huge = match backing {
            Backing::Resident => region.page_size.map(|size| size > self.base),
            _ => Some(false),
        };
        // Without its address a zero page is told from a private copy by bit 61 alone,
        // which only the huge one has (see `PageContext::by_entry` of the core).
        let is_copy = matches!(region.backing, Backing::Zero(_))
            && mapping.has_object()
            && !mapping.shared
            && huge != Some(true);
        ResidentRegion {
            virt: region.virt,
            backing,
            huge,
            anonymous: region.anonymous || is_copy,
            mapping,
        }
    }

    fn without_addresses(&mut self, mapping: &Arc<Mapping>) -> Arc<Mapping> {
        match &self.mapping {
            Some((known, without)) if Arc::ptr_eq(known, mapping) => Arc::clone(without),
            _ => {
                let without = Arc::new(mapping.without_addresses());
                self.mapping = Some((Arc::clone(mapping), Arc::clone(&without)));
                without
            }
        }
    }
}

/// Returns the backing as a walk reports it that requests no addresses.
fn backing_of(region: &PhysicalRegion, mapping: &Mapping) -> Backing {
    let unlisted = match mapping.core().unlisted {
        Unlisted::Unknown(reason) => Backing::Unknown(reason),
        _ => Backing::NotPresent,
    };
    match region.backing {
        Backing::Device(_) if region.mapping.core().unlisted.memory().is_some() => unlisted,
        Backing::Ram(_) | Backing::Zero(_) | Backing::Device(_) => Backing::Resident,
        Backing::Swapped(_) => Backing::Swapped(None),
        Backing::Unknown(reason) if reason.is_of_entry() => region.backing,
        Backing::NotPresent | Backing::Unknown(_) => unlisted,
        other => other,
    }
}

/// Returns whether a region continues the one before it.
fn continues(before: &ResidentRegion, next: &ResidentRegion) -> bool {
    before.virt.end() == next.virt.start()
        && (before.backing, before.huge, before.anonymous)
            == (next.backing, next.huge, next.anonymous)
        && (Arc::ptr_eq(&before.mapping, &next.mapping) || before.mapping == next.mapping)
}

impl<I, E> Iterator for ResidentOfPhysical<I>
where
    I: Iterator<Item = Result<Attributed<PhysicalRegion>, E>>,
{
    type Item = Result<ResidentRegion, E>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let next = match self.regions.next() {
                None => return self.pending.take().map(Ok),
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(region)) => self.resident(&region),
            };
            match &mut self.pending {
                Some(pending) if continues(pending, &next) => {
                    let (start, end) = (pending.virt.start().as_u64(), next.virt.end().as_u64());
                    pending.virt = AddrRange::new(start, end).unwrap_or_default();
                }
                pending => {
                    if let Some(done) = pending.replace(next) {
                        return Some(Ok(done));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use process_introspection_core::backing::{DeviceMemory, SwapPlace, UnknownReason};
    use process_introspection_core::mapping::MappingKind;
    use process_introspection_core::vma::{Device, Protection};
    use process_introspection_core::PhysAddr;

    use crate::error::Error;
    use crate::process::mapping::MappingParts;

    const PAGE: u64 = 4096;

    fn mapping(kind: MappingKind, has_object: bool, unlisted: Unlisted) -> Arc<Mapping> {
        Arc::new(Mapping::from_parts(MappingParts {
            range: AddrRange::new(0, 100 * PAGE).unwrap(),
            protection: Protection::new(true, true, false),
            shared: kind == MappingKind::Device,
            offset: 0,
            device: Device::default(),
            inode: u64::from(has_object),
            page_size: Some(PageSize::SIZE_4K),
            kind,
            unlisted,
            name: Box::default(),
        }))
    }

    /// Returns the results of consecutive regions: their numbers of pages, with backing.
    fn made(
        mapping: &Arc<Mapping>,
        regions: &[(u64, Backing, Option<PageSize>)],
    ) -> Vec<(u64, Backing, Option<bool>, bool)> {
        let mut at = 0;
        let regions = regions.iter().map(|&(pages, backing, page_size)| {
            let virt = AddrRange::new(at, at + pages * PAGE).unwrap();
            at += pages * PAGE;
            let anonymous = !mapping.has_object();
            let region = PhysicalRegion::new(virt, backing, anonymous, Arc::clone(mapping));
            let mut region = Attributed::new(region);
            region.page_size = page_size;
            Ok::<_, Error>(region)
        });
        let made = ResidentOfPhysical::new(regions, PageSize::SIZE_4K);
        let facts = made.map(|region| {
            let region = region.unwrap();
            let pages = region.virt.size() / PAGE;
            (pages, region.backing, region.huge, region.anonymous)
        });
        facts.collect()
    }

    #[test]
    fn regions_that_differ_in_addresses_only_are_one() {
        let (base, huge) = (Some(PageSize::SIZE_4K), Some(PageSize::SIZE_4K.pmd()));
        let ram = |address| Backing::Ram(PhysAddr::new(address));
        let place = |offset| Backing::Swapped(Some(SwapPlace { area: 0, offset }));
        let anonymous = mapping(MappingKind::Anonymous, false, Unlisted::Nothing);
        let regions = [
            (1, ram(0x9000), base),
            (2, ram(0x5000), base),
            (1, Backing::Zero(PhysAddr::new(0x1000)), base),
            (3, ram(0x20_0000), huge),
            (1, ram(0x1000), None),
            (4, place(7), None),
            (2, place(90), None),
            (1, Backing::NotPresent, None),
            (2, Backing::Guard, None),
            (1, Backing::Migrating, None),
        ];
        let expected = [
            (4, Backing::Resident, Some(false), true),
            (3, Backing::Resident, Some(true), true),
            (1, Backing::Resident, None, true),
            (6, Backing::Swapped(None), Some(false), true),
            (1, Backing::NotPresent, Some(false), true),
            (2, Backing::Guard, Some(false), true),
            (1, Backing::Migrating, Some(false), true),
        ];
        assert_eq!(made(&anonymous, &regions), expected);
    }

    #[test]
    fn what_no_walk_without_addresses_can_know_is_unknown() {
        let device = Backing::Device(PhysAddr::new(0xfe00_0000));
        let unknown = |reason| Backing::Unknown(reason);
        let not_asked = (unknown(UnknownReason::NotAsked), Some(false), false);
        let memory = DeviceMemory::new(PhysAddr::new(0xfe00_0000), None);
        let looked_up = mapping(MappingKind::Device, true, Unlisted::At(memory));
        let made_of = |mapping: &Arc<Mapping>, backing, page_size| {
            let [(1, backing, huge, anonymous)] = made(mapping, &[(1, backing, page_size)])[..]
            else {
                panic!()
            };
            (backing, huge, anonymous)
        };
        assert_eq!(made_of(&looked_up, device, None), not_asked);
        // A device for which there is no rule, and persistent memory.
        let driver = Unlisted::Unknown(UnknownReason::Driver);
        for unlisted in [driver, Unlisted::Nothing] {
            let mapping = mapping(MappingKind::Device, true, unlisted);
            for left_out in [unknown(UnknownReason::Driver), Backing::NotPresent] {
                assert_eq!(made_of(&mapping, left_out, None), not_asked);
            }
            let base = Some(PageSize::SIZE_4K);
            let resident = (Backing::Resident, Some(false), false);
            assert_eq!(made_of(&mapping, device, base), resident);
        }
        let of_kernel = unknown(UnknownReason::KernelPages);
        let vvar = Unlisted::Unknown(UnknownReason::KernelPages);
        let vvar = mapping(MappingKind::Vvar, false, vvar);
        let expected = (of_kernel, Some(false), true);
        assert_eq!(made_of(&vvar, of_kernel, None), expected);
        let frame = unknown(UnknownReason::Frame);
        let file = mapping(MappingKind::File, true, Unlisted::Nothing);
        let expected = (frame, Some(false), false);
        assert_eq!(made_of(&file, frame, None), expected);
    }

    #[test]
    fn a_zero_page_is_a_copy_of_an_objects_page_unless_it_is_huge() {
        let zero = Backing::Zero(PhysAddr::new(0x1000));
        let of_dev_zero = mapping(MappingKind::Anonymous, true, Unlisted::Nothing);
        let sizes = [Some(PageSize::SIZE_4K), Some(PageSize::SIZE_4K.pmd())];
        let regions = sizes.map(|size| (1, zero, size));
        let expected = [
            (1, Backing::Resident, Some(false), true),
            (1, Backing::Resident, Some(true), false),
        ];
        assert_eq!(made(&of_dev_zero, &regions), expected);
    }
}
