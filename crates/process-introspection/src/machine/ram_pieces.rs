//! Pieces of the machine's RAM, each of one zone, that threads read one by one. Knows where
//! RAM is, not its frames' facts.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

use process_introspection_core::{Operation, PageSize};

use crate::error::Error;
use crate::machine::physical_map::PhysicalMap;
use crate::machine::range::PhysRange;
use crate::machine::zones::Zone;
use crate::process::mounts::Mounts;

/// Returns the pieces of the RAM that is online, ascending.
pub(crate) fn read_in(
    mounts: &Mounts,
    zones: &[Zone],
    page: PageSize,
) -> Result<Vec<Piece>, Error> {
    let ram = PhysicalMap::read_in(mounts)?.ram();
    let ram = ram.ok_or_else(Error::hidden_ram)?;
    let offline = offline_blocks(&mounts.sys().join("devices/system/memory"))
        .map_err(|error| Error::of_io(&error, READ_MAP))?;
    let frames = |ranges: &[PhysRange]| -> Vec<_> {
        let ranges = ranges.iter();
        ranges.map(|range| whole_frames(*range, page)).collect()
    };
    Ok(pieces(
        &without(&frames(&ram), &frames(&offline)),
        zones,
        page,
    ))
}

const READ_MAP: Operation = Operation::ReadPhysicalMap;

/// Returns the memory blocks that are offline. A kernel without memory hotplug has no blocks
/// (drivers/base/memory.c, 5.10 to 6.18).
fn offline_blocks(folder: &Path) -> io::Result<Vec<PhysRange>> {
    let Ok(size) = fs::read_to_string(folder.join("block_size_bytes")) else {
        return Ok(Vec::new());
    };
    let size = u64::from_str_radix(size.trim(), 16).unwrap_or(0);
    let mut offline = Vec::new();
    for block in fs::read_dir(folder)? {
        let block = block?;
        let name = block.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("memory"));
        let Some(number) = number.and_then(|number| number.parse::<u64>().ok()) else {
            continue;
        };
        if matches!(fs::read_to_string(block.path().join("online")), Ok(text) if text.trim() == "0")
        {
            let start = number.saturating_mul(size);
            let end = start.saturating_add(size);
            offline.extend(PhysRange::new(start.into(), end.into()));
        }
    }
    offline.sort_unstable();
    Ok(offline)
}

/// Returns the frames that are wholly in a range.
fn whole_frames(range: PhysRange, page: PageSize) -> Range<u64> {
    let start = range.start().as_u64().div_ceil(page.bytes());
    start..(range.end().as_u64() >> page.shift()).max(start)
}

/// Returns what is in the first ranges and not in the second; both ascend.
fn without(ranges: &[Range<u64>], holes: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut rest = Vec::new();
    for range in ranges {
        let mut at = range.start;
        for hole in holes {
            if hole.end > at && hole.start < range.end {
                rest.push(at..hole.start.max(at));
                at = hole.end.min(range.end);
            }
        }
        rest.push(at..range.end);
    }
    rest.retain(|range| !range.is_empty());
    rest
}

/// Frames that one thread reads at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) frames: Range<u64>,
    /// Index of the zone, or the number of zones if it is not known.
    pub(crate) zone: usize,
}

/// Largest number of frames of a piece. Pieces begin at multiples of it, where no large folio
/// has begun before: the largest is 16 GiB with base pages of 64 KiB, 1 GiB with 4 KiB.
pub(crate) const PIECE: u64 = 1 << 18;

/// Returns the frames of ranges in pieces of one zone.
fn pieces(ranges: &[Range<u64>], zones: &[Zone], page: PageSize) -> Vec<Piece> {
    let spans: Vec<_> = zones
        .iter()
        .map(|zone| whole_frames(zone.range(page), page))
        .collect();
    let mut borders: Vec<u64> = spans
        .iter()
        .flat_map(|span| [span.start, span.end])
        .collect();
    borders.sort_unstable();
    let mut pieces = Vec::new();
    for range in ranges {
        let mut at = range.start;
        while at < range.end {
            let border = borders[borders.partition_point(|&border| border <= at)..].first();
            let end = border.map_or(range.end, |&border| border.min(range.end));
            let end = end.min((at / PIECE + 1) * PIECE);
            let mut around = (0..spans.len()).filter(|&zone| spans[zone].contains(&at));
            let zone = match (around.next(), around.next()) {
                (Some(zone), None) => zone,
                // Zones of several nodes can interleave.
                _ => zones.len(),
            };
            pieces.push(Piece {
                frames: at..end,
                zone,
            });
            at = end;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use process_introspection_core::Pfn;

    use super::*;

    #[test]
    fn ranges_without_holes_have_what_is_in_no_hole() {
        let rest = without(&[0..10, 20..30], &[0..2, 4..6, 9..22, 29..40]);
        assert_eq!(rest, [2..4, 6..9, 22..29]);
        assert_eq!(without(&[1..3, 5..6], &[]), [1..3, 5..6]);
        assert!(without(&[1..3, 5..6], &[0..2, 1..9]).is_empty());
    }

    #[test]
    fn a_piece_is_of_one_zone_or_of_none_and_ends_at_its_border() {
        let zone = |node, start, spanned| Zone {
            node,
            name: "Normal".to_owned(),
            start: Pfn::new(start),
            spanned,
            present: 0,
            managed: 0,
            free: 0,
            per_cpu: 0,
        };
        let zones = [zone(0, 10, 20), zone(1, 25, PIECE * 2)];
        let all = 0..PIECE + 5;
        let pieces = pieces(std::slice::from_ref(&all), &zones, PageSize::SIZE_4K);
        let found: Vec<_> = pieces
            .iter()
            .map(|piece| (piece.frames.clone(), piece.zone))
            .collect();
        let expected = [
            (0..10, 2),
            (10..25, 0),
            (25..30, 2),
            (30..PIECE, 1),
            (PIECE..PIECE + 5, 1),
        ];
        assert_eq!(found, expected);
    }
}
