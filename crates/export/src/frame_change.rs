//! Record of frames whose use changed between two times.

use process_introspection::{FrameChange, FrameUse, PageSize};

use crate::field::record;
use crate::number::{Hex, Time};
use crate::record::Record;
use crate::words::frame_uses;

/// Returns the names of uses, and that of memory that is none.
fn uses_or_absent() -> Vec<&'static str> {
    let mut uses = frame_uses();
    uses.push("absent");
    uses
}

record! {
    /// Frames of RAM whose use changed from one to another between two times.
    #[derive(Copy)]
    pub struct FrameChangeRecord {
        /// First time.
        pub before_at: Time,
        /// Second time.
        pub after_at: Time,
        /// Use the first time; absent if the frame was no RAM that is online.
        pub use_before: &'static str = one_of(uses_or_absent).text(2, "BEFORE", 19),
        /// Use the second time.
        pub use_after: &'static str = one_of(uses_or_absent).text(3, "AFTER", 19),
        /// Bytes of the frames.
        pub bytes: u64 = bytes().rough(0, "CHANGED", 7),
        /// Number of runs of consecutive frames.
        pub runs: u64 = number(1, "RUNS", 8),
        /// Physical address of the largest run.
        pub largest_paddr: Hex = number(4, "LARGEST AT", 12),
        /// Bytes of the largest run.
        pub largest_bytes: u64 = bytes().rough(5, "SIZE", 5),
    }
}

impl FrameChangeRecord {
    /// Returns the record of a change between these times, with frames of this size.
    pub fn new(change: &FrameChange, before_at: Time, after_at: Time, page: PageSize) -> Self {
        let name = |frame_use: Option<FrameUse>| frame_use.map_or("absent", FrameUse::name);
        Self {
            before_at,
            after_at,
            use_before: name(change.before),
            use_after: name(change.after),
            bytes: change.frames * page.bytes(),
            runs: change.runs,
            largest_paddr: change.largest.address(page).into(),
            largest_bytes: change.largest_frames * page.bytes(),
        }
    }
}

impl Record for FrameChangeRecord {}
