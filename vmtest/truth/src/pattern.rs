//! What stands in a page: every word tells which page this is, since when, and
//! where in the page the word stands. Knows nothing of addresses.

/// The base page size, in bytes: all of this is for x86-64.
pub const PAGE: u64 = 4096;

/// How many words a page has.
pub const WORDS: usize = PAGE as usize / 8;

/// The stamp of a page that holds only zeros.
pub const ZEROS: u64 = 0;

/// The word that a page begins with; the others count up from it. A page is
/// told by its label, of which its address in the guest makes part, and by the
/// stamp of the round that it was written in.
pub const fn first_word(stamp: u64, label: u64) -> u64 {
    if stamp == ZEROS {
        return 0;
    }
    // splitmix64's finish: no two pages of a run have the same word.
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
/// `page` is a page of memory that can be written and that nobody refers to.
pub unsafe fn write(page: *mut u64, stamp: u64, label: u64) {
    let mut word = first_word(stamp, label);
    for index in 0..WORDS {
        // SAFETY: within the page that the caller vouches for.
        unsafe { page.add(index).write(word) };
        word = word.wrapping_add(step(stamp));
    }
}

/// Whether every byte of a page is as it was written.
///
/// # Safety
/// `page` is a page of memory that can be read.
pub unsafe fn holds(page: *const u64, stamp: u64, label: u64) -> bool {
    let mut word = first_word(stamp, label);
    let mut different = 0;
    for index in 0..WORDS {
        // SAFETY: within the page that the caller vouches for. Volatile: a
        // guest may be writing there, if what it says is wrong.
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
