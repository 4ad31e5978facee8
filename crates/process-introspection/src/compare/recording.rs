//! Regions of a walk kept in memory, to be compared with a later walk. Must not know what
//! they are compared with.

use std::sync::Arc;

use process_introspection_core::backing::Backing;
use process_introspection_core::{AddrRange, PageSize};

use crate::compare::source::RegionSource;
use crate::process::mapping::Mapping;
use crate::walk::attributed::Attributed;
use crate::walk::regions::PhysicalRegion;

/// Regions of a walk, as far as [`compare_regions`](crate::compare_regions) depends on them:
/// 48 bytes each.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    regions: Vec<Kept>,
    /// Each with the number of its first region.
    mappings: Vec<(usize, Arc<Mapping>)>,
}

#[derive(Copy, Clone, Debug)]
struct Kept {
    virt: AddrRange,
    backing: Backing,
    anonymous: bool,
    page_size: Option<PageSize>,
}

impl Recording {
    /// Adds the next region.
    pub fn push(&mut self, region: &Attributed<PhysicalRegion>) {
        let is_same = |(_, last): &(usize, Arc<Mapping>)| Arc::ptr_eq(last, &region.mapping);
        if !self.mappings.last().is_some_and(is_same) {
            let first = self.regions.len();
            self.mappings.push((first, Arc::clone(&region.mapping)));
        }
        self.regions.push(Kept {
            virt: region.virt,
            backing: region.backing,
            anonymous: region.anonymous,
            page_size: region.page_size,
        });
    }

    /// Returns the stream of the regions, with the attributes that were kept.
    pub fn regions(&self) -> RecordedRegions<'_> {
        RecordedRegions {
            recording: self,
            next: 0,
            next_mapping: 0,
            current: None,
        }
    }
}

/// Stream of recorded regions.
#[derive(Debug)]
pub struct RecordedRegions<'a> {
    recording: &'a Recording,
    next: usize,
    next_mapping: usize,
    current: Option<Attributed<PhysicalRegion>>,
}

impl<E> RegionSource<E> for RecordedRegions<'_> {
    fn next_region(&mut self) -> Result<Option<&Attributed<PhysicalRegion>>, E> {
        let Some(kept) = self.recording.regions.get(self.next) else {
            return Ok(None);
        };
        let next_mapping = self.recording.mappings.get(self.next_mapping);
        match (next_mapping, &mut self.current) {
            (Some((first, mapping)), current) if *first == self.next => {
                self.next_mapping += 1;
                let mapping = Arc::clone(mapping);
                let region = PhysicalRegion::new(kept.virt, kept.backing, kept.anonymous, mapping);
                *current = Some(Attributed::new(region));
            }
            (_, Some(current)) => {
                current.pages.virt = kept.virt;
                current.pages.backing = kept.backing;
                current.pages.anonymous = kept.anonymous;
            }
            // The first region has a mapping.
            (_, None) => {}
        }
        self.next += 1;
        if let Some(current) = &mut self.current {
            current.page_size = kept.page_size;
        }
        Ok(self.current.as_ref())
    }
}

/// Stream that records the regions of another as they pass.
#[derive(Debug)]
pub struct Recorder<'a, S> {
    source: S,
    recording: &'a mut Recording,
}

impl<'a, S> Recorder<'a, S> {
    /// Makes a stream of the source's regions, which adds them to the recording.
    pub fn new(source: S, recording: &'a mut Recording) -> Self {
        Self { source, recording }
    }
}

impl<E, S: RegionSource<E>> RegionSource<E> for Recorder<'_, S> {
    fn next_region(&mut self) -> Result<Option<&Attributed<PhysicalRegion>>, E> {
        let region = self.source.next_region()?;
        if let Some(region) = region {
            self.recording.push(region);
        }
        Ok(region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_region_has_at_most_the_size_that_is_documented() {
        assert!(size_of::<Kept>() <= 48);
    }
}
