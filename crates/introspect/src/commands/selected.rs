//! Live processes that a command line names, one or several by each text.

use process_introspection::{Mounts, NamedProcess, Process, Target, UniquePid};

use crate::control::freeze::{freeze, Freeze};
use crate::failure::Failure;
use crate::options::freeze::FreezeOption;
use crate::options::pid::TargetText;
use crate::options::target::Found;

/// Process that a command line names.
#[derive(Debug)]
pub(crate) struct Selected {
    target: Target,
    /// Its name in messages.
    name: TargetText,
    /// Unique PID, if the name belongs to several processes. Such a process may end or be
    /// unreadable without failing the command.
    listed: Option<UniquePid>,
}

impl Selected {
    /// Returns the processes that these texts name, at least one for each text.
    pub(crate) fn named(mounts: &Mounts, texts: &[TargetText]) -> Result<Vec<Self>, Failure> {
        let mut selected = Vec::new();
        for text in texts {
            let alone = |target| Self {
                target,
                name: text.clone(),
                listed: None,
            };
            match text.find_all(mounts)? {
                Found::Number(target) => selected.push(alone(target)),
                Found::Name(processes) => match &processes[..] {
                    [process] => selected.push(alone(process.into())),
                    several => selected.extend(several.iter().map(Self::listed)),
                },
            }
        }
        Ok(selected)
    }

    /// Returns the unique PIDs of these processes, each once, and whether it is required.
    /// Fails if one that is required cannot be opened; others are not opened.
    pub(crate) fn unique_pids(
        mounts: &Mounts,
        selected: &[Self],
    ) -> Result<Vec<(UniquePid, bool)>, Failure> {
        let mut processes = Vec::<(UniquePid, bool)>::new();
        for named in selected {
            let unique = match named.listed {
                Some(unique) => unique,
                None => mounts.process(named.target)?.unique_pid()?,
            };
            match processes.iter_mut().find(|(before, _)| *before == unique) {
                Some((_, is_required)) => *is_required |= named.is_required(),
                None => processes.push((unique, named.is_required())),
            }
        }
        Ok(processes)
    }

    /// A process of a list, which may have ended since.
    fn listed(process: &NamedProcess) -> Self {
        Self {
            target: process.into(),
            name: TargetText::Number(process.pid().into()),
            listed: Some(process.unique_pid),
        }
    }

    /// Opens the process, and freezes it if requested.
    pub(crate) fn open(
        &self,
        mounts: &Mounts,
        option: &FreezeOption,
    ) -> Result<(Process, Option<Freeze>), Failure> {
        let process = mounts.process(self.target)?;
        let freeze = self.freeze(&process, option)?;
        Ok((process, freeze))
    }

    /// Freezes the process, which is open, if requested.
    pub(crate) fn freeze(
        &self,
        process: &Process,
        option: &FreezeOption,
    ) -> Result<Option<Freeze>, Failure> {
        freeze(option, process, &self.name)
    }

    /// Returns the process, for opening it.
    pub(crate) fn target(&self) -> Target {
        self.target
    }

    /// Returns whether it was named alone: it must exist and be readable.
    pub(crate) fn is_required(&self) -> bool {
        self.listed.is_none()
    }
}
