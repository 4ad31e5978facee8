//! Walk of a process for its summary: regions in batches, facts of their frames in
//! sorted runs, and the pages that huge entries map.

use std::ops::ControlFlow;
use std::sync::Arc;

use process_introspection_core::backing::Backing;
use process_introspection_core::pagemap::HugeRuns;
use process_introspection_core::AddrRange;

use super::groups::counts_each_page;
use super::huge_policy::HugeRules;
use super::{is_hugetlb, MappingSummary, PagesMapped, Summary, SummaryAccumulator};
use crate::error::Error;
use crate::facts::page_facts::{EntryNotes, PageFactsReader};
use crate::machine::huge_pages::HugePageSettings;
use crate::machine::physical_map::PhysicalMap;
use crate::process::mapping::Mapping;
use crate::process::{Addresses, Process};
use crate::walk::regions::PhysicalRegion;

/// Number of regions that are kept until the facts of their frames are read; a larger
/// number makes longer runs.
const BATCH: usize = 4096;

/// Progress of a walk for a summary.
#[derive(Debug)]
#[non_exhaustive]
pub enum SummaryStep<'a> {
    /// This region was added. Without addresses it is resident at most, see
    /// [`Process::resident_regions`].
    Region(&'a PhysicalRegion),
    /// These addresses were passed.
    Passed(AddrRange),
    /// A mapping is complete.
    Mapping(MappingSummary),
}

impl Process {
    /// Summarizes the memory of `range`: its amount, its classes of pages, its huge
    /// pages and the reasons why there are no more, its contiguity and its nodes.
    ///
    /// Requires no privilege for one's own process, but is then without PSS, USS,
    /// addresses and what follows from them, see [`Summary::knows_addresses`]. A
    /// mapping that `range` cuts counts as one that ends there, except that huge pages
    /// are considered for all of it. Advice about huge pages is read where that is
    /// cheap, see [`AdviceReading`].
    ///
    /// ```
    /// use process_introspection::{PhysicalMap, Process};
    ///
    /// let summary = Process::current()?.summary(.., &PhysicalMap::read()?)?;
    /// assert!(summary.total.virt >= summary.total.resident);
    /// if let Some(contiguity) = &summary.contiguity {
    ///     println!("a scatter-gather list has {} descriptors", contiguity.extents());
    /// }
    /// # Ok::<(), process_introspection::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Process::resident_regions`] and its iterator.
    pub fn summary(
        &self,
        range: impl Into<Addresses>,
        map: &PhysicalMap,
    ) -> Result<Summary, Error> {
        let range = range.into().range()?;
        self.summary_of(&[range], map, |_| ControlFlow::Continue(()))
    }

