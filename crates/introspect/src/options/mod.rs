//! Options that subcommands share, and the texts that they are parsed from. Must not
//! know any subcommand, nor how output is written.

pub(crate) mod freeze;
pub(crate) mod from;
pub(crate) mod launch;
pub(crate) mod mounts;
pub(crate) mod output;
pub(crate) mod pace;
pub(crate) mod pid;
pub(crate) mod process;
pub(crate) mod processes;
pub(crate) mod range;
pub(crate) mod selection;
pub(crate) mod sorting;
pub(crate) mod stats;
pub(crate) mod target;
