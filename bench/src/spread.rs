//! Least, median and greatest of some numbers, and their percentiles.

/// Spread of the results of several rounds.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Returns the spread of at least one number.
    pub(crate) fn of(numbers: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (Some(&least), Some(&most)) = (sorted.first(), sorted.last()) else {
            panic!("a spread of nothing");
        };
        let upper = sorted[sorted.len() / 2];
        let lower = sorted[(sorted.len() - 1) / 2];
        Self {
            least,
            median: (lower + upper) / 2.0,
            most,
        }
    }
}

/// Returns the smallest number that at least this fraction of them does not exceed.
pub(crate) fn percentile(numbers: &mut [u32], part: f64) -> u32 {
    assert!(!numbers.is_empty() && (0.0..=1.0).contains(&part));
    let rank = (part * numbers.len() as f64).ceil() as usize;
    *numbers
        .select_nth_unstable(rank.clamp(1, numbers.len()) - 1)
        .1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middle_ones() {
        let odd = Spread::of([3.0, 1.0, 2.0]);
        assert_eq!((odd.least, odd.median, odd.most), (1.0, 2.0, 3.0));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(Spread::of([7.0]).median, 7.0);
    }

    #[test]
    fn a_percentile_is_one_of_the_numbers() {
        let mut numbers: Vec<u32> = (1..=1000).rev().collect();
        assert_eq!(percentile(&mut numbers, 0.999), 999);
        assert_eq!(percentile(&mut numbers, 1.0), 1000);
        assert_eq!(percentile(&mut numbers, 0.0), 1);
        assert_eq!(percentile(&mut [5], 0.999), 5);
    }
}
