//! The kernel's own flags of mappings, which show for certain which mappings the page map
//! leaves out. Only `smaps` contains them, and the kernel computes everything else in that
//! file too: a read visits every page of the target and holds its mmap lock meanwhile.
//! Therefore they are read only on request.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use process_introspection_core::backing::{Backing, UnknownReason, Unlisted};
use process_introspection_core::lock_time::timed;
use process_introspection_core::{CoreError, Operation};

use crate::error::{errno_of_process, Error};
use crate::process::mapping::Mapping;
use crate::process::Process;

/// The kernel's flags of a process's mappings (`VmFlags` in `smaps`, Linux 3.8), as they
/// were when they were read: which mappings map frames without pages, and the advice about
/// huge pages.
#[derive(Clone, Debug, Default)]
pub struct VmFlags {
    /// Mappings by their first address: the address after the last, and the flags.
    areas: BTreeMap<u64, (u64, AreaFlags)>,
}

/// Flags of one mapping.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct AreaFlags {
    /// Union of the constants below.
    pub(crate) bits: u16,
    /// `THPeligible` (Linux 5.0): huge pages of some size may be used; `None` if the kernel
    /// does not report it.
    pub(crate) eligible: Option<bool>,
}

impl AreaFlags {
    /// `VM_PFNMAP`.
    pub(crate) const PFNMAP: u16 = 1;
    /// `VM_IO`.
    pub(crate) const IO: u16 = 1 << 1;
    /// `VM_DONTEXPAND`.
    pub(crate) const DONTEXPAND: u16 = 1 << 2;
    /// `VM_MIXEDMAP`.
    pub(crate) const MIXEDMAP: u16 = 1 << 3;
    /// `VM_HUGEPAGE`: `MADV_HUGEPAGE`.
    pub(crate) const HUGEPAGE: u16 = 1 << 4;
    /// `VM_NOHUGEPAGE`: `MADV_NOHUGEPAGE`.
    pub(crate) const NOHUGEPAGE: u16 = 1 << 5;

    /// Names of the flags in `smaps` (`show_smap_vma_flags`, fs/proc/task_mmu.c).
    const NAMES: [(&'static [u8], u16); 6] = [
        (b"pf", Self::PFNMAP),
        (b"io", Self::IO),
        (b"de", Self::DONTEXPAND),
        (b"mm", Self::MIXEDMAP),
        (b"hg", Self::HUGEPAGE),
        (b"nh", Self::NOHUGEPAGE),
    ];

    fn parse(words: &[u8]) -> u16 {
        let words = words.split(u8::is_ascii_whitespace);
        let bit = |word: &[u8]| Self::NAMES.iter().find(|(name, _)| *name == word);
        words.filter_map(bit).fold(0, |bits, (_, bit)| bits | bit)
    }

    pub(crate) fn has(self, flag: u16) -> bool {
        self.bits & flag != 0
    }

    /// Returns whether khugepaged leaves the mapping alone (`VM_SPECIAL`,
    /// include/linux/mm.h).
    pub(crate) fn is_special(self) -> bool {
        self.has(Self::PFNMAP | Self::IO | Self::DONTEXPAND | Self::MIXEDMAP)
    }
}

impl Process {
    /// Reads the kernel's flags of all mappings. Takes long, and blocks a target that maps
    /// or unmaps meanwhile: 9 to 27 ms for 1 GiB of touched memory.
    ///
    /// # Errors
    /// [`Error::is_permission_denied`], [`Error::is_gone`].
    pub fn vm_flags(&self) -> Result<VmFlags, Error> {
        let failed = |error: io::Error| {
            let errno = errno_of_process(&error);
            self.error(CoreError::new(errno, Operation::ReadMaps))
        };
        if !self.as_core().has_memory() {
            return Ok(VmFlags::default());
        }
        let path = format!(
            "/proc/thread-self/fd/{}/smaps",
            self.as_core().directory().raw()
        );
        let file = Timed(File::open(path).map_err(failed)?);
        let text = BufReader::with_capacity(64 << 10, file);
        let flags = VmFlags::parse(text).map_err(failed)?;
        // The file is bound to the memory that the process had when the file was opened.
        self.as_core()
            .check_same_memory()
            .map_err(|error| self.error(error))?;
        Ok(flags)
    }
}

/// File whose reads hold the mmap lock of the target.
struct Timed(File);

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        timed(|| self.0.read(buffer))
    }
}

