//! `--freeze`.

use clap::Args;

/// Message about the option beside several processes.
pub(crate) const FOR_ONE_PROCESS: &str = "--freeze is for one process";

#[derive(Debug, Args)]
pub(crate) struct FreezeOption {
    /// Freeze the process during the walk
    #[arg(long)]
    pub(crate) freeze: bool,
}
