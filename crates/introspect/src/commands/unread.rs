//! Processes that a list of several lacks. Must not know the list.

use process_introspection_dataset::tables::processes::ProcessRow;

use crate::failure::Failure;
use crate::text::processes;

/// Processes that were not read, and why.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    ended: u64,
    refused: u64,
    failed: Vec<String>,
}

impl Unread {
    /// Adds a process that this error kept from being read. Returns an error that is not the
    /// process's own.
    pub(crate) fn add(&mut self, failure: Failure) -> Result<(), Failure> {
        match failure {
            Failure::Library(error) if error.is_gone() => self.ended += 1,
            Failure::Library(error) if error.is_permission_denied() => self.refused += 1,
            Failure::Library(error) => self.failed.push(format!("not in the list: {error}")),
            other => return Err(other),
        }
        Ok(())
    }

    /// Returns whether every process was read that has not ended.
    pub(crate) fn is_complete(&self) -> bool {
        self.refused == 0 && self.failed.is_empty()
    }

    /// Returns a line for each reason.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = self.failed.clone();
        if self.refused > 0 {
            let them = if self.refused == 1 { "it" } else { "them" };
            lines.push(format!(
                "not in the list: {}, because reading {them} is refused to this user or here",
                processes(self.refused)
            ));
        }
        if self.ended > 0 {
            lines.push(format!(
                "not in the list: {} that ended meanwhile",
                processes(self.ended)
            ));
        }
        lines
    }

    /// Adds a process that a snapshot does not have.
    pub(crate) fn add_stored(&mut self, row: &ProcessRow) {
        match row.unread {
            Some("gone") => self.ended += 1,
            Some("refused") => self.refused += 1,
            reason => {
                let why = row.error.as_deref().or(reason).unwrap_or_default();
                self.failed.push(format!("not in the list: {why}"));
            }
        }
    }

    /// Adds a process of which a part was read before this error. Returns an error that is
    /// not the process's own.
    pub(crate) fn add_part(&mut self, failure: Failure) -> Result<(), Failure> {
        match failure {
            Failure::Library(error) => self
                .failed
                .push(format!("only in part in the list: {error}")),
            other => return Err(other),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_the_list_is_said_in_the_right_number() {
        let unread = |ended, refused| Unread {
            ended,
            refused,
            failed: vec!["process 7: cannot".to_owned()],
        };
        let one = [
            "process 7: cannot",
            "not in the list: 1 process, because reading it is refused to this user or here",
            "not in the list: 1 process that ended meanwhile",
        ];
        assert_eq!(unread(1, 1).lines(), one);
        let several = unread(2, 3).lines();
        assert!(several[1].starts_with("not in the list: 3 processes, because reading them is"));
        assert_eq!(
            several[2],
            "not in the list: 2 processes that ended meanwhile"
        );
        assert_eq!(Unread::default().lines(), [""; 0]);
        assert!(Unread::default().is_complete() && !unread(0, 0).is_complete());
    }
}
