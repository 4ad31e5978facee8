//! Sources of a subcommand that lists the memory of one process or of several: live, or of a
//! snapshot.

use process_introspection::{Error, Process};

use crate::commands::selected::Selected;
use crate::commands::several::Several;
use crate::control::launch::WalkContext;
use crate::failure::Failure;
use crate::options::freeze::FOR_ONE_PROCESS;
use crate::options::from::{as_user, FromOptions};
use crate::options::processes::ProcessesArguments;
use crate::source::{stored, Source};

/// Opens the process that is named, and calls `one` with it: a live process has to pass
/// `require`, and is frozen if requested. Calls `several` if more are named, or `--all` is
/// present.
pub(crate) fn with_sources(
    arguments: &ProcessesArguments,
    from: &FromOptions,
    require: impl FnOnce(&Process) -> Result<(), Error>,
    one: impl FnOnce(&Source<'_>, WalkContext) -> Result<(), Failure>,
    several: impl FnOnce(&Several) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let texts = arguments.targets();
    if let Some(snapshot) = from.open()? {
        let mut rows = match arguments.is_all() {
            true => {
                let rows = as_user(|| snapshot.processes())?.into_iter();
                rows.map(|row| (row, false)).collect()
            }
            false => stored::find_each(&snapshot, texts)?,
        };
        if texts.len() == 1 && rows.len() == 1 {
            if let Some((row, _)) = rows.pop() {
                let process = as_user(|| snapshot.open_process(row))?;
                return one(&Source::Stored(&process), WalkContext::default());
            }
        }
        let snapshot = Box::new(snapshot);
        return several(&Several::Stored { snapshot, rows });
    }
    let mounts = arguments.mounts.mounts()?;
    let mut processes = Vec::new();
    if arguments.is_all() {
        let all = mounts.all_pids()?.into_iter();
        processes.extend(all.map(|unique| (unique, false)));
    } else {
        let selected = Selected::named(&mounts, texts)?;
        if let ([_], [named]) = (texts, &selected[..]) {
            let process = mounts.process(named.target())?;
            require(&process)?;
            let freeze = named.freeze(&process, &arguments.freeze)?;
            return one(&Source::Live(&process), freeze.into());
        }
        if arguments.freeze.freeze {
            return Err(Failure::Message(FOR_ONE_PROCESS.to_owned()));
        }
        processes = Selected::unique_pids(&mounts, &selected)?;
    }
    several(&Several::Live {
        mounts,
        processes,
        deadline: arguments.deadline(),
    })
}
