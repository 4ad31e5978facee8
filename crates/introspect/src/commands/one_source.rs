//! Source of a subcommand that lists the memory of one process: live, or of a snapshot.

use process_introspection::{Error, Process};

use crate::control::freeze::freeze;
use crate::control::launch::WalkContext;
use crate::failure::Failure;
use crate::options::from::FromOptions;
use crate::options::process::ProcessArguments;
use crate::source::{stored, Source};

/// Opens the process, and calls `list` with it. A live process has to pass `require`, and is
/// frozen if requested.
pub(crate) fn with_source(
    arguments: &ProcessArguments,
    from: &FromOptions,
    require: impl FnOnce(&Process) -> Result<(), Error>,
    list: impl FnOnce(&Source<'_>, WalkContext) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let pid = &arguments.target.pid;
    if let Some(snapshot) = from.open()? {
        let process = stored::open(&snapshot, pid)?;
        return list(&Source::Stored(&process), WalkContext::default());
    }
    let process = arguments.target.open()?;
    require(&process)?;
    let freeze = freeze(&arguments.freeze, &process, pid)?;
    list(&Source::Live(&process), freeze.into())
}
