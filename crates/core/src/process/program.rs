//! Program headers of a process's program, by its auxiliary vector, and the word size that
//! these show. Knows no mapping.

use super::{process_error, ProcessHandle};
use crate::error::{Operation, Result};
use crate::sys;

/// Word size of a program.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum WordSize {
    /// 32 bits.
    Bits32,
    /// 64 bits.
    Bits64,
}

impl WordSize {
    /// Returns the size of the header of an ELF file, behind which its program headers
    /// usually lie.
    pub(crate) const fn file_header(self) -> u64 {
        match self {
            Self::Bits32 => 52,
            Self::Bits64 => 64,
        }
    }

    /// Returns the size of a program header, which is in the auxiliary vector.
    const fn program_header(self) -> u64 {
        match self {
            Self::Bits32 => 32,
            Self::Bits64 => 56,
        }
    }

    /// Returns whether the program has the word size of this code.
    pub const fn is_own(self) -> bool {
        matches!(self, Self::Bits64) == cfg!(target_pointer_width = "64")
    }
}

/// Place of the program headers in a process's memory.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProgramHeaders {
    pub(crate) address: u64,
    pub(crate) word_size: WordSize,
}

const AT_PHDR: u64 = 3;
const AT_PHENT: u64 = 4;

impl ProgramHeaders {
    /// Reads the vector of the process's current memory; `None` if it names no program
    /// headers.
    #[inline(never)]
    pub(crate) fn read(process: &ProcessHandle) -> Result<Option<Self>> {
        let failed = |errno| process_error(errno, Operation::ReadStatus);
        let auxv = sys::openat(process.directory(), b"auxv\0", 0).map_err(failed)?;
        let mut bytes = [0; 512];
        let len = sys::pread_all(auxv.borrow(), &mut bytes, 0).map_err(failed)?;
        Ok(Self::of_vector(&bytes[..len]))
    }

    /// Finds both entries. The words of the vector have the size of the program's, which
    /// the size of a program header confirms.
    fn of_vector(bytes: &[u8]) -> Option<Self> {
        let of = |word_size: WordSize, value: &dyn Fn(u64) -> Option<u64>| {
            (value(AT_PHENT)? == word_size.program_header()).then_some(())?;
            Some(Self {
                address: value(AT_PHDR)?,
                word_size,
            })
        };
        let long = |tag| {
            let word = |bytes: &[u8]| Some(u64::from_ne_bytes(bytes.try_into().ok()?));
            entry(bytes.chunks_exact(8).map_while(word), tag)
        };
        let short = |tag| {
            let word = |bytes: &[u8]| Some(u32::from_ne_bytes(bytes.try_into().ok()?).into());
            entry(bytes.chunks_exact(4).map_while(word), tag)
        };
        of(WordSize::Bits64, &long).or_else(|| of(WordSize::Bits32, &short))
    }
}

/// Returns the value of the first entry with a tag, before that with tag 0, the end.
fn entry(mut words: impl Iterator<Item = u64>, tag: u64) -> Option<u64> {
    loop {
        match (words.next()?, words.next()?) {
            (found, value) if found == tag => return Some(value),
            (0, _) => return None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_vector_has_words_of_its_programs_size() {
        let words = [33u64, 0x7fff_0000, 3, 0x5555_0040, 4, 56, 5, 13, 0, 0, 3, 1];
        let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_ne_bytes).collect();
        let found = ProgramHeaders::of_vector(&bytes).unwrap();
        assert_eq!(
            (found.address, found.word_size),
            (0x5555_0040, WordSize::Bits64)
        );
        let words = [32u32, 0xf7ff_0000, 3, 0x5655_5034, 4, 32, 0, 0];
        let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
        let found = ProgramHeaders::of_vector(&bytes).unwrap();
        assert_eq!(
            (found.address, found.word_size),
            (0x5655_5034, WordSize::Bits32)
        );
        for none in [&bytes[..20], &[], &[0; 64]] {
            assert_eq!(ProgramHeaders::of_vector(none), None);
        }
    }
}
