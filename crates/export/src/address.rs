//! Record of a physical address.

use process_introspection::{FrameFlags, PageSize, PhysAddr, PhysicalKind, PhysicalPlace};

use crate::field::record;
use crate::number::Hex;
use crate::record::Record;
use crate::table::Notes;
use crate::value::FlagNames;

record! {
    /// Physical address and its use.
    pub struct AddressRecord {
        /// Physical address.
        pub paddr: Hex = number(0, "PADDR", 11),
        /// Page frame number: the address divided by the base page size.
        pub pfn: u64 = pages(),
        /// Kind of the resource at the address, by /proc/iomem; hidden if the caller may
        /// not see it, or a snapshot has no frame there.
        pub kind: &'static str = one_of(places).text(1, "KIND", 17),
        /// Names in /proc/iomem of the ranges that contain the address, outermost first;
        /// empty if it is unclaimed or hidden.
        pub resources: Vec<String> = text(4, "RESOURCE", 0),
        /// First byte of the innermost of these ranges.
        pub first: Option<Hex> = null("without a range"),
        /// Last byte of that range.
        pub last: Option<Hex> = null("without a range"),
        /// NUMA node of the memory.
        pub node: Option<u32> = number(2, "NODE", 4)
            .null("if it is no memory of the kernel's, or the node is unknown"),
        /// Flags of the page frame by the kernel's names (KPF_ in /proc/kpageflags), bitN
        /// for a bit without one.
        pub flags: Option<FlagNames>
            = null("if they cannot be read, or the kernel has none for the frame"),
        /// Number of page-table entries that map the frame (/proc/kpagecount).
        pub mapcount: Option<u64> = number(3, "MAPPED", 6)
            .null("if it cannot be read, or the kernel has no count of the frame"),
    }
}

fn places() -> Vec<&'static str> {
    let known = PhysicalKind::ALL.iter().map(|kind| kind.name());
    known.chain(["hidden"]).collect()
}

impl AddressRecord {
    /// Returns the record of an address. `flags` and `mapcount` are those of its frame,
    /// `base` is the base page size.
    pub fn new(
        address: PhysAddr,
        place: &PhysicalPlace<'_>,
        flags: Option<FrameFlags>,
        mapcount: Option<u64>,
        base: PageSize,
    ) -> Self {
        let names = place.resources.iter().map(|resource| resource.name.clone());
        let innermost = place.resources.last();
        // For a frame without a `struct page` the kernel exports a count of 0.
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
}

impl AddressRecord {
    /// Returns the record of an address in a snapshot, which has no resources: the node, the
    /// flags and the mapcount of its frame, `None` if it has no such frame of RAM.
    pub fn stored(
        address: PhysAddr,
        frame: Option<(Option<u32>, FrameFlags, u64)>,
        base: PageSize,
    ) -> Self {
        let kind = frame.map(|_| PhysicalKind::SystemRam.name());
        Self {
            paddr: address.into(),
            pfn: address.pfn(base).as_u64(),
            kind: kind.unwrap_or("hidden"),
            resources: Vec::new(),
            first: None,
            last: None,
            node: frame.and_then(|(node, ..)| node),
            flags: frame.map(|(_, flags, _)| FlagNames(flags)),
            mapcount: frame.map(|(.., mapcount)| mapcount),
        }
    }
}

impl Record for AddressRecord {
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
