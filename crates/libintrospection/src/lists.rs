//! The calls that fill an array of unique PIDs. Knows nothing of other facts about
//! processes.

use core::ops::ControlFlow;

use process_introspection_core::process::ProcessDirectory;
use process_introspection_core::processes::{each_child, each_process, ListedPid};
use process_introspection_core::{CoreError, Errno, Operation, Target};

use crate::output::Output;
use crate::Result;

/// Size of an element.
const SIZE: usize = size_of::<i64>();

/// Array of unique PIDs in C's buffer.
struct Array {
    output: Output,
    count: usize,
}

impl Array {
    fn new(output: Output) -> Self {
        Self { output, count: 0 }
    }

    /// Stores the unique PID of a process if it fits, and counts the process if it still
    /// exists. Processes that are not stored are counted only.
    fn push(&mut self, listed: ListedPid) -> Result<ControlFlow<()>> {
        if self.count < self.output.size() / SIZE {
            let Some(unique) = listed.unique_pid()? else {
                return Ok(ControlFlow::Continue(()));
            };
            self.output
                .store(self.count * SIZE, &unique.to_ne_bytes())?;
        }
        self.count += 1;
        Ok(ControlFlow::Continue(()))
    }

    /// Returns the size in bytes of all elements.
    fn size(&self) -> u64 {
        (self.count * SIZE) as u64
    }
}

pub(crate) fn all(output: Output) -> Result<u64> {
    let mut array = Array::new(output);
    each_process(|listed| array.push(listed))?;
    Ok(array.size())
}

pub(crate) fn children(pid64: i64, output: Output) -> Result<u64> {
    let parent = open(pid64)?;
    let mut array = Array::new(output);
    each_child(&parent, |listed| array.push(listed))?;
    Ok(array.size())
}

/// Opens the directory of the target that C gave as a number.
#[inline(never)]
pub(crate) fn open(pid64: i64) -> Result<ProcessDirectory> {
    ProcessDirectory::open(Target::from_pid64(pid64)?)
}

/// Stores bytes at the beginning of a buffer, which must have room for them.
pub(crate) fn store_all(mut output: Output, bytes: &[u8]) -> Result<u64> {
    if output.size() < bytes.len() {
        return Err(CoreError::new(Errno::EFAULT, Operation::StoreResult));
    }
    output.store(0, bytes)?;
    Ok(bytes.len() as u64)
}
