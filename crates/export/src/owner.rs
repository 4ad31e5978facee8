//! Record of physical memory and of one process that maps it, or of a statement in its
//! place.

use process_introspection::{
    Cgroup, Coverage, FrameFlags, Owner, PageRun, PageSize, PageUse, PassedProcess, PhysAddr,
    PhysRange,
};

use crate::details::Details;
use crate::field::{record, Fields, Show};
use crate::name::{Name, NameBuf};
use crate::number::Hex;
use crate::page::protection_name;
use crate::record::Record;
use crate::state::State;
use crate::table::{Notes, Row};
use crate::types::word_list;
use crate::value::{Decimal, FlagNames, Text};
use crate::words::{mapping_kinds, page_uses, PROTECTION};

word_list! {
    /// Statement of a record.
    #[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum OwnerKind {
        /// A process maps the memory.
        #[default]
        Mapped = "mapped",
        /// A process had the memory until a memory error took it away.
        Lost = "lost",
        /// No process maps the memory.
        Unmapped = "unmapped",
        /// No process that was read maps the memory; others may.
        NotFound = "not-found",
        /// A process could not be read.
        Unread = "unread",
        /// A process has other memory at an address than before.
        Moved = "moved",
    }
}

word_list! {
    /// Processes among which the owner was searched.
    #[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum Searched {
        /// All processes of the machine.
        All = "all",
        /// Some: others could not be read, or began or ended meanwhile.
        Some = "some",
        /// At most those of the caller's PID namespace, or of the proc that was read.
        Namespace = "namespace",
        /// Those of a snapshot.
        Snapshot = "snapshot",
    }
}

impl From<Coverage> for Searched {
    fn from(coverage: Coverage) -> Self {
        match (coverage.sees_all, coverage.is_complete()) {
            (false, _) => Self::Namespace,
            (true, true) => Self::All,
            (true, false) => Self::Some,
        }
    }
}

