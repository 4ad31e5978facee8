//! Parser of the parts of an ELF file that the walk needs: the type (executable or shared
//! library) and the linked addresses. Pure; both word sizes and byte orders, independent
//! of the machine's own.

/// Number of bytes of a file's beginning that [`Header::parse`] needs.
pub(crate) const HEADER_SIZE: usize = 64;
/// Size in bytes of a program header, of the larger word size.
pub const SEGMENT_SIZE: usize = 56;

/// Contents of the file header.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    wide: bool,
    big_endian: bool,
    /// Offset of the program headers in the file.
    pub(crate) segments_at: u64,
    /// Distance between two program headers, in bytes.
    pub(crate) segment_stride: u64,
    /// Number of program headers.
    pub(crate) segments: u64,
}

/// A loadable segment.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Offset in the file.
    pub offset: u64,
    /// Address that it was linked to.
    pub address: u64,
    /// Size in the file, in bytes.
    pub file_size: u64,
    /// Size in memory, in bytes. Greater than the size in the file where zeroed memory
    /// follows: `.bss`.
    pub memory_size: u64,
    /// Permissions that the linker requested: `PF_X` (1) and `PF_W` (2).
    pub flags: u64,
}

/// Permission to execute (`PF_X`).
pub(crate) const EXECUTE: u64 = 1;
/// Permission to write (`PF_W`).
pub(crate) const WRITE: u64 = 2;

/// Part of a file that contains notes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notes {
    pub(crate) offset: u64,
    pub(crate) size: u64,
    /// Alignment of each part of a note: 4 or 8 bytes.
    pub(crate) align: u64,
}

/// Part of the file that a program header describes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Segment(Segment),
    Notes(Notes),
    Other,
}

const ET_EXEC: u64 = 2;
const ET_DYN: u64 = 3;
const PT_LOAD: u64 = 1;
const PT_NOTE: u64 = 4;

impl Header {
    /// Parses the file header; `None` unless it is that of an executable or a shared
    /// library.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(b"\x7fELF") {
            return None;
        }
        let is_second = |at| match bytes.get::<usize>(at)? {
            1 => Some(false),
            2 => Some(true),
            _ => None,
        };
        let (wide, big_endian) = (is_second(4)?, is_second(5)?);
        let field = |at, size| number(bytes, at, size, big_endian);
        if !matches!(field(16, 2)?, ET_EXEC | ET_DYN) {
            return None;
        }
        let (segments_at, segment_stride, segments) = if wide {
            (field(32, 8)?, field(54, 2)?, field(56, 2)?)
        } else {
            (field(28, 4)?, field(42, 2)?, field(44, 2)?)
        };
        Some(Self {
            wide,
            big_endian,
            segments_at,
            segment_stride,
            segments,
        })
    }

    /// Parses one program header; `None` if it is cut.
    pub(crate) fn part(&self, bytes: &[u8]) -> Option<Part> {
        let word = |narrow, wide| {
            let (at, size) = if self.wide { (wide, 8) } else { (narrow, 4) };
            number(bytes, at, size, self.big_endian)
        };
        let flags = number(bytes, if self.wide { 4 } else { 24 }, 4, self.big_endian)?;
        let (offset, file_size, align) = (word(4, 8)?, word(16, 32)?, word(28, 48)?);
        Some(match number(bytes, 0, 4, self.big_endian)? {
            PT_LOAD => Part::Segment(Segment {
                offset,
                address: word(8, 16)?,
                file_size,
                memory_size: word(20, 40)?,
                flags,
            }),
            PT_NOTE => Part::Notes(Notes {
                offset,
                size: file_size,
                align: if align == 8 { 8 } else { 4 },
            }),
            _ => Part::Other,
        })
    }
}

impl Segment {
    /// Returns whether the segment contains these bytes of the file, in whole pages.
    pub(crate) fn holds(&self, offset: u64, size: u64, page: u64) -> bool {
        let wanted_end = offset.checked_add(size);
        let ends = self.file_end(page).zip(wanted_end);
        ends.is_some_and(|(end, wanted_end)| {
            self.offset & !(page - 1) <= offset && wanted_end <= end
        })
    }

    /// Returns the address that the byte at `offset` of the file was linked to, if the
    /// segment contains it.
    pub(crate) fn linked_address(&self, offset: u64) -> u64 {
        self.address.wrapping_add(offset.wrapping_sub(self.offset))
    }

    /// Returns the end in the file, in whole pages; `None` if it is past the last offset.
    pub fn file_end(&self, page: u64) -> Option<u64> {
        let end = self.offset.checked_add(self.file_size)?;
        Some(end.checked_add(page - 1)? & !(page - 1))
    }
}

/// Header of a note.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// True if it is the linker's build id.
    pub(crate) is_build_id: bool,
    /// Distance of the content from the note's beginning, in bytes.
    pub(crate) content_at: u64,
    pub(crate) content_size: u64,
    /// Distance of the next note, in bytes.
    pub(crate) next_at: u64,
}

