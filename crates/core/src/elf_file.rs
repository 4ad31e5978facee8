//! Reader of an open ELF file: its program headers and notes, within limits that do not
//! depend on the file. Knows nothing of processes.

use core::cell::Cell;
use core::ops::ControlFlow;

use crate::descriptor::OwnedFd;
use crate::elf::{Header, Notes, Part, HEADER_SIZE, NOTE_SIZE};
use crate::error::{if_readable, Errno};
use crate::sys;

pub use crate::elf::{Segment, SEGMENT_SIZE};

/// Open executable or shared library.
#[derive(Debug)]
pub struct ElfFile {
    file: OwnedFd,
    header: Header,
    /// Error of the last read that failed.
    failed: Cell<Option<Errno>>,
}

/// Maximum number of program headers that are read. Linkers make about a dozen, and each
/// costs at most one read.
const MOST_PARTS: u64 = 256;
/// Space for two headers of the usual size, which one read returns, for callers with
/// little stack.
pub(crate) const FEW: usize = 2 * SEGMENT_SIZE;
const MANY: usize = 8 * SEGMENT_SIZE;
/// Maximum number of notes that are read.
const MOST_NOTES: u32 = 64;

impl ElfFile {
    /// Opens an ELF file; `None` if it is neither an executable nor a shared library.
    ///
    /// # Errors
    /// Those of the kernel, of a read.
    pub(crate) fn open(file: OwnedFd) -> Result<Option<Self>, Errno> {
        let mut start = [0u8; HEADER_SIZE];
        let len = sys::pread_all(file.borrow(), &mut start, 0)?;
        Ok(Header::parse(&start[..len]).map(|header| Self {
            file,
            header,
            failed: Cell::new(None),
        }))
    }

    /// Opens an ELF file; `None` also if there is no file, or it cannot be read.
    ///
    /// # Errors
    /// EMFILE, ENFILE and ENOMEM.
    pub(crate) fn in_readable(file: Option<OwnedFd>) -> crate::error::Result<Option<Self>> {
        let file = file.map(Self::open).transpose();
        Ok(if_readable(file)?.flatten().flatten())
    }

    /// Reads at an offset from the file; returns fewer bytes at the end of the file.
    fn read(&self, bytes: &mut [u8], at: Option<u64>) -> usize {
        // The kernel takes offsets as signed.
        let Some(at) = at.filter(|&at| i64::try_from(at).is_ok()) else {
            return 0;
        };
        sys::pread_all(self.file.borrow(), bytes, at).unwrap_or_else(|errno| {
            self.failed.set(Some(errno));
            0
        })
    }

    /// Fails if a read has failed for a reason that does not lie in the file.
    ///
    /// # Errors
    /// EMFILE, ENFILE and ENOMEM.
    pub fn check_reads(&self) -> crate::error::Result<()> {
        if_readable(self.failed.get().map_or(Ok(()), Err)).map(|_| ())
    }

    /// Calls `each` with the parts that the program headers describe, in their order.
    #[inline(never)] // Keeps its buffer out of its callers' stack frames.
    fn each_part<const SIZE: usize>(&self, each: &mut dyn FnMut(Part) -> ControlFlow<()>) {
        let mut bytes = [0u8; SIZE];
        let stride = self.header.segment_stride;
        // Headers with gaps between them are read one by one.
        let a_read = if (1..=SEGMENT_SIZE as u64).contains(&stride) {
            bytes.len() as u64 / stride
        } else {
            1
        };
        let count = self.parts();
        let mut index = 0;
        while index < count {
            let at = self.header.segments_at.checked_add(index * stride);
            let len = self.read(&mut bytes, at);
            let left = a_read.min(count - index);
            for number in 0..left {
                let part = bytes[..len]
                    .get((number * stride) as usize..)
                    .and_then(|bytes| self.header.part(bytes));
                let Some(part) = part else { return };
                if each(part).is_break() {
                    return;
                }
            }
            index += left;
        }
    }

