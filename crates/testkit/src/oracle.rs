//! Results that the contract requires, computed plainly: the text of `maps` split at
//! spaces, one read of eight bytes for each page, pages merged one by one. Slow, and
//! independent of the code under test: the entry of a page has its frame, and the
//! frame's flags (`kpageflags`), the scan (`PAGEMAP_SCAN`) and the caller determine
//! its state. The target must not change.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::memory::page;

/// A line of `maps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// First address.
    pub start: u64,
    /// End address.
    pub end: u64,
    /// Permissions, such as `rw-p`.
    pub permissions: String,
    /// Offset in the object.
    pub offset: u64,
    /// Device numbers.
    pub device: (u32, u32),
    /// Inode.
    pub inode: u64,
    /// The last column, unchanged.
    pub name: String,
}

impl Area {
    /// Returns whether it is a private mapping.
    pub fn is_private(&self) -> bool {
        self.permissions.ends_with('p')
    }

    /// Returns whether it maps an object.
    pub fn has_object(&self) -> bool {
        self.inode != 0 || self.device != (0, 0)
    }
}

/// Returns all mappings of a process but `[vsyscall]`.
pub fn areas(pid: u32) -> Vec<Area> {
    let text = fs::read(format!("/proc/{pid}/maps")).expect("maps");
    let text = String::from_utf8(text).expect("a target's names are UTF-8");
    text.lines()
        .map(area)
        .filter(|area| area.name != "[vsyscall]")
        .collect()
}

fn area(line: &str) -> Area {
    let hex = |text: &str| u64::from_str_radix(text, 16).expect(line);
    let mut fields = line.splitn(6, ' ');
    let mut field = || fields.next().unwrap_or_default();
    let (start, end) = field().split_once('-').expect(line);
    let permissions = field().to_owned();
    let offset = hex(field());
    let (major, minor) = field().split_once(':').expect(line);
    let inode = field().parse().expect(line);
    Area {
        start: hex(start),
        end: hex(end),
        permissions,
        offset,
        device: (hex(major) as u32, hex(minor) as u32),
        inode,
        name: field().trim_start().to_owned(),
    }
}

/// Backing of a page or a run of pages, or the reason for none.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Memory at this address.
    Memory(u64),
    /// The zero page, or a page of the huge one, at this address.
    Zero(u64),
    /// Memory that is not RAM, at this address, as the caller has stated.
    Device(u64),
    /// Not present.
    Nothing,
    /// A guard region.
    Guard,
    /// Another entry: swap, marker, migration, poison. Its 64 bits, less those of
    /// userfaultfd and soft-dirty tracking.
    Other(u64),
    /// Not present in a hugetlb mapping: either the page map does not show the entry, or
    /// no scan can prove that there is none.
    Hugetlb,
}

/// A maximal run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// First address.
    pub start: u64,
    /// End address.
    pub end: u64,
    /// The state of its first page.
    pub state: State,
    /// Whether it is anonymous memory by the contract's rule 6.
    pub anonymous: bool,
    /// Offset of its first byte in the object, 0 without one.
    pub offset: u64,
    /// Its mapping.
    pub area: Area,
}

/// Reads the entries of a process's page map one by one.
#[derive(Debug)]
pub struct Pagemap(File);

impl Pagemap {
    /// Opens the page map.
    pub fn open(pid: u32) -> Self {
        Self(File::open(format!("/proc/{pid}/pagemap")).expect("pagemap"))
    }

    /// Returns the entry of the page that contains an address.
    pub fn entry(&self, address: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0
            .read_exact_at(&mut bytes, address / page() * 8)
            .expect("an entry");
        u64::from_ne_bytes(bytes)
    }
}

/// Returns the physical regions of a range, both ends page aligned, of a process that
/// maps no device memory there.
pub fn runs(pid: u32, start: u64, end: u64) -> Vec<Run> {
    runs_with(pid, start, end, &[])
}

/// The same for a process that maps memory with these physical addresses that is not
/// RAM.
pub fn runs_with(pid: u32, start: u64, end: u64, devices: &[Range<u64>]) -> Vec<Run> {
    merged(pid, start, end, true, devices)
}

