//! Enumerates VMAs in the order of their addresses, from one of the kernel's two sources:
//! the `PROCMAP_QUERY` ioctl or the text of `maps`. Both return the same records. Knows
//! nothing of pages.

mod query;
pub(crate) mod text;

use core::fmt;

use crate::addr::{AddrRange, PageSize};
use crate::error::Result;
use crate::process::ProcessHandle;

/// Protection of a mapping: read, write, execute.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Default)]
pub struct Protection(u8);

impl Protection {
    const READ: u8 = 1;
    const WRITE: u8 = 2;
    const EXECUTE: u8 = 4;

    /// Makes a protection of its three parts.
    pub fn new(read: bool, write: bool, execute: bool) -> Self {
        let bit = |set: bool, bit| if set { bit } else { 0 };
        Self(bit(read, Self::READ) | bit(write, Self::WRITE) | bit(execute, Self::EXECUTE))
    }

    /// Parses `rwx` with `-` for what is not allowed, as [`fmt::Display`] prints it.
    pub fn from_text(text: &[u8]) -> Option<Self> {
        let &[read, write, execute] = text else {
            return None;
        };
        let is = |byte, letter| match byte {
            b'-' => Some(false),
            _ => (byte == letter).then_some(true),
        };
        Some(Self::new(
            is(read, b'r')?,
            is(write, b'w')?,
            is(execute, b'x')?,
        ))
    }

    /// Returns whether the mapping can be read.
    pub const fn read(self) -> bool {
        self.0 & Self::READ != 0
    }

    /// Returns whether the mapping can be written.
    pub const fn write(self) -> bool {
        self.0 & Self::WRITE != 0
    }

    /// Returns whether the mapping can be executed.
    pub const fn execute(self) -> bool {
        self.0 & Self::EXECUTE != 0
    }
}

/// Prints `rwx` as `/proc/PID/maps` does, with `-` for what is not allowed.
impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |set, letter| if set { letter } else { '-' };
        write!(
            f,
            "{}{}{}",
            letter(self.read(), 'r'),
            letter(self.write(), 'w'),
            letter(self.execute(), 'x')
        )
    }
}

impl fmt::Debug for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Number of a device that contains a file.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Device {
    /// The major number.
    pub major: u32,
    /// The minor number.
    pub minor: u32,
}

impl Device {
    /// Returns the number in the kernel's encoding of 32 bits (`new_encode_dev`,
    /// include/linux/kdev_t.h), which is also the low half of C's `dev_t`.
    pub const fn encoded(self) -> u32 {
        (self.minor & 0xff) | ((self.major & 0xfff) << 8) | ((self.minor & !0xff) << 12)
    }
}

/// Prints both numbers in hexadecimal, as `/proc/PID/maps` does.
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}:{:02x}", self.major, self.minor)
    }
}

/// VMA. Its name is with the cursor that returned it.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Vma {
    /// Addresses of the VMA.
    pub range: AddrRange,
    /// Protection of the VMA.
    pub protection: Protection,
    /// True if mapped shared, false if private.
    pub shared: bool,
    /// Offset of the first byte in its object; 0 without one.
    pub offset: u64,
    /// Device that contains its object; 0:0 without one.
    pub device: Device,
    /// Inode number of its object; 0 without one.
    pub inode: u64,
    /// Size of its pages, greater than the base page for hugetlb; `None` where the kernel
    /// does not report it (for objects, in the text).
    pub page_size: Option<PageSize>,
}

impl Vma {
    /// Returns whether the VMA maps an object: a file, shared memory, a device.
    pub const fn has_object(&self) -> bool {
        self.inode != 0 || self.device.major != 0 || self.device.minor != 0
    }

    /// Returns whether the VMA is `[vsyscall]`, by its address: on x86-64 every process
    /// has it there, beyond the addresses of programs (`VSYSCALL_ADDR`,
    /// arch/x86/include/uapi/asm/vsyscall.h, Linux 5.10 to 7.2).
    fn is_vsyscall(&self) -> bool {
        const ADDRESS: u64 = 0xffff_ffff_ff60_0000;
        !self.has_object() && self.range.start().as_u64() == ADDRESS
    }

    /// Returns the VMA from `start` on, an address in it.
    pub(crate) fn starting_at(mut self, start: u64) -> Self {
        let skipped = start.saturating_sub(self.range.start().as_u64());
        if skipped > 0 {
            if let Some(range) = AddrRange::new(start, self.range.end().as_u64()) {
                self.range = range;
            }
            if self.has_object() {
                self.offset += skipped;
            }
        }
        self
    }
}

