//! Memory types of the results of walks: regions and leaf entries.

use process_introspection_core::memtype::MemoryType;
use process_introspection_core::AddrRange;

use crate::machine::memory_types::MemoryTypes;
use crate::walk::page_table::PageTableEntry;
use crate::walk::regions::PhysicalRegion;

impl MemoryTypes {
    /// Returns a region in pieces of one memory type each, nearly always one piece;
    /// `None` if the type cannot be known and for what is not memory.
    ///
    /// ```
    /// use process_introspection::{MemoryTypes, Process};
    ///
    /// let types = MemoryTypes::new();
    /// if let Ok(regions) = Process::current()?.physical_regions(..) {
    ///     for region in regions {
    ///         for (piece, memory_type) in types.pieces(&region?) {
    ///             println!("{} {memory_type:?}", piece.virt);
    ///         }
    ///     }
    /// }
    /// # Ok::<(), process_introspection::Error>(())
    /// ```
    pub fn pieces(
        &self,
        region: &PhysicalRegion,
    ) -> impl Iterator<Item = (PhysicalRegion, Option<MemoryType>)> {
        let (mapping, otherwise) = (&region.mapping, region.memory_type());
        let lengths = self.lengths(region.backing, mapping, region.size(), otherwise);
        let (region, mut passed) = (region.clone(), 0);
        lengths.into_iter().map(move |(length, memory_type)| {
            let mut piece = region.clone();
            let start = region.virt.start().as_u64() + passed;
            piece.virt = AddrRange::new(start, start + length).unwrap_or_default();
            piece.backing = region.backing.further(passed);
            passed += length;
            (piece, memory_type)
        })
    }

    /// Returns true if the type of a region may differ from the one that follows from
    /// its mapping; [`Self::pieces`] returns other regions unchanged.
    pub fn says_more_of(&self, region: &PhysicalRegion) -> bool {
        Self::says_more(&region.mapping, region.backing)
    }

    /// Returns the memory type of a leaf entry; `None` also if it has several.
    pub fn of_entry(&self, entry: &PageTableEntry) -> Option<MemoryType> {
        let mapping = entry.mapping.as_ref()?;
        let (size, otherwise) = (entry.virt.size(), entry.memory_type());
        match self.lengths(entry.backing, mapping, size, otherwise)[..] {
            [(_, memory_type)] => memory_type,
            _ => None,
        }
    }
}
