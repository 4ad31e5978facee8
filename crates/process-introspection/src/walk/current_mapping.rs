//! The owned mapping that the records of a walk share, made of the core's VMA.

use std::sync::Arc;

use process_introspection_core::elf_file::ElfFile;
use process_introspection_core::error::Result;
use process_introspection_core::mapping::{ClassifiedVma, MappingKind};
use process_introspection_core::vma::VmaName;
use process_introspection_core::ProcessHandle;

use crate::process::mapping::{Mapping, MappingName};
use crate::walk::zeroed_memory::ZeroedMemory;

/// Maker of the mappings of a walk, one for each VMA, which distinguishes zeroed memory
/// of images from other anonymous memory.
#[derive(Debug)]
pub(crate) struct CurrentMapping {
    last: Option<Arc<Mapping>>,
    zeroed: ZeroedMemory,
}

impl CurrentMapping {
    /// Returns the state at the beginning of a walk.
    pub(crate) fn new(skips_file_contents: bool) -> Self {
        Self {
            last: None,
            zeroed: ZeroedMemory::new(skips_file_contents),
        }
    }

    /// Returns the mapping of a VMA, with its name. `image` is the result of
    /// `take_image` of the walk's cursor.
    ///
    /// # Errors
    /// Those of the walk.
    pub(crate) fn of(
        &mut self,
        process: &ProcessHandle,
        vma: &ClassifiedVma,
        name: VmaName<'_>,
        image: Option<ElfFile>,
    ) -> Result<Arc<Mapping>> {
        if let Some(last) = self.last.as_ref().filter(|last| last.core().vma == vma.vma) {
            return Ok(Arc::clone(last));
        }
        let mut classified = *vma;
        if self.zeroed.contains(process, &vma.vma, name, image)? {
            classified.kind = MappingKind::Elf;
        }
        let name = MappingName::complete(process, &vma.vma, name);
        let mapping = Arc::new(Mapping::new(classified, name));
        self.last = Some(Arc::clone(&mapping));
        Ok(mapping)
    }
}