/// The same as [`runs`] by the facts that are known without a scan.
pub fn runs_without_scan(pid: u32, start: u64, end: u64) -> Vec<Run> {
    merged(pid, start, end, false, &[])
}

fn merged(pid: u32, start: u64, end: u64, scans: bool, devices: &[Range<u64>]) -> Vec<Run> {
    let process = Sources::open(pid);
    let mut runs: Vec<Run> = Vec::new();
    for area in areas(pid) {
        let (low, high) = (area.start.max(start), area.end.min(end));
        if low >= high {
            continue;
        }
        let scanned = match scans {
            true => scan(pid, low, high),
            false => None,
        };
        let hugetlb = process.hugetlb.contains(&area.start);
        let mut address = low;
        while address < high {
            let categories = scanned.as_ref().map(|scanned| scanned.of(address));
            let found = process.page(&area, address, categories, hugetlb, devices);
            let (state, anonymous) = found;
            let offset = if area.has_object() {
                area.offset + (address - area.start)
            } else {
                0
            };
            match runs.last_mut() {
                Some(run) if address > low && process.continues(run, state, anonymous) => {
                    run.end += page()
                }
                _ => runs.push(Run {
                    start: address,
                    end: address + page(),
                    state,
                    anonymous,
                    offset,
                    area: area.clone(),
                }),
            }
            address += page();
        }
    }
    runs
}

/// Sources of the results: the entry has the frame, and other files of the kernel have
/// everything else.
struct Sources {
    pagemap: Pagemap,
    flags: File,
    /// Starts of hugetlb mappings.
    hugetlb: Vec<u64>,
    /// Number of swap areas in use: their numbers are the types of entries.
    swap_areas: u64,
}

impl Sources {
    fn open(pid: u32) -> Self {
        Self {
            pagemap: Pagemap::open(pid),
            flags: File::open("/proc/kpageflags").expect("kpageflags"),
            hugetlb: hugetlb_areas(pid),
            swap_areas: {
                let text = fs::read_to_string("/proc/swaps").unwrap_or_default();
                text.lines().skip(1).count() as u64
            },
        }
    }

    fn is_swap(&self, entry: u64) -> bool {
        entry & 31 < self.swap_areas
    }

    fn continues(&self, run: &Run, state: State, anonymous: bool) -> bool {
        let size = run.end - run.start;
        run.anonymous == anonymous
            && match (run.state, state) {
                (State::Memory(this), State::Memory(next))
                | (State::Zero(this), State::Zero(next))
                | (State::Device(this), State::Device(next)) => this + size == next,
                (State::Other(this), State::Other(next)) => {
                    this == next || (self.is_swap(this) && self.is_swap(next))
                }
                (this, next) => this == next,
            }
    }

    /// Returns a page's state and whether it is anonymous memory; `scanned` has its
    /// categories, where there is a scan.
    fn page(
        &self,
        area: &Area,
        address: u64,
        scanned: Option<u64>,
        hugetlb: bool,
        devices: &[Range<u64>],
    ) -> (State, bool) {
        let no_object = !area.has_object();
        let entry = self.pagemap.entry(address);
        if entry >> 63 & 1 == 1 {
            let frame = entry & ((1 << 55) - 1);
            return self.present(area, frame, devices);
        }
        let is_there = match scanned {
            Some(categories) => categories & scan::SWAPPED != 0,
            None => entry >> 62 & 1 == 1,
        };
        let is_guard = scanned.is_some_and(|categories| categories & scan::GUARD != 0);
        match (hugetlb, is_there) {
            (true, false) if scanned.is_some() => (State::Nothing, no_object),
            (true, _) => (State::Hugetlb, no_object),
            (false, false) => (State::Nothing, no_object),
            // Before 6.15 the marker's own bit identifies it.
            (false, true) if is_guard || is_guard_marker(entry) => (State::Guard, no_object),
            (false, true) => {
                const BESIDE: u64 = 1 << 55 | 1 << 57 | 1 << 61;
                let copy = area.is_private() && self.is_swap(entry);
                (State::Other(entry & !BESIDE), no_object || copy)
            }
        }
    }

