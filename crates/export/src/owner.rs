//! The record of physical memory and of one process that maps it, or of what is
//! to be said in its place.

use process_introspection::{Coverage, Owner, PageRun, PageSize, PageUse, PassedProcess, PhysAddr};
use serde::{Serialize, Serializer};

use crate::address::FlagNames;
use crate::delimited::Fields;
use crate::name::Name;
use crate::number::Hex;
use crate::record::{protection_name, Column, Layout, Record};
use crate::state::State;
use crate::table::{Cells, Notes};

/// What a record says.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OwnerKind {
    /// That a process maps the memory.
    Mapped,
    /// That a process had the memory until a memory error took it away.
    Lost,
    /// That no process maps it.
    Unmapped,
    /// That no process that was read maps it; others may.
    NotFound,
    /// That a process could not be read.
    Unread,
    /// That a process has other memory at an address than before.
    Moved,
}

impl OwnerKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Mapped,
        Self::Lost,
        Self::Unmapped,
        Self::NotFound,
        Self::Unread,
        Self::Moved,
    ];

    /// Its name in every format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mapped => "mapped",
            Self::Lost => "lost",
            Self::Unmapped => "unmapped",
            Self::NotFound => "not-found",
            Self::Unread => "unread",
            Self::Moved => "moved",
        }
    }
}

impl Serialize for OwnerKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The processes among which an owner was looked for.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Searched {
    /// All of the machine.
    All,
    /// Not all, because some could not be read or came and went meanwhile.
    Some,
    /// At most those of the caller's PID namespace, or of the proc that was read.
    Namespace,
}

impl Searched {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::All, Self::Some, Self::Namespace];

    /// Its name in every format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Some => "some",
            Self::Namespace => "namespace",
        }
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

impl Serialize for Searched {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Physical memory of one use and the process that maps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OwnerRecord<'a> {
    /// What it says.
    pub record: OwnerKind,
    /// The first physical address; none if there is no such memory.
    pub paddr: Option<Hex>,
    /// Its page frame.
    pub pfn: Option<u64>,
    /// In bytes; none in a record of a process that could not be read.
    pub size: Option<u64>,
    /// What the pages are used for.
    #[serde(rename = "use")]
    pub page_use: Option<&'static str>,
    /// The NUMA node.
    pub node: Option<u32>,
    /// How often its frames are mapped by all processes, the least.
    pub mapcount_min: Option<u64>,
    /// The most.
    pub mapcount_max: Option<u64>,
    /// The flags that all of its frames have.
    pub flags: Option<FlagNames>,
    /// The process.
    pub pid: Option<u32>,
    /// The number that no other process has. In JSON a string, because it has
    /// more than 53 bits.
    pub unique_pid: Option<String>,
    /// Its `comm`, what is not UTF-8 replaced.
    pub command: Option<String>,
    /// All its bytes in hexadecimal, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_hex: Option<String>,
    /// The first virtual address.
    pub vaddr: Option<Hex>,
    /// What is behind that: memory, a device's, the zero page; in a record of
    /// what has moved or was lost also what is no memory.
    pub state: Option<State>,
    /// The mapping's protection.
    pub prot: Option<&'static str>,
    /// Mapped shared, not private.
    pub shared: Option<bool>,
    /// The kind of mapping.
    pub kind: Option<&'static str>,
    /// Where the first byte lies in the mapped object; 0 without one.
    pub offset: Option<Hex>,
    /// The mapping's name.
    #[serde(flatten)]
    pub path: Name<'a>,
    /// Where it was before, of what has moved; none if it was nowhere.
    pub moved_from: Option<Hex>,
    /// The processes that were looked at, where none was found to map the memory.
    pub searched: Option<Searched>,
    /// The process that could not be read.
    pub unread_pid: Option<u32>,
    /// Its `comm`, what is not UTF-8 replaced.
    pub unread_command: Option<String>,
    /// Why it could not be read.
    pub reason: Option<String>,
    /// Log whose lines name some of the memory, as it was given to the command.
    pub log: Option<&'a str>,
    /// Number of the first such line, from 1.
    pub log_line: Option<u64>,
    /// Form of that line's message.
    pub log_form: Option<&'a str>,
    /// Number of such lines.
    pub log_lines: Option<u64>,
}