record! {
    /// Physical memory of one use and a process that maps it, or a statement in its place.
    #[derive(Default)]
    pub struct OwnerRecord<'a> {
        /// Statement of the record: a process maps the memory (mapped), a process had it
        /// until a memory error took it away (lost), no process maps it (unmapped), no
        /// process that was read maps it but others may (not-found), a process could not be
        /// read (unread, with --unread), a process has other memory at an address than
        /// before (moved, with --watch).
        pub record: OwnerKind,
        /// First physical address.
        pub paddr: Option<Hex> = number(0, "PADDR", 11)
            .null("in records of unread processes, and of pages that are gone"),
        /// Page frame number: the address divided by the base page size.
        pub pfn: Option<u64> = pages().null("as for paddr"),
        /// Size in bytes, whole pages.
        pub size: Option<u64> = bytes().number(1, "SIZE", 6)
            .null("in records of unread processes"),
        /// Use of the pages. kernel-or-free: the kernel marks neither its own pages nor free
        /// pages on the list of a CPU. The words from not-managed on are no RAM that the
        /// kernel manages.
        pub page_use: Option<&'static str> = named("use").one_of(page_uses).text(2, "USE", 14)
            .null("without memory, and where a snapshot does not have it"),
        /// NUMA node of the memory.
        pub node: Option<u32> = number(3, "NODE", 4)
            .null("if it is no memory of the kernel's, or the node is unknown"),
        /// Smallest number of page-table entries of all processes that map a page of it
        /// (/proc/kpagecount).
        pub mapcount_min: Option<u64>
            = null("if the kernel has no count, and where a snapshot does not have it"),
        /// Largest number of page-table entries of all processes that map a page of it.
        pub mapcount_max: Option<u64> = null("as for mapcount_min"),
        /// Flags that all of its frames have, by the kernel's names (KPF_ in
        /// /proc/kpageflags), bitN for a bit without one.
        pub flags: Option<FlagNames>
            = null("if the kernel has none, and where a snapshot does not have them"),
        /// Process that maps or had the memory.
        pub pid: Option<u32> = number(4, "PID", 7)
            .null("in records of unmapped memory and of unread processes"),
        /// Unique number of the process, in decimal. It is a string because JSON numbers
        /// lose bits past 2^53.
        pub unique_pid: Option<Decimal> = null("if the process was gone before it was read"),
        /// Its comm: the first 15 bytes of its program's name, or the name that it gave
        /// itself. Bytes that are not UTF-8 are replaced.
        pub command: Name<'a> = text(6, "COMMAND", 0).null("if it could not be read"),
        /// Its cgroup: the path of the one that pays for its memory. Bytes that are not UTF-8
        /// are replaced.
        pub cgroup: Name<'a> = null("without a process, and if it is unknown"),
        /// Innermost systemd unit of its cgroup that is not a slice.
        pub unit: Option<Text<'a>> = null("if it is in none, and as for cgroup"),
        /// Identifier of its innermost container.
        pub container: Option<Text<'a>> = null("if it is in none, and as for cgroup"),
        /// First virtual address.
        pub vaddr: Option<Hex> = number(5, "VADDR", 12).null("without a process"),
        /// State of the memory there.
        pub state: Option<State> = also(2, Show::Left).null("without a process"),
        /// Protection of the mapping.
        pub prot: Option<&'static str> = pattern(PROTECTION).null("without a mapping"),
        /// Whether the mapping is shared.
        pub shared: Option<bool> = null("without a mapping"),
        /// Kind of the mapping.
        pub kind: Option<&'static str> = one_of(mapping_kinds).null("without a mapping"),
        /// Offset of the first byte in the mapped object; 0x0 without an object.
        pub offset: Option<Hex> = null("without a mapping"),
        /// Name of the mapping. Bytes that are not UTF-8 are replaced.
        pub path: Name<'a> = null("if it has no name"),
        /// Physical address that was there before, in records of moved memory.
        pub moved_from: Option<Hex> = null("if it was in no memory"),
        /// Processes that were read, in records of memory that none of them maps: all of the
        /// machine (all); not all, because some could not be read, or began or ended
        /// meanwhile (some); at most those of this PID namespace, or of the proc that was
        /// read (namespace); those of a snapshot (snapshot, with --from). A record is unmapped also if not all were read, where the
        /// kernel counts mappings of such pages and the count is 0.
        pub searched: Option<Searched> = null("in other records"),
        /// Cgroup that pays for page cache that no process maps, by its path. Bytes that are not
        /// UTF-8 are replaced.
        pub payer: NameBuf = null("in other records, if no cgroup pays, several do or it is unknown, and in records of a snapshot without frames"),
        /// Innermost systemd unit of that cgroup that is not a slice.
        pub payer_unit: Option<String> = null("if it is in none, and as for payer"),
        /// Identifier of the innermost container of that cgroup.
        pub payer_container: Option<String> = null("if it is in none, and as for payer"),
        /// Process that could not be read, which is no owner.
        pub unread_pid: Option<u32> = also(4, Show::Right).null("in other records"),
        /// Its comm.
        pub unread_command: Option<String> = also(6, Show::Left)
            .null("if it could not be read, and in other records"),
        /// Reason for which the process could not be read.
        pub reason: Option<String> = null("in other records"),
        /// Log whose lines name some of the memory, as given (--from-log, or /dev/kmsg).
        pub log: Option<Text<'a>>
            = null("if no line does, and in records of moved memory and of unread processes"),
        /// Number of the first such line, from 1.
        pub log_line: Option<u64> = null("as for log"),
        /// Form of that line's message, as docs/MESSAGES.md lists them.
        pub log_form: Option<&'a str> = pattern("^[a-z0-9-]+$").null("as for log"),
        /// Number of such lines.
        pub log_lines: Option<u64> = null("as for log"),
    }
}

/// Facts of pages that an owner's record shows. What a snapshot does not have is `None`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnedPages {
    /// Addresses, whole pages.
    pub range: PhysRange,
    /// Use of all the pages.
    pub page_use: Option<PageUse>,
    /// NUMA node.
    pub node: Option<u32>,
    /// Flags that all of the frames have.
    pub flags: Option<FrameFlags>,
    /// Least and greatest mapcount of a frame.
    pub mapcount: Option<(u64, u64)>,
}

