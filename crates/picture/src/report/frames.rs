//! Layers of the map from runs of frames, in one pass over them, and from the frames that
//! processes map. Must not know where runs come from.

use std::ops::Range;

use process_introspection::{FrameRun, FrameUse};

use crate::map::pyramid::Tally;
use crate::map::space::Space;
use crate::palette::{NOBODY, OTHER, SERIES, USES};
use crate::report::encode::push_varint;
use crate::report::keyed::Keyed;
use crate::report::layers::Layer;
use crate::report::owners::{cells, series, Owners};
use crate::report::records::ClassRecord;
use crate::report::sizes::{self, Folios};

/// Finest level of maps: 2^9 x 2^9 cells.
pub const FINEST: u32 = 9;

/// Accumulator of the layers of a map: runs of frames first, then processes.
///
/// Memory use is some 100 MB, 8 bytes for each cgroup that pays in a cell, and a bit for each
/// frame.
#[derive(Clone, Debug)]
pub struct FrameLayers<'a> {
    space: &'a Space,
    level: u32,
    uses: Tally<'a>,
    folios: Folios,
    sizes: Tally<'a>,
    payers: Keyed<u64>,
    nodes: Keyed<u32>,
    owners: Option<Owners>,
    runs: ExactRuns,
}

impl<'a> FrameLayers<'a> {
    /// Returns layers without frames, with at most 4^`level` cells.
    pub fn new(space: &'a Space, level: u32, with_owners: bool) -> Self {
        let uses = Tally::new(space, level, USES.len());
        let owners = with_owners.then(|| Owners::new(space, uses.shift(), uses.cells()));
        Self {
            space,
            level,
            folios: Folios::default(),
            sizes: Tally::new(space, level, sizes::CLASSES),
            payers: Keyed::new(),
            nodes: Keyed::new(),
            owners,
            runs: ExactRuns::default(),
            uses,
        }
    }

    /// Returns the line of frames.
    pub fn space(&self) -> &'a Space {
        self.space
    }

    /// Adds a run on this node; runs ascend, each frame is in one of them.
    pub fn add(&mut self, run: &FrameRun, node: Option<u32>) {
        let (start, end) = (run.pfn.as_u64(), run.pfn.as_u64() + run.pages);
        let class = class_of(run.frame_use);
        self.uses.add(start..end, class);
        let sizes = &mut self.sizes;
        self.folios
            .add(run, |frames, class| sizes.add(frames, class));
        let shift = self.uses.shift();
        for places in self.space.places_of(start..end) {
            self.runs.add(places.clone(), class);
            if let Some(owners) = &mut self.owners {
                owners.add_frames(places.clone(), run.mapcount);
            }
            for (cell, frames) in cells(places, shift) {
                if let Some(inode) = run.cgroup {
                    self.payers.add(cell, inode, frames);
                }
                if let Some(node) = node {
                    self.nodes.add(cell, node, frames);
                }
            }
        }
    }

    /// Adds frames that a process maps.
    pub fn add_mapped(&mut self, frames: Range<u64>) {
        if let Some(owners) = &mut self.owners {
            for places in self.space.places_of(frames) {
                owners.add_mapped(places);
            }
        }
    }

    /// Ends the process whose frames were added.
    pub fn end_process(&mut self, name: impl FnOnce() -> String) {
        if let Some(owners) = &mut self.owners {
            owners.end_process(name);
        }
    }

    /// Returns the layers, and the runs of the layer of uses if they are not too many. `payer`
    /// returns the name of the cgroup with an inode number.
    pub fn finish(mut self, payer: impl Fn(u64) -> String) -> (Vec<Layer>, Option<Vec<u8>>) {
        let sizes = &mut self.sizes;
        self.folios.end(|frames, class| sizes.add(frames, class));
        let (space, level) = (self.space, self.level);
        let all: Vec<u32> = (0..self.uses.cells())
            .map(|cell| self.uses.counts(cell).iter().sum())
            .collect();
        let mut layers = vec![Layer {
            name: "use",
            title: "Use of each frame",
            classes: USES.iter().map(ClassRecord::from).collect(),
            pyramid: self.uses.finish(),
        }];
        let payers: Vec<u64> = self.payers.largest().iter().map(|one| one.0).collect();
        if !payers.is_empty() {
            let shown = &payers[..payers.len().min(SERIES.len())];
            layers.push(Layer {
                name: "payer",
                title: "Cgroup that pays",
                classes: with_rest(shown.iter().map(|&inode| payer(inode)).collect()),
                pyramid: self.payers.finish(space, level, shown, &all),
            });
        }
        if let Some(owners) = self.owners {
            let (classes, pyramid) = owners.finish(space, level, &all);
            layers.push(Layer {
                name: "owner",
                title: "Process that alone maps the frame",
                classes,
                pyramid,
            });
        }
        layers.push(Layer {
            name: "size",
            title: "Size of the folio",
            classes: sizes::classes(space.page()),
            pyramid: self.sizes.finish(),
        });
        let mut nodes: Vec<u32> = self.nodes.largest().iter().map(|one| one.0).collect();
        nodes.sort_unstable();
        if nodes.len() > 1 {
            let shown = &nodes[..nodes.len().min(SERIES.len())];
            layers.push(Layer {
                name: "node",
                title: "NUMA node",
                classes: with_rest(shown.iter().map(|node| format!("node {node}")).collect()),
                pyramid: self.nodes.finish(space, level, shown, &all),
            });
        }
        (layers, self.runs.finish())
    }
}

/// Returns the classes of names, of others, and of none.
fn with_rest(names: Vec<String>) -> Vec<ClassRecord> {
    let rest = [&OTHER, &NOBODY].into_iter().map(ClassRecord::from);
    series(names).chain(rest).collect()
}

/// Returns the number of the class of a use.
fn class_of(one: FrameUse) -> u8 {
    let mut all = FrameUse::ALL.into_iter();
    all.position(|other| other == one).unwrap_or_default() as u8
}

/// Largest size of exact runs before they are deflated: what a report has room for is reached
/// long before.
const MOST_RUNS: usize = 16 << 20;

/// Runs of places of one class: for each the gap behind the run before it, its length and its
/// class, as LEB128.
#[derive(Clone, Debug, Default)]
struct ExactRuns {
    bytes: Vec<u8>,
    /// Run that the next one can continue.
    open: Option<(Range<u64>, u8)>,
    end: u64,
    are_too_many: bool,
}

impl ExactRuns {
    fn add(&mut self, places: Range<u64>, class: u8) {
        match &mut self.open {
            Some((run, same)) if run.end == places.start && *same == class => {
                run.end = places.end;
            }
            _ => {
                self.close();
                self.open = Some((places, class));
            }
        }
    }

    fn close(&mut self) {
        let Some((run, class)) = self.open.take() else {
            return;
        };
        if self.bytes.len() > MOST_RUNS {
            self.are_too_many = true;
            return;
        }
        push_varint(run.start - self.end, &mut self.bytes);
        push_varint(run.end - run.start, &mut self.bytes);
        push_varint(class.into(), &mut self.bytes);
        self.end = run.end;
    }

    fn finish(mut self) -> Option<Vec<u8>> {
        self.close();
        (!self.are_too_many).then_some(self.bytes)
    }
}
