//! From RANGE and `--mapping` to ranges of one process's addresses.

use std::ffi::OsStr;

use process_introspection::{AddrRange, Mapping, Process};

use crate::failure::Failure;
use crate::options::range::RangeText;
use crate::options::target::printable;

/// Which addresses are meant: those of RANGE, of the mappings whose name
/// holds a text, or what is in both; everything by default.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Selection<'a> {
    /// RANGE.
    pub(crate) range: Option<RangeText>,
    /// A part of a name.
    pub(crate) mapping: Option<&'a OsStr>,
}

impl Selection<'_> {
    /// What RANGE means, everything without one.
    pub(crate) fn bounds(&self, process: &Process) -> AddrRange {
        self.range
            .map_or(AddrRange::ALL, |range| range.resolve(process.page_size()))
    }

    /// Whether a mapping's name is selected.
    pub(crate) fn names(&self, mapping: &Mapping) -> bool {
        self.mapping
            .is_none_or(|part| contains(mapping.name().as_bytes(), part.as_encoded_bytes()))
    }

    /// The addresses, ascending, as few ranges as possible; at least one.
    pub(crate) fn ranges(&self, process: &Process) -> Result<Vec<AddrRange>, Failure> {
        let bounds = self.bounds(process);
        if self.mapping.is_none() {
            return Ok(vec![bounds]);
        }
        let mut ranges = Vec::new();
        for mapping in process.virtual_regions(bounds)? {
            let mapping = mapping?;
            if self.names(&mapping) {
                if let Some(range) = mapping.range.intersection(bounds) {
                    append(&mut ranges, range);
                }
            }
        }
        if ranges.is_empty() {
            return Err(self.nothing());
        }
        Ok(ranges)
    }

    /// That no mapping is selected.
    pub(crate) fn nothing(&self) -> Failure {
        let name = self.mapping.map(printable).unwrap_or_default();
        let place = if self.range.is_some() {
            " in this range"
        } else {
            ""
        };
        Failure::Message(format!(
            "no mapping{place} has \"{name}\" in its name (introspect virtual lists them)"
        ))
    }
}

/// Lengthens the last range if the next one follows it at once.
fn append(ranges: &mut Vec<AddrRange>, next: AddrRange) {
    if let Some(last) = ranges.last_mut() {
        if last.end() == next.start() {
            let (start, end) = (last.start().as_u64(), next.end().as_u64());
            *last = AddrRange::new(start, end).unwrap_or(*last);
            return;
        }
    }
    ranges.push(next);
}

fn contains(name: &[u8], part: &[u8]) -> bool {
    part.is_empty() || name.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_selected_by_any_part_of_it() {
        assert!(contains(b"[heap]", b"[heap]"));
        assert!(contains(b"/usr/lib/libc.so.6", b"libc.so"));
        assert!(contains(b"/caf\xe9/x", b"\xe9/"));
        assert!(!contains(b"", b"x"));
        assert!(!contains(b"/usr/lib/libc.so.6", b"libm"));
    }

    #[test]
    fn ranges_that_touch_become_one() {
        let range = |start, end| AddrRange::new(start, end).unwrap();
        let mut ranges = Vec::new();
        for next in [range(1, 2), range(2, 5), range(6, 7)] {
            append(&mut ranges, next);
        }
        assert_eq!(ranges, [range(1, 5), range(6, 7)]);
    }
}