    /// Summarizes several ranges, which ascend. `watch` receives the progress and the
    /// summary of each mapping; if it breaks, the summary covers what was counted until
    /// then.
    ///
    /// # Errors
    /// Those of [`Process::summary`].
    pub fn summary_of(
        &self,
        ranges: &[AddrRange],
        map: &PhysicalMap,
        watch: impl FnMut(SummaryStep<'_>) -> ControlFlow<()>,
    ) -> Result<Summary, Error> {
        self.summary_with(ranges, &SummaryOptions::new(map), watch)
    }

    /// Summarizes several ranges with options.
    ///
    /// # Errors
    /// Those of [`Process::summary`].
    pub fn summary_with(
        &self,
        ranges: &[AddrRange],
        options: &SummaryOptions<'_>,
        watch: impl FnMut(SummaryStep<'_>) -> ControlFlow<()>,
    ) -> Result<Summary, Error> {
        let read;
        let settings = match options.settings {
            Some(settings) => settings,
            None => {
                read = HugePageSettings::read_in(self.mounts(), self.page_size().pmd().bytes());
                &read
            }
        };
        let rules = HugeRules::of(self.as_core(), settings);
        let mut walk = Walk {
            process: self,
            accumulator: SummaryAccumulator::with_rules(self.page_size(), options.map, rules),
            watch,
            tells_huge: true,
            advice: options.advice,
            trusts_entries: false,
        };
        if !self.sees_frames() {
            walk.resident(ranges)?;
            return walk.finish(false, false);
        }
        let mut facts = match self.page_facts() {
            Ok(facts) => {
                walk.trusts_entries = !options.page_classes && counts_each_page(facts.source());
                Some(match walk.trusts_entries {
                    true => facts.of_mapcounts_only(),
                    false => facts,
                })
            }
            Err(error) if error.is_permission_denied() || error.is_unsupported() => None,
            Err(error) => return Err(error),
        };
        let knows_frames = facts.is_some();
        walk.accumulator.keeps_frames = options.frames && knows_frames;
        walk.physical(ranges, facts.as_mut())?;
        let mut summary = walk.finish(true, knows_frames)?;
        if !options.page_classes {
            summary.pages.clear();
            summary.knows_page_classes = false;
        }
        Ok(summary)
    }
}

/// Condition for reading the advice of mappings about huge pages. Only `smaps` contains
/// it: a read of that makes the kernel visit every page, and holds the target's mmap
/// lock for each mapping in turn, about 100 ns for a page of it that is not huge.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AdviceReading {
    /// Read if something depends on it, and no mapping has more than
    /// [`AdviceReading::CHEAP`] bytes of small pages: the lock is held for 7 ms at
    /// most.
    #[default]
    WhereCheap,
    /// Read if something depends on it.
    Always,
    /// Never read: memory that depends on it is [`crate::HugePolicy::AdviceUnread`].
    Never,
}

impl AdviceReading {
    /// Maximum size of the small pages of one mapping, in bytes, with which
    /// [`AdviceReading::WhereCheap`] reads.
    pub const CHEAP: u64 = 256 << 20;
}

/// Options of a summary.
#[derive(Copy, Clone, Debug)]
pub struct SummaryOptions<'a> {
    map: &'a PhysicalMap,
    settings: Option<&'a HugePageSettings>,
    advice: AdviceReading,
    frames: bool,
    page_classes: bool,
}

impl<'a> SummaryOptions<'a> {
    /// Returns the default options, with a map of the physical addresses.
    pub fn new(map: &'a PhysicalMap) -> Self {
        Self {
            map,
            settings: None,
            advice: AdviceReading::default(),
            frames: false,
            page_classes: true,
        }
    }

    /// Leaves out the classes of pages ([`Summary::pages`]). Where the kernel counts the mappings
    /// of each page, its facts are then not read of frames that their entries show to be mapped
    /// once, and of others mapcounts only: memory of one process costs less than half.
    #[must_use]
    pub fn without_page_classes(mut self) -> Self {
        self.page_classes = false;
        self
    }

    /// Keeps the frames of each mapping ([`MappingSummary::frames`]), for
    /// [`MemoryGroups`](super::MemoryGroups).
    #[must_use]
    pub fn frames(mut self) -> Self {
        self.frames = true;
        self
    }

    /// Sets the settings of huge pages; by default they are read for each summary.
    #[must_use]
    pub fn settings(mut self, settings: &'a HugePageSettings) -> Self {
        self.settings = Some(settings);
        self
    }

    /// Sets when to read the advice about huge pages.
    #[must_use]
    pub fn advice(mut self, advice: AdviceReading) -> Self {
        self.advice = advice;
        self
    }
}

struct Walk<'a, W> {
    process: &'a Process,
    accumulator: SummaryAccumulator<'a>,
    watch: W,
    /// True if the kernel reports which pages huge entries map.
    tells_huge: bool,
    advice: AdviceReading,
    /// True if no facts are read of frames that an entry shows to be mapped once.
    trusts_entries: bool,
}

