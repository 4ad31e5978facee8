//! Finds pages that an entry above the base level maps: a scan reports them to every
//! caller, without frames.

use super::scan::{Ranges, Span, HUGE};
use crate::error::Result;
use crate::process::ProcessHandle;

/// Number of ranges of a scan. Smaller than elsewhere, to save stack: runs of huge pages
/// are long.
const RANGES: usize = 4;

/// Distinguishes runs of pages mapped by huge entries from other runs, at addresses that
/// never decrease.
#[derive(Debug)]
pub struct HugeRuns {
    ranges: Ranges<RANGES>,
    span: Span,
}

impl HugeRuns {
    /// Returns a value that knows no run yet.
    pub const fn new() -> Self {
        Self {
            ranges: Ranges::new(),
            span: Span::new(),
        }
    }

    /// Returns whether the pages from `at` on, both page aligned and less than `end`, are
    /// mapped by huge entries, and the address up to which this holds for all or for none
    /// of them; `None` where the kernel has no scan.
    ///
    /// # Errors
    /// ESRCH when the process's memory has gone away.
    pub fn next(
        &mut self,
        process: &ProcessHandle,
        at: u64,
        end: u64,
    ) -> Result<Option<(bool, u64)>> {
        if at >= self.ranges.end() && !self.ranges.scan(process, &HUGE, &mut self.span, at, end)? {
            return Ok(None);
        }
        let known = self.ranges.end().min(end);
        Ok(Some(match self.ranges.from(at) {
            Some(found) if found.start <= at => (true, found.end.min(end)),
            Some(found) => (false, found.start.min(known)),
            None => (false, known),
        }))
    }
}

impl Default for HugeRuns {
    fn default() -> Self {
        Self::new()
    }
}
