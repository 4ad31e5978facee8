//! Joins consecutive records of the zero page, or of absent pages, into one row of the
//! table. Must not know the sink.

use std::sync::Arc;

use process_introspection::{Attributed, Backing, PhysicalRegion};
use process_introspection_export::Folded;

type Region = Attributed<PhysicalRegion>;

/// Fewest absent records that are joined: their row has a second line.
const LEAST_ABSENT: u64 = 3;
const LEAST_ZERO: u64 = 2;

/// Consecutive records of one mapping.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    /// First records, which are listed if there are too few to join.
    first: Vec<Region>,
    folded: Folded,
    last: Option<Region>,
}

/// Completed fold.
#[derive(Debug)]
pub(crate) enum Folding {
    /// Records that are listed as they are.
    Records(Vec<Region>),
    /// First record of one row, and the totals of that row.
    Row(Box<Region>, Folded),
}

impl Fold {
    /// Adds a record, if records of its state are joined. Returns the fold that it
    /// completes, which must be written first, and whether the record was added.
    pub(crate) fn next(&mut self, region: &Region) -> (Option<Folding>, bool) {
        let ended = match self.is_continued_by(region) {
            true => None,
            false => self.end(),
        };
        let is_added = is_zero(region) || is_absent(region);
        if is_added {
            self.add(region);
        }
        (ended, is_added)
    }

    /// Returns the last fold.
    pub(crate) fn end(&mut self) -> Option<Folding> {
        let Self {
            mut first, folded, ..
        } = std::mem::take(self);
        let least = match first.first() {
            Some(region) if is_zero(region) => LEAST_ZERO,
            Some(_) => LEAST_ABSENT,
            None => return None,
        };
        Some(match folded.records >= least {
            true => Folding::Row(Box::new(first.swap_remove(0)), folded),
            false => Folding::Records(first),
        })
    }

    fn is_continued_by(&self, region: &Region) -> bool {
        let Some(last) = &self.last else {
            return false;
        };
        let is_same = match (last.backing, region.backing) {
            (Backing::Zero(_), Backing::Zero(_)) => {
                last.backing == region.backing && last.size() == region.size()
            }
            _ => is_absent(last) && is_absent(region),
        };
        is_same
            && Arc::ptr_eq(&last.mapping, &region.mapping)
            && last.virt.end() == region.virt.start()
    }

    fn add(&mut self, region: &Region) {
        if (self.first.len() as u64) < LEAST_ABSENT {
            self.first.push(region.clone());
        }
        let size = region.size();
        let folded = &mut self.folded;
        folded.records += 1;
        folded.size += size;
        match region.backing {
            Backing::Swapped(_) => folded.swapped += size,
            Backing::Guard => folded.guard += size,
            Backing::NotPresent => folded.not_present += size,
            _ => {}
        }
        self.last = Some(region.clone());
    }
}

fn is_zero(region: &Region) -> bool {
    matches!(region.backing, Backing::Zero(_))
}

/// Returns whether a record is absent for an ordinary reason. Poisoned or unknown pages
/// are listed.
fn is_absent(region: &Region) -> bool {
    matches!(
        region.backing,
        Backing::NotPresent | Backing::Swapped(_) | Backing::Guard
    )
}
