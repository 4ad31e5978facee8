//! Control of processes and of the command's own end: freezing, starting a program,
//! signals. Must not know any command, nor what a walk writes.

pub(crate) mod ending;
pub(crate) mod freeze;
pub(crate) mod interruption;
pub(crate) mod launch;
mod sanitizer;
