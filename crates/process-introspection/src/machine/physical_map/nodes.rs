//! NUMA nodes of physical addresses: from sysfs's memory blocks, and from the spans of the
//! nodes' zones where blocks do not determine the node. Pure; knows no file and no
//! resources.

use std::collections::BTreeMap;

/// Addresses of one node, `end` exclusive.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) node: u32,
}

/// Address range of a zone, from its first page to its last. Zones of several nodes can
/// interleave; every page of a node is in a span of that node.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    node: u32,
    start: u64,
    end: u64,
}

/// Returns the spans in the text of `/proc/zoneinfo`, for this base page size. Zones
/// without pages have none (mm/vmstat.c `zoneinfo_show_print`, 5.10 to 6.18).
pub(super) fn spans(text: &str, page: u64) -> Vec<Span> {
    let mut spans = Vec::new();
    let (mut node, mut pages) = (None, None);
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("Node"), Some(number)) => {
                node = number.trim_end_matches(',').parse::<u32>().ok();
                pages = None;
            }
            (Some("spanned"), Some(number)) => pages = number.parse::<u64>().ok(),
            (Some("start_pfn:"), Some(number)) => {
                let start = number
                    .parse()
                    .ok()
                    .and_then(|frame: u64| frame.checked_mul(page));
                let size = pages.and_then(|pages| pages.checked_mul(page));
                let (Some(node), Some(start), Some(size)) = (node, start, size) else {
                    continue;
                };
                let end = start.saturating_add(size);
                if start < end {
                    spans.push(Span { node, start, end });
                }
            }
            _ => {}
        }
    }
    spans
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
    pub(super) fn pieces(&self, spans: &[Span]) -> Vec<Piece> {
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
fn by_spans(pieces: &mut Vec<Piece>, (start, end): (u64, u64), spans: &[Span], owners: &[u32]) {
    let possible = |span: &&Span| owners.is_empty() || owners.contains(&span.node);
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
        let around = |span: &&&Span| span.start <= pair[0] && pair[1] <= span.end;
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

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 4096;

    fn blocks(size: u64, nodes: &[(u64, &[u32])]) -> Candidates {
        let nodes = nodes.iter().map(|&(block, nodes)| (block, nodes.to_vec()));
        let nodes = nodes.collect();
        Candidates::Blocks { size, nodes }
    }

    fn piece(start: u64, end: u64, node: u32) -> Piece {
        Piece { start, end, node }
    }

    #[test]
    fn spans_are_those_of_zones_with_pages() {
        let text = "\
Node 0, zone      DMA
  pages free     1
        spanned  4095
        present  3998
        protection: (0, 1, 2)
  start_pfn:           1
Node 0, zone  Movable
        spanned  0
        present  0
Node 1, zone   Normal
        spanned  256
  start_pfn:           4096
";
        let span = |node, start, end| Span { node, start, end };
        let expected = [
            span(0, PAGE, 4096 * PAGE),
            span(1, 4096 * PAGE, 4352 * PAGE),
        ];
        assert_eq!(spans(text, PAGE), expected);
    }

    #[test]
    fn a_block_of_one_node_is_that_nodes_and_neighbours_are_joined() {
        let candidates = blocks(0x100, &[(0, &[0]), (1, &[0]), (3, &[0]), (4, &[1])]);
        assert!(!candidates.need_spans());
        let expected = [
            piece(0, 0x200, 0),
            piece(0x300, 0x400, 0),
            piece(0x400, 0x500, 1),
        ];
        assert_eq!(candidates.pieces(&[]), expected);
    }

    #[test]
    fn a_block_of_two_nodes_is_divided_by_the_spans() {
        let candidates = blocks(0x100, &[(0, &[0]), (1, &[0, 1]), (2, &[1])]);
        assert!(candidates.need_spans());
        let span = |node, start, end| Span { node, start, end };
        let divided = [span(0, 0, 0x140), span(1, 0x140, 0x300)];
        let expected = [piece(0, 0x140, 0), piece(0x140, 0x300, 1)];
        assert_eq!(candidates.pieces(&divided), expected);
        // Interleaved: where both spans overlap, the node is not known.
        let interleaved = [span(0, 0, 0x180), span(1, 0x140, 0x300)];
        let expected = [piece(0, 0x140, 0), piece(0x180, 0x300, 1)];
        assert_eq!(candidates.pieces(&interleaved), expected);
        // The span of another node does not count.
        let other = [divided[0], divided[1], span(2, 0, 0x300)];
        assert_eq!(candidates.pieces(&other), candidates.pieces(&divided));
        assert_eq!(
            candidates.pieces(&[]),
            [piece(0, 0x100, 0), piece(0x200, 0x300, 1)]
        );
    }

    #[test]
    fn without_blocks_the_spans_tell_where_they_do_not_interleave() {
        let span = |node, start, end| Span { node, start, end };
        let spans = [
            span(0, 1, 5),
            span(0, 5, 20),
            span(1, 10, 15),
            span(2, 30, 40),
        ];
        let expected = [piece(1, 10, 0), piece(15, 20, 0), piece(30, 40, 2)];
        assert_eq!(Candidates::Everywhere.pieces(&spans), expected);
    }

    #[test]
    fn a_range_has_a_node_only_if_all_of_it_has_that_node() {
        let pieces = [
            piece(0x10, 0x20, 0),
            piece(0x20, 0x30, 1),
            piece(0x40, 0x50, 1),
        ];
        for (start, size, node) in [
            (0x10, 0x10, Some(0)),
            (0x1f, 1, Some(0)),
            (0x20, 1, Some(1)),
            (0x18, 0x10, None),
            (0x2f, 2, None),
            (0x28, 0x20, None),
            (0x8, 0x10, None),
            (0x48, 0x10, None),
            (0x50, 1, None),
            (u64::MAX, 2, None),
        ] {
            assert_eq!(node_of(&pieces, start, size), node, "{start:#x} {size:#x}");
        }
    }

    #[test]
    fn only_what_lies_within_the_ranges_is_left() {
        let pieces = [piece(0, 0x100, 0), piece(0x100, 0x200, 1)];
        let parts = within(&pieces, &[(0x10, 0x1f), (0x80, 0x17f), (0x1f0, u64::MAX)]);
        let expected = [
            piece(0x10, 0x20, 0),
            piece(0x80, 0x100, 0),
            piece(0x100, 0x180, 1),
            piece(0x1f0, 0x200, 1),
        ];
        assert_eq!(parts, expected);
    }

    #[test]
    fn parts_are_all_of_it_each_with_its_own_node() {
        let piece = |start, end, node| Piece { start, end, node };
        let pieces = [piece(10, 20, 0), piece(20, 30, 1), piece(40, 50, 0)];
        let of = |start, size| parts(&pieces, start, size).collect::<Vec<_>>();
        assert_eq!(of(12, 3), [(Some(0), 3)]);
        assert_eq!(of(15, 10), [(Some(0), 5), (Some(1), 5)]);
        let all = [
            (None, 5),
            (Some(0), 10),
            (Some(1), 10),
            (None, 10),
            (Some(0), 10),
            (None, 7),
        ];
        assert_eq!(of(5, 52), all);
        assert_eq!(of(60, 4), [(None, 4)]);
        assert_eq!(of(10, 0), []);
    }
}
