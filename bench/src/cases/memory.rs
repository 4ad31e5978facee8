//! Cases of the memory of streaming: small, and the same for any target.

use crate::row::{Bound, Outcome, Unit};
use crate::session::{Case, Session};
use crate::spread::Spread;
use crate::streaming::{growth, Interface};
use crate::targets::{self, Memory, GIB, TIB};

const NAMES: [(Interface, &str, &str); 2] = [
    (
        Interface::C,
        "memory while streaming, C cursor",
        "growth of that from 1 GiB to 1 TiB, C cursor",
    ),
    (
        Interface::Rust,
        "memory while streaming, Rust",
        "growth of that from 1 GiB to 1 TiB, Rust",
    ),
];

pub(crate) fn run(session: &mut Session) {
    let names = NAMES.map(|(_, streaming, growth)| [streaming, growth]);
    if !session.wants(names.as_flattened()) {
        return;
    }
    let targets = [
        ("1 GiB touched", targets::dense(GIB)),
        ("1 GiB, hardly two pages adjacent", targets::strided(GIB, 2)),
        ("1 GiB of THP", targets::transparent_huge(GIB)),
        ("60,000 VMAs", targets::areas(super::areas::COUNT)),
        ("1 TiB reserved", targets::sparse(TIB, super::sparse::PAGES)),
    ];
    for (interface, streaming, from_gib_to_tib) in NAMES {
        let most = Case::new(streaming, "the process before", Bound::AtMost(1024.0));
        let grown = Case::new(from_gib_to_tib, "streaming 1 GiB", Bound::AtMost(0.0));
        match measure(session, interface, &targets) {
            Err(why) => {
                session.absent(most, &why);
                session.absent(grown, &why);
            }
            Ok(sizes) => {
                let peaks = targets.iter().zip(&sizes).map(|((name, _), sizes)| {
                    format!("{name} {:.0} KiB", Spread::of(sizes.iter().copied()).median)
                });
                let peaks: Vec<String> = peaks.collect();
                let rounds = 0..session.rounds;
                let largest =
                    rounds.map(|round| sizes.iter().map(|sizes| sizes[round]).fold(0.0, f64::max));
                let largest = Outcome::Amount(Spread::of(largest), Unit::Kibibytes);
                session.add(
                    most.note(format!("the largest of: {}", peaks.join(", "))),
                    largest,
                );
                let (first, last) = (&sizes[0], &sizes[targets.len() - 1]);
                let more = first.iter().zip(last).map(|(gib, tib)| tib - gib);
                session.add(grown, Outcome::Amount(Spread::of(more), Unit::Kibibytes));
            }
        }
    }
}

/// Growth in each round, for each target.
fn measure(
    session: &Session,
    interface: Interface,
    targets: &[(&str, Memory)],
) -> Result<Vec<Vec<f64>>, String> {
    let rounds = || 0..session.rounds;
    targets
        .iter()
        .map(|(_, memory)| {
            rounds()
                .map(|_| growth(&session.library_path, interface, memory))
                .collect()
        })
        .collect()
}
