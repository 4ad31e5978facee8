//! Option types that subcommands share, and the texts they are read from. Depends on
//! no command and on no output.

pub(crate) mod mounts;
pub(crate) mod pid;
pub(crate) mod range;
pub(crate) mod selection;
pub(crate) mod target;