impl VmFlags {
    /// Parses lines of mappings, as in `maps`, each followed by lines of names and values.
    fn parse(mut text: impl BufRead) -> io::Result<Self> {
        let mut areas = BTreeMap::new();
        let (mut line, mut area, mut eligible) = (Vec::new(), None, None);
        while text.read_until(b'\n', &mut line)? > 0 {
            if let Some(words) = line.strip_prefix(b"VmFlags:") {
                if let Some((start, end)) = area.take() {
                    let bits = AreaFlags::parse(words);
                    areas.insert(start, (end, AreaFlags { bits, eligible }));
                }
            } else if let Some(value) = line.strip_prefix(b"THPeligible:") {
                eligible = match value.trim_ascii() {
                    b"0" => Some(false),
                    b"1" => Some(true),
                    _ => None,
                };
            } else if let Some(range) = parse_range(&line) {
                (area, eligible) = (Some(range), None);
            }
            line.clear();
        }
        Ok(Self { areas })
    }

    /// Returns whether the page map leaves out a mapping; `None` if the mapping was absent,
    /// or different, when the flags were read.
    pub fn is_left_out(&self, mapping: &Mapping) -> Option<bool> {
        let flags = self.of(mapping)?;
        Some(flags.has(AreaFlags::PFNMAP))
    }

    /// Returns the flags of a mapping; `None` as for [`Self::is_left_out`].
    pub(crate) fn of(&self, mapping: &Mapping) -> Option<AreaFlags> {
        let range = mapping.range;
        let (end, flags) = self.areas.get(&range.start().as_u64())?;
        (*end == range.end().as_u64()).then_some(*flags)
    }

    /// Corrects the backing that a walk found in a mapping: unknown backing, where the page
    /// map might have left out the mapping, becomes not present if it does not, and vice
    /// versa.
    pub fn backing_of(&self, mapping: &Mapping, found: Backing) -> Backing {
        match (self.is_left_out(mapping), found) {
            (Some(true), Backing::NotPresent) => Backing::Unknown(UnknownReason::Driver),
            (Some(false), Backing::Unknown(reason)) if !reason.is_of_entry() => Backing::NotPresent,
            (Some(false), Backing::Device(_)) => match mapping.core().unlisted {
                Unlisted::At(_) => Backing::Unknown(UnknownReason::Unconfirmed),
                _ => found,
            },
            _ => found,
        }
    }
}

/// Returns the addresses at the beginning of a mapping's line; `None` for other lines,
/// whose first word ends with a colon.
fn parse_range(line: &[u8]) -> Option<(u64, u64)> {
    let word = line.split(|&byte| byte == b' ').next()?;
    let (start, end) = std::str::from_utf8(word).ok()?.split_once('-')?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    Some((hex(start)?, hex(end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_of_each_area_are_read() {
        let text = b"7f0000001000-7f0000003000 rw-s fe000000 00:16 9 /sys/x\n\
            Size:                  8 kB\n\
            VmFlags: rd wr sh mr mw me ms pf io de dd sd\n\
            7f0000003000-7f0000004000 rw-p 00000000 00:00 0 a-b pf\n\
            Pss_Dirty:             0 kB\n\
            THPeligible:           1\n\
            VmFlags: rd wr mr mw me ac hg\n\
            7f0000004000-7f0000005000 rw-p 00000000 00:00 0\n\
            THPeligible:    0\n\
            VmFlags: rd wr nh\n";
        let flags = VmFlags::parse(&text[..]).unwrap();
        let areas: Vec<_> = flags.areas.into_iter().collect();
        let of_driver = AreaFlags::PFNMAP | AreaFlags::IO | AreaFlags::DONTEXPAND;
        let area = |start, end, bits, eligible| (start, (end, AreaFlags { bits, eligible }));
        let (first, second, third) = (0x7f00_0000_1000, 0x7f00_0000_3000, 0x7f00_0000_4000);
        let expected = [
            area(first, second, of_driver, None),
            area(second, third, AreaFlags::HUGEPAGE, Some(true)),
            area(third, third + 0x1000, AreaFlags::NOHUGEPAGE, Some(false)),
        ];
        assert_eq!(areas, expected);
        assert!(areas[0].1 .1.is_special() && !areas[1].1 .1.is_special());
    }
}
