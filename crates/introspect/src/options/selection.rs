//! `RANGE` and `--mapping`: the selected addresses of one process.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueHint};
use process_introspection::{AddrRange, Mapping, PageSize, Process};

use crate::failure::Failure;
use crate::options::range::RangeText;
use crate::text::printable;

// Optional; a subcommand that needs a range or `--mapping` says so by `mut_arg`.
#[derive(Debug, Args)]
pub(crate) struct RangeArgument {
    /// START-END, START+SIZE, or the page of one address
    #[arg(value_name = "RANGE")]
    range: Option<RangeText>,
    #[command(flatten)]
    mapping: MappingOption,
}

#[derive(Debug, Args)]
pub(crate) struct MappingOption {
    /// Only mappings with NAME in their name, such as heap
    #[arg(long, value_name = "NAME", value_parser = non_empty(), value_hint = ValueHint::Other)]
    mapping: Option<OsString>,
}

fn non_empty() -> impl TypedValueParser<Value = OsString> {
    OsStringValueParser::new().try_map(|name| match name.is_empty() {
        true => Err("a name has at least one byte"),
        false => Ok(name),
    })
}

impl RangeArgument {
    /// Returns the selected addresses.
    pub(crate) fn selection(&self) -> Selection<'_> {
        self.mapping.selection(self.range)
    }
}

impl MappingOption {
    /// Returns the selection of this range and these mappings.
    pub(crate) fn selection(&self, range: Option<RangeText>) -> Selection<'_> {
        Selection {
            range,
            mapping: self.mapping.as_deref(),
        }
    }
}

/// Selected addresses: a range, the mappings whose name contains a text, or the
/// intersection of both; everything if neither is present.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Selection<'a> {
    /// RANGE.
    pub(crate) range: Option<RangeText>,
    /// Part of a mapping's name.
    pub(crate) mapping: Option<&'a OsStr>,
}

impl Selection<'_> {
    /// Returns whether all addresses are selected.
    pub(crate) fn is_everything(&self) -> bool {
        self.range.is_none() && self.mapping.is_none()
    }

    /// Returns the one address that RANGE consists of, if it does.
    pub(crate) fn address(&self) -> Option<u64> {
        self.range.and_then(RangeText::address)
    }

    /// Returns the addresses of RANGE, or all addresses.
    pub(crate) fn bounds(&self, page: PageSize) -> AddrRange {
        self.range
            .map_or(AddrRange::ALL, |range| range.resolve(page))
    }

    /// Returns whether the mapping's name is selected.
    pub(crate) fn contains_name(&self, mapping: &Mapping) -> bool {
        self.contains(mapping.name().as_bytes())
    }

    /// Returns whether this name of a mapping is selected.
    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        self.mapping
            .is_none_or(|part| contains(name, part.as_encoded_bytes()))
    }

    /// Returns the selected addresses, ascending, in as few ranges as possible; at
    /// least one.
    pub(crate) fn ranges(&self, process: &Process) -> Result<Vec<AddrRange>, Failure> {
        self.ranges_among(process.page_size(), |bounds| {
            Ok(process.virtual_regions(bounds)?)
        })
    }

    /// Returns the selected addresses among the mappings of any source. `mappings` is called
    /// only if mappings are selected by name.
    pub(crate) fn ranges_among<I, E>(
        &self,
        page: PageSize,
        mappings: impl FnOnce(AddrRange) -> Result<I, Failure>,
    ) -> Result<Vec<AddrRange>, Failure>
    where
        I: Iterator<Item = Result<Arc<Mapping>, E>>,
        Failure: From<E>,
    {
        let ranges = self.any_ranges_among(page, mappings)?;
        match ranges.is_empty() {
            true => Err(self.no_mapping()),
            false => Ok(ranges),
        }
    }

    /// Returns the selected addresses as [`Selection::ranges_among`]; none if no mapping is
    /// selected.
    pub(crate) fn any_ranges_among<I, E>(
        &self,
        page: PageSize,
        mappings: impl FnOnce(AddrRange) -> Result<I, Failure>,
    ) -> Result<Vec<AddrRange>, Failure>
    where
        I: Iterator<Item = Result<Arc<Mapping>, E>>,
        Failure: From<E>,
    {
        let bounds = self.bounds(page);
        if self.mapping.is_none() {
            return Ok(vec![bounds]);
        }
        let mut ranges = Vec::new();
        for mapping in mappings(bounds)? {
            let mapping = mapping?;
            if self.contains_name(&mapping) {
                if let Some(range) = mapping.range.intersection(bounds) {
                    append(&mut ranges, range);
                }
            }
        }
        Ok(ranges)
    }

    /// Returns the selection for other threads.
    pub(crate) fn to_shared(self) -> SharedSelection {
        SharedSelection {
            range: self.range,
            mapping: self.mapping.map(OsStr::to_owned),
        }
    }

    /// Error if no mapping is selected.
    pub(crate) fn no_mapping(&self) -> Failure {
        let name = self.mapping.map(printable).unwrap_or_default();
        let place = match self.range {
            Some(_) => " in this range",
            None => "",
        };
        Failure::Message(format!(
            "no mapping{place} has \"{name}\" in its name (introspect virtual lists them)"
        ))
    }
}

/// [`Selection`] that other threads can have.
#[derive(Clone, Debug)]
pub(crate) struct SharedSelection {
    range: Option<RangeText>,
    mapping: Option<OsString>,
}

impl SharedSelection {
    /// Returns the selection.
    pub(crate) fn get(&self) -> Selection<'_> {
        Selection {
            range: self.range,
            mapping: self.mapping.as_deref(),
        }
    }
}

/// Extends the last range if the next one begins where it ends.
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