/// The lines of a log that name physical memory.
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
    /// A record of which nothing else is known yet.
    pub fn empty(record: OwnerKind) -> Self {
        Self {
            record,
            paddr: None,
            pfn: None,
            size: None,
            page_use: None,
            node: None,
            mapcount_min: None,
            mapcount_max: None,
            flags: None,
            pid: None,
            unique_pid: None,
            command: None,
            command_hex: None,
            vaddr: None,
            state: None,
            prot: None,
            shared: None,
            kind: None,
            offset: None,
            path: Name(b""),
            moved_from: None,
            searched: None,
            unread_pid: None,
            unread_command: None,
            reason: None,
            log: None,
            log_line: None,
            log_form: None,
            log_lines: None,
        }
    }

    /// The same with the lines that name its memory.
    #[must_use]
    pub fn named_by(self, named: Option<NamedBy<'a>>) -> Self {
        Self {
            log: named.map(|named| named.log),
            log_line: named.map(|named| named.line),
            log_form: named.map(|named| named.form),
            log_lines: named.map(|named| named.lines),
            ..self
        }
    }

    /// That no process was found to map these pages, among those that were looked
    /// at; and that none does, if all were, or if the kernel counts their mappings
    /// and there are none.
    pub fn unmapped(run: &PageRun, searched: Searched, base: PageSize) -> Self {
        // What a driver maps has no count, whatever the kernel says of such pages.
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
            ..Self::empty(kind).with_run(run, base)
        }
    }

    /// That a process maps these pages, which are a part of what it was found
    /// to map.
    pub fn mapped(owner: &'a Owner, run: &PageRun, base: PageSize) -> Self {
        Self::empty(OwnerKind::Mapped)
            .with_owner(owner, run.range.start())
            .with_run(run, base)
    }

    /// That a process had these pages, which are a part of what it had from
    /// `first` on.
    pub fn lost(owner: &'a Owner, first: PhysAddr, run: &PageRun, base: PageSize) -> Self {
        Self::empty(OwnerKind::Lost)
            .with_owner_from(owner, first, run.range.start())
            .with_run(run, base)
    }

    /// That a process has these pages where it had others, or none.
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
            Some(run) => record.with_run(run, base),
            None => record,
        }
    }

    /// That a process could not be read.
    pub fn unread(process: &PassedProcess, reason: String) -> Self {
        Self {
            unread_pid: Some(process.pid),
            unread_command: command_of(process),
            reason: Some(reason),
            ..Self::empty(OwnerKind::Unread)
        }
    }

    fn with_run(self, run: &PageRun, base: PageSize) -> Self {
        let start = run.range.start();
        Self {
            paddr: Some(start.into()),
            pfn: Some(start.pfn(base).as_u64()),
            size: Some(run.range.size()),
            page_use: Some(run.page_use.name()),
            node: run.node,
            mapcount_min: run.mapcount.map(|(least, _)| least),
            mapcount_max: run.mapcount.map(|(_, most)| most),
            flags: run.flags.map(FlagNames),
            ..self
        }
    }

    fn with_process(self, process: &PassedProcess) -> Self {
        Self {
            pid: Some(process.pid),
            unique_pid: process.unique_pid.map(|pid| pid.to_string()),
            command: command_of(process),
            command_hex: Name(process.command().as_encoded_bytes()).hex(),
            ..self
        }
    }

    /// `start` is where in the owner's memory the record begins.
    fn with_owner(self, owner: &'a Owner, start: PhysAddr) -> Self {
        let first = owner.region.backing.address().unwrap_or(start);
        self.with_owner_from(owner, first, start)
    }

    /// The same of memory that begins at `first`.
    fn with_owner_from(self, owner: &'a Owner, first: PhysAddr, start: PhysAddr) -> Self {
        let (region, mapping) = (&owner.region, &*owner.region.mapping);
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
            ..self.with_process(&owner.process)
        }
    }

    /// What the table says in place of a process.
    fn says(&self) -> &'static str {
        match (self.record, self.page_use) {
            (OwnerKind::NotFound, _) if self.searched == Some(Searched::Namespace) => {
                "not found in this PID namespace; processes outside of it cannot be seen"
            }
            (OwnerKind::NotFound, _) => "not found; not all processes were read",
            (OwnerKind::Unread, _) => "could not be read",
            (OwnerKind::Unmapped, Some("page-cache")) => {
                "mapped by no process; the kernel does not tell of which file"
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

/// The process's `comm`; none if it could not be read.
fn command_of(process: &PassedProcess) -> Option<String> {
    let command = process.command().to_string_lossy();
    (!command.is_empty()).then(|| command.into_owned())
}

impl Record for OwnerRecord<'_> {
    const LAYOUT: Layout = Layout {
        fields: &[
            "record",
            "paddr",
            "pfn",
            "size",
            "use",
            "node",
            "mapcount_min",
            "mapcount_max",
            "flags",
            "pid",
            "unique_pid",
            "command",
            "command_hex",
            "vaddr",
            "state",
            "prot",
            "shared",
            "kind",
            "offset",
            "path",
            "path_hex",
            "moved_from",
            "searched",
            "unread_pid",
            "unread_command",
            "reason",
            "log",
            "log_line",
            "log_form",
            "log_lines",
        ],
        columns: &[
            Column::number("PADDR", 11),
            Column::number("SIZE", 6),
            Column::text("USE", 14),
            Column::number("NODE", 4),
            Column::number("PID", 7),
            Column::number("VADDR", 12),
            Column::text("COMMAND", 0),
        ],
    };

    fn fields(&self, fields: &mut Fields) {
        let flags = self.flags.map(|flags| flags.names().collect::<Vec<_>>());
        fields
            .text(self.record.name())
            .hex(self.paddr)
            .number(self.pfn)
            .number(self.size)
            .text(self.page_use.unwrap_or_default())
            .number(self.node.map(u64::from))
            .number(self.mapcount_min)
            .number(self.mapcount_max)
            .text(&flags.unwrap_or_default().join("|"))
            .number(self.pid.map(u64::from))
            .text(self.unique_pid.as_deref().unwrap_or_default())
            .others_text(self.command.as_deref().unwrap_or_default())
            .text(self.command_hex.as_deref().unwrap_or_default())
            .hex(self.vaddr)
            .text(self.state.map_or("", State::name))
            .text(self.prot.unwrap_or_default())
            .truth(self.shared)
            .text(self.kind.unwrap_or_default())
            .hex(self.offset)
            .name(self.path)
            .hex(self.moved_from)
            .text(self.searched.map_or("", Searched::name))
            .number(self.unread_pid.map(u64::from))
            .others_text(self.unread_command.as_deref().unwrap_or_default())
            .others_text(self.reason.as_deref().unwrap_or_default())
            .others_text(self.log.unwrap_or_default())
            .number(self.log_line)
            .text(self.log_form.unwrap_or_default())
            .number(self.log_lines);
    }

    fn cells(&self, cells: &mut Cells<'_>) {
        let pid = self.pid.or(self.unread_pid);
        let command = self.command.as_deref().or(self.unread_command.as_deref());
        let command = command.unwrap_or(match pid {
            Some(_) => "?",
            None => "-",
        });
        let no_memory = self.state.map_or("-", State::name);
        cells
            .hex(self.paddr)
            .size(self.size)
            .text(self.page_use.unwrap_or(no_memory))
            .optional(self.node.map(u64::from))
            .optional(pid.map(u64::from))
            .hex(self.vaddr)
            .name(Name(command.as_bytes()));
    }

    fn notes(&self, notes: &mut Notes<'_>) {
        if let (Some(prot), Some(shared), Some(kind)) = (self.prot, self.shared, self.kind) {
            let how = if shared { "s" } else { "p" };
            notes.phrase(&format!("{prot}{how} {kind}"));
            let mut name = Vec::new();
            self.path.push_printable(None, &mut name);
            if !name.is_empty() {
                notes.phrase(&String::from_utf8_lossy(&name));
            }
            if let Some(Hex(offset)) = self.offset.filter(|&offset| offset != Hex(0)) {
                notes.phrase(&format!("offset {offset:x}"));
            }
        } else {
            notes.phrase(self.says());
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
        if self.record == OwnerKind::Lost {
            notes.phrase("had it; lost to a memory error");
        }
        if self.record == OwnerKind::Moved {
            match self.moved_from {
                Some(Hex(from)) => notes.phrase(&format!("was at {from:x}")),
                None => notes.phrase("was in no memory"),
            };
        }
        if let (Some(log), Some(line), Some(form)) = (self.log, self.log_line, self.log_form) {
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
