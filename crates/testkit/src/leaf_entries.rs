//! The memory types of a process's pages, by the leaf entries of its page tables
//! themselves, which are read from the kernel's own memory in `/proc/kcore`. x86-64
//! only, slow, and independent of the kernel's flags of frames. Knows nothing of
//! drivers.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use crate::machine::skip;

/// The bits of an entry (arch/x86/include/asm/pgtable_types.h).
const PRESENT_AND_USER: u64 = 0b101;
const FRAME: std::ops::Range<u32> = 12..52;
/// Number of entries of a table, and size of an entry in bytes.
const ENTRIES: u64 = 512;
const TABLE: u64 = 4096;
/// `KPF_PGTABLE`, include/uapi/linux/kernel-page-flags.h, Linux 4.18.
const IS_TABLE: u64 = 1 << 26;

/// Page tables of all processes.
#[derive(Debug)]
pub struct LeafEntries {
    kcore: File,
    /// RAM: its first address, its end, and its offset in the file.
    ram: Vec<(u64, u64, u64)>,
    /// Meaning of the eight values of an entry's three bits.
    types: Vec<&'static str>,
}

impl LeafEntries {
    /// Opens the page tables; prints that the test is skipped where that is impossible.
    pub fn open_or_skip(test: &str) -> Option<Self> {
        if !cfg!(target_arch = "x86_64") {
            return skip(test, "page tables are read on x86-64 only");
        }
        let Ok(kcore) = File::open("/proc/kcore") else {
            return skip(test, "/proc/kcore cannot be opened");
        };
        let Some(types) = attributes() else {
            return skip(test, "the kernel's messages tell no page attributes");
        };
        let ram = segments(&kcore);
        Some(Self { kcore, ram, types })
    }

    /// Returns the memory types, each once, by the names of the kernel's list, of pages
    /// from address `at` on that are mapped to exactly these frames. Empty if no page
    /// table maps them so.
    ///
    /// # Panics
    /// If the kernel's memory cannot be read.
    pub fn types(&self, at: u64, frames: &[u64]) -> Vec<&'static str> {
        let tables = page_tables();
        let mut found = Vec::new();
        let (mut page, mut rest) = (at / TABLE, frames);
        while !rest.is_empty() {
            let index = page % ENTRIES;
            let here = rest.len().min((ENTRIES - index) as usize);
            let before = found.len();
            for &table in &tables {
                self.add_types(table, index, &rest[..here], &mut found);
            }
            if found.len() == before {
                return Vec::new();
            }
            (page, rest) = (page + here as u64, &rest[here..]);
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Returns those of one table, if it has these entries.
    fn add_types(&self, table: u64, index: u64, frames: &[u64], found: &mut Vec<&'static str>) {
        let Some(at) = self.place(table * TABLE + index * 8) else {
            return;
        };
        let mut bytes = vec![0; frames.len() * 8];
        self.kcore.read_exact_at(&mut bytes, at).expect("kcore");
        let entries: Vec<u64> = words(&bytes).collect();
        let is_it = |(entry, frame): (&u64, &u64)| {
            let mask = (1 << FRAME.end) - (1 << FRAME.start);
            entry & PRESENT_AND_USER == PRESENT_AND_USER && (entry & mask) >> FRAME.start == *frame
        };
        if entries.iter().zip(frames).all(is_it) {
            // PWT and PCD are adjacent; PAT is apart.
            let number = |entry: u64| (entry >> 3 & 0b11) | (entry >> 7 & 1) << 2;
            found.extend(
                entries
                    .iter()
                    .map(|entry| self.types[number(*entry) as usize]),
            );
        }
    }

    /// Returns the offset of a physical address in the file.
    fn place(&self, address: u64) -> Option<u64> {
        let holds = |(start, end, _): &&(u64, u64, u64)| (*start..*end).contains(&address);
        let (start, _, at) = self.ram.iter().find(holds)?;
        Some(at + (address - start))
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let chunks = bytes.chunks_exact(8);
    chunks.map(|chunk| u64::from_ne_bytes(chunk.try_into().expect("eight bytes")))
}

/// Returns the parts of the file that are RAM: others have no physical address
/// (fs/proc/kcore.c, Linux 5.10 to 6.12).
fn segments(kcore: &File) -> Vec<(u64, u64, u64)> {
    let mut header = [0; 64];
    kcore.read_exact_at(&mut header, 0).expect("an ELF header");
    let start = u64::from_ne_bytes(header[32..40].try_into().expect("eight bytes"));
    let count = u16::from_ne_bytes(header[56..58].try_into().expect("two bytes"));
    let mut bytes = vec![0; usize::from(count) * 56];
    kcore.read_exact_at(&mut bytes, start).expect("its table");
    let mut found = Vec::new();
    for header in bytes.chunks_exact(56) {
        let fields: Vec<u64> = words(header).collect();
        let (kind, at, address, size) = (fields[0] as u32, fields[1], fields[3], fields[4]);
        const LOAD: u32 = 1;
        if let (LOAD, Some(end)) = (kind, address.checked_add(size)) {
            found.push((address, end, at));
        }
    }
    found
}

/// Returns the frames that are page tables now.
fn page_tables() -> Vec<u64> {
    let mut file = File::open("/proc/kpageflags").expect("the flags of frames");
    let (mut found, mut frame) = (Vec::new(), 0);
    let mut bytes = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut bytes).expect("the flags of frames");
        if read == 0 {
            return found;
        }
        for flags in words(&bytes[..read]) {
            if flags & IS_TABLE != 0 {
                found.push(frame);
            }
            frame += 1;
        }
    }
}

/// Returns the meaning of entries that the kernel has configured: a message at its
/// start (`pat_init`, arch/x86/mm/pat/memtype.c).
fn attributes() -> Option<Vec<&'static str>> {
    let mut open = std::fs::OpenOptions::new();
    let mut messages = open
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/kmsg")
        .ok()?;
    let mut bytes = [0; 8192];
    loop {
        let read = match messages.read(&mut bytes) {
            Ok(read) => read,
            // The oldest were overwritten.
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => continue,
            Err(_) => return None,
        };
        let message = String::from_utf8_lossy(&bytes[..read]);
        let Some((_, names)) = message.split_once("x86/PAT: Configuration [0-7]: ") else {
            continue;
        };
        let line = names.lines().next().unwrap_or_default();
        let types: Option<Vec<_>> = line.split_whitespace().map(name_of).collect();
        return types.filter(|types| types.len() == 8);
    }
}

fn name_of(short: &str) -> Option<&'static str> {
    Some(match short {
        "WB" => "write-back",
        "WT" => "write-through",
        "WP" => "write-protected",
        "WC" => "write-combining",
        "UC-" => "uncached-minus",
        "UC" => "uncached",
        _ => return None,
    })
}
