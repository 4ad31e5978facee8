//! Case of the census of all frames, beside bare reads of the three files.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use process_introspection::{FrameCensus, PageSize, PhysicalMap};

use crate::row::Bound;
use crate::session::{Case, Session};

const NAME: &str = "census of all frames, Rust";
/// Bytes that one call of the floor reads.
const PIECE: usize = 64 << 10;

pub(crate) fn run(session: &mut Session) {
    if !session.wants(&[NAME]) {
        return;
    }
    let case = |note: String| {
        let against = "bulk pread of kpageflags, kpagecount and kpagecgroup";
        Case::new(NAME, against, Bound::AtMost(1.3)).note(note)
    };
    let files = ["kpageflags", "kpagecount", "kpagecgroup"];
    let opened = files.map(|name| File::open(format!("/proc/{name}")));
    let ram = PhysicalMap::read().ok().and_then(|map| map.ram());
    let (Ok(files), Some(ram)) = (opened.into_iter().collect::<Result<Vec<_>, _>>(), ram) else {
        session.absent(case(String::new()), "the files are root's");
        return;
    };
    let shift = PageSize::base().shift();
    let pieces: Vec<(u64, usize)> = ram
        .iter()
        .flat_map(|range| {
            let (first, end) = (
                range.start().as_u64() >> shift,
                range.end().as_u64() >> shift,
            );
            let starts = (first * 8..end * 8).step_by(PIECE);
            starts.map(move |at| (at, PIECE.min((end * 8 - at) as usize)))
        })
        .collect();
    let frames: u64 = ram.iter().map(|range| range.size() >> shift).sum();
    let threads = thread::available_parallelism().map_or(1, Into::into);
    let bare = || {
        let next = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let mut buffer = vec![0; PIECE];
                    while let Some(&(at, size)) =
                        pieces.get(next.fetch_add(1, Ordering::Relaxed) as usize)
                    {
                        for file in &files {
                            // Behind the last frame of all there is nothing to read.
                            let _ = black_box(file.read_at(&mut buffer[..size], at));
                        }
                    }
                });
            }
        });
    };
    let case = case(format!("{frames} frames, both by {threads} threads"));
    session.pairs(case, bare, |_, _| {
        black_box(FrameCensus::take().expect("root"));
    });
}
