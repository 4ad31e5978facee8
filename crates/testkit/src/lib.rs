//! Test support: processes with known memory ([`target`]) and an oracle that reads
//! each page's entry by itself and knows only the contract ([`oracle`]).
//! Depends on none of the crates that it tests.

pub mod alone;
pub mod balloon;
pub mod drivers;
pub mod faults;
pub mod fuse;
pub mod leaf_entries;
pub mod machine;
pub mod memory;
pub mod merging;
pub mod objects;
pub mod oracle;
pub mod pci;
pub mod persistent;
pub mod random;
pub mod scale;
pub mod settled;
pub mod storm;
pub mod target;
pub mod thread;
pub mod trace;
pub mod tracee;
pub mod userfaultfd;
pub mod varied;
