//! Files on which a process has a lease for writing: an open by anyone else breaks it. From
//! `/proc/locks`; opens no file.

use std::collections::HashSet;
use std::fs;

use process_introspection_core::vma::Device;

use crate::process::mounts::Mounts;

/// Returns the device and the inode number of each file with such a lease. Empty where the
/// list cannot be read.
pub(super) fn read(mounts: &Mounts) -> HashSet<(Device, u64)> {
    let text = fs::read_to_string(mounts.proc().join("locks")).unwrap_or_default();
    parse(&text)
}

/// Parses lines such as `1: LEASE ACTIVE WRITE 1234 fe:00:567 0 EOF` (fs/locks.c
/// `lock_get_status`, Linux 5.10 to 7.2). One that is being broken has the type that
/// remains, and is not broken again.
fn parse(text: &str) -> HashSet<(Device, u64)> {
    let leased = |line: &str| {
        let mut fields = line
            .split_whitespace()
            .skip(1)
            .skip_while(|&field| field == "->");
        let kind = fields.next()?;
        let (state, access) = (fields.next()?, fields.next()?);
        if !matches!(kind, "LEASE" | "DELEG") || state != "ACTIVE" || access != "WRITE" {
            return None;
        }
        let mut file = fields.nth(1)?.split(':');
        let mut hexadecimal = || u32::from_str_radix(file.next()?, 16).ok();
        let (major, minor) = (hexadecimal()?, hexadecimal()?);
        Some((Device { major, minor }, file.next()?.parse().ok()?))
    };
    text.lines().filter_map(leased).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_leases_for_writing_are_broken_by_an_open_for_reading() {
        let text = "\
1: LEASE  ACTIVE    WRITE 1234 fe:00:567 0 EOF
2: LEASE  ACTIVE    READ  1234 fe:00:568 0 EOF
3: LEASE  BREAKING  READ  1234 fe:00:569 0 EOF
4: POSIX  ADVISORY  WRITE 1234 fe:00:570 0 EOF
4: -> POSIX  ADVISORY  WRITE 1235 fe:00:571 0 EOF
5: DELEG  ACTIVE    WRITE 1234 00:1f:572 0 EOF
6: LEASE
";
        let file = |major, minor, inode| (Device { major, minor }, inode);
        let expected = HashSet::from([file(0xfe, 0, 567), file(0, 0x1f, 572)]);
        assert_eq!(parse(text), expected);
    }
}
