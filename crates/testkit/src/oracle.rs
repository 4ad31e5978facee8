//! What the contract demands, computed as plainly as can be: the text of
//! `maps` split at spaces, one read of eight bytes for each page, pages merged
//! one by one. Slow, and independent of the code under test. The target must
//! hold still.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use crate::memory::page;

/// A line of `maps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// First address.
    pub start: u64,
    /// Past the last.
    pub end: u64,
    /// As `rw-p`.
    pub permissions: String,
    /// Offset in the object.
    pub offset: u64,
    /// Device numbers.
    pub device: (u32, u32),
    /// Inode.
    pub inode: u64,
    /// The last column, as it stands there.
    pub name: String,
}

impl Area {
    /// Mapped private.
    pub fn is_private(&self) -> bool {
        self.permissions.ends_with('p')
    }

    /// Maps an object.
    pub fn has_object(&self) -> bool {
        self.inode != 0 || self.device != (0, 0)
    }
}

/// All areas of a process but `[vsyscall]`.
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

/// Whether a page, or a run of pages, is backed, and if not why.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// By memory at this address.
    Memory(u64),
    /// By the zero page at this address.
    Zero(u64),
    /// Nothing there.
    Nothing,
    /// An entry that is neither: swap, guard, marker. Its 64 bits.
    Other(u64),
}

/// A maximal run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// First address.
    pub start: u64,
    /// Past the last.
    pub end: u64,
    /// The state of its first page.
    pub state: State,
    /// Anonymous memory by the contract's rule 6.
    pub anonymous: bool,
    /// Offset of its first byte in the object, 0 without one.
    pub offset: u64,
    /// Its area.
    pub area: Area,
}

/// Reads the entries of a process's page map one by one.
#[derive(Debug)]
pub struct Pagemap(File);

impl Pagemap {
    /// Opens it.
    pub fn open(pid: u32) -> Self {
        Self(File::open(format!("/proc/{pid}/pagemap")).expect("pagemap"))
    }

    /// The entry of the page that holds an address.
    pub fn entry(&self, address: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0
            .read_exact_at(&mut bytes, address / page() * 8)
            .expect("an entry");
        u64::from_ne_bytes(bytes)
    }
}

/// The physical regions of a range, both ends page aligned.
pub fn runs(pid: u32, start: u64, end: u64) -> Vec<Run> {
    let pagemap = Pagemap::open(pid);
    let zero = zero_frame();
    let mut runs: Vec<Run> = Vec::new();
    for area in areas(pid) {
        let (low, high) = (area.start.max(start), area.end.min(end));
        let mut address = low;
        while address < high {
            let (state, anonymous) = page_state(&area, pagemap.entry(address), zero);
            let offset = if area.has_object() {
                area.offset + (address - area.start)
            } else {
                0
            };
            match runs.last_mut() {
                Some(run) if address > low && continues(run, state, anonymous) => run.end += page(),
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

fn continues(run: &Run, state: State, anonymous: bool) -> bool {
    let size = run.end - run.start;
    run.anonymous == anonymous
        && match (run.state, state) {
            (State::Memory(this), State::Memory(next)) => this + size == next,
            (State::Zero(this), State::Zero(next)) => this + size == next,
            (State::Nothing, State::Nothing) => true,
            (State::Other(this), State::Other(next)) => kind_of_other(this) == kind_of_other(next),
            _ => false,
        }
}

/// What an entry with bit 62 is: guard, marker or swap.
fn kind_of_other(entry: u64) -> &'static str {
    let (area, offset) = (entry & 31, (entry & ((1 << 55) - 1)) >> 5);
    match (entry >> 58 & 1, area) {
        (1, _) => "guard",
        (_, 31) if offset & 4 != 0 => "guard",
        (_, 31) => "marker",
        _ => "swap",
    }
}

fn page_state(area: &Area, entry: u64, zero: u64) -> (State, bool) {
    let anonymous = !area.has_object();
    let (present, swapped, file) = (entry >> 63 & 1, entry >> 62 & 1, entry >> 61 & 1);
    let frame = entry & ((1 << 55) - 1);
    let address = frame * page();
    if present == 0 {
        return match swapped {
            0 => (State::Nothing, anonymous),
            _ => {
                let swap = kind_of_other(entry) == "swap";
                (
                    State::Other(entry),
                    anonymous || (swap && area.is_private()),
                )
            }
        };
    }
    // The huge zero page is the only page of no object that is not anonymous,
    // but for the kernel's own. (Those of [vvar] are in the page map of 7.2.)
    let special = area.name == "[vdso]" || area.name.starts_with("[vvar");
    let huge_zero = anonymous && area.is_private() && file == 1 && !special;
    if frame == zero || huge_zero {
        return (State::Zero(address), anonymous);
    }
    (
        State::Memory(address),
        anonymous || (area.is_private() && file == 0),
    )
}

/// The zero page's frame: that of a page which was only read.
fn zero_frame() -> u64 {
    let at = crate::memory::try_map(
        page(),
        libc::PROT_READ,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        -1,
        0,
    )
    .expect("a page");
    crate::memory::read(at, 1);
    let entry = Pagemap::open(std::process::id()).entry(at);
    crate::memory::unmap(at, page());
    assert!(entry >> 63 == 1, "a page that was read is present");
    entry & ((1 << 55) - 1)
}