/// Region that waits for the facts of its frames.
#[derive(Debug)]
struct Waiting {
    virt: AddrRange,
    backing: Backing,
    anonymous: bool,
    /// True for memory whose mappings count. Hugetlb does not count in PSS, and the zero page
    /// belongs to no process.
    is_counted: bool,
    /// True if it is counted, and each entry shows that its frame is mapped once.
    is_exclusive: bool,
}

impl Waiting {
    fn needs_facts(&self, trusts_entries: bool) -> bool {
        self.is_counted && !(trusts_entries && self.is_exclusive)
    }
}

/// Regions that wait, in the order of addresses.
#[derive(Debug, Default)]
struct Batch {
    regions: Vec<Waiting>,
    /// Mappings of these regions, each with the number of its regions.
    mappings: Vec<(Arc<Mapping>, usize)>,
}

impl Batch {
    fn push(&mut self, region: &PhysicalRegion, notes: &EntryNotes) {
        match self.mappings.last_mut() {
            Some((last, count)) if Arc::ptr_eq(last, &region.mapping) => *count += 1,
            _ => self.mappings.push((Arc::clone(&region.mapping), 1)),
        }
        let is_ram = matches!(region.backing, Backing::Ram(_));
        let is_counted = is_ram && !is_hugetlb(&region.mapping);
        self.regions.push(Waiting {
            virt: region.virt,
            backing: region.backing,
            anonymous: region.anonymous,
            is_counted,
            is_exclusive: is_counted && notes.are_exclusive(region.virt),
        });
    }
}

