//! Parses VMAs from the text of `maps`: [`parse`] and [`Lines`] are pure, `Reader` feeds
//! them. Lines have no bounded length and paths contain any byte.

use super::{Device, Protection, Vma};
use crate::addr::AddrRange;
use crate::descriptor::OwnedFd;
use crate::error::{CoreError, Errno, Operation, Result};
use crate::lock_time::timed;
use crate::process::{process_error, ProcessHandle};
use crate::sys;

/// Parses the part of a line before the name, and returns where the name starts in `line`
/// (at its end if there is none). `None` if it is not such a line.
///
/// `line` has no newline. It may be cut anywhere in the name.
pub fn parse(line: &[u8]) -> Option<(Vma, usize)> {
    let mut rest = Fields { line, at: 0 };
    let start = rest.hex(b'-')?;
    let end = rest.hex(b' ')?;
    let flags = rest.take(4)?;
    rest.expect(b' ')?;
    let offset = rest.hex(b' ')?;
    let major = u32::try_from(rest.hex(b':')?).ok()?;
    let minor = u32::try_from(rest.hex(b' ')?).ok()?;
    let inode = rest.decimal()?;
    let after_inode = &line[rest.at..];
    let name = after_inode.iter().position(|&byte| byte != b' ');
    let padding = name.unwrap_or(after_inode.len());
    let vma = Vma {
        range: AddrRange::new(start, end)?,
        protection: Protection::new(flags[0] == b'r', flags[1] == b'w', flags[2] == b'x'),
        shared: flags[3] == b's',
        offset,
        device: Device { major, minor },
        inode,
        page_size: None,
    };
    Some((vma, rest.at + padding))
}

struct Fields<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.line.get(self.at..self.at + len)?;
        self.at += len;
        Some(taken)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.take(1)? == [byte]).then_some(())
    }

    /// Parses one to 16 hexadecimal digits and the byte that ends them.
    fn hex(&mut self, end: u8) -> Option<u64> {
        let rest = self.line.get(self.at..)?;
        let mut number = 0u64;
        for (count, &byte) in rest.iter().enumerate() {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                _ if byte == end && count > 0 => {
                    self.at += count + 1;
                    return Some(number);
                }
                _ => return None,
            };
            if count == 16 {
                return None;
            }
            number = number << 4 | u64::from(digit);
        }
        None
    }

    /// Parses one to 20 decimal digits, up to the next other byte.
    fn decimal(&mut self) -> Option<u64> {
        let rest = self.line.get(self.at..)?;
        let mut number = 0u64;
        let mut count = 0;
        for &byte in rest.iter().take_while(|byte| byte.is_ascii_digit()) {
            let digit = u64::from(byte - b'0');
            number = number.checked_mul(10)?.checked_add(digit)?;
            count += 1;
        }
        self.at += count;
        (1..=20).contains(&count).then_some(number)
    }
}

/// Undoes the kernel's escape of newlines (`seq_file_path(m, file, "\n")`) in place and
/// returns the new length. A name that really contains the four bytes `\012` looks the
/// same in the text and is taken for a newline.
fn unescape(name: &mut [u8]) -> usize {
    let mut to = 0;
    let mut from = 0;
    while from < name.len() {
        if name[from..].starts_with(b"\\012") {
            name[to] = b'\n';
            from += 4;
        } else {
            name[to] = name[from];
            from += 1;
        }
        to += 1;
    }
    to
}

/// Parsed line. Its name is in the caller's storage.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// VMA, without the size of its pages.
    pub vma: Vma,
    /// Size of its name in the storage, in bytes.
    pub name_len: usize,
    /// True if the storage has the whole name.
    pub name_complete: bool,
}

/// Size that fits any line up to its name, and fits a stack.
const BUFFER: usize = 512;

/// Splits a text that comes in pieces into lines, which may be longer than the part of
/// the text that it holds at a time. Pure.
#[derive(Debug)]
pub struct Lines {
    buffer: [u8; BUFFER],
    start: usize,
    end: usize,
}

