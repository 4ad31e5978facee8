//! Sizes of the largest targets. An emulated machine is some thirty times slower than
//! a real one, and has little memory: there
//! `INTROSPECTION_TEST_SCALE=8` divides the sizes of the largest targets by 8,
//! and of many cases of a sort tries every eighth.

/// Returns `amount` of pages, bytes or anything else, divided by the environment's
/// number; never 0.
pub fn scaled(amount: u64) -> u64 {
    (amount / divisor()).max(1)
}

/// Returns the number of cases of which one is tried; usually 1.
pub fn one_case_in() -> usize {
    usize::try_from(divisor()).unwrap_or(usize::MAX)
}

fn divisor() -> u64 {
    let divisor = std::env::var("INTROSPECTION_TEST_SCALE")
        .ok()
        .and_then(|value| value.parse::<u64>().ok());
    divisor.unwrap_or(1).max(1)
}