/// Size in bytes of the header of a note, for [`Header::note`].
pub(crate) const NOTE_SIZE: usize = 16;

impl Header {
    /// Parses the header of a note; `None` if the bytes are too few.
    pub(crate) fn note(&self, bytes: &[u8], align: u64) -> Option<Note> {
        const NT_GNU_BUILD_ID: u64 = 3;
        let field = |at| number(bytes, at, 4, self.big_endian);
        let (name_size, content_size, sort) = (field(0)?, field(4)?, field(8)?);
        let padded = |size: u64| (size + (align - 1)) & !(align - 1);
        let content_at = padded(12 + name_size);
        Some(Note {
            is_build_id: sort == NT_GNU_BUILD_ID
                && bytes.get(12..16)? == b"GNU\0"
                && name_size == 4,
            content_at,
            content_size,
            next_at: content_at + padded(content_size),
        })
    }
}

fn number(bytes: &[u8], at: usize, size: usize, big_endian: bool) -> Option<u64> {
    let field = bytes.get(at..at + size)?;
    let shift_in = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
    Some(if big_endian {
        field.iter().fold(0, shift_in)
    } else {
        field.iter().rev().fold(0, shift_in)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(wide: bool, kind: u8) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        bytes[..4].copy_from_slice(b"\x7fELF");
        (bytes[4], bytes[5], bytes[16]) = (1 + u8::from(wide), 1, kind);
        if wide {
            (bytes[32], bytes[54], bytes[56]) = (64, 56, 11);
        } else {
            (bytes[28], bytes[42], bytes[44]) = (52, 32, 9);
        }
        bytes
    }

    #[test]
    fn executables_and_libraries_are_distinguished_from_other_files() {
        let segments = |bytes: &[u8]| Header::parse(bytes).map(|header| header.segments);
        assert_eq!(segments(&header(true, 3)), Some(11));
        assert_eq!(segments(&header(false, 2)), Some(9));
        assert_eq!(segments(&header(true, 1)), None, "an object file");
        assert_eq!(segments(&header(true, 4)), None, "a core dump");
        assert_eq!(segments(&header(true, 3)[..40]), None, "a cut file");
        assert_eq!(segments(b"#!/bin/sh"), None);
        assert_eq!(segments(b""), None);
    }

    const PAGE: u64 = 0x1000;

    fn segment(offset: u64, address: u64, file_size: u64, memory_size: u64) -> Segment {
        Segment {
            offset,
            address,
            file_size,
            memory_size,
            flags: 0,
        }
    }

    #[test]
    fn a_segment_holds_bytes_in_whole_pages() {
        let segment = segment(0x2e10, 0x403e10, 0x300, 0x300);
        assert!(segment.holds(0x2e10, 1, PAGE));
        assert!(segment.holds(0x2000, 0x2000, PAGE));
        assert!(!segment.holds(0x2000, 0x2001, PAGE));
        assert!(!segment.holds(0x1fff, 1, PAGE));
        assert!(!segment.holds(0x4000, 1, PAGE));
        assert_eq!(segment.linked_address(0x2e10), 0x403e10);
        assert_eq!(segment.linked_address(0x2000), 0x403000);
        assert_eq!(segment.linked_address(0x3fff), 0x404fff);
    }

    #[test]
    fn impossible_sizes_are_no_memory_and_no_overflow() {
        for hostile in [
            segment(u64::MAX, u64::MAX, u64::MAX, u64::MAX),
            segment(0, u64::MAX - 5, 1, 5),
            segment(u64::MAX - 0x1000, 0, 0x1000, 0x9000),
            segment(0, 0, 1, u64::MAX - 0x1000),
            segment(1 << 60, 0, 1, 0x9000),
        ] {
            assert!(!hostile.holds(u64::MAX, u64::MAX, PAGE));
        }
    }

    #[test]
    fn notes_follow_each_other_padded() {
        let header = Header::parse(&header(true, 3)).unwrap();
        let mut bytes = [0u8; NOTE_SIZE];
        (bytes[0], bytes[4], bytes[8]) = (4, 20, 3);
        bytes[12..].copy_from_slice(b"GNU\0");
        let note = header.note(&bytes, 4).unwrap();
        assert!(note.is_build_id);
        assert_eq!(
            (note.content_at, note.content_size, note.next_at),
            (16, 20, 36)
        );
        bytes[4] = 17;
        assert_eq!(header.note(&bytes, 8).unwrap().next_at, 40);
        bytes[8] = 1;
        assert!(!header.note(&bytes, 4).unwrap().is_build_id);
        bytes[..8].fill(0xff);
        let hostile = header.note(&bytes, 8).unwrap();
        assert!(hostile.next_at > 1 << 32 && !hostile.is_build_id);
        assert_eq!(header.note(&bytes[..11], 4), None);
    }
}
