//! Stacks of threads, found by the threads' stack pointers.

use std::ops::ControlFlow;
use std::sync::Arc;

use process_introspection_core::mapping::MappingKind;
use process_introspection_core::threads::{self, ThreadStackPointer};

use crate::error::Error;
use crate::process::mapping::Mapping;
use crate::process::Process;

/// Threads of a process and their stack pointers, each as it was when it was read.
///
/// Kernels and C libraries that name the stacks of threads are new; a stack pointer
/// identifies one everywhere. Stack pointers are read only on request: a few system calls a
/// thread, 20 µs and more for each running one.
///
/// ```
/// use process_introspection::{MappingKind, Process};
///
/// let process = Process::current()?;
/// let stacks = process.thread_stacks()?;
/// let of_threads = process
///     .virtual_regions(..)?
///     .map(|mapping| mapping.map(|mapping| stacks.classify(&mapping)))
///     .filter(|mapping| mapping.as_ref().is_ok_and(|m| m.kind() == MappingKind::ThreadStack));
/// println!("{} threads, {} stacks of their own", stacks.threads().len(), of_threads.count());
/// # Ok::<(), process_introspection::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ThreadStacks {
    threads: Vec<ThreadStackPointer>,
    /// Stack pointers, ascending.
    pointers: Vec<u64>,
}

impl ThreadStacks {
    pub(crate) fn read(process: &Process) -> Result<Self, process_introspection_core::CoreError> {
        let mut threads = Vec::new();
        threads::each_thread(process.as_core(), |thread| {
            threads.push(thread);
            ControlFlow::Continue(())
        })?;
        let pointers = threads.iter().filter_map(|thread| thread.stack_pointer);
        let mut pointers: Vec<_> = pointers.map(|pointer| pointer.as_u64()).collect();
        pointers.sort_unstable();
        Ok(Self { threads, pointers })
    }

    /// Returns the threads, in no particular order.
    pub fn threads(&self) -> &[ThreadStackPointer] {
        &self.threads
    }

    /// Returns the mapping with the kind of a thread stack if it is private anonymous
    /// memory that contains a stack pointer, and unchanged otherwise. Memory that the
    /// kernel has merged with a stack is one mapping with it.
    pub fn classify(&self, mapping: &Arc<Mapping>) -> Arc<Mapping> {
        if mapping.kind() != MappingKind::Anonymous || mapping.has_object() || mapping.shared {
            return Arc::clone(mapping);
        }
        let range = mapping.range;
        let first = self
            .pointers
            .partition_point(|&pointer| pointer < range.start().as_u64());
        match self.pointers.get(first) {
            Some(&pointer) if pointer < range.end().as_u64() => Arc::new(mapping.as_thread_stack()),
            _ => Arc::clone(mapping),
        }
    }
}

impl Process {
    /// Reads the stack pointers of the threads, which identify their stacks.
    ///
    /// # Errors
    /// [`Error::is_permission_denied`] without the right to attach to the process with
    /// ptrace; [`Error::is_gone`]; [`Error::is_unsupported`] if this kernel does not report
    /// stack pointers.
    pub fn thread_stacks(&self) -> Result<ThreadStacks, Error> {
        ThreadStacks::read(self).map_err(|error| self.error(error))
    }
}
