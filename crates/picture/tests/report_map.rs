//! Each cell of each layer of a report's map has the class and the purity that counting the
//! frames one by one gives, and the exact runs are those of the frames.

mod decoded;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use decoded::{header, runs, words, Counts};
use process_introspection::{FrameFlags, FrameRun, FrameUse, Pfn};
use process_introspection_picture::map::space::Space;
use process_introspection_picture::palette::{FrameChanged, SERIES};
use process_introspection_picture::report::changes::ChangeLayer;
use process_introspection_picture::report::document::{Document, MOST_BYTES};
use process_introspection_picture::report::frames::FrameLayers;
use process_introspection_picture::report::layers::MapPicture;
use proptest::prelude::*;
use serde_json::Value;

const PAGE: u64 = 4096;

/// Frames of one folio, or single ones of equal facts.
#[derive(Clone, Debug)]
struct Frames {
    gap: u64,
    /// Order of a folio; `None` for single frames.
    order: Option<u32>,
    pages: u64,
    frame_use: FrameUse,
    mapcount: u64,
    cgroup: Option<u64>,
    node: Option<u32>,
    /// Process that maps them.
    process: u64,
}

fn frames() -> impl Strategy<Value = Frames> {
    let gap = prop_oneof![8 => Just(0u64), 2 => 1u64..500, 1 => 30_000u64..200_000];
    let order = prop_oneof![3 => Just(None), 2 => (1u32..11).prop_map(Some)];
    let facts = (0usize..FrameUse::ALL.len(), 0u64..4, 0u64..16, 0u32..4);
    (gap, order, 1u64..3000, facts, 0u64..14).prop_map(
        |(gap, order, pages, (one, mapcount, cgroup, node), process)| Frames {
            gap,
            order,
            pages: order.map_or(pages, |order| 1 << order),
            frame_use: FrameUse::ALL[one],
            mapcount,
            cgroup: Some(cgroup).filter(|&inode| inode > 0),
            node: Some(node).filter(|&node| node > 0),
            process,
        },
    )
}

/// The runs, as a kernel has them.
fn runs_of(all: &[Frames]) -> Vec<(FrameRun, Option<u32>, u64)> {
    let mut runs = Vec::new();
    let mut at = 0;
    for frames in all {
        at += frames.gap;
        let run = |pfn: u64, pages: u64, flags: FrameFlags| FrameRun {
            pfn: Pfn::new(pfn),
            pages,
            frame_use: frames.frame_use,
            flags,
            mapcount: frames.mapcount,
            cgroup: frames.cgroup,
            zone: None,
        };
        let mut push = |run| runs.push((run, frames.node, frames.process));
        match frames.order {
            None => push(run(at, frames.pages, FrameFlags::default())),
            Some(_) => {
                push(run(at, 1, FrameFlags::COMPOUND_HEAD));
                // Facts of parts can differ: the tails are in two runs.
                let first = (frames.pages - 1).div_ceil(2);
                let rest = frames.pages - 1 - first;
                push(run(at + 1, first, FrameFlags::COMPOUND_TAIL));
                if rest > 0 {
                    push(run(at + 1 + first, rest, FrameFlags::COMPOUND_TAIL));
                }
            }
        }
        at += frames.pages;
    }
    runs
}

/// Classes of the layer of sizes.
fn size_class(frames: &Frames) -> u8 {
    use FrameUse as U;
    let is_none = matches!(
        frames.frame_use,
        U::Free | U::Unflagged | U::Offline | U::Reserved | U::Poisoned | U::Kernel
    );
    match frames.order {
        Some(order) => order.min(11) as u8,
        None if is_none => 13,
        None => 0,
    }
}

/// Returns the class of each key: the most frequent ones are the first classes.
fn ranked(
    counts: &BTreeMap<u64, u64>,
    names: &[String],
    name: impl Fn(u64) -> String,
) -> BTreeMap<u64, u8> {
    let mut keys: Vec<_> = counts.iter().collect();
    keys.sort_by_key(|&(key, frames)| (Reverse(frames), key));
    let shown = keys.len().min(SERIES.len());
    for (class, (key, _)) in keys[..shown].iter().enumerate() {
        assert_eq!(names[class], name(**key));
    }
    let class = |at: usize| at.min(shown) as u8;
    keys.iter()
        .enumerate()
        .map(|(at, (key, _))| (**key, class(at)))
        .collect()
}