    /// Returns the number of program headers that are read.
    pub(crate) fn parts(&self) -> u64 {
        self.header.segments.min(MOST_PARTS)
    }

    /// Returns the loadable segment of one program header, by a separate read.
    #[inline(never)] // As above.
    pub(crate) fn segment(&self, index: u64) -> Option<Segment> {
        let mut bytes = [0u8; SEGMENT_SIZE];
        let into = index.checked_mul(self.header.segment_stride)?;
        let len = self.read(&mut bytes, self.header.segments_at.checked_add(into));
        match self.header.part(&bytes[..len])? {
            Part::Segment(segment) => Some(segment),
            _ => None,
        }
    }

    /// Calls `each` with the loadable segments, in the order of the program headers,
    /// which are read `SIZE` bytes at a time.
    pub fn each_segment<const SIZE: usize>(&self, each: &mut dyn FnMut(&Segment)) {
        self.each_part::<SIZE>(&mut |part| {
            if let Part::Segment(segment) = part {
                each(&segment);
            }
            ControlFlow::Continue(())
        });
    }

    /// Returns the build id that the linker stored.
    pub(crate) fn build_id(&self) -> Option<BuildId> {
        let mut notes_left = MOST_NOTES;
        let mut found = None;
        self.each_part::<MANY>(&mut |part| {
            if let Part::Notes(notes) = part {
                found = self.build_id_in(&notes, &mut notes_left);
            }
            match found {
                None => ControlFlow::Continue(()),
                Some(_) => ControlFlow::Break(()),
            }
        });
        found
    }

    fn build_id_in(&self, notes: &Notes, notes_left: &mut u32) -> Option<BuildId> {
        let end = notes.offset.checked_add(notes.size)?;
        let mut at = notes.offset;
        while at < end && *notes_left > 0 {
            *notes_left -= 1;
            let mut start = [0u8; NOTE_SIZE];
            let len = self.read(&mut start, Some(at));
            let note = self.header.note(&start[..len], notes.align)?;
            if note.is_build_id {
                return self.content(at.checked_add(note.content_at)?, note.content_size, end);
            }
            at = at.checked_add(note.next_at)?;
        }
        None
    }

    fn content(&self, at: u64, size: u64, end: u64) -> Option<BuildId> {
        let mut id = BuildId {
            bytes: [0; BuildId::LONGEST],
            len: u8::try_from(size).ok()?,
        };
        let bytes = id.bytes.get_mut(..usize::from(id.len))?;
        let whole = size > 0 && at.checked_add(size)? <= end;
        (whole && self.read(bytes, Some(at)) == bytes.len()).then_some(id)
    }
}

/// Build id: bytes that a linker stores in an executable or a shared library to
/// distinguish it from others of the same name (`NT_GNU_BUILD_ID`).
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct BuildId {
    bytes: [u8; Self::LONGEST],
    len: u8,
}

impl BuildId {
    /// Maximum length in bytes; linkers make 8 to 32.
    pub const LONGEST: usize = 64;

    /// Makes a build id of its bytes; `None` for none, or for too many.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut id = Self {
            bytes: [0; Self::LONGEST],
            len: u8::try_from(bytes.len()).ok().filter(|&len| len > 0)?,
        };
        id.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(id)
    }

    /// Returns the bytes, at least one.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// Prints hexadecimal digits, as `file` and `readelf` do.
impl core::fmt::Display for BuildId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl core::fmt::Debug for BuildId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_have_these_limits() {
        let security = include_str!("../../../SECURITY.md");
        let safety = include_str!("../../../docs/SAFETY.md");
        let headers = std::format!("up to {MOST_PARTS} program headers");
        assert!(security.contains(&headers), "{headers}");
        let both = std::format!("at most {MOST_PARTS} headers and {MOST_NOTES} notes");
        assert!(safety.contains(&both), "{both}");
    }
}
