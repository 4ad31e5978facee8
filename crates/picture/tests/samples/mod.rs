//! Records of a machine and of a process that do not exist: the committed pictures are made of
//! them.

// Each test program uses a part of this module.
#![allow(dead_code)]

pub(crate) mod machine;
pub(crate) mod process;
pub(crate) mod summary;

/// Source of numbers that are the same in each run (xorshift).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// Returns the next number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}
