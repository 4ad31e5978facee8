//! Comparisons of memory that others change meanwhile: the kernel moves and evicts pages. Knows
//! nothing of what is compared.

use std::fmt::Debug;

/// Calls `compare` until both of its results are equal.
///
/// # Panics
/// If they differ so many times.
pub fn assert_equal<T: PartialEq + Debug>(times: usize, mut compare: impl FnMut() -> (T, T)) {
    let (mut one, mut other) = compare();
    for _ in 1..times {
        if one == other {
            return;
        }
        (one, other) = compare();
    }
    assert_eq!(one, other);
}
