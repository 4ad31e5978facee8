//! A database server whose memory is in runs of all sizes.

use process_introspection_export::{
    Decimal, DeviceNumber, Hex, Name, PhysicalRecord, ProcessIdentity, ResidentRecord, State,
};
use process_introspection_picture::svg::{physical, resident};

use super::Numbers;

/// Base page size.
pub(crate) const PAGE: u64 = 4096;
const MIB: u64 = (1 << 20) / PAGE;

/// Part of a mapping: what an owned record would be.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) vpn: u64,
    pub(crate) pages: u64,
    pub(crate) pfn: Option<u64>,
    pub(crate) state: State,
    pub(crate) prot: &'static str,
    pub(crate) shared: bool,
    pub(crate) kind: &'static str,
    pub(crate) page_size: Option<u64>,
    pub(crate) name: Vec<u8>,
}

impl Part {
    /// Returns the record of physical memory.
    pub(crate) fn physical(&self) -> PhysicalRecord<'_> {
        PhysicalRecord {
            process: None,
            vaddr: Hex(self.vpn * PAGE),
            vpn: self.vpn,
            size: self.pages * PAGE,
            paddr: self.pfn.map(|pfn| Hex(pfn * PAGE)),
            pfn: self.pfn,
            state: self.state,
            reason: None,
            swap: None,
            prot: self.prot,
            shared: self.shared,
            kind: self.kind,
            page_size: self.page_size,
            offset: Hex(0),
            dev: DeviceNumber::default(),
            ino: 0,
            path: Name(&self.name),
            node: None,
            cache: None,
            flags: Hex(0),
            details: None,
            byte: None,
            folded: None,
        }
    }

    /// Returns the record of resident memory.
    pub(crate) fn resident(&self) -> ResidentRecord<'_> {
        let is_resident = matches!(self.state, State::Ram | State::Device | State::Zero);
        ResidentRecord {
            process: None,
            vaddr: Hex(self.vpn * PAGE),
            vpn: self.vpn,
            size: self.pages * PAGE,
            state: if is_resident {
                State::Resident
            } else {
                self.state
            },
            huge: Some(self.page_size.is_some_and(|size| size > PAGE)),
            prot: self.prot,
            shared: self.shared,
            kind: self.kind,
            offset: Hex(0),
            dev: DeviceNumber::default(),
            ino: 0,
            path: Name(&self.name),
        }
    }
}

/// Returns the process of pictures.
pub(crate) fn identity(command: &[u8]) -> ProcessIdentity<'_> {
    ProcessIdentity {
        pid: 1234,
        unique_pid: Decimal(1234),
        command: Name(command),
    }
}

pub(crate) fn physical(parts: &[Part], command: &[u8]) -> String {
    let mut picture = physical::Picture::new(PAGE, Some(identity(command)));
    parts.iter().for_each(|part| picture.add(&part.physical()));
    picture.finish()
}

pub(crate) fn resident(parts: &[Part], command: &[u8]) -> String {
    let mut picture = resident::Picture::new(PAGE, Some(identity(command)));
    parts.iter().for_each(|part| picture.add(&part.resident()));
    picture.finish()
}

/// Mapping of the database server.
struct Mapping {
    start: u64,
    pages: u64,
    name: &'static str,
    kind: &'static str,
    prot: &'static str,
    shared: bool,
    /// Longest run.
    longest: u64,
    /// Runs of 8 that are not RAM, and their state.
    absent: (u64, State),
    /// Frames among which runs lie, in MiB.
    frames: (u64, u64),
    page_size: u64,
}

/// Returns the parts of the database server, ascending.
pub(crate) fn database() -> Vec<Part> {
    let mut numbers = Numbers::new();
    let none = (0, State::NotPresent);
    let mapping = |start: u64, pages, name, kind, prot, longest, absent, frames| Mapping {
        start: start / PAGE,
        pages,
        name,
        kind,
        prot,
        shared: false,
        longest,
        absent,
        frames,
        page_size: PAGE,
    };
    let huge = |mapping| Mapping {
        shared: true,
        page_size: 2 << 20,
        ..mapping
    };
    let program = "/usr/lib/postgresql/17/bin/postgres";
    let libc = "/usr/lib/x86_64-linux-gnu/libc.so.6";
    let mappings = [
        mapping(
            0x55d0_1c00_0000,
            9 * MIB,
            program,
            "elf",
            "r-x",
            16,
            (3, State::NotPresent),
            (9000, 11500),
        ),
        mapping(
            0x55d0_1c90_0000,
            40,
            program,
            "elf",
            "rw-",
            2,
            none,
            (2100, 3000),
        ),
        mapping(
            0x55d0_3a11_2000,
            6 * MIB,
            "[heap]",
            "heap",
            "rw-",
            6,
            (2, State::Swapped),
            (2100, 3000),
        ),
        huge(mapping(
            0x7f10_4000_0000,
            1024 * MIB,
            "/anon_hugepage (deleted)",
            "hugetlb",
            "rw-",
            64 * MIB,
            none,
            (4096, 8192),
        )),
        mapping(
            0x7f10_8000_0000,
            8 * MIB,
            "/dev/shm/PostgreSQL.1804",
            "shm",
            "rw-",
            200,
            (4, State::NotPresent),
            (11300, 12200),
        ),
        mapping(
            0x7f10_9010_0000,
            64 * MIB,
            "",
            "anon",
            "rw-",
            512,
            (5, State::Zero),
            (9300, 11000),
        ),
        mapping(
            0x7f10_a000_0000,
            220 * MIB,
            "/usr/lib/locale/locale-archive",
            "file",
            "r--",
            64,
            (7, State::NotPresent),
            (12300, 15000),
        ),
        mapping(
            0x7f10_ae00_0000,
            2 * MIB,
            libc,
            "elf",
            "r-x",
            16,
            (1, State::NotPresent),
            (1100, 1600),
        ),
        mapping(
            0x7f10_ae20_0000,
            6,
            libc,
            "elf",
            "rw-",
            2,
            none,
            (2100, 3000),
        ),
        mapping(
            0x7f10_ae30_0000,
            256,
            "/dev/uio0",
            "device",
            "rw-",
            256,
            none,
            (0xfd0, 0xfd1),
        ),
        mapping(
            0x7ffd_7a10_0000,
            34,
            "[stack]",
            "stack",
            "rw-",
            3,
            (3, State::NotPresent),
            (2100, 3000),
        ),
    ];
    let mut parts = Vec::new();
    for mapping in &mappings {
        let mut at = 0;
        while at < mapping.pages {
            let step = mapping.page_size / PAGE;
            let pages = (1 + numbers.below(mapping.longest)).div_ceil(step) * step;
            let pages = pages.min(mapping.pages - at);
            let (from, to) = mapping.frames;
            let (first, last) = (
                from * MIB,
                (to * MIB).saturating_sub(pages).max(from * MIB + 1),
            );
            let pfn = (first + numbers.below(last - first)) / step * step;
            let is_absent = numbers.below(8) < mapping.absent.0;
            let state = match (is_absent, mapping.kind) {
                (true, _) => mapping.absent.1,
                (false, "device") => State::Device,
                (false, _) => State::Ram,
            };
            let has_frames = matches!(state, State::Ram | State::Device);
            parts.push(Part {
                vpn: mapping.start + at,
                pages,
                pfn: has_frames.then_some(pfn),
                state,
                prot: mapping.prot,
                shared: mapping.shared,
                kind: mapping.kind,
                page_size: has_frames.then_some(mapping.page_size),
                name: mapping.name.as_bytes().to_vec(),
            });
            at += pages;
        }
    }
    parts
}
