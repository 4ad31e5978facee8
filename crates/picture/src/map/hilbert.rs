//! Hilbert curve: a line through all cells of a square, on which neighbours of the line are
//! neighbours in the square, and each aligned block of 4^n cells is a square.

/// Returns column and row of the cell at a place of the curve through a square of
/// 2^`level` x 2^`level` cells. The curve begins at 0, 0 and ends in the last column of row 0.
pub fn cell(level: u32, place: u64) -> (u32, u32) {
    let (mut x, mut y) = (0u64, 0u64);
    for step in 0..level {
        let side = 1 << step;
        let quadrant = place >> (2 * step) & 3;
        let (right, down) = (quadrant >> 1, (quadrant ^ quadrant >> 1) & 1);
        if down == 0 {
            if right == 1 {
                (x, y) = (side - 1 - x, side - 1 - y);
            }
            (x, y) = (y, x);
        }
        (x, y) = (x + side * right, y + side * down);
    }
    (x as u32, y as u32)
}

/// Returns the place of a cell on the curve, see [`cell`].
pub fn place(level: u32, x: u32, y: u32) -> u64 {
    let (mut x, mut y) = (u64::from(x), u64::from(y));
    let mut place = 0;
    for step in (0..level).rev() {
        let side = 1 << step;
        let (right, down) = (x >> step & 1, y >> step & 1);
        place = place << 2 | (right * 3) ^ down;
        (x, y) = (x & (side - 1), y & (side - 1));
        if down == 0 {
            if right == 1 {
                (x, y) = (side - 1 - x, side - 1 - y);
            }
            (x, y) = (y, x);
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cell_is_visited_once_and_is_a_neighbour_of_the_one_before() {
        for level in 0..7 {
            let side = 1u32 << level;
            let mut seen = vec![false; (side * side) as usize];
            let mut before = None;
            for at in 0..u64::from(side) * u64::from(side) {
                let (x, y) = cell(level, at);
                assert_eq!(place(level, x, y), at);
                let index = (y * side + x) as usize;
                assert!(!std::mem::replace(&mut seen[index], true), "{level} {at}");
                if let Some((left, above)) = before.replace((x, y)) {
                    assert_eq!(x.abs_diff(left) + y.abs_diff(above), 1, "{level} {at}");
                }
            }
            assert_eq!(cell(level, 0), (0, 0));
            assert_eq!(before, Some((side - 1, 0)));
        }
    }

    #[test]
    fn the_curve_of_a_level_refines_that_of_the_level_above() {
        for at in 0..1 << 12 {
            let (x, y) = cell(6, at);
            let (left, above) = cell(5, at >> 2);
            // Squares of four cells are the cells above, perhaps with columns for rows.
            assert!([(x >> 1, y >> 1), (y >> 1, x >> 1)].contains(&(left, above)));
        }
    }
}
