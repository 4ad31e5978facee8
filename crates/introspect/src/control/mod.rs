//! Processes and signals: freezing a target, starting a program, ending in order.
//! Depends on no command.

pub(crate) mod ending;
pub(crate) mod freeze;
pub(crate) mod interruption;
pub(crate) mod launch;
pub(crate) mod sanitizer;
