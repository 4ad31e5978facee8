//! Whether the addresses that the libraries give are physical addresses: a
//! guest whose RAM is a file on the host writes a pattern into its memory, asks
//! the libraries where that is, and the host looks into the file.
//!
//! Here is what both sides share ([`pattern`], [`slot`]) and the host's side
//! ([`ram`], [`judge`]). The guest's program is `truth-guest`.

pub mod judge;
pub mod pattern;
pub mod ram;
pub mod slot;
