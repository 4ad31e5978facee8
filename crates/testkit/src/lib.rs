//! For the tests: processes with known memory ([`target`]) and an oracle that
//! reads each page's entry by itself and knows the contract only ([`oracle`]).
//! Depends on none of the crates that it tests.

pub mod machine;
pub mod memory;
pub mod objects;
pub mod oracle;
pub mod random;
pub mod target;
pub mod trace;
