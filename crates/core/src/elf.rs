//! The little of an ELF file that the walk needs: whether it is an executable
//! or a shared library, and where its bytes were linked to. Pure; both word
//! sizes and byte orders, whatever the machine's own.

/// Enough bytes of a file's beginning for [`Header::parse`].
pub(crate) const HEADER_SIZE: usize = 64;
/// Enough for [`Header::segment`], of either word size.
pub(crate) const SEGMENT_SIZE: usize = 56;

/// What the header says.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    wide: bool,
    big_endian: bool,
    /// Where the program headers stand in the file.
    pub(crate) segments_at: u64,
    /// The distance between two.
    pub(crate) segment_stride: u64,
    /// How many there are.
    pub(crate) segments: u64,
}

/// A loadable segment.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) file_size: u64,
}

const ET_EXEC: u64 = 2;
const ET_DYN: u64 = 3;
const PT_LOAD: u64 = 1;

impl Header {
    /// `None` unless the bytes begin an executable or a shared library.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(b"\x7fELF") {
            return None;
        }
        let wide = match bytes.get(4)? {
            1 => false,
            2 => true,
            _ => return None,
        };
        let big_endian = match bytes.get(5)? {
            1 => false,
            2 => true,
            _ => return None,
        };
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

    /// The segment of one program header; `None` if it is not a loadable one.
    pub(crate) fn segment(&self, bytes: &[u8]) -> Option<Segment> {
        let field = |at, size| number(bytes, at, size, self.big_endian);
        if field(0, 4)? != PT_LOAD {
            return None;
        }
        let (offset, address, file_size) = if self.wide {
            (field(8, 8)?, field(16, 8)?, field(32, 8)?)
        } else {
            (field(4, 4)?, field(8, 4)?, field(16, 4)?)
        };
        Some(Segment {
            offset,
            address,
            file_size,
        })
    }
}

impl Segment {
    /// The address that the byte at `offset` of the file was linked to, if
    /// this segment, in whole pages, holds it.
    pub(crate) fn linked_address(&self, offset: u64, page: u64) -> Option<u64> {
        let first = self.offset & !(page - 1);
        let last = self
            .offset
            .checked_add(self.file_size)?
            .checked_add(page - 1)?
            & !(page - 1);
        (first <= offset && offset < last)
            .then(|| self.address.wrapping_add(offset.wrapping_sub(self.offset)))
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
    fn executables_and_libraries_are_told_from_other_files() {
        let segments = |bytes: &[u8]| Header::parse(bytes).map(|header| header.segments);
        assert_eq!(segments(&header(true, 3)), Some(11));
        assert_eq!(segments(&header(false, 2)), Some(9));
        assert_eq!(segments(&header(true, 1)), None, "an object file");
        assert_eq!(segments(&header(true, 4)), None, "a core dump");
        assert_eq!(segments(&header(true, 3)[..40]), None, "a cut file");
        assert_eq!(segments(b"#!/bin/sh"), None);
        assert_eq!(segments(b""), None);
    }

    #[test]
    fn a_byte_of_a_segment_has_a_linked_address() {
        let segment = Segment {
            offset: 0x2e10,
            address: 0x403e10,
            file_size: 0x300,
        };
        assert_eq!(segment.linked_address(0x2e10, 0x1000), Some(0x403e10));
        assert_eq!(segment.linked_address(0x2000, 0x1000), Some(0x403000));
        assert_eq!(segment.linked_address(0x3fff, 0x1000), Some(0x404fff));
        assert_eq!(segment.linked_address(0x4000, 0x1000), None);
        assert_eq!(segment.linked_address(0x1fff, 0x1000), None);
    }
}
