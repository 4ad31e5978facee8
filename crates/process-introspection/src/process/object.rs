//! Object mapped at an address, and the paths of its file.

use std::path::Path;

use process_introspection_core::image::{build_id, object_at, BuildId};
use process_introspection_core::mapping::MappingKind;
use process_introspection_core::server::answers;
use process_introspection_core::vma::VmaCursor;
use process_introspection_core::{physical, Errno, VirtAddr};

use crate::error::Error;
use crate::process::location::Location;
use crate::process::mapping::{name_storage, Mapping, MappingName};
use crate::process::Process;

/// File or other object, where it is mapped at one address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Object {
    /// Address of the query.
    pub address: VirtAddr,
    /// Mapping at the address; its name is the kernel's name of the object.
    pub mapping: Mapping,
    /// Address that this byte was linked to: for executables and shared libraries whose
    /// file could be read.
    pub linked_address: Option<VirtAddr>,
    /// Identifier from its linker, which distinguishes it from others with its name, read
    /// from the mapped file itself, even if it is deleted: for executables and shared
    /// libraries whose file could be read.
    pub build_id: Option<BuildId>,
    location: Location,
}

impl Object {
    /// Returns the offset of the byte at the address in the object.
    pub fn offset(&self) -> u64 {
        physical::offset_at(&self.mapping, self.address)
    }

    /// Returns the distance by which the file was moved when it was loaded: the address
    /// less the one that the byte was linked to. It is the same in every mapping of one
    /// loaded file; 0 for a file that cannot be moved; negative for one that was linked to
    /// higher addresses than it was loaded at.
    pub fn relocation(&self) -> Option<i64> {
        let linked = self.linked_address?;
        Some(self.address.as_u64().wrapping_sub(linked.as_u64()) as i64)
    }

    /// Returns the path by which the process itself reaches the object, from its own root.
    /// `None` if the object never had a path (an unnamed file in memory, a ring of the
    /// kernel's), or lies outside the process's root.
    pub fn target_path(&self) -> Option<&Path> {
        self.location.target.as_deref()
    }

    /// Returns a path by which this caller reaches the very object that is mapped, even if
    /// its name has changed since: the name itself, or one below the process's root, or
    /// that of the mapping below `/proc`, which requires CAP_CHECKPOINT_RESTORE. The path
    /// was tested; `None` if none of these led to the object.
    pub fn open_path(&self) -> Option<&Path> {
        self.location.open.as_deref()
    }

    /// Returns whether the object's path leads to it no more: the file was deleted, or
    /// another file took its name.
    pub fn is_deleted(&self) -> bool {
        self.location.deleted
    }
}

impl Process {
    /// Returns the file or other object that is mapped at an address; `None` if nothing, or
    /// memory without an object, is mapped there.
    ///
    /// # Errors
    /// [`Error::is_gone`].
    pub fn object_at(&self, address: impl Into<VirtAddr>) -> Result<Option<Object>, Error> {
        let address = address.into().untagged();
        let mut areas = VmaCursor::new(name_storage());
        match object_at(self.as_core(), address.as_u64(), &mut areas) {
            Ok(found) => {
                let vma = &found.mapping.vma;
                let build_id = match found.mapping.kind {
                    MappingKind::Elf => build_id(self.as_core(), vma, areas.name()),
                    _ => Ok(None),
                }
                .map_err(|error| self.error(error))?;
                let name = MappingName::complete(self.as_core(), vma, areas.name());
                let answers = answers(self.as_core(), vma, areas.name());
                let location = match answers.map_err(|error| self.error(error))? {
                    true => Location::find(self.as_core(), vma, name.as_bytes()),
                    false => Location::by_name(self.as_core(), vma, name.as_bytes()),
                };
                Ok(Some(Object {
                    address,
                    mapping: Mapping::new(found.mapping, name),
                    linked_address: found.linked_address.map(VirtAddr::new),
                    build_id,
                    location,
                }))
            }
            Err(error) if error.errno() == Errno::ENXIO => Ok(None),
            Err(error) => Err(self.error(error)),
        }
    }
}
