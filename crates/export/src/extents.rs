//! The record of a physical extent.

use process_introspection::{Extent, ExtentBacking, PageSize};
use serde::Serialize;

use crate::delimited::Fields;
use crate::number::Hex;
use crate::record::{Column, Layout, Record};
use crate::state::State;
use crate::table::Cells;

/// Bytes that are consecutive in both address spaces, or that are missing for
/// one reason. Exact to the byte.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExtentRecord {
    /// Its first virtual address.
    pub vaddr: Hex,
    /// In bytes.
    pub size: u64,
    /// Its first physical address, also that of the zero page; none if
    /// unbacked.
    pub paddr: Option<Hex>,
    /// The page frame that holds that address.
    pub pfn: Option<u64>,
    /// What is behind it.
    pub state: State,
}

impl ExtentRecord {
    /// The record of an extent. `base` is the base page size.
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
        }
    }
}

impl Record for ExtentRecord {
    const LAYOUT: Layout = Layout {
        fields: &["vaddr", "size", "paddr", "pfn", "state"],
        columns: &[
            Column::number("VADDR", 12),
            Column::number("SIZE", 10),
            Column::number("PADDR", 12),
            Column::text("STATE", 11),
        ],
    };

    fn fields(&self, fields: &mut Fields) {
        fields
            .hex(self.vaddr)
            .number(self.size)
            .hex(self.paddr)
            .number(self.pfn)
            .text(self.state.name());
    }

    fn cells(&self, cells: &mut Cells<'_>) {
        cells
            .hex(self.vaddr)
            .size(self.size)
            .hex(self.paddr)
            .text(self.state.name());
    }
}
