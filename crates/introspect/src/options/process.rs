//! Arguments of a subcommand that reads a range of one process. Knows no subcommand.

use clap::Args;

use crate::options::freeze::FreezeOption;
use crate::options::selection::RangeArgument;
use crate::options::target::TargetArgument;

#[derive(Debug, Args)]
pub(crate) struct ProcessArguments {
    #[command(flatten)]
    pub(crate) target: TargetArgument,
    #[command(flatten)]
    pub(crate) range: RangeArgument,
    #[command(flatten)]
    pub(crate) freeze: FreezeOption,
}
