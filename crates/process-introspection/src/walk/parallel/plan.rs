//! The areas to walk: in order, each enumerated once, with their mappings as the
//! records of all threads share them.

use std::sync::Arc;

use process_introspection_core::physical::AreaCursor;
use process_introspection_core::process::Access;
use process_introspection_core::{self as core, AddrRange};

use super::pace::Pace;
use super::piece::{Piece, PlannedArea};
use crate::process::mapping::{name_storage, Mapping, MappingName, NameStorage};

/// Enumerates areas, and makes pieces of them that take their time.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    process: &'a core::Process,
    pace: &'a Pace,
    areas: AreaCursor<NameStorage>,
    is_over: bool,
}

/// Maximum number of areas in a piece.
const AREAS: usize = 256;

impl<'a> Plan<'a> {
    /// All areas of a range.
    pub(super) fn new(
        process: &'a core::Process,
        pace: &'a Pace,
        range: AddrRange,
    ) -> core::error::Result<Self> {
        Ok(Self {
            process,
            pace,
            areas: AreaCursor::new(process, range, Access::Frames, name_storage())?,
            is_over: false,
        })
    }

    /// Tells kinds without the contents of files.
    pub(super) fn skip_file_contents(&mut self) {
        self.areas.skip_file_contents();
    }
}

impl Iterator for Plan<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let (process, bytes) = (self.process, self.pace.stride());
        let mut piece = Piece::default();
        let mut size = 0u64;
        while !self.is_over && size < bytes && piece.areas.len() < AREAS {
            let area = match self.areas.next(process) {
                Ok(Some(area)) => area,
                ended => {
                    piece.error = ended.err();
                    self.is_over = true;
                    break;
                }
            };
            size = size.saturating_add(area.left().size());
            let name = MappingName::complete(process, &area.mapping().vma, self.areas.name());
            piece.areas.push_back(PlannedArea {
                area,
                mapping: Arc::new(Mapping::new(*area.mapping(), name)),
                last: true,
            });
        }
        (!piece.is_empty()).then_some(piece)
    }
}
