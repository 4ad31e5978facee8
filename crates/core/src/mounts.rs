//! Finds the type of the file system of a device number in the text of `mountinfo`: the
//! only source that every kernel has and that needs no request to a file system. Knows
//! nothing of mappings.

use crate::error::{if_readable, Errno, Result};
use crate::proc_text::number;
use crate::process::ProcessHandle;
use crate::sys;
use crate::vma::Device;

/// Returns whether a file system of this type has a server that can keep a caller waiting
/// for ever, even a killed one: a request that a FUSE server has taken is waited for
/// without limit (fs/fuse/dev.c `request_wait_answer`, Linux 6.12; seen on 6.18). A
/// signal ends the wait for NFS, CIFS or 9p.
pub(crate) fn has_server(file_system: &[u8]) -> bool {
    // The type can have a subtype: fuse.sshfs.
    file_system == b"virtiofs"
        || file_system
            .strip_prefix(b"fuse")
            .is_some_and(|rest| matches!(rest, [] | [b'.', ..] | b"blk"))
}

/// Returns whether the files of this device belong to a server; `None` if neither the
/// process nor the caller has a mount of this device.
///
/// # Errors
/// EMFILE, ENFILE and ENOMEM.
#[inline(never)] // Keeps its buffers out of its callers' stack frames.
pub(crate) fn is_of_server(process: &ProcessHandle, device: Device) -> Result<Option<bool>> {
    for (dir, path) in [
        (process.directory(), &b"mountinfo\0"[..]),
        (sys::CWD, b"/proc/thread-self/mountinfo\0"),
    ] {
        let Some(text) = if_readable(sys::openat(dir, path, 0))? else {
            continue;
        };
        let mut finder = Finder::new(device);
        let mut buffer = [0u8; 2048];
        loop {
            match sys::read(text.borrow(), &mut buffer) {
                Ok(0) => break,
                Ok(len) => finder.feed(&buffer[..len]),
                // The process no longer has a mount namespace.
                Err(Errno::EINVAL) => break,
                Err(errno) => {
                    if_readable::<()>(Err(errno))?;
                    break;
                }
            }
            if finder.found.is_some() {
                return Ok(finder.found);
            }
        }
    }
    Ok(None)
}

/// Number of bytes of a field that are compared.
const FIELD: usize = 24;

/// Finds the type of a device's file system in the text of `mountinfo`, fed in
/// parts (Documentation/filesystems/proc.rst: `36 35 98:0 / /mnt rw master:1 -
/// ext3 /dev/root rw`).
#[derive(Debug, Default)]
struct Finder {
    device: Device,
    found: Option<bool>,
    field: [u8; FIELD],
    len: usize,
    /// Index of the field in the line.
    number: u32,
    is_device: bool,
    /// True if the next field is the one behind the separator, the type.
    type_is_next: bool,
}

impl Finder {
    fn new(device: Device) -> Self {
        Self {
            device,
            ..Self::default()
        }
    }

    fn feed(&mut self, text: &[u8]) {
        for &byte in text {
            if self.found.is_some() {
                return;
            }
            match byte {
                b' ' | b'\n' => self.end_field(byte == b'\n'),
                _ => {
                    if let Some(place) = self.field.get_mut(self.len) {
                        *place = byte;
                    }
                    self.len += 1;
                }
            }
        }
    }

    fn end_field(&mut self, ends_line: bool) {
        let field = &self.field[..self.len.min(FIELD)];
        if self.number == 2 {
            self.is_device = is_device(field, self.device);
        } else if self.type_is_next {
            if self.is_device {
                self.found = Some(has_server(field));
            }
            self.type_is_next = false;
        } else if self.number > 5 && field == b"-" {
            self.type_is_next = true;
        }
        self.len = 0;
        self.number += 1;
        if ends_line {
            (self.number, self.is_device, self.type_is_next) = (0, false, false);
        }
    }
}

/// Returns whether the field is the device's number, `MAJOR:MINOR` in decimal.
fn is_device(field: &[u8], device: Device) -> bool {
    let colon = field.iter().position(|&byte| byte == b':');
    let Some((major, [_, minor @ ..])) = colon.map(|at| field.split_at(at)) else {
        return false;
    };
    (number(major), number(minor)) == (Some(device.major), Some(device.minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"\
22 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw\n\
30 22 0:27 / /mnt/a\\040-\\040b rw,nosuid - fuse.sshfs host:/ rw,user_id=0\n\
31 22 0:270 / /long rw - virtiofs a-source-with-a-name-that-is-longer-than-a-field rw\n\
32 22 0:31 /x /y rw - fusectl fusectl rw\n";

    fn of(minor: u32, part: usize) -> Option<bool> {
        let mut finder = Finder::new(Device { major: 0, minor });
        TEXT.chunks(part).for_each(|part| finder.feed(part));
        finder.found
    }

    #[test]
    fn a_devices_file_system_is_found_however_the_text_is_cut() {
        for part in 1..TEXT.len() {
            assert_eq!(of(27, part), Some(true), "{part}");
            assert_eq!(of(270, part), Some(true), "{part}");
            assert_eq!(of(31, part), Some(false), "{part}");
            assert_eq!(of(2, part), None, "{part}");
        }
    }

    #[test]
    fn only_file_systems_with_a_server_that_cannot_be_left_count() {
        for name in ["fuse", "fuseblk", "fuse.glusterfs", "virtiofs"] {
            assert!(has_server(name.as_bytes()), "{name}");
        }
        for name in ["fusectl", "nfs4", "ext4", "overlay", "tmpfs", ""] {
            assert!(!has_server(name.as_bytes()), "{name}");
        }
    }
}