fn report(all: &[Frames], level: u32) -> (Space, Value) {
    let runs = runs_of(all);
    let ranges = runs.iter().map(|(run, ..)| {
        let start = run.pfn.as_u64();
        start..start + run.pages
    });
    let space = Space::new(PAGE, ranges);
    let mut layers = FrameLayers::new(&space, level, true);
    for (run, node, _) in &runs {
        layers.add(run, *node);
    }
    for process in 0..14 {
        // Two threads of walks see frames twice, which counts once.
        for _ in 0..2 {
            for (run, _, of) in &runs {
                if *of == process {
                    let start = run.pfn.as_u64();
                    layers.add_mapped(start..start + run.pages);
                }
            }
        }
        layers.end_process(|| format!("process {process}"));
    }
    let (layers, exact) = layers.finish(|inode| format!("cgroup {inode}"));
    let mut document = Document::new(header("a machine"));
    document.map = Some(MapPicture {
        space: space.clone(),
        layers,
        runs: exact,
        runs_command: "list {start}".to_owned(),
    });
    let json = document.json(MOST_BYTES);
    (space, serde_json::from_slice(&json).expect("JSON"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_cell_of_every_layer_equals_a_naive_reduction(
        all in prop::collection::vec(frames(), 1..40),
        level in 0u32..6,
    ) {
        let (space, report) = report(&all, level);
        let map = &report["map"];
        let layers = map["layers"].as_array().expect("layers");
        let mut places = Vec::new();
        let mut at = 0;
        for frames in &all {
            at += frames.gap;
            for frame in at..at + frames.pages {
                let place = space.places_of(frame..frame + 1).next().expect("a place");
                places.push((place.start, frames));
            }
            at += frames.pages;
        }
        let sums = |key: &dyn Fn(&Frames) -> Option<u64>| {
            let mut sums = BTreeMap::<u64, u64>::new();
            for (_, frames) in &places {
                if let Some(key) = key(frames) {
                    *sums.entry(key).or_default() += 1;
                }
            }
            sums
        };
        let mut names = Vec::new();
        for layer in layers {
            let words = words(&report, layer);
            let name = layer["name"].as_str().expect("name");
            names.push(name);
            let shown = words.len() as u8;
            let owner = |frames: &Frames| Some(frames.process).filter(|_| frames.mapcount == 1);
            let cgroup = |frames: &Frames| frames.cgroup;
            let ranked: BTreeMap<u64, u8> = match name {
                "payer" => ranked(&sums(&cgroup), &words, |inode| format!("cgroup {inode}")),
                "owner" => ranked(&sums(&owner), &words, |process| format!("process {process}")),
                _ => BTreeMap::new(),
            };
            let class = |frames: &Frames| match name {
                "use" => FrameUse::ALL.iter().position(|one| *one == frames.frame_use).expect("one") as u8,
                "size" => size_class(frames),
                "payer" => cgroup(frames).map_or(shown - 1, |inode| ranked[&inode]),
                "owner" => match (frames.mapcount, owner(frames)) {
                    (_, Some(process)) => ranked[&process],
                    (0, None) => shown - 1,
                    _ => shown - 2,
                },
                "node" => {
                    let node = frames.node.map(|node| format!("node {node}"));
                    node.map_or(shown - 1, |node| words.iter().position(|word| *word == node).expect("node") as u8)
                }
                other => panic!("layer {other}"),
            };
            let classes: Vec<_> = places.iter().map(|(place, frames)| (*place, class(frames))).collect();
            let mut counts = Counts::new(map, words.len());
            for &(place, class) in &classes {
                counts.add(place..place + 1, class);
            }
            counts.check(map, layer);
            if name == "use" {
                let runs = runs(map);
                let of_runs = runs.iter().flat_map(|&(start, count, class)| {
                    (start..start + count).map(move |place| (place, class))
                });
                prop_assert!(of_runs.eq(classes.iter().copied()), "exact runs");
                prop_assert!(runs.windows(2).all(|two| two[0].2 != two[1].2 || two[0].0 + two[0].1 < two[1].0));
            }
        }
        prop_assert!(names.starts_with(&["use"]) && names.contains(&"size") && names.contains(&"owner"));
    }

    #[test]
    fn cells_of_changes_equal_a_naive_reduction(
        all in prop::collection::vec((0u64..100, 1u64..500, 0usize..17, 0usize..17), 1..30),
        level in 0u32..5,
    ) {
        let use_of = |index: usize| FrameUse::ALL.get(index).copied();
        let mut at = 0;
        let mut parts = Vec::new();
        for (gap, pages, before, after) in all {
            at += gap;
            let uses = [use_of(before), use_of(after)];
            if uses != [None, None] {
                parts.push((at..at + pages, uses));
            }
            at += pages;
        }
        prop_assume!(!parts.is_empty());
        let space = Space::new(PAGE, parts.iter().map(|(range, _)| range.clone()));
        let mut layer = ChangeLayer::new(&space, level);
        let mut classes = Vec::new();
        for (range, uses) in parts {
            layer.add(uses, range.clone());
            let changed = match uses {
                [one, other] if one == other => FrameChanged::Unchanged,
                [None, _] => FrameChanged::Appeared,
                [_, None] => FrameChanged::Gone,
                [Some(FrameUse::Free), _] => FrameChanged::BecameUsed,
                [_, Some(FrameUse::Free)] => FrameChanged::Freed,
                _ => FrameChanged::ChangedUse,
            };
            let places = space.places_of(range).flatten();
            classes.extend(places.map(|place| (place, changed as u8)));
        }
        let mut document = Document::new(header("a machine"));
        document.map = Some(MapPicture {
            space: space.clone(),
            layers: vec![layer.finish()],
            runs: None,
            runs_command: String::new(),
        });
        let json = document.json(MOST_BYTES);
        let report: Value = serde_json::from_slice(&json).expect("JSON");
        let map = &report["map"];
        let mut counts = Counts::new(map, FrameChanged::ALL.len());
        for (place, class) in classes {
            counts.add(place..place + 1, class);
        }
        counts.check(map, &map["layers"][0]);
    }
}
