//! The object mapped at an address.

use process_introspection_core::{physical, VirtAddr};

use crate::Mapping;

/// A file or other object, where it is mapped at one address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Object {
    /// The address that was asked for.
    pub address: VirtAddr,
    /// The mapping; its name is the object's path.
    pub mapping: Mapping,
    /// The address that this byte was linked to, less by the load offset than
    /// the one asked for: for executables and shared libraries whose file
    /// could be read.
    pub linked_address: Option<VirtAddr>,
}

impl Object {
    pub(crate) fn new(address: VirtAddr, mapping: Mapping, linked_address: Option<u64>) -> Self {
        Self {
            address,
            mapping,
            linked_address: linked_address.map(VirtAddr::new),
        }
    }

    /// Where the byte at the address lies in the object.
    pub fn offset(&self) -> u64 {
        physical::offset_at(&self.mapping, self.address)
    }
}
