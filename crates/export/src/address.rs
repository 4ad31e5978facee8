//! The record of a physical address: what is there.

use process_introspection::{FrameFlags, PageSize, PhysAddr, PhysicalKind, PhysicalPlace};
use serde::{Serialize, Serializer};

use crate::delimited::Fields;
use crate::name::Name;
use crate::number::Hex;
use crate::record::{Column, Layout, Record};
use crate::table::{Cells, Notes};

/// What the kernel tells of a page frame.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct FlagNames(pub FrameFlags);

impl FlagNames {
    /// The names, in the order of the bits; `bitN` for a bit without one.
    pub fn names(self) -> impl Iterator<Item = String> {
        self.0.set_bits().map(flag_name)
    }
}

/// The kernel's name of a bit in kpageflags, `bitN` without one.
pub(crate) fn flag_name(bit: u32) -> String {
    FrameFlags::name_of(bit).map_or_else(|| format!("bit{bit}"), str::to_owned)
}

impl Serialize for FlagNames {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

/// A physical address and what is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AddressRecord {
    /// The address.
    pub paddr: Hex,
    /// Its page frame.
    pub pfn: u64,
    /// What sort of thing is there; `hidden` if the caller may not know.
    pub kind: &'static str,
    /// The names of the resources around it, outermost first.
    pub resources: Vec<String>,
    /// The first byte of the innermost of them.
    pub first: Option<Hex>,
    /// The last byte of it.
    pub last: Option<Hex>,
    /// The NUMA node whose memory it is.
    pub node: Option<u32>,
    /// The flags of its page frame; none if they cannot be read, or the kernel
    /// has nothing to tell of the frame.
    pub flags: Option<FlagNames>,
    /// How often the frame is mapped; none if that is not known.
    pub mapcount: Option<u64>,
}

impl AddressRecord {
    /// The record of an address. `flags` and `mapcount` are what was read of
    /// its frame, `base` is the base page size.
    pub fn new(
        address: PhysAddr,
        place: &PhysicalPlace<'_>,
        flags: Option<FrameFlags>,
        mapcount: Option<u64>,
        base: PageSize,
    ) -> Self {
        let names = place.resources.iter().map(|resource| resource.name.clone());
        let innermost = place.resources.last();
        // Of a frame without a `struct page` the kernel does not know how often
        // it is mapped, and says 0.
        let is_ram = place.kind == Some(PhysicalKind::SystemRam);
        let is_counted = |flags: FrameFlags| match flags {
            none if none == FrameFlags::default() => is_ram,
            some => !some.contains(FrameFlags::NOPAGE),
        };
        Self {
            paddr: address.into(),
            pfn: address.pfn(base).as_u64(),
            kind: place.kind.map_or("hidden", |kind| kind.name()),
            resources: names.collect(),
            first: innermost.map(|resource| resource.first.into()),
            last: innermost.map(|resource| resource.last.into()),
            node: place.node,
            flags: flags.map(FlagNames),
            mapcount: mapcount.filter(|_| flags.is_some_and(is_counted)),
        }
    }

    fn path(&self) -> String {
        self.resources.join(" > ")
    }
}

impl Record for AddressRecord {
    const LAYOUT: Layout = Layout {
        fields: &[
            "paddr",
            "pfn",
            "kind",
            "resources",
            "first",
            "last",
            "node",
            "flags",
            "mapcount",
        ],
        columns: &[
            Column::number("PADDR", 11),
            Column::text("KIND", 17),
            Column::number("NODE", 4),
            Column::number("MAPPED", 6),
            Column::text("RESOURCE", 0),
        ],
    };

    fn fields(&self, fields: &mut Fields) {
        let flags = self.flags.map(|flags| flags.names().collect::<Vec<_>>());
        fields
            .hex(self.paddr)
            .number(self.pfn)
            .text(self.kind)
            .others_text(&self.path())
            .hex(self.first)
            .hex(self.last)
            .number(self.node.map(u64::from))
            .text(&flags.unwrap_or_default().join("|"))
            .number(self.mapcount);
    }

    fn cells(&self, cells: &mut Cells<'_>) {
        cells
            .hex(self.paddr)
            .text(self.kind)
            .optional(self.node.map(u64::from))
            .optional(self.mapcount)
            .name(Name(self.path().as_bytes()));
    }

    fn notes(&self, notes: &mut Notes<'_>) {
        if let (Some(Hex(first)), Some(Hex(last))) = (self.first, self.last) {
            notes
                .phrase(&format!("range {first:x}-{last:x}"))
                .end_line();
        }
        if let Some(flags) = self.flags {
            let none = flags.0 == FrameFlags::default();
            notes.phrase(if none { "no flags" } else { "flags" });
            for name in flags.names() {
                notes.phrase(&name);
            }
        }
    }
}
