//! Times two implementations of one task in turn.

use std::time::Instant;

/// Least duration of a sample, so that the clock and single interrupts do not
/// matter.
const SAMPLE_SECONDS: f64 = 0.01;

/// Returns the seconds of one call of each: theirs, ours. The order within a pair
/// changes from round to round.
pub(crate) fn pairs(
    rounds: usize,
    mut theirs: impl FnMut(),
    mut ours: impl FnMut(),
) -> Vec<(f64, f64)> {
    // One call that is not counted: caches, page tables, first use of the ioctls.
    let their_calls = calls_a_sample(&mut theirs);
    let our_calls = calls_a_sample(&mut ours);
    (0..rounds)
        .map(|round| {
            if round % 2 == 0 {
                let first = seconds(their_calls, &mut theirs);
                (first, seconds(our_calls, &mut ours))
            } else {
                let first = seconds(our_calls, &mut ours);
                (seconds(their_calls, &mut theirs), first)
            }
        })
        .collect()
}

/// Returns the seconds of one call, the least of a few samples.
pub(crate) fn least_seconds(mut call: impl FnMut()) -> f64 {
    let calls = calls_a_sample(&mut call);
    let samples = (0..3).map(|_| seconds(calls, &mut call));
    samples.fold(f64::INFINITY, f64::min)
}

fn seconds(calls: u32, call: &mut impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        call();
    }
    start.elapsed().as_secs_f64() / f64::from(calls)
}

fn calls_a_sample(call: &mut impl FnMut()) -> u32 {
    seconds(1, call);
    let second = seconds(1, call);
    (SAMPLE_SECONDS / second.max(1e-9)).clamp(1.0, 100_000.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::thread::sleep;
    use std::time::Duration;

    #[test]
    fn each_round_has_both_and_the_first_changes() {
        let order = RefCell::new(String::new());
        let call = |letter| {
            sleep(Duration::from_millis(11));
            order.borrow_mut().push(letter);
        };
        let rounds = pairs(4, || call('t'), || call('o'));
        assert_eq!(rounds.len(), 4);
        assert!(rounds
            .iter()
            .all(|&(theirs, ours)| theirs > 0.01 && ours > 0.01));
        // Two of each are not counted, then the pairs.
        assert_eq!(*order.borrow(), "ttootoottoot");
    }
}