/// Name in the last column of `/proc/PID/maps`: a path, or one of the kernel's names in
/// brackets. Bytes, not UTF-8.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VmaName<'a> {
    /// Bytes of the name, as many as fit the cursor's storage.
    pub bytes: &'a [u8],
    /// True if the bytes are the whole name; false if it is longer than the storage. The
    /// ioctl returns nothing of a name longer than 4095 bytes.
    pub complete: bool,
    with_nul: Option<&'a [u8]>,
}

impl<'a> VmaName<'a> {
    /// Returns whether the VMA has no name; a name that is too long can have no byte
    /// here.
    pub fn is_none(&self) -> bool {
        self.complete && self.bytes.is_empty()
    }

    /// Returns the bytes and a NUL, if the storage had room for that.
    pub(crate) fn with_nul(&self) -> Option<&'a [u8]> {
        self.with_nul
    }
}

/// Enumerates VMAs from an address on. `N` is the storage for a name.
///
/// The ioctl finds any address at once and costs 0.6 µs a VMA; the text costs half of
/// that, but begins at the first VMA and does not contain the size of an object's pages.
/// So a walk begins with the ioctl, and changes to the text when it has seen many VMAs
/// and the text's reader can catch up at a fraction of the ioctl's cost so far. Where the
/// text has no VMA, the ioctl confirms it, see `text::Reader`.
#[derive(Debug)]
pub struct VmaCursor<N> {
    source: Source,
    /// Reader that is opened when the text is first needed, positioned behind the skipped
    /// part.
    text: Option<text::Reader>,
    name: N,
    name_len: usize,
    name_complete: bool,
}

#[derive(Copy, Clone, Debug)]
enum Source {
    /// Number of VMAs that the ioctl returned, and the number at which the text is tried.
    Query { given: u32, try_text_at: u32 },
    /// Numbers of VMAs for which the text sufficed, and for which the ioctl was called too.
    Both { plain: u32, asked: u32 },
    /// The ioctl permanently: too many VMAs need it, or the text has ended.
    QueryOnly,
    /// The text, because there is no ioctl or the caller requested the text.
    TextOnly,
}

impl Source {
    const FIRST: Self = Self::Query {
        given: 0,
        try_text_at: LONG_WALK,
    };
}

/// Number of VMAs from which on a walk is long.
const LONG_WALK: u32 = 64;

impl<N: AsRef<[u8]> + AsMut<[u8]>> VmaCursor<N> {
    /// Makes a cursor that stores names in `name`; 4096 bytes are enough for nearly all,
    /// an empty storage requests none.
    // Inline for the same reason as `PhysicalCursor::start`.
    #[inline(always)]
    pub fn new(name: N) -> Self {
        Self {
            source: Source::FIRST,
            text: None,
            name,
            name_len: 0,
            name_complete: true,
        }
    }

    /// Makes a cursor that reads the text even where the ioctl exists: the text contains
    /// names of any length.
    pub fn from_text(name: N) -> Self {
        Self {
            source: Source::TextOnly,
            ..Self::new(name)
        }
    }

    /// Returns the VMA that contains `address`, else the next one above it; `None` past
    /// the last. `address` must not decrease from call to call. `[vsyscall]` is no memory
    /// of the process and is left out.
    ///
    /// # Errors
    /// ESRCH when the process's memory has gone away.
    pub fn next_from(&mut self, process: &ProcessHandle, address: u64) -> Result<Option<Vma>> {
        if !process.has_memory() {
            return Ok(None);
        }
        if !process.features().procmap_query() {
            self.source = Source::TextOnly;
        }
        match self.source {
            Source::TextOnly => return self.next_line(process, address, u32::MAX),
            Source::QueryOnly => {}
            Source::Query { given, try_text_at } if given < try_text_at => {
                self.source = Source::Query {
                    given: given + 1,
                    try_text_at,
                };
            }
            Source::Query { given, .. } => {
                let most = given.saturating_mul(2);
                self.source = Source::Query {
                    given,
                    try_text_at: most,
                };
                // Without a line, the text has not caught up yet, or has ended.
                if let Some(vma) = self.next_line(process, address, most)? {
                    self.source = Source::Both { plain: 0, asked: 0 };
                    return self.complete(process, address, vma);
                }
            }
            Source::Both { .. } => match self.next_line(process, address, u32::MAX)? {
                Some(vma) => return self.complete(process, address, vma),
                None => self.source = Source::QueryOnly,
            },
        }
        self.query(process, address)
    }