impl<W: FnMut(SummaryStep<'_>) -> ControlFlow<()>> Walk<'_, W> {
    fn physical(
        &mut self,
        ranges: &[AddrRange],
        mut facts: Option<&mut PageFactsReader<'_>>,
    ) -> Result<(), Error> {
        let mut batch = Batch::default();
        let mut huge = HugeRuns::new();
        let mut failed = None;
        let walk = self.process.walk_ranges(ranges.iter().copied());
        walk.threads(0).for_each_with_notes(|region, notes| {
            batch.push(region, notes);
            if batch.regions.len() < BATCH {
                return ControlFlow::Continue(());
            }
            let added = self.add_batch(&mut batch, facts.as_deref_mut(), &mut huge);
            added.unwrap_or_else(|error| {
                failed = Some(error);
                ControlFlow::Break(())
            })
        })?;
        match failed {
            Some(error) => Err(error),
            // Empty if `watch` broke.
            None => self.add_batch(&mut batch, facts, &mut huge).map(|_| ()),
        }
    }

    /// Adds the regions of the batch, which is then empty.
    fn add_batch(
        &mut self,
        batch: &mut Batch,
        facts: Option<&mut PageFactsReader<'_>>,
        huge: &mut HugeRuns,
    ) -> Result<ControlFlow<()>, Error> {
        let mut facts = match facts {
            Some(reader) => {
                for region in &batch.regions {
                    if region.needs_facts(self.trusts_entries) {
                        reader.add_frames(region.virt, region.backing, region.is_exclusive);
                    }
                }
                Some(reader.read()?)
            }
            None => None,
        };
        let mut passed = None;
        let mut runs = Vec::new();
        let mut regions = batch.regions.drain(..);
        for (mapping, count) in batch.mappings.drain(..) {
            let mut region =
                PhysicalRegion::new(AddrRange::default(), Backing::NotPresent, false, mapping);
            for waiting in regions.by_ref().take(count) {
                region.virt = waiting.virt;
                region.backing = waiting.backing;
                region.anonymous = waiting.anonymous;
                let known = match waiting.needs_facts(self.trusts_entries) {
                    true => facts.as_mut().and_then(Iterator::next),
                    false => None,
                };
                let mapped = match &known {
                    Some(facts) => PagesMapped::By(facts),
                    None if waiting.is_exclusive && facts.is_some() => PagesMapped::Once,
                    None => PagesMapped::Unknown,
                };
                runs.clear();
                if waiting.is_counted {
                    self.find_huge(&region, huge, &mut runs)?;
                }
                if let Some(mapping) = self.accumulator.push_mapped(&region, mapped, &runs) {
                    if (self.watch)(SummaryStep::Mapping(mapping)).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                if (self.watch)(SummaryStep::Region(&region)).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            passed = Some(region.virt);
        }
        let passed = passed.map(SummaryStep::Passed);
        Ok(passed.map_or(ControlFlow::Continue(()), &mut self.watch))
    }

    /// Finds the pages of a region that huge entries map.
    fn find_huge(
        &mut self,
        region: &PhysicalRegion,
        huge: &mut HugeRuns,
        runs: &mut Vec<AddrRange>,
    ) -> Result<(), Error> {
        // Huge entries map only whole blocks that are aligned in both address spaces.
        let block = self.process.page_size().pmd().bytes();
        if region.size() < block || !self.tells_huge {
            return Ok(());
        }
        let (start, end) = (region.virt.start().as_u64(), region.virt.end().as_u64());
        let Some(address) = region.backing.address() else {
            return Ok(());
        };
        let first = start.checked_next_multiple_of(block).unwrap_or(u64::MAX);
        let last = end - end % block;
        if address.as_u64() % block != start % block || first >= last {
            return Ok(());
        }
        let mut at = first;
        while at < last {
            self.process.beat();
            let next = huge.next(self.process.as_core(), at, last);
            match next.map_err(|error| self.process.error(error))? {
                Some((is_huge, to)) => {
                    if is_huge {
                        runs.extend(AddrRange::new(at, to));
                    }
                    at = to;
                }
                None => {
                    self.tells_huge = false;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn resident(&mut self, ranges: &[AddrRange]) -> Result<(), Error> {
        for &range in ranges {
            for region in self.process.resident_regions(range)? {
                let region = region?;
                self.process.beat();
                let is_resident = region.backing == Backing::Resident;
                self.tells_huge &= !is_resident || region.huge.is_some();
                let whole = [region.virt];
                let huge = match region.huge {
                    Some(true) if !is_hugetlb(&region.mapping) => &whole[..],
                    _ => &[],
                };
                let region = PhysicalRegion {
                    virt: region.virt,
                    backing: region.backing,
                    // Without addresses copies cannot be distinguished.
                    anonymous: false,
                    mapping: region.mapping,
                };
                if let Some(mapping) = self.accumulator.push(&region, None, huge) {
                    if (self.watch)(SummaryStep::Mapping(mapping)).is_break() {
                        return Ok(());
                    }
                }
                for step in [
                    SummaryStep::Region(&region),
                    SummaryStep::Passed(region.virt),
                ] {
                    if (self.watch)(step).is_break() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn finish(mut self, knows_addresses: bool, knows_frames: bool) -> Result<Summary, Error> {
        if let Some(last) = self.accumulator.end_mapping() {
            // Nothing is left to end early.
            let _ = (self.watch)(SummaryStep::Mapping(last));
        }
        let reads_flags = self.tells_huge
            && self.accumulator.needs_flags()
            && match self.advice {
                AdviceReading::WhereCheap => self.accumulator.most_small <= AdviceReading::CHEAP,
                AdviceReading::Always => true,
                AdviceReading::Never => false,
            };
        let flags = match reads_flags.then(|| self.process.vm_flags()) {
            Some(Ok(flags)) => Some(flags),
            // Where maps may be read and smaps may not, the flags are unknown.
            Some(Err(error)) if error.is_permission_denied() => None,
            Some(Err(error)) => return Err(error),
            None => None,
        };
        let mut summary = self.accumulator.finish(flags.as_ref());
        summary.knows_addresses = knows_addresses;
        summary.knows_frames = knows_frames;
        if !knows_addresses {
            summary.contiguity = None;
            summary.nodes = None;
            summary.nodes_of_kinds = None;
        }
        if !self.tells_huge {
            summary.coverage = None;
            summary.policies.clear();
        }
        Ok(summary)
    }
}
