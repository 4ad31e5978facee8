//! NUMA nodes of physical addresses: from sysfs's memory blocks, and from the spans of the
//! nodes' zones where blocks do not determine the node. Pure; knows no file and no
//! resources.

use std::collections::BTreeMap;
use std::ops::Range;

use process_introspection_core::PageSize;

use crate::machine::zones::Zone;

/// Addresses of one node, `end` exclusive.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) node: u32,
}

/// Returns the addresses of zones, from the first page of each to its last. Zones of several
/// nodes can interleave; every page of a node is in a span of that node.
pub(super) fn spans(zones: &[Zone], page: PageSize) -> Vec<Piece> {
    let span = |zone: &Zone| {
        let range = zone.range(page);
        let (start, end) = (range.start().as_u64(), range.end().as_u64());
        (start < end).then_some(Piece {
            start,
            end,
            node: zone.node,
        })
    };
    zones.iter().filter_map(span).collect()
}

/// RAM that the kernel manages, as far as is known.
#[derive(Clone, Debug)]
pub(super) enum Candidates {
    /// Memory blocks, by their numbers, with the nodes that link to them: two if the border
    /// between the nodes lies within the block (drivers/base/node.c, 5.10 to 6.18).
    Blocks {
        size: u64,
        nodes: BTreeMap<u64, Vec<u32>>,
    },
    /// Kernel without memory blocks (no CONFIG_MEMORY_HOTPLUG).
    Everywhere,
}

impl Candidates {
    /// Returns whether the blocks leave some nodes to the spans.
    pub(super) fn need_spans(&self) -> bool {
        match self {
            Self::Blocks { nodes, .. } => nodes.values().any(|nodes| nodes.len() != 1),
            Self::Everywhere => true,
        }
    }

    /// Returns the addresses whose node is known, ascending, with neighbours of one node
    /// joined.
    pub(super) fn pieces(&self, spans: &[Piece]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        match self {
            Self::Blocks { size, nodes } => {
                for (&block, owners) in nodes {
                    let Some(start) = block.checked_mul(*size) else {
                        continue;
                    };
                    let end = start.saturating_add(*size);
                    match owners[..] {
                        [node] => append(&mut pieces, Piece { start, end, node }),
                        _ => by_spans(&mut pieces, (start, end), spans, owners),
                    }
                }
            }
            Self::Everywhere => by_spans(&mut pieces, (0, u64::MAX), spans, &[]),
        }
        pieces
    }
}

/// Adds those addresses of a range that lie in the spans of exactly one node, of `owners`
/// if there are any.
fn by_spans(pieces: &mut Vec<Piece>, (start, end): (u64, u64), spans: &[Piece], owners: &[u32]) {
    let possible = |span: &&Piece| owners.is_empty() || owners.contains(&span.node);
    let spans: Vec<_> = spans.iter().filter(possible).collect();
    let mut borders: Vec<_> = spans
        .iter()
        .flat_map(|span| [span.start, span.end])
        .collect();
    borders.retain(|&border| start < border && border < end);
    borders.extend([start, end]);
    borders.sort_unstable();
    borders.dedup();
    for pair in borders.windows(2) {
        let around = |span: &&&Piece| span.start <= pair[0] && pair[1] <= span.end;
        let mut nodes = spans.iter().filter(around).map(|span| span.node);
        let Some(node) = nodes.next() else { continue };
        if nodes.all(|other| other == node) {
            let (start, end) = (pair[0], pair[1]);
            append(pieces, Piece { start, end, node });
        }
    }
}

fn append(pieces: &mut Vec<Piece>, next: Piece) {
    match pieces.last_mut() {
        Some(last) if last.end == next.start && last.node == next.node => last.end = next.end,
        _ => pieces.push(next),
    }
}

/// Returns the parts of the pieces in these ranges (first and last byte, ascending).
pub(super) fn within(pieces: &[Piece], ranges: &[(u64, u64)]) -> Vec<Piece> {
    let mut parts = Vec::new();
    for &(first, last) in ranges {
        let from = pieces.partition_point(|piece| piece.end <= first);
        for piece in pieces[from..]
            .iter()
            .take_while(|piece| piece.start <= last)
        {
            let start = piece.start.max(first);
            let end = piece.end.min(last.saturating_add(1));
            append(
                &mut parts,
                Piece {
                    start,
                    end,
                    ..*piece
                },
            );
        }
    }
    parts
}

/// Returns the node of all of `size` bytes from `start`; `None` if it is not known for one
/// of them, or differs between them.
pub(super) fn node_of(pieces: &[Piece], start: u64, size: u64) -> Option<u32> {
    let end = start.checked_add(size)?;
    let from = pieces.partition_point(|piece| piece.end <= start);
    let mut at = start;
    let mut node = None;
    for piece in &pieces[from..] {
        if piece.start > at || node.is_some_and(|node| node != piece.node) {
            return None;
        }
        node = Some(piece.node);
        at = piece.end;
        if at >= end {
            return node;
        }
    }
    None
}

/// Returns the addresses around `address` that have the same node as it; none if that is not
/// known.
pub(super) fn around(pieces: &[Piece], address: u64) -> Range<u64> {
    let piece = pieces.get(pieces.partition_point(|piece| piece.end <= address));
    let piece = piece.filter(|piece| piece.start <= address);
    piece.map_or(0..0, |piece| piece.start..piece.end)
}

/// Returns the nodes of `size` bytes from `start`, in pieces; `None` where the node is not
/// known.
pub(super) fn parts(
    pieces: &[Piece],
    start: u64,
    size: u64,
) -> impl Iterator<Item = (Option<u32>, u64)> + '_ {
    let end = start.saturating_add(size);
    let mut rest = &pieces[pieces.partition_point(|piece| piece.end <= start)..];
    let mut at = start;
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let (node, to) = match rest.first() {
            Some(piece) if piece.start <= at => {
                rest = &rest[1..];
                (Some(piece.node), piece.end.min(end))
            }
            Some(piece) => (None, piece.start.min(end)),
            None => (None, end),
        };
        let part = (node, to - at);
        at = to;
        Some(part)
    })
}
