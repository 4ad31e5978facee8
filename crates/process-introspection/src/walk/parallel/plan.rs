//! What there is to walk: areas in order, each enumerated once, with their
//! mappings as the records of all threads share them.

use std::sync::Arc;

use process_introspection_core::physical::{Area, AreaCursor};
use process_introspection_core::process::Access;
use process_introspection_core::{self as core, AddrRange};

use super::piece::Piece;
use crate::process::mapping::{name_storage, Mapping, MappingName, NameStorage};

/// A part of an area, and the mapping that it belongs to.
#[derive(Clone, Debug)]
pub(super) struct PlannedArea {
    pub(super) area: Area,
    pub(super) mapping: Arc<Mapping>,
    /// Whether it goes up to the end of the area.
    pub(super) last: bool,
}

/// Enumerates areas.
#[derive(Debug)]
pub(super) struct Plan {
    areas: AreaCursor<NameStorage>,
}

/// So many small areas make a piece.
const AREAS: usize = 256;

impl Plan {
    /// Of all areas of a range.
    pub(super) fn new(process: &core::Process, range: AddrRange) -> core::error::Result<Self> {
        Ok(Self {
            areas: AreaCursor::new(process, range, Access::Frames, name_storage())?,
        })
    }

    /// Tells kinds without the contents of files.
    pub(super) fn skip_file_contents(&mut self) {
        self.areas.skip_file_contents();
    }

    /// The next areas, of `bytes` or more if there are not too many or too
    /// few; fewer than that many mean the end, or an error after them.
    pub(super) fn next(
        &mut self,
        process: &core::Process,
        bytes: u64,
    ) -> (Piece, Option<core::error::Result<()>>) {
        let mut piece = Piece::default();
        let mut size = 0u64;
        while size < bytes && piece.areas.len() < AREAS {
            let area = match self.areas.next(process) {
                Ok(Some(area)) => area,
                Ok(None) => return (piece, Some(Ok(()))),
                Err(error) => return (piece, Some(Err(error))),
            };
            size = size.saturating_add(area.left().size());
            let name = MappingName::complete(process, &area.mapping().vma, self.areas.name());
            piece.areas.push_back(PlannedArea {
                area,
                mapping: Arc::new(Mapping::new(*area.mapping(), name)),
                last: true,
            });
        }
        (piece, None)
    }
}
