//! Layout of folios in virtual memory, from the flags of frames in the order of virtual
//! addresses: the statistics of the kernel's tools/mm/thpmaps (Linux 6.9). Pure.

use std::collections::BTreeMap;

use process_introspection_core::PageSize;

use crate::machine::frames::FrameFlags;

/// Layout of the folios that a process maps, anonymous and of files.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FolioLayout {
    /// Anonymous memory and private copies.
    pub anonymous: FoliosOfKind,
    /// Memory of files, shared memory included.
    pub file: FoliosOfKind,
}

/// Layout of the folios of one kind. Only parts of folios with
/// [`FrameFlags::THP`] are in it. Orders are base-2 logarithms of numbers of base pages.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FoliosOfKind {
    /// Resident bytes of the kind, without hugetlb: `Anonymous` of smaps, or `Rss` less
    /// `Anonymous`.
    pub resident: u64,
    /// Bytes in blocks, by the order of the block: aligned virtual blocks of present pages
    /// with consecutive, equally aligned frames of one folio. From order 1 to the order of a
    /// PMD entry; orders without such blocks are left out.
    pub contiguous: BTreeMap<u32, ThpBytes>,
    /// Bytes of folios that are mapped whole, with consecutive addresses, at an address
    /// that is a multiple of their size; by their order.
    pub aligned: BTreeMap<u32, ThpBytes>,
    /// Bytes of folios that are mapped whole, with consecutive addresses, at other
    /// addresses; by their order.
    pub unaligned: BTreeMap<u32, u64>,
    /// Bytes of folios of which not all is mapped with consecutive addresses.
    pub partial: u64,
}

/// Bytes, and the part of them that huge entries map.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ThpBytes {
    /// All bytes.
    pub bytes: u64,
    /// Bytes that PMD entries map; `None` if that of some page is unknown.
    pub pmd: Option<u64>,
}

impl ThpBytes {
    /// Returns the bytes that PTEs map.
    pub fn pte(&self) -> Option<u64> {
        Some(self.bytes - self.pmd?)
    }

    fn add(map: &mut BTreeMap<u32, Self>, order: u32, bytes: u64, pmd: Option<u64>) {
        let none = Self {
            bytes: 0,
            pmd: Some(0),
        };
        let of_order = map.entry(order).or_insert(none);
        of_order.bytes += bytes;
        of_order.pmd = of_order.pmd.zip(pmd).map(|(one, other)| one + other);
    }
}

/// Consecutive pages of one folio: no frame but the first is the first frame of a folio.
#[derive(Copy, Clone, Debug)]
struct Segment {
    vpn: u64,
    pfn: u64,
    pages: u64,
    is_anonymous: bool,
    /// True if it begins with the first frame of its folio.
    from_head: bool,
    /// Pages that huge entries map; `None` if that is unknown.
    huge: Option<u64>,
    /// True if the frame after the last one belongs to the same folio.
    goes_on: bool,
}

/// Counter of a [`FolioLayout`], frame by frame in the order of virtual addresses.
#[derive(Debug)]
pub(super) struct FolioCounter {
    page: PageSize,
    layout: FolioLayout,
    open: Option<Segment>,
}

impl FolioCounter {
    pub(super) fn new(page: PageSize) -> Self {
        Self {
            page,
            layout: FolioLayout::default(),
            open: None,
        }
    }

    /// Adds pages of one mapping with these virtual page numbers, PFNs and flags. `after` is
    /// the flags of the frame after the last one.
    pub(super) fn add(
        &mut self,
        vpn: u64,
        pfn: u64,
        flags: &[FrameFlags],
        after: Option<&FrameFlags>,
        is_huge: Option<bool>,
    ) {
        let further = flags.iter().skip(1).chain(after);
        let mut further = further.map(|flags| flags.contains(FrameFlags::COMPOUND_TAIL));
        for (at, &flags) in (0..).zip(flags) {
            let goes_on = further.next().unwrap_or(false);
            self.add_page(vpn + at, pfn + at, flags, goes_on, is_huge);
        }
    }

    fn add_page(
        &mut self,
        vpn: u64,
        pfn: u64,
        flags: FrameFlags,
        goes_on: bool,
        is_huge: Option<bool>,
    ) {
        let is_anonymous = flags.contains(FrameFlags::ANON);
        // Frames without a `struct page` are no memory of the kernel.
        if flags != FrameFlags::default() && !flags.contains(FrameFlags::NOPAGE) {
            let page = self.page.bytes();
            self.of_kind(is_anonymous).resident += page;
        }
        if !flags.contains(FrameFlags::THP) {
            return self.end_run();
        }
        let from_head = flags.contains(FrameFlags::COMPOUND_HEAD);
        let one = is_huge.map(u64::from);
        if let Some(open) = &mut self.open {
            let is_next = (open.vpn + open.pages, open.pfn + open.pages) == (vpn, pfn);
            if is_next && !from_head {
                open.pages += 1;
                open.huge = open.huge.zip(one).map(|(pages, one)| pages + one);
                open.goes_on = goes_on;
                return;
            }
        }
        self.end_run();
        self.open = Some(Segment {
            vpn,
            pfn,
            pages: 1,
            is_anonymous,
            from_head,
            huge: one,
            goes_on,
        });
    }

    /// Ends the last run of pages: what follows does not lengthen it.
    pub(super) fn end_run(&mut self) {
        let Some(segment) = self.open.take() else {
            return;
        };
        let (page, last) = (
            self.page.bytes(),
            self.page.pmd().shift() - self.page.shift(),
        );
        let of_kind = self.of_kind(segment.is_anonymous);
        for order in 1..=last {
            let pages = pages_in_blocks(&segment, order);
            if pages > 0 {
                // Huge entries map whole blocks of every order up to their own.
                let pmd = segment.huge.map(|huge| huge.min(pages) * page);
                ThpBytes::add(&mut of_kind.contiguous, order, pages * page, pmd);
            }
        }
        let (pages, order) = (segment.pages, segment.pages.ilog2());
        let bytes = pages * page;
        if !segment.from_head || segment.goes_on || !pages.is_power_of_two() {
            of_kind.partial += bytes;
        } else if segment.vpn % pages == 0 {
            let pmd = segment.huge.map(|huge| huge * page);
            ThpBytes::add(&mut of_kind.aligned, order, bytes, pmd);
        } else {
            *of_kind.unaligned.entry(order).or_default() += bytes;
        }
    }

    fn of_kind(&mut self, is_anonymous: bool) -> &mut FoliosOfKind {
        match is_anonymous {
            true => &mut self.layout.anonymous,
            false => &mut self.layout.file,
        }
    }

    pub(super) fn finish(mut self) -> FolioLayout {
        self.end_run();
        self.layout
    }
}

/// Returns the number of pages in aligned blocks of an order.
fn pages_in_blocks(segment: &Segment, order: u32) -> u64 {
    let block = 1 << order;
    if (segment.vpn ^ segment.pfn) % block != 0 {
        return 0;
    }
    let first = segment.vpn.div_ceil(block);
    let last = (segment.vpn + segment.pages) / block;
    last.saturating_sub(first) << order
}
