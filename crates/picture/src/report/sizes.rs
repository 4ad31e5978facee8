//! Sizes of folios, from the flags of runs of frames. Pure.

use std::ops::Range;

use process_introspection::{FrameFlags, FrameRun, FrameUse};

use crate::palette::{Class, NOBODY, OTHER, SIZES_DARK, SIZES_LIGHT};
use crate::report::records::ClassRecord;

/// Sizes: the base page and its multiples by powers of two; the last has all larger ones.
const SIZES: usize = SIZES_LIGHT.len();
/// Class of folios whose size the flags do not show.
pub(super) const UNKNOWN: u8 = SIZES as u8;
/// Class of frames that are in no folio.
const NONE: u8 = UNKNOWN + 1;
/// Number of classes.
pub(super) const CLASSES: usize = SIZES + 2;

/// Returns the classes for base pages of this size.
pub(super) fn classes(page: u64) -> Vec<ClassRecord> {
    let colors = SIZES_LIGHT.into_iter().zip(SIZES_DARK).enumerate();
    let sizes = colors.map(|(order, (light, dark))| {
        let word = match order + 1 < SIZES {
            true => size_text(page << order),
            false => format!("over {}", size_text(page << (order - 1))),
        };
        let letter = char::from_digit(order as u32, 36).unwrap_or('?');
        let class = Class {
            word: "",
            light,
            dark,
            letter,
        };
        ClassRecord::named(word, &class)
    });
    let unknown = Class {
        letter: '?',
        ..OTHER
    };
    sizes
        .chain([
            ClassRecord::named("unknown", &unknown),
            ClassRecord::named("no folio", &NOBODY),
        ])
        .collect()
}

fn size_text(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 1 << 30 => format!("{} GiB", bytes >> 30),
        bytes if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
        bytes => format!("{} KiB", bytes >> 10),
    }
}

/// Finds the folios of runs that ascend.
#[derive(Clone, Debug, Default)]
pub(super) struct Folios {
    /// Folio whose end is not known yet.
    open: Option<Range<u64>>,
}

impl Folios {
    /// Adds a run, and passes the frames whose class is then known to `each`.
    pub(super) fn add(&mut self, run: &FrameRun, mut each: impl FnMut(Range<u64>, u8)) {
        let (start, end) = (run.pfn.as_u64(), run.pfn.as_u64() + run.pages);
        if run.flags.contains(FrameFlags::COMPOUND_TAIL) {
            match &mut self.open {
                Some(folio) if folio.end == start => folio.end = end,
                _ => {
                    self.end(&mut each);
                    each(start..end, UNKNOWN);
                }
            }
            return;
        }
        self.end(&mut each);
        if run.flags.contains(FrameFlags::COMPOUND_HEAD) {
            // Only the last of several heads in a row can have tails.
            if run.pages > 1 {
                each(start..end - 1, UNKNOWN);
            }
            self.open = Some(end - 1..end);
            return;
        }
        each(start..end, class_of_single(run.frame_use));
    }

    /// Passes the last folio to `each`.
    pub(super) fn end(&mut self, mut each: impl FnMut(Range<u64>, u8)) {
        if let Some(folio) = self.open.take() {
            let pages = folio.end - folio.start;
            let class = match pages.is_power_of_two() && pages > 1 {
                true => (pages.ilog2() as usize).min(SIZES - 1) as u8,
                false => UNKNOWN,
            };
            each(folio, class);
        }
    }
}

/// Returns the class of frames that are no part of a larger folio.
fn class_of_single(one: FrameUse) -> u8 {
    match one {
        FrameUse::Free
        | FrameUse::Unflagged
        | FrameUse::Offline
        | FrameUse::Reserved
        | FrameUse::Poisoned
        | FrameUse::Kernel => NONE,
        _ => 0,
    }
}