impl From<&PageRun> for OwnedPages {
    fn from(run: &PageRun) -> Self {
        Self {
            range: run.range,
            page_use: Some(run.page_use),
            node: run.node,
            flags: run.flags,
            mapcount: run.mapcount,
        }
    }
}

impl OwnedPages {
    /// Returns the facts of pages of which a snapshot has these details, if it has any. They
    /// are the details of exactly these pages.
    pub fn stored(range: PhysRange, node: Option<u32>, details: Option<&Details>) -> Self {
        let flags = details.and_then(Details::frame_flags);
        Self {
            range,
            page_use: flags.and_then(|(common, any)| {
                // A use that both have is that of all frames between them.
                let page_use = PageUse::of(Some(common), || None);
                let is_same = PageUse::of(Some(any), || None) == page_use;
                Some(page_use).filter(|_| is_same && page_use != PageUse::Unknown)
            }),
            node,
            flags: flags.map(|(common, _)| common),
            mapcount: details
                .and_then(|details| details.mapcount)
                .map(|span| (span.min, span.max)),
        }
    }
}

/// Lines of a log that name physical memory.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct NamedBy<'a> {
    /// The log, as it was given to the command.
    pub log: &'a str,
    /// Number of the first line, from 1.
    pub line: u64,
    /// Form of that line's message.
    pub form: &'a str,
    /// Number of lines.
    pub lines: u64,
}

impl<'a> OwnerRecord<'a> {
    /// Returns a record of which nothing else is known.
    pub fn empty(record: OwnerKind) -> Self {
        Self {
            record,
            ..Self::default()
        }
    }

    /// Returns the record with the lines that name its memory.
    #[must_use]
    pub fn named_by(self, named: Option<NamedBy<'a>>) -> Self {
        Self {
            log: named.map(|named| Text(named.log)),
            log_line: named.map(|named| named.line),
            log_form: named.map(|named| named.form),
            log_lines: named.map(|named| named.lines),
            ..self
        }
    }

    /// Returns the record of pages that no process maps among those that were read. It is
    /// unmapped if all were read, or if the kernel's count of their mappings is 0.
    pub fn unmapped(run: &PageRun, searched: Searched, base: PageSize) -> Self {
        // The kernel counts no mappings that a driver makes.
        let is_counted = matches!(
            run.page_use,
            PageUse::Free
                | PageUse::Slab
                | PageUse::PageTable
                | PageUse::PageCache
                | PageUse::Anonymous
                | PageUse::SwapCache
                | PageUse::Ksm
        );
        let is_sure = searched == Searched::All || is_counted && run.mapcount == Some((0, 0));
        let kind = match is_sure {
            true => OwnerKind::Unmapped,
            false => OwnerKind::NotFound,
        };
        Self {
            searched: Some(searched),
            ..Self::empty(kind).with_pages(&run.into(), base)
        }
    }

    /// Returns the record with the cgroup that pays for its pages.
    #[must_use]
    pub fn paid_by(self, payer: Option<Cgroup>) -> Self {
        let Some(payer) = payer else {
            return self;
        };
        Self {
            payer: NameBuf(payer.path.into_encoded_bytes()),
            payer_unit: payer.unit,
            payer_container: payer.container,
            ..self
        }
    }

    /// Returns the record of pages that a process maps, which are a part of the owner's
    /// memory.
    pub fn mapped(owner: &'a Owner, pages: &OwnedPages, base: PageSize) -> Self {
        Self::empty(OwnerKind::Mapped)
            .with_owner(owner, pages.range.start())
            .with_pages(pages, base)
    }

    /// Returns the record of pages that no process of a snapshot maps.
    pub fn not_in_snapshot(range: PhysRange, base: PageSize) -> Self {
        let pages = OwnedPages::stored(range, None, None);
        Self {
            searched: Some(Searched::Snapshot),
            ..Self::empty(OwnerKind::NotFound).with_pages(&pages, base)
        }
    }

    /// Returns the record of pages that a process had, which are a part of its memory from
    /// `first` on.
    pub fn lost(owner: &'a Owner, first: PhysAddr, run: &PageRun, base: PageSize) -> Self {
        Self::empty(OwnerKind::Lost)
            .with_owner_from(owner, first, run.range.start())
            .with_pages(&run.into(), base)
    }