impl Lines {
    /// Makes a splitter at the beginning of a text.
    pub const fn new() -> Self {
        Self {
            buffer: [0; BUFFER],
            start: 0,
            end: 0,
        }
    }

    /// Returns the next line, its name in `name` with a NUL behind it if that fits;
    /// `None` at the end. `read` stores the next bytes of the text at the start of its
    /// argument, which is never empty, and returns their number; 0 at the end.
    ///
    /// # Errors
    /// EIO for text that is no line of `maps`; those of `read`.
    pub fn next(
        &mut self,
        name: &mut [u8],
        mut read: impl FnMut(&mut [u8]) -> Result<usize>,
    ) -> Result<Option<Line>> {
        let malformed = CoreError::new(Errno::EIO, Operation::ReadMaps);
        let mut newline = self.find_newline(0);
        while newline.is_none() && self.end - self.start < BUFFER {
            let searched = self.end - self.start;
            if !self.fill(&mut read)? {
                // The kernel writes whole lines.
                return if searched == 0 {
                    Ok(None)
                } else {
                    Err(malformed)
                };
            }
            newline = self.find_newline(searched);
        }
        let seen = newline.unwrap_or(self.end);
        let line = &self.buffer[self.start..seen];
        let (vma, name_start) = parse(line).ok_or(malformed)?;
        let mut stored = Stored {
            name,
            len: 0,
            complete: true,
        };
        stored.push(&line[name_start..]);
        self.start = seen;
        while newline.is_none() {
            (self.start, self.end) = (0, 0);
            if !self.fill(&mut read)? {
                return Err(malformed);
            }
            newline = self.find_newline(0);
            self.start = newline.unwrap_or(self.end);
            stored.push(&self.buffer[..self.start]);
        }
        self.start += 1;
        let name_len = unescape(&mut stored.name[..stored.len]);
        // A NUL follows the name, as the ioctl stores it.
        if let Some(end) = stored.name.get_mut(name_len) {
            *end = 0;
        }
        Ok(Some(Line {
            vma,
            name_len,
            name_complete: stored.complete,
        }))
    }

    /// Returns the index of the next newline in the buffer, without searching the first
    /// `skip` unread bytes.
    fn find_newline(&self, skip: usize) -> Option<usize> {
        let from = self.start + skip;
        let unread = &self.buffer[from..self.end];
        unread
            .iter()
            .position(|&byte| byte == b'\n')
            .map(|at| from + at)
    }

    /// Reads more behind the unread bytes; returns false at the end of the text.
    fn fill(&mut self, read: &mut impl FnMut(&mut [u8]) -> Result<usize>) -> Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let count = read(&mut self.buffer[self.end..])?;
        self.end += count;
        Ok(count > 0)
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self::new()
    }
}

/// Length of the shortest line: with addresses of eight digits, and without a name.
const SHORTEST: usize = 40;

/// Reads `maps` through a separate descriptor, whose position no other code moves.
///
/// Since Linux 6.17 the kernel writes the text without locking all VMAs, and looks for
/// the next VMA from its position in their tree. Where that has changed in the meantime
/// it can take the end of a VMA that has grown for the beginning of the next, and leave
/// out the VMA that lay there before (mm/mmap_lock.c `lock_next_vma`, 7.2: it compares
/// the state of the tree from its own beginning on, not from that of the position). Of
/// 33,179 texts of 7.2.13, while a VMA was split and merged all the time, 6 left out a
/// part that was mapped throughout when they were read in pieces of 512 bytes, 16 in
/// pieces of 64 KiB, and none in pieces that contain one line: a call begins at an
/// address, as the ioctl does.
#[derive(Debug)]
pub(super) struct Reader {
    file: OwnedFd,
    lines: Lines,
}

impl Reader {
    /// Makes a reader of a file just opened. Infallible, so that it is made in its place
    /// and not on the stack first.
    pub(super) fn new(file: OwnedFd) -> Self {
        Self {
            file,
            lines: Lines::new(),
        }
    }

