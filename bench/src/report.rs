//! Medians and spreads, as a table.

/// The outcome of one case.
pub struct Row {
    name: &'static str,
    floor_name: &'static str,
    bound: Option<f64>,
    floor: f64,
    ours: f64,
    ratio: [f64; 3],
}

impl Row {
    /// From pairs of times in seconds: floor, ours.
    pub fn new(
        name: &'static str,
        floor_name: &'static str,
        bound: Option<f64>,
        rounds: &[(f64, f64)],
    ) -> Self {
        let sorted = |times: &mut dyn Iterator<Item = f64>| {
            let mut times: Vec<f64> = times.collect();
            times.sort_by(f64::total_cmp);
            times
        };
        let ratios = sorted(&mut rounds.iter().map(|(floor, ours)| ours / floor));
        let middle = rounds.len() / 2;
        Self {
            name,
            floor_name,
            bound,
            floor: sorted(&mut rounds.iter().map(|(floor, _)| *floor))[middle],
            ours: sorted(&mut rounds.iter().map(|(_, ours)| *ours))[middle],
            ratio: [ratios[0], ratios[middle], ratios[ratios.len() - 1]],
        }
    }

    /// Whether it has a bound and its median is above that.
    pub fn is_missed(&self) -> bool {
        self.bound.is_some_and(|bound| self.ratio[1] > bound)
    }
}

/// Prints the table.
pub fn print(rows: &[Row]) {
    println!(
        "{:<42} {:<18} {:>10} {:>10} {:>7} {:>15} {:>6}",
        "case", "floor", "floor µs", "ours µs", "ratio", "min..max", "bound"
    );
    for row in rows {
        let [least, median, most] = row.ratio;
        let bound = row
            .bound
            .map_or("-".to_owned(), |bound| format!("{bound:.2}"));
        let missed = if row.is_missed() { " MISSED" } else { "" };
        println!(
            "{:<42} {:<18} {:>10.1} {:>10.1} {median:>7.3} {:>15} {bound:>6}{missed}",
            row.name,
            row.floor_name,
            row.floor * 1e6,
            row.ours * 1e6,
            format!("{least:.3}..{most:.3}"),
        );
    }
}