    fn present(&self, area: &Area, frame: u64, devices: &[Range<u64>]) -> (State, bool) {
        const ANON: u64 = 1 << 12;
        const ZERO_PAGE: u64 = 1 << 24;
        let (address, no_object) = (frame * page(), !area.has_object());
        if devices.iter().any(|device| device.contains(&address)) {
            return (State::Device(address), no_object);
        }
        let mut bytes = [0; 8];
        let flags = match self.flags.read_exact_at(&mut bytes, frame * 8) {
            Ok(()) => u64::from_ne_bytes(bytes),
            Err(error) => panic!("the flags of frame {frame:#x}: {error}"),
        };
        if flags & ZERO_PAGE != 0 {
            return (State::Zero(address), no_object);
        }
        let copy = area.is_private() && flags & ANON != 0;
        (State::Memory(address), no_object || copy)
    }
}

/// The marker of a guard region, whose type is the last (Linux 6.13).
fn is_guard_marker(entry: u64) -> bool {
    entry & 31 == 31 && (entry & ((1 << 55) - 1)) >> 5 == 4
}

/// Returns the starts of hugetlb mappings, whose pages are larger by `smaps`.
fn hugetlb_areas(pid: u32) -> Vec<u64> {
    let text = fs::read(format!("/proc/{pid}/smaps")).expect("smaps");
    let text = String::from_utf8_lossy(&text);
    let mut start = 0;
    let mut areas = Vec::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some("KernelPageSize:"), Some(kib)) => {
                let size = kib.parse::<u64>().expect("a size") << 10;
                areas.extend((size > page()).then_some(start));
            }
            (Some(range), _) => {
                let begins = range.split_once('-');
                let begins = begins.and_then(|(low, _)| u64::from_str_radix(low, 16).ok());
                start = begins.unwrap_or(start);
            }
            _ => {}
        }
    }
    areas
}

/// `PAGEMAP_SCAN` (Linux 6.7): categories of pages, also without entries.
mod scan {
    pub(super) const PRESENT: u64 = 8;
    pub(super) const SWAPPED: u64 = 0x10;
    /// Linux 6.15; without it the earlier categories are requested.
    pub(super) const GUARD: u64 = 0x100;

    /// Ranges of pages with their categories, in order.
    pub(super) struct Scanned(pub(super) Vec<(u64, u64, u64)>);

    impl Scanned {
        pub(super) fn of(&self, address: u64) -> u64 {
            let next = self.0.partition_point(|(_, end, _)| *end <= address);
            let found = self.0.get(next).filter(|(start, ..)| *start <= address);
            found.map_or(0, |(.., categories)| *categories)
        }
    }
}

/// Returns all pages of a range with an entry; `None` without a scan.
fn scan(pid: u32, start: u64, end: u64) -> Option<scan::Scanned> {
    let file = File::open(format!("/proc/{pid}/pagemap")).expect("pagemap");
    let mut found = Vec::new();
    let mut wanted = scan::PRESENT | scan::SWAPPED | scan::GUARD;
    let mut at = start;
    while at < end {
        let mut ranges = [[0u64; 3]; 256];
        let mut argument = [0; 12];
        argument[0] = size_of_val(&argument) as u64;
        (argument[2], argument[3]) = (at, end);
        (argument[5], argument[6]) = (ranges.as_mut_ptr() as u64, ranges.len() as u64);
        (argument[10], argument[11]) = (scan::PRESENT | scan::SWAPPED, wanted);
        // SAFETY: a live struct of the size that it states, with the address and the
        // length of a live array of the kernel's `struct page_region`.
        let count = unsafe {
            libc::ioctl(
                std::os::fd::AsRawFd::as_raw_fd(&file),
                0xc060_6610_u32 as libc::Ioctl,
                argument.as_mut_ptr(),
            )
        };
        let Ok(count) = usize::try_from(count) else {
            if wanted & scan::GUARD == 0 {
                return None;
            }
            wanted &= !scan::GUARD;
            continue;
        };
        found.extend(
            ranges[..count]
                .iter()
                .map(|range| (range[0], range[1], range[2])),
        );
        // Behind the returned ranges, regardless of the kernel's result.
        let last = ranges[..count].last().map_or(at, |range| range[1]);
        let walked = argument[4].max(last);
        assert!(walked > at, "a scan comes further");
        at = walked;
    }
    Some(scan::Scanned(found))
}
