//! Conditions on extents. Performs no I/O.

use process_introspection_export::{ExtentRecord, State};

/// Checks extents, which are added in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    contiguous: bool,
    align: Option<u64>,
    extents: u64,
    bytes: u64,
    bytes_in_ram: u64,
    first_missing: Option<(u64, State)>,
    /// First unaligned extent.
    unaligned: Option<Unaligned>,
    /// The last extent, if its length is not aligned: no other extent may follow.
    odd_length: Option<Unaligned>,
}

#[derive(Copy, Clone, Debug)]
struct Unaligned {
    vaddr: u64,
    what: &'static str,
    value: u64,
}

impl Conditions {
    /// Requires that all is RAM; with `contiguous`, that it is one extent; with `align`,
    /// that each extent begins at a multiple of it, and that the length of each extent
    /// except the last is a multiple of it.
    pub(crate) fn new(contiguous: bool, align: Option<u64>) -> Self {
        Self {
            contiguous,
            align,
            ..Self::default()
        }
    }

    /// Adds the next extent.
    pub(crate) fn add(&mut self, extent: &ExtentRecord) {
        self.extents += 1;
        self.bytes = self.bytes.saturating_add(extent.size);
        if extent.state == State::Ram {
            self.bytes_in_ram += extent.size;
        } else if self.first_missing.is_none() {
            self.first_missing = Some((extent.vaddr.0, extent.state));
        }
        let Some(align) = self.align else { return };
        // The extent before was not the last.
        self.unaligned = self.unaligned.or(self.odd_length.take());
        // An extent without address violates another condition.
        let Some(paddr) = extent.paddr else { return };
        let wrong = |what, value| {
            (value % align != 0).then_some(Unaligned {
                vaddr: extent.vaddr.0,
                what,
                value,
            })
        };
        self.unaligned = self.unaligned.or(wrong("physical address", paddr.0));
        self.odd_length = wrong("length", extent.size);
    }

    /// Returns the violated conditions, if there are any.
    pub(crate) fn violation(&self) -> Option<String> {
        let mut wrong = Vec::new();
        if let Some((vaddr, state)) = self.first_missing {
            let missing = self.bytes - self.bytes_in_ram;
            wrong.push(format!(
                "{missing} of {} bytes are not backed by RAM, the first at {vaddr:#x} ({})",
                self.bytes,
                state.name()
            ));
        }
        if self.contiguous && self.extents != 1 {
            wrong.push(format!("there are {} extents, not one", self.extents));
        }
        if let (Some(align), Some(Unaligned { vaddr, what, value })) = (self.align, self.unaligned)
        {
            wrong.push(format!(
                "the extent at {vaddr:#x} has the {what} {value:#x}, no multiple of {align:#x}"
            ));
        }
        (!wrong.is_empty()).then(|| wrong.join("; "))
    }
}
