//! Record of a physical extent.

use process_introspection::{Extent, ExtentBacking, PageSize};

use crate::field::{record, Extra};
use crate::number::Hex;
use crate::record::Record;
use crate::state::State;
use crate::words::states_of_addresses;

record! {
    /// Extent: bytes that are consecutive in both address spaces, or missing for one
    /// reason. Exact to the byte.
    #[derive(Copy)]
    pub struct ExtentRecord {
        /// First virtual address.
        pub vaddr: Hex = number(0, "VADDR", 12),
        /// Size in bytes.
        pub size: u64 = bytes().least(1).number(1, "SIZE", 10),
        /// First physical address, also that of the zero page.
        pub paddr: Option<Hex> = number(2, "PADDR", 12)
            .null("if no physical memory is there, or its address is unknown"),
        /// Page frame that contains the first physical address.
        pub pfn: Option<u64> = pages().null("as for paddr"),
        /// State of the memory.
        pub state: State = one_of(states_of_addresses).text(3, "STATE", 11),
        /// NUMA node of the memory.
        pub node: Option<u32> = number(4, "NODE", 4).column_extra(Extra::Node)
            .null("if it is unknown, or the memory is on several nodes"),
    }
}

impl ExtentRecord {
    /// Returns the record of an extent. `base` is the base page size; the node is unknown.
    pub fn new(extent: &Extent, base: PageSize) -> Self {
        let paddr = match extent.backing {
            ExtentBacking::Zero(address) => Some(address),
            _ => extent.phys(),
        };
        Self {
            vaddr: extent.virt.start().into(),
            size: extent.len(),
            paddr: paddr.map(Hex::from),
            pfn: paddr.map(|address| address.pfn(base).as_u64()),
            state: extent.backing.into(),
            node: None,
        }
    }
}

impl Record for ExtentRecord {}
