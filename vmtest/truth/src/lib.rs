//! Comparison of reported physical addresses with the RAM of a guest: the guest, whose
//! RAM is a file on the host, writes patterns into its memory and queries their
//! addresses, and the host compares the file at these addresses.
//!
//! This library has what both sides share ([`pattern`], [`slot`]) and the host's side
//! ([`ram`], [`judge`]). The guest's program is `truth-guest`.

pub mod judge;
pub mod pattern;
pub mod ram;
pub mod slot;