    /// Returns the record of pages that a process has where it had others, or none.
    pub fn moved(
        owner: &'a Owner,
        run: Option<&PageRun>,
        moved_from: Option<PhysAddr>,
        base: PageSize,
    ) -> Self {
        let start = owner.region.backing.address().unwrap_or_default();
        let record = Self {
            size: Some(owner.region.size()),
            moved_from: moved_from.map(Hex::from),
            ..Self::empty(OwnerKind::Moved).with_owner(owner, start)
        };
        match run {
            Some(run) => record.with_pages(&run.into(), base),
            None => record,
        }
    }

    /// Returns the record of a process that could not be read.
    pub fn unread(process: &PassedProcess, reason: String) -> Self {
        let command = process.command().to_string_lossy();
        Self {
            unread_pid: Some(process.pid),
            unread_command: (!command.is_empty()).then(|| command.into_owned()),
            reason: Some(reason),
            ..Self::empty(OwnerKind::Unread)
        }
    }

    fn with_pages(self, pages: &OwnedPages, base: PageSize) -> Self {
        let start = pages.range.start();
        Self {
            paddr: Some(start.into()),
            pfn: Some(start.pfn(base).as_u64()),
            size: Some(pages.range.size()),
            page_use: pages.page_use.map(PageUse::name),
            node: pages.node,
            mapcount_min: pages.mapcount.map(|(least, _)| least),
            mapcount_max: pages.mapcount.map(|(_, most)| most),
            flags: pages.flags.map(FlagNames),
            ..self
        }
    }

    /// Adds an owner; the record begins at `start` in its memory.
    fn with_owner(self, owner: &'a Owner, start: PhysAddr) -> Self {
        let first = owner.region.backing.address().unwrap_or(start);
        self.with_owner_from(owner, first, start)
    }

    /// Adds an owner whose memory begins at `first`.
    fn with_owner_from(self, owner: &'a Owner, first: PhysAddr, start: PhysAddr) -> Self {
        let (process, region) = (&owner.process, &owner.region);
        let mapping = &*region.mapping;
        let cgroup = process.cgroup.as_ref();
        let into = start.as_u64().saturating_sub(first.as_u64());
        let at = region.virt.start().as_u64() + into;
        let offset = match mapping.has_object() {
            true => region.offset().saturating_add(into),
            false => 0,
        };
        Self {
            vaddr: Some(Hex(at)),
            state: Some(region.backing.into()),
            prot: Some(protection_name(mapping.protection)),
            shared: Some(mapping.shared),
            kind: Some(mapping.kind().name()),
            offset: Some(Hex(offset)),
            path: Name(mapping.name().as_bytes()),
            pid: Some(process.pid),
            unique_pid: process
                .unique_pid
                .map(|pid| Decimal(pid.as_i64().unsigned_abs())),
            command: Name(process.command().as_encoded_bytes()),
            cgroup: cgroup_path(process),
            unit: cgroup.and_then(|cgroup| cgroup.unit.as_deref()).map(Text),
            container: cgroup
                .and_then(|cgroup| cgroup.container.as_deref())
                .map(Text),
            ..self
        }
    }

    /// Returns the table's text in place of a process.
    fn statement(&self) -> &'static str {
        match (self.record, self.page_use) {
            (OwnerKind::NotFound, _) if self.searched == Some(Searched::Namespace) => {
                "not found in this PID namespace; processes outside of it cannot be seen"
            }
            (OwnerKind::NotFound, _) if self.searched == Some(Searched::Snapshot) => {
                "mapped by no process of the snapshot"
            }
            (OwnerKind::NotFound, Some("unclaimed")) => {
                "not found; no memory and no device is known there"
            }
            (OwnerKind::NotFound, _) => "not found; not all processes were read",
            (OwnerKind::Unread, _) => "could not be read",
            (OwnerKind::Unmapped, Some("page-cache")) => {
                "mapped by no process; the kernel does not tell of which file"
            }
            (OwnerKind::Unmapped, Some("unclaimed")) => {
                "mapped by no process; no memory and no device is known there"
            }
            (OwnerKind::Unmapped, Some("kernel-or-free")) => {
                "mapped by no process; the kernel's own, or free and kept for a CPU"
            }
            (OwnerKind::Unmapped, Some("poisoned")) => {
                "mapped by no process; none that is left was seen to have had it"
            }
            (OwnerKind::Unmapped, _) => "mapped by no process",
            _ => "",
        }
    }
}

