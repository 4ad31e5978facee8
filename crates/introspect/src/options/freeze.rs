//! `--freeze`.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct FreezeOption {
    /// Freeze the process during the walk
    #[arg(long)]
    pub(crate) freeze: bool,
}
