//! The kernel's own flags of areas, which tell for certain which of them the
//! page map leaves out. They stand in `smaps` only, and the kernel computes all
//! else that stands there as well: a read goes over every page of the target
//! and holds its mmap lock meanwhile. So only for those who ask.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};

use process_introspection_core::device::{UnknownReason, Unlisted};
use process_introspection_core::physical::Backing;
use process_introspection_core::{Errno, Error as CoreError, Operation};

use crate::{Error, PhysicalRegion, Process};

/// Which areas of a process map frames without pages (`VM_PFNMAP`, `pf` in
/// `smaps`, Linux 3.8), as they were when it was read.
#[derive(Clone, Debug, Default)]
pub struct VmFlags {
    /// By their first address: the address past the last, and whether they do.
    areas: BTreeMap<u64, (u64, bool)>,
}

impl Process {
    /// Reads the kernel's flags of all areas. Takes long, and holds up a target
    /// that maps or unmaps meanwhile: 36 ms for 4 GiB of touched memory.
    ///
    /// # Errors
    /// [`Error::is_permission_denied`], [`Error::is_gone`].
    pub fn vm_flags(&self) -> Result<VmFlags, Error> {
        let failed = |error: io::Error| {
            let errno = match error.raw_os_error() {
                Some(raw) if raw == i32::from(Errno::EACCES.raw()) => Errno::EPERM,
                Some(raw) if raw == i32::from(Errno::ENOENT.raw()) => Errno::ESRCH,
                Some(raw) => u16::try_from(raw).map_or(Errno::EIO, Errno::from_raw),
                None => Errno::EIO,
            };
            self.error(CoreError::new(errno, Operation::ReadMaps))
        };
        if !self.as_core().has_memory() {
            return Ok(VmFlags::default());
        }
        let path = format!(
            "/proc/thread-self/fd/{}/smaps",
            self.as_core().directory().raw()
        );
        let text = BufReader::with_capacity(64 << 10, File::open(path).map_err(failed)?);
        let flags = VmFlags::parse(text).map_err(failed)?;
        // The file is bound to the memory that the process had when it was opened.
        self.as_core()
            .check_same_memory()
            .map_err(|error| self.error(error))?;
        Ok(flags)
    }
}

impl VmFlags {
    /// Lines of areas, as in `maps`, each followed by lines of names and values.
    fn parse(mut text: impl BufRead) -> io::Result<Self> {
        let mut areas = BTreeMap::new();
        let (mut line, mut area) = (Vec::new(), None);
        while text.read_until(b'\n', &mut line)? > 0 {
            if let Some(flags) = line.strip_prefix(b"VmFlags:") {
                let has = |flag: &[u8]| flags.split(u8::is_ascii_whitespace).any(|one| one == flag);
                if let Some((start, end)) = area.take() {
                    areas.insert(start, (end, has(b"pf")));
                }
            } else if let Some(range) = parse_range(&line) {
                area = Some(range);
            }
            line.clear();
        }
        Ok(Self { areas })
    }

    /// Whether the page map leaves out the mapping of a region; `None` of a
    /// mapping that was not there, or not the same, when this was read.
    pub fn is_left_out(&self, region: &PhysicalRegion) -> Option<bool> {
        let range = region.mapping.range;
        let (end, left_out) = self.areas.get(&range.start().as_u64())?;
        (*end == range.end().as_u64()).then_some(*left_out)
    }

    /// What is behind a region, knowing this: what was unknown because it could
    /// be left out is not present if it is not, and the other way round.
    pub fn backing_of(&self, region: &PhysicalRegion) -> Backing {
        let found = region.backing;
        match (self.is_left_out(region), found) {
            (Some(true), Backing::NotPresent) => Backing::Unknown(UnknownReason::Driver),
            (Some(false), Backing::Unknown(reason)) if !reason.is_of_entry() => Backing::NotPresent,
            (Some(false), Backing::Device(_)) => match region.mapping.core().unlisted {
                Unlisted::At(_) => Backing::Unknown(UnknownReason::Unconfirmed),
                _ => found,
            },
            _ => found,
        }
    }
}

/// The addresses at the beginning of an area's line; `None` of other lines,
/// whose first word ends in a colon.
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
            VmFlags: rd wr mr mw me ac\n";
        let flags = VmFlags::parse(&text[..]).unwrap();
        let areas: Vec<_> = flags.areas.into_iter().collect();
        let expected = [
            (0x7f00_0000_1000, (0x7f00_0000_3000, true)),
            (0x7f00_0000_3000, (0x7f00_0000_4000, false)),
        ];
        assert_eq!(areas, expected);
    }
}