/// Returns the path of a process's cgroup.
pub(crate) fn cgroup_path(process: &PassedProcess) -> Name<'_> {
    let path = process
        .cgroup
        .as_ref()
        .map(|cgroup| cgroup.path.as_encoded_bytes());
    Name(path.unwrap_or_default())
}

/// Appends the names of a unit and of a container to notes; a container by as many digits
/// as its tools show.
pub(crate) fn note_places(notes: &mut Notes<'_>, unit: Option<&str>, container: Option<&str>) {
    let printable = |text: &str| Name(text.as_bytes()).printable();
    // The scope of a container repeats its identifier.
    if let Some(unit) = unit.filter(|unit| container.is_none_or(|it| !unit.contains(it))) {
        notes.phrase(&format!("unit {}", printable(unit)));
    }
    if let Some(container) = container {
        let short = container.get(..12).unwrap_or(container);
        notes.phrase(&format!("container {}", printable(short)));
    }
}

/// Appends the cgroup that pays to notes, if one does.
pub(crate) fn note_payer(
    notes: &mut Notes<'_>,
    payer: &NameBuf,
    unit: Option<&str>,
    container: Option<&str>,
) {
    if !payer.0.is_empty() {
        notes.phrase(&format!("paid by {}", Name(&payer.0).printable()));
        note_places(notes, unit, container);
    }
}

impl Record for OwnerRecord<'_> {
    fn row(&self, row: &mut Row<'_>) {
        self.visit(row);
        if self.command.0.is_empty() && self.unread_command.is_none() {
            let has_process = self.pid.or(self.unread_pid).is_some();
            row.set("COMMAND", if has_process { "?" } else { "-" });
        }
    }

    fn notes(&self, notes: &mut Notes<'_>) {
        if let (Some(prot), Some(shared), Some(kind)) = (self.prot, self.shared, self.kind) {
            let how = if shared { "s" } else { "p" };
            notes.phrase(&format!("{prot}{how} {kind}"));
            if !self.path.0.is_empty() {
                notes.phrase(&self.path.printable());
            }
            if let Some(Hex(offset)) = self.offset.filter(|&offset| offset != Hex(0)) {
                notes.phrase(&format!("offset {offset:x}"));
            }
        } else {
            notes.phrase(self.statement());
        }
        match (self.mapcount_min, self.mapcount_max) {
            (Some(0), Some(0)) | (None, _) | (_, None) => {}
            (Some(least), Some(most)) if least == most => {
                notes.phrase(&format!("mapcount {least}"));
            }
            (Some(least), Some(most)) => {
                notes.phrase(&format!("mapcount {least}-{most}"));
            }
        }
        let [unit, container] = [self.unit, self.container].map(|name| name.map(|Text(name)| name));
        note_places(notes, unit, container);
        let (unit, container) = (self.payer_unit.as_deref(), self.payer_container.as_deref());
        note_payer(notes, &self.payer, unit, container);
        if self.record == OwnerKind::Lost {
            notes.phrase("had it; lost to a memory error");
        }
        if self.record == OwnerKind::Moved {
            match self.moved_from {
                Some(Hex(from)) => notes.phrase(&format!("was at {from:x}")),
                None => notes.phrase("was in no memory"),
            };
        }
        if let (Some(Text(log)), Some(line), Some(form)) = (self.log, self.log_line, self.log_form)
        {
            let more = match self.log_lines {
                Some(lines @ 2..) => format!(" and {} more", lines - 1),
                _ => String::new(),
            };
            let said = format!("named by {log}:{line} ({form}){more}");
            notes.end_line().phrase(&said);
        }
        if let Some(reason) = &self.reason {
            notes.end_line().phrase(reason);
        }
    }
}
