//! Lengths of runs of equal entries, and of entries of consecutive frames. Pure.

/// Returns the number of entries, from the first on, that increase by one each from
/// `before`, in the `relevant` bits.
#[inline]
pub(crate) fn count_consecutive(entries: &[u64], before: u64, relevant: u64) -> usize {
    // Most runs are short where memory is fragmented: a few entries are compared one by
    // one first.
    const FEW: usize = 4;
    let mut expected = before;
    let few = entries.iter().take(FEW).take_while(|&&entry| {
        expected = expected.wrapping_add(1);
        entry & relevant == expected
    });
    let few = few.count();
    if few < FEW {
        return few;
    }
    let mut expected = before.wrapping_add(1 + FEW as u64);
    FEW + leading(&entries[FEW..], |chunk| {
        let mut difference = 0;
        for (entry, index) in chunk.iter().zip(0..) {
            difference |= (entry & relevant) ^ expected.wrapping_add(index);
        }
        if difference == 0 {
            expected = expected.wrapping_add(chunk.len() as u64);
        }
        difference == 0
    })
}

/// Returns the number of entries, from the first on, that have exactly these `relevant`
/// bits.
pub fn count_equal(entries: &[u64], expected: u64, relevant: u64) -> usize {
    leading(entries, |chunk| {
        let difference = |all, entry: &u64| all | ((entry & relevant) ^ expected);
        chunk.iter().fold(0, difference) == 0
    })
}

/// Returns the number of entries, from the first on, for which `all` holds. It is called
/// with many entries at a time so that it compiles to vector instructions, then one by
/// one.
fn leading(entries: &[u64], mut all: impl FnMut(&[u64]) -> bool) -> usize {
    const CHUNK: usize = 16;
    let mut count = 0;
    for chunk in entries.chunks_exact(CHUNK) {
        if !all(chunk) {
            break;
        }
        count += CHUNK;
    }
    for entry in entries[count..].chunks_exact(1) {
        if !all(entry) {
            break;
        }
        count += 1;
    }
    count
}
