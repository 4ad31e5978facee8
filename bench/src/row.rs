//! One row of the results: the two things measured, the target, and whether it
//! was met.

use crate::spread::Spread;

/// Target of the median.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) enum Bound {
    /// Ours / theirs, or a size, is at most this.
    AtMost(f64),
    /// Ours / theirs is this value, within this fraction of it.
    About(f64, f64),
    /// Theirs / ours is at least this; `None`: only shown.
    TimesFaster(Option<f64>),
    /// Ours / theirs is only shown.
    Shown,
}

impl Bound {
    /// Returns whether a median meets the target; `None` without one.
    fn is_met(self, median: f64) -> Option<bool> {
        match self {
            Self::AtMost(most) => Some(median <= most),
            Self::About(value, part) => Some((median / value - 1.0).abs() <= part),
            Self::TimesFaster(least) => least.map(|least| median >= least),
            Self::Shown => None,
        }
    }
}

/// Unit of an amount.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Kibibytes,
    Bytes,
    Seconds,
}

/// Result of a row.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// Seconds of both, and the ratio that the bound limits.
    Ratio {
        theirs: Spread,
        ours: Spread,
        ratio: Spread,
    },
    /// An amount without another beside it.
    Amount(Spread, Unit),
    /// The reason why it could not be measured.
    Absent(String),
}

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) against: String,
    pub(crate) bound: Bound,
    pub(crate) outcome: Outcome,
    pub(crate) notes: Vec<String>,
    /// The floor differs from its description, which counts as missed.
    pub(crate) stale: bool,
}

/// Verdict on a row's target.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Met,
    Missed,
    /// The floor differs from its description.
    Stale,
    Absent,
    NoTarget,
}

impl Outcome {
    /// Result of pairs of seconds: theirs, ours.
    pub(crate) fn of_pairs(bound: Bound, pairs: &[(f64, f64)]) -> Self {
        let ratio = |&(theirs, ours): &(f64, f64)| match bound {
            Bound::TimesFaster(_) => theirs / ours,
            _ => ours / theirs,
        };
        Self::Ratio {
            theirs: Spread::of(pairs.iter().map(|pair| pair.0)),
            ours: Spread::of(pairs.iter().map(|pair| pair.1)),
            ratio: Spread::of(pairs.iter().map(ratio)),
        }
    }
}

impl Row {
    pub(crate) fn verdict(&self) -> Verdict {
        let median = match &self.outcome {
            Outcome::Absent(_) => return Verdict::Absent,
            Outcome::Ratio { ratio, .. } => ratio.median,
            Outcome::Amount(amount, _) => amount.median,
        };
        match self.bound.is_met(median) {
            Some(_) if self.stale => Verdict::Stale,
            None => Verdict::NoTarget,
            Some(true) => Verdict::Met,
            Some(false) => Verdict::Missed,
        }
    }

    pub(crate) fn is_missed(&self) -> bool {
        matches!(self.verdict(), Verdict::Missed | Verdict::Stale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(bound: Bound, pairs: &[(f64, f64)]) -> Row {
        Row {
            name: String::new(),
            against: String::new(),
            bound,
            outcome: Outcome::of_pairs(bound, pairs),
            notes: Vec::new(),
            stale: false,
        }
    }

    #[test]
    fn the_ratio_is_the_median_of_ratios_and_not_the_ratio_of_medians() {
        let pairs = [(1.0, 1.0), (2.0, 1.0), (10.0, 20.0)];
        let Outcome::Ratio {
            theirs,
            ours,
            ratio,
        } = row(Bound::Shown, &pairs).outcome
        else {
            panic!("pairs give a ratio");
        };
        assert_eq!((theirs.median, ours.median), (2.0, 1.0));
        assert_eq!((ratio.least, ratio.median, ratio.most), (0.5, 1.0, 2.0));
    }

    #[test]
    fn a_target_is_met_up_to_its_very_value() {
        let of = |bound, theirs, ours| row(bound, &[(theirs, ours)]).verdict();
        assert_eq!(of(Bound::AtMost(0.5), 2.0, 1.0), Verdict::Met);
        assert_eq!(of(Bound::AtMost(0.5), 2.0, 1.01), Verdict::Missed);
        assert_eq!(of(Bound::TimesFaster(Some(2.0)), 2.0, 1.0), Verdict::Met);
        assert_eq!(
            of(Bound::TimesFaster(Some(2.0)), 1.99, 1.0),
            Verdict::Missed
        );
        assert_eq!(of(Bound::TimesFaster(None), 0.1, 1.0), Verdict::NoTarget);
        assert_eq!(of(Bound::About(2.0, 0.1), 1.0, 2.19), Verdict::Met);
        assert_eq!(of(Bound::About(2.0, 0.1), 1.0, 2.21), Verdict::Missed);
        assert_eq!(of(Bound::About(2.0, 0.1), 1.0, 1.79), Verdict::Missed);
        assert_eq!(of(Bound::Shown, 1.0, 9.0), Verdict::NoTarget);
    }

    #[test]
    fn a_row_against_a_stale_floor_is_never_met() {
        let mut row = row(Bound::AtMost(1.0), &[(1.0, 0.5)]);
        assert!(!row.is_missed());
        row.stale = true;
        assert!(row.is_missed());
        row.outcome = Outcome::Absent("no such machine".to_owned());
        assert_eq!(row.verdict(), Verdict::Absent);
    }
}