    /// Returns the next line; `None` at the end of a memory that still exists. (The text
    /// of one that has gone away ends just the same: no bytes, no error.) `alone` is true
    /// if no other source confirms that there is no VMA where the text has none.
    pub(super) fn next(
        &mut self,
        process: &ProcessHandle,
        name: &mut [u8],
        alone: bool,
    ) -> Result<Option<Line>> {
        let file = self.file.borrow();
        let line = self.lines.next(name, |buffer| {
            let most = if alone { SHORTEST } else { buffer.len() };
            let most = most.min(buffer.len());
            let buffer = &mut buffer[..most];
            // An end is accepted when it is seen twice: a list must not end early.
            for _ in 0..2 {
                let read = timed(|| sys::read(file, buffer))
                    .map_err(|errno| process_error(errno, Operation::ReadMaps))?;
                if read > 0 {
                    return Ok(read);
                }
            }
            // The text can be read from its beginning only while the memory still exists:
            // the marks of two memories can be equal, where addresses are not chosen
            // anew, or while an exec has not yet written the second one.
            let begin = sys::pread(file, &mut [0; 8], 0)
                .map_err(|errno| process_error(errno, Operation::ReadMaps))?;
            if begin == 0 {
                return Err(CoreError::new(Errno::ESRCH, Operation::ReadMaps));
            }
            process.check_same_memory()?;
            Ok(0)
        })?;
        Ok(line.map(|mut line| {
            if !line.vma.has_object() {
                // Hugetlb always has an object.
                line.vma.page_size = Some(process.page_size());
            }
            line
        }))
    }
}

struct Stored<'a> {
    name: &'a mut [u8],
    len: usize,
    complete: bool,
}

impl Stored<'_> {
    fn push(&mut self, bytes: &[u8]) {
        let space = &mut self.name[self.len..];
        let fits = bytes.len().min(space.len());
        space[..fits].copy_from_slice(&bytes[..fits]);
        self.len += fits;
        self.complete &= fits == bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn parsed(line: &str) -> Option<(Vma, &str)> {
        parse(line.as_bytes()).map(|(vma, name)| (vma, &line[name..]))
    }

    #[test]
    fn a_line_with_a_file_is_parsed() {
        let line =
            "7f88eec3a000-7f88eed90000 r-xp 00026000 fe:00 326279                     /usr/lib/libc.so.6";
        let (vma, name) = parsed(line).unwrap();
        assert_eq!(
            vma.range,
            AddrRange::new(0x7f88_eec3_a000, 0x7f88_eed9_0000).unwrap()
        );
        assert_eq!(vma.protection, Protection::new(true, false, true));
        assert!(!vma.shared);
        assert_eq!(vma.offset, 0x26000);
        assert_eq!(
            vma.device,
            Device {
                major: 0xfe,
                minor: 0
            }
        );
        assert_eq!(vma.inode, 326_279);
        assert_eq!(name, "/usr/lib/libc.so.6");
    }

    #[test]
    fn a_line_without_a_name_is_parsed() {
        let (vma, name) = parsed("1000-2000 rw-s 00000000 00:00 0 ").unwrap();
        assert!(vma.shared && !vma.has_object());
        assert_eq!(name, "");
        assert_eq!(parsed("1000-2000 rw-s 00000000 00:00 0").unwrap().1, "");
    }

    #[test]
    fn what_is_not_a_line_is_refused() {
        for line in [
            "",
            "1000",
            "1000-2000",
            "2000-1000 rw-p 0 0:0 0 ",
            "1000-2000 rw-p 0 0:0 ",
            "g000-2000 rw-p 0 0:0 0",
            "11111111111111111-22222222222222222 rw-p 0 0:0 0",
            "1000-2000 rw-p 0 100000000:0 0",
            "1000-2000 rw-p 0 0:0 99999999999999999999",
        ] {
            assert_eq!(parsed(line), None, "{line:?}");
        }
    }

    #[test]
    fn escaped_newlines_become_newlines() {
        let mut name = Vec::from(*b"/a\\012b\\012");
        let len = unescape(&mut name);
        assert_eq!(&name[..len], b"/a\nb\n");
        let mut name = Vec::from(*b"/a\\01");
        let len = unescape(&mut name);
        assert_eq!(&name[..len], b"/a\\01");
    }
}