    /// Finds a VMA by the ioctl; by the text from now on if there is no such ioctl.
    #[inline(always)]
    fn query(&mut self, process: &ProcessHandle, address: u64) -> Result<Option<Vma>> {
        match self.try_query(process, address)? {
            Some(answer) => Ok(answer),
            None => self.next_line(process, address, u32::MAX),
        }
    }

    /// Finds a VMA by the ioctl; `None`, and never again, if there is no such ioctl. Not
    /// inlined, so that its stack is released before the text is read.
    #[inline(never)]
    fn try_query(&mut self, process: &ProcessHandle, address: u64) -> Result<Option<Option<Vma>>> {
        Ok(
            match query::next_from(process, address, self.name.as_mut())? {
                query::Answer::Vma(vma, name_len, name_complete) => {
                    (self.name_len, self.name_complete) = (name_len, name_complete);
                    Some(Some(vma))
                }
                query::Answer::PastLast => Some(None),
                query::Answer::Unavailable { unknown } => {
                    process.features().without_procmap_query(unknown);
                    self.source = Source::TextOnly;
                    None
                }
            },
        )
    }

    /// Reads up to `most` lines of the text and returns the first VMA that ends above the
    /// address.
    fn next_line(
        &mut self,
        process: &ProcessHandle,
        address: u64,
        most: u32,
    ) -> Result<Option<Vma>> {
        let reader = match &mut self.text {
            Some(reader) => reader,
            none => none.insert(text::Reader::new(process.open_maps_text()?)),
        };
        // Kernels without the ioctl leave no VMA out.
        let alone =
            matches!(self.source, Source::TextOnly) && !process.features().predates_procmap_query();
        for _ in 0..most {
            let Some(line) = reader.next(process, self.name.as_mut(), alone)? else {
                break;
            };
            (self.name_len, self.name_complete) = (line.name_len, line.name_complete);
            if line.vma.range.end().as_u64() <= address {
                continue;
            }
            if !line.vma.is_vsyscall() {
                return Ok(Some(line.vma));
            }
        }
        Ok(None)
    }

    /// Completes a VMA of the text by the ioctl: the size of the pages of an object's
    /// VMA, and whether a VMA before it was left out. Not inlined, so that its stack is
    /// released.
    #[inline(never)]
    fn complete(&mut self, process: &ProcessHandle, address: u64, vma: Vma) -> Result<Option<Vma>> {
        let Source::Both { plain, asked } = &mut self.source else {
            return Ok(Some(vma));
        };
        let start = vma.range.start().as_u64();
        if !vma.has_object() && start <= address {
            *plain = plain.saturating_add(1);
            return Ok(Some(vma));
        }
        *asked = asked.saturating_add(1);
        if *asked / 2 > LONG_WALK + *plain {
            self.source = Source::QueryOnly;
        }
        // The line has been read: without the ioctl it is all that is known.
        let Some(answer) = self.try_query(process, address)? else {
            return Ok(Some(vma));
        };
        let is_before = |other: Vma| other.range.end().as_u64() <= start;
        if answer.is_some_and(is_before) {
            // The text is ahead now.
            self.source = Source::FIRST;
        }
        Ok(answer)
    }

    /// Returns a VMA like [`Self::next_from`], at any address, also below the last one.
    pub(crate) fn seek(&mut self, process: &ProcessHandle, address: u64) -> Result<Option<Vma>> {
        self.text = None;
        self.next_from(process, address)
    }

    /// Returns the VMA that ends at `start`, whose name is [`Self::name`] then. The
    /// position is kept.
    ///
    /// # Errors
    /// Those of [`Self::next_from`].
    pub fn area_before(&mut self, process: &ProcessHandle, start: u64) -> Result<Option<Vma>> {
        let Some(last) = start.checked_sub(1) else {
            return Ok(None);
        };
        if !process.features().procmap_query() {
            self.source = Source::TextOnly;
        }
        let found = match self.source {
            Source::TextOnly => self.line_at(process, last)?,
            _ => self.query(process, last)?,
        };
        Ok(found.filter(|vma| vma.range.end().as_u64() == start))
    }

