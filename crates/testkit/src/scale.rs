//! How large the largest targets are. A machine that is emulated is some thirty
//! times slower than a real one, and has little memory: there
//! `INTROSPECTION_TEST_SCALE=8` divides the sizes of the largest targets by 8.

/// `amount` of pages, bytes or anything else, divided as the environment says;
/// never 0.
pub fn scaled(amount: u64) -> u64 {
    let divisor = std::env::var("INTROSPECTION_TEST_SCALE")
        .ok()
        .and_then(|value| value.parse::<u64>().ok());
    (amount / divisor.unwrap_or(1).max(1)).max(1)
}
