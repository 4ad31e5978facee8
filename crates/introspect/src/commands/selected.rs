//! Live processes that a command line names, one or several by each text.

use process_introspection::{Mounts, Process, Target};

use crate::control::freeze::{freeze, Freeze};
use crate::failure::Failure;
use crate::options::freeze::FreezeOption;
use crate::options::pid::TargetText;

/// Process that a command line names.
#[derive(Debug)]
pub(crate) struct Selected {
    target: Target,
    /// Its name in messages.
    name: TargetText,
    /// It was named by its number: it must exist and be readable.
    is_required: bool,
}

impl Selected {
    /// Returns the processes that these texts name, at least one for each text.
    pub(crate) fn named(mounts: &Mounts, texts: &[TargetText]) -> Result<Vec<Self>, Failure> {
        let mut selected = Vec::new();
        for text in texts {
            match &text.find_all(mounts)?[..] {
                several @ [_, _, ..] => {
                    selected.extend(several.iter().map(|&target| Self::found(target)));
                }
                targets => selected.extend(targets.iter().map(|&target| Self {
                    target,
                    name: text.clone(),
                    is_required: true,
                })),
            }
        }
        Ok(selected)
    }

    /// A process of a list, which may have ended since.
    fn found(target: Target) -> Self {
        let name = match target {
            Target::Caller => TargetText::This,
            Target::Pid(pid) | Target::Unique { pid, .. } => TargetText::Number(pid.into()),
        };
        Self {
            target,
            name,
            is_required: false,
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

    /// Returns whether it was named by its number: it must exist and be readable.
    pub(crate) fn is_required(&self) -> bool {
        self.is_required
    }
}
