//! Patterns of pages: each word depends on the page, the round in which it was
//! written, and the position of the word. Knows nothing of addresses.

/// Base page size in bytes, of x86-64.
pub const PAGE: u64 = 4096;

/// Number of words of a page.
pub const WORDS: usize = PAGE as usize / 8;

/// Stamp of a page of zeros.
pub const ZEROS: u64 = 0;

/// Returns the first word of a page; the other words count up from it. A label, which
/// contains the page's address in the guest, and the stamp of a round identify the page.
pub const fn first_word(stamp: u64, label: u64) -> u64 {
    if stamp == ZEROS {
        return 0;
    }
    // The last steps of splitmix64: two pages of a run never have the same word.
    let mut word = (stamp << 48) ^ label;
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

const fn step(stamp: u64) -> u64 {
    (stamp != ZEROS) as u64
}

/// Writes a page.
///
/// # Safety
/// `page` is a writable page to which no reference exists.
pub unsafe fn write(page: *mut u64, stamp: u64, label: u64) {
    let mut word = first_word(stamp, label);
    for index in 0..WORDS {
        // SAFETY: `index` is within the page of this function's contract.
        unsafe { page.add(index).write(word) };
        word = word.wrapping_add(step(stamp));
    }
}

/// Whether every byte of a page is as it was written.
///
/// # Safety
/// `page` is a readable page.
pub unsafe fn holds(page: *const u64, stamp: u64, label: u64) -> bool {
    let mut word = first_word(stamp, label);
    let mut different = 0;
    for index in 0..WORDS {
        // SAFETY: `index` is within the page of this function's contract. Volatile,
        // because a guest that reports a wrong address can write there.
        different |= unsafe { page.add(index).read_volatile() } ^ word;
        word = word.wrapping_add(step(stamp));
    }
    different == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(stamp: u64, label: u64) -> Vec<u64> {
        let mut page = vec![7; WORDS];
        // SAFETY: a whole page of our own.
        unsafe { write(page.as_mut_ptr(), stamp, label) };
        page
    }

    fn is_held(page: &[u64], stamp: u64, label: u64) -> bool {
        assert_eq!(page.len(), WORDS);
        // SAFETY: a whole page of our own.
        unsafe { holds(page.as_ptr(), stamp, label) }
    }

    #[test]
    fn a_page_holds_its_own_pattern_and_no_other() {
        let page = written(3, 0x7f00_0000_1000);
        assert!(is_held(&page, 3, 0x7f00_0000_1000));
        assert!(!is_held(&page, 4, 0x7f00_0000_1000));
        assert!(!is_held(&page, 3, 0x7f00_0000_2000));
        assert!(!is_held(&page, ZEROS, 0x7f00_0000_1000));
        assert!(is_held(&written(ZEROS, 5), ZEROS, 9));
    }

    #[test]
    fn one_wrong_bit_anywhere_is_seen() {
        for index in [0, 1, WORDS / 2, WORDS - 1] {
            for bit in [0, 31, 63] {
                let mut page = written(9, 0x1000);
                page[index] ^= 1 << bit;
                assert!(!is_held(&page, 9, 0x1000), "word {index}, bit {bit}");
            }
        }
    }
}
