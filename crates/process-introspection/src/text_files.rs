//! Reader of the small text files of proc, sysfs and cgroups, as a whole. The core's
//! `proc_text` parses their lines and fields; their meaning is not known here.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use process_introspection_core as core;
use process_introspection_core::proc_text::{number, value_of};
use rustix::fs::{openat, Mode, OFlags};

use crate::sys;

/// Returns the contents of a file in an open directory.
pub(crate) fn read_at(directory: impl AsFd, path: &str) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let mut file = File::from(openat(directory, path, flags, Mode::empty())?);
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(text)
}

/// Returns the contents of a file of a process.
pub(crate) fn read_of(process: &core::ProcessHandle, name: &str) -> io::Result<Vec<u8>> {
    read_at(sys::directory(process), name)
}

/// Returns the number that is all of a file.
pub(crate) fn number_in(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Returns the bytes of a line `NAME: N kB`, as meminfo has it.
pub(crate) fn bytes_of_kib(text: &[u8], name: &str) -> Option<u64> {
    let value = value_of(text, format!("{name}:").as_bytes())?;
    number::<u64>(value.strip_suffix(b" kB")?)?.checked_mul(1024)
}

/// Returns a path without escapes: `swaps` and `mountinfo` contain blanks and backslashes
/// as `\040` (fs/seq_file.c, `mangle_path`).
pub(crate) fn unescaped(path: &str) -> OsString {
    let bytes = path.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let octal = bytes
            .get(at + 1..at + 4)
            .filter(|_| byte == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(octal.unwrap_or(byte));
        at += if octal.is_some() { 4 } else { 1 };
    }
    OsString::from_vec(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_escaped_is_replaced() {
        for (path, plain) in [
            ("/a\\040b\\134c", "/a b\\c"),
            ("/a\\04", "/a\\04"),
            ("/a\\x", "/a\\x"),
            ("\\040\\", " \\"),
        ] {
            assert_eq!(unescaped(path), plain);
        }
    }

    #[test]
    fn a_counter_is_the_number_behind_its_whole_name() {
        let meminfo = b"Slab:             12 kB\nShmemHugePages:    4 kB\nShmem:         3 kB\n\
            HugePages_Total:    7\n";
        assert_eq!(bytes_of_kib(meminfo, "Shmem"), Some(3072));
        assert_eq!(bytes_of_kib(meminfo, "Cached"), None);
        assert_eq!(bytes_of_kib(meminfo, "HugePages_Total"), None);
    }

    #[test]
    fn a_file_is_read_whole() {
        let proc = File::open("/proc/self").unwrap();
        let status = read_at(&proc, "status").unwrap();
        assert!(status.starts_with(b"Name:") && status.ends_with(b"\n"));
        assert!(read_at(&proc, "no such file").is_err());
    }
}
