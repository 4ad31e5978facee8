//! The VMAs to walk: in order, each enumerated once, with the mappings that the records
//! of all threads share.

use std::sync::Arc;

use process_introspection_core as core;
use process_introspection_core::physical::{VmaPart, VmaPartCursor};
use process_introspection_core::process::Access;
use process_introspection_core::AddrRange;

use super::pace::Pace;
use super::piece::{Piece, PlannedArea};
use crate::process::mapping::{name_storage, Mapping, NameStorage};
use crate::walk::current_mapping::CurrentMapping;

/// Enumerator of VMAs, which makes pieces of them.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    process: &'a core::ProcessHandle,
    pace: &'a Pace,
    areas: VmaPartCursor<NameStorage>,
    mapping: CurrentMapping,
    is_over: bool,
}

/// Maximum number of VMAs in a piece.
const AREAS: usize = 256;

impl<'a> Plan<'a> {
    /// Returns the plan for all VMAs of a range.
    pub(super) fn new(
        process: &'a core::ProcessHandle,
        pace: &'a Pace,
        range: AddrRange,
    ) -> core::error::Result<Self> {
        Ok(Self {
            process,
            pace,
            areas: VmaPartCursor::new(process, range, Access::Frames, name_storage())?,
            mapping: CurrentMapping::new(false),
            is_over: false,
        })
    }

    /// Returns the next VMA, with its mapping.
    fn next_area(&mut self) -> core::error::Result<Option<(VmaPart, Arc<Mapping>)>> {
        let Some(area) = self.areas.next(self.process)? else {
            return Ok(None);
        };
        let (image, vma) = (self.areas.take_image(), area.mapping());
        let name = self.areas.name();
        let mapping = self.mapping.of(self.process, vma, name, image)?;
        Ok(Some((area, mapping)))
    }

    /// Makes the plan determine kinds without the contents of files.
    pub(super) fn skip_file_contents(&mut self) {
        self.areas.skip_file_contents();
        self.mapping = CurrentMapping::new(true);
    }
}

impl Iterator for Plan<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let bytes = self.pace.stride();
        let mut piece = Piece::default();
        let mut size = 0u64;
        while !self.is_over && size < bytes && piece.areas.len() < AREAS {
            let (area, mapping) = match self.next_area() {
                Ok(Some(next)) => next,
                ended => {
                    piece.error = ended.err();
                    self.is_over = true;
                    break;
                }
            };
            size = size.saturating_add(area.left().size());
            piece.areas.push_back(PlannedArea {
                area,
                mapping,
                last: true,
            });
        }
        (!piece.is_empty()).then_some(piece)
    }
}