    /// Finds a VMA by the text from its beginning on. Not inlined, so that its storage
    /// does not lie below other functions.
    #[inline(never)]
    fn line_at(&mut self, process: &ProcessHandle, address: u64) -> Result<Option<Vma>> {
        let mut again = VmaCursor::from_text(self.name.as_mut());
        let found = again.next_line(process, address, u32::MAX)?;
        (self.name_len, self.name_complete) = (again.name_len, again.name_complete);
        Ok(found)
    }

    /// Returns the name of the VMA that was returned last; empty if it has none.
    pub fn name(&self) -> VmaName<'_> {
        let storage = self.name.as_ref();
        let with_nul = storage.get(..=self.name_len);
        VmaName {
            bytes: storage.get(..self.name_len).unwrap_or_default(),
            complete: self.name_complete,
            with_nul: with_nul.filter(|bytes| bytes.last() == Some(&0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    use testkit::memory::{self, page};

    use crate::descriptor::OwnedFd;
    use crate::process::{Access, Target};

    #[test]
    fn every_protection_is_what_its_text_says() {
        for bits in 0..8 {
            let protection = Protection(bits);
            let text = std::format!("{protection}");
            assert_eq!(Protection::from_text(text.as_bytes()), Some(protection));
        }
        for broken in ["", "rw", "rwxp", "wr-", "r w"] {
            assert_eq!(Protection::from_text(broken.as_bytes()), None);
        }
    }

    /// Returns the reader of a text that has only these VMAs.
    fn text_of(vmas: &[(u64, u64)]) -> text::Reader {
        let line = |&(start, end): &(u64, u64)| std::format!("{start:x}-{end:x} rw-p 0 00:00 0 \n");
        let text: String = vmas.iter().map(line).collect();
        let file = memory::memfd(0);
        std::fs::write(std::format!("/proc/self/fd/{file}"), text).unwrap();
        // SAFETY: made above, and passed on to the reader alone.
        #[allow(unsafe_code)]
        let file = unsafe { OwnedFd::from_raw(file) };
        text::Reader::new(file)
    }

    #[test]
    fn a_vma_that_the_text_leaves_out_is_found_all_the_same() {
        if !testkit::machine::has_area_query_or_skip("a text that leaves areas out") {
            return;
        }
        let process = ProcessHandle::open(Target::Caller, Access::Layout).unwrap();
        // Every other page has the same protection: as many VMAs as pages.
        let count = 4 * u64::from(LONG_WALK);
        let at = memory::anonymous(count * page());
        let vma = |number: u64| (at + number * page(), at + (number + 1) * page());
        for number in (0..count).step_by(2) {
            memory::protect(vma(number).0, page(), 0);
        }
        let left_out: [&[u64]; 5] = [&[], &[1], &[7, 8, 9, 70], &[0, count - 1], &[2, count - 2]];
        for left_out in left_out {
            let kept = (0..count).filter(|number| !left_out.contains(number));
            let kept: Vec<_> = kept.map(vma).collect();
            let mut cursor = VmaCursor {
                source: Source::Both { plain: 0, asked: 0 },
                text: Some(text_of(&kept)),
                ..VmaCursor::new([0; 16])
            };
            for (start, end) in (0..count).map(vma) {
                let vma = cursor.next_from(&process, start).unwrap().unwrap();
                let expected = AddrRange::new(start, end).unwrap();
                assert_eq!(vma.range, expected, "without {left_out:?}");
            }
        }
        memory::unmap(at, count * page());
    }

    #[test]
    fn a_device_number_is_encoded_as_c_does() {
        let device = |major, minor| Device { major, minor }.encoded();
        assert_eq!(device(0xfe, 0), 0xfe00);
        assert_eq!(device(8, 17), 0x811);
        // The result of gnu_dev_makedev(259, 0x12345) has this low half.
        assert_eq!(device(259, 0x12345), 0x1231_0345);
    }

    #[test]
    fn an_area_cut_at_its_start_moves_in_its_object() {
        let vma = Vma {
            range: AddrRange::new(0x1000, 0x5000).unwrap(),
            protection: Protection::default(),
            shared: false,
            offset: 0x7000,
            device: Device { major: 1, minor: 2 },
            inode: 3,
            page_size: None,
        };
        let cut = vma.starting_at(0x3000);
        assert_eq!(
            (cut.range, cut.offset),
            (AddrRange::new(0x3000, 0x5000).unwrap(), 0x9000)
        );
        assert_eq!(vma.starting_at(0), vma);
    }
}
