//! Joins records that follow each other into one row of a table: the zero page
//! again and again, and what is absent for changing reasons. Writes nothing.

use std::sync::Arc;

use process_introspection::{Backing, PhysicalRegion};
use process_introspection_export::Folded;

/// Fewer absent records are listed: their row has a second line.
const LEAST_ABSENT: u64 = 3;
const LEAST_ZERO: u64 = 2;

/// Records of one mapping that follow each other.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    /// The first of them, as many as may have to be listed after all.
    first: Vec<PhysicalRegion>,
    folded: Folded,
    last: Option<PhysicalRegion>,
}

/// What a fold has come to.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Records that are to be listed as they are.
    Records(Vec<PhysicalRegion>),
    /// The first of the records of one row, and what that row has.
    Row(PhysicalRegion, Folded),
}

impl Fold {
    /// Takes a record, if records of its sort are folded. What came before and is
    /// not continued by it is given back first, and is to be written first.
    pub(crate) fn next(&mut self, region: &PhysicalRegion) -> (Option<Ended>, bool) {
        let ended = match self.is_continued_by(region) {
            true => None,
            false => self.end(),
        };
        let is_taken = is_zero(region) || is_absent(region);
        if is_taken {
            self.add(region);
        }
        (ended, is_taken)
    }

    /// Ends it.
    pub(crate) fn end(&mut self) -> Option<Ended> {
        let Self {
            mut first, folded, ..
        } = std::mem::take(self);
        let least = match first.first() {
            Some(region) if is_zero(region) => LEAST_ZERO,
            Some(_) => LEAST_ABSENT,
            None => return None,
        };
        Some(match folded.records >= least {
            true => Ended::Row(first.swap_remove(0), folded),
            false => Ended::Records(first),
        })
    }

    fn is_continued_by(&self, region: &PhysicalRegion) -> bool {
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

    fn add(&mut self, region: &PhysicalRegion) {
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

fn is_zero(region: &PhysicalRegion) -> bool {
    matches!(region.backing, Backing::Zero(_))
}

/// Absent for an ordinary reason. One that is lost, or unknown, keeps its row.
fn is_absent(region: &PhysicalRegion) -> bool {
    matches!(
        region.backing,
        Backing::NotPresent | Backing::Swapped(_) | Backing::Guard
    )
}
