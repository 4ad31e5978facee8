//! Processes: lists, and the handle of one with its queries. Walks are in [`walks`]; the
//! interpreter is released while they run.

use std::ffi::{OsStr, OsString};

use process_introspection as library;
use process_introspection::{NamedProcess, Target, UniquePid};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::{Class, Failure};
use crate::records::Records;
use crate::walks::{self, range, PhysicalOptions};

/// Process of a list: an identity that no other process of this boot has.
#[pyclass(frozen, eq, hash, module = "process_introspection")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ListedProcess {
    /// PID.
    #[pyo3(get)]
    pid: u32,
    /// Unique PID, which is never used again.
    #[pyo3(get)]
    unique_pid: i64,
    /// Command line of its start, the arguments separated by spaces.
    #[pyo3(get)]
    command_line: OsString,
}

#[pymethods]
impl ListedProcess {
    /// Opens the process.
    fn open(&self, py: Python<'_>) -> Result<Process, Failure> {
        let target = Argument::Number(self.unique_pid);
        py.detach(|| target.open())
    }

    fn __repr__(&self) -> String {
        let Self {
            pid,
            unique_pid,
            command_line,
        } = self;
        format!("<ListedProcess {pid}, unique PID {unique_pid}: {command_line:?}>")
    }
}

impl From<NamedProcess> for ListedProcess {
    fn from(process: NamedProcess) -> Self {
        Self {
            pid: process.pid(),
            unique_pid: process.unique_pid.as_i64(),
            command_line: process.command_line,
        }
    }
}

/// Returns all processes that /proc shows, kernel threads included, by PID.
#[pyfunction]
pub(crate) fn processes(py: Python<'_>) -> Result<Vec<ListedProcess>, Failure> {
    let all = py.detach(library::all_processes)?;
    Ok(all.into_iter().map(ListedProcess::from).collect())
}

/// Returns the processes with exactly this name, by PID: that of the process, or the last
/// component of the path of its program or of its argument 0.
#[pyfunction]
pub(crate) fn processes_named(
    py: Python<'_>,
    name: OsString,
) -> Result<Vec<ListedProcess>, Failure> {
    let all = py.detach(|| library::processes_named(&name))?;
    Ok(all.into_iter().map(ListedProcess::from).collect())
}

/// Process as an argument.
#[derive(FromPyObject)]
enum Argument {
    /// PID, unique PID, or 0 for the calling process.
    Number(i64),
    /// Exact name, which only one process has.
    Name(OsString),
}

impl Argument {
    fn open(&self) -> Result<Process, Failure> {
        let target = match self {
            Self::Number(number) => Target::from_pid64(*number)
                .map_err(|_| Failure::Other(Class::NoProcess, format!("{number} is no PID")))?,
            Self::Name(name) => only_named(name)?.into(),
        };
        let process = library::Process::open(target)?;
        Ok(Process(process))
    }
}

/// Returns the only process with this name.
fn only_named(name: &OsStr) -> Result<UniquePid, Failure> {
    let named = library::processes_named(name)?;
    match &named[..] {
        [only] => Ok(only.unique_pid),
        [] => {
            let message = format!("no process has the name {name:?}");
            Err(Failure::Other(Class::NoProcess, message))
        }
        several => {
            let pids = several.iter().map(|process| process.pid().to_string());
            let pids = pids.collect::<Vec<_>>().join(", ");
            let message = format!("several processes have the name {name:?}: {pids}");
            Err(Failure::Other(Class::Argument, message))
        }
    }
}

/// Handle of one process and its memory.
///
/// target is a PID, a unique PID, 0 for the calling process, or the exact name of a process
/// that no other has. After the process has ended or executed another program every query
/// raises ProcessGoneError.
#[pyclass(frozen, module = "process_introspection")]
#[derive(Debug)]
pub(crate) struct Process(library::Process);

#[pymethods]
impl Process {
    #[new]
    fn new(py: Python<'_>, target: Argument) -> Result<Self, Failure> {
        py.detach(|| target.open())
    }

    /// Opens the calling process.
    #[staticmethod]
    fn current(py: Python<'_>) -> Result<Self, Failure> {
        py.detach(|| Argument::Number(0).open())
    }

    /// PID.
    #[getter]
    fn pid(&self) -> Option<u32> {
        self.0.pid()
    }

    /// Unique PID, which is never used again.
    #[getter]
    fn unique_pid(&self) -> Result<i64, Failure> {
        Ok(self.0.unique_pid()?.as_i64())
    }

    /// Command line of its start, the arguments separated by spaces; empty if it has ended.
    #[getter]
    fn command_line(&self) -> OsString {
        self.0.command_line()
    }

    /// Base page size in bytes.
    #[getter]
    fn page_size(&self) -> u64 {
        self.0.page_size().bytes()
    }

    /// Whether this caller can see physical addresses.
    #[getter]
    fn sees_frames(&self) -> bool {
        self.0.sees_frames()
    }

    /// Whether it has memory of its own, which kernel threads have not.
    #[getter]
    fn has_memory(&self) -> bool {
        self.0.has_memory()
    }

    /// Returns the mappings. With thread_stacks those that contain the stack of a thread are of
    /// that kind.
    #[pyo3(signature = (start=0, end=None, *, thread_stacks=false))]
    fn virtual_regions(
        &self,
        py: Python<'_>,
        start: u64,
        end: Option<u64>,
        thread_stacks: bool,
    ) -> Result<Records, Failure> {
        let range = range(start, end)?;
        py.detach(|| walks::virtual_regions(&self.0, range, thread_stacks))
    }

    /// Returns the physical memory behind the addresses: maximal runs of pages that are
    /// physically consecutive, or without memory for one reason. Requires CAP_SYS_ADMIN.
    ///
    /// backed leaves out regions without memory. details adds flags and mapcounts of page
    /// frames. vm_flags reads the kernel's flags of mappings first, which is slow.
    /// threads is a number of threads, 0 chooses one.
    #[pyo3(signature = (start=0, end=None, *, backed=false, details=false, vm_flags=false,
        thread_stacks=false, threads=0))]
    #[allow(clippy::too_many_arguments)]
    fn physical_regions(
        &self,
        py: Python<'_>,
        start: u64,
        end: Option<u64>,
        backed: bool,
        details: bool,
        vm_flags: bool,
        thread_stacks: bool,
        threads: u8,
    ) -> Result<Records, Failure> {
        let range = range(start, end)?;
        let options = PhysicalOptions {
            backed,
            details,
            vm_flags,
            thread_stacks,
            threads: threads.into(),
        };
        py.detach(|| walks::physical_regions(&self.0, range, options))
    }

    /// Returns which memory is resident, without physical addresses and without privileges for
    /// one's own processes.
    #[pyo3(signature = (start=0, end=None, *, backed=false))]
    fn resident_regions(
        &self,
        py: Python<'_>,
        start: u64,
        end: Option<u64>,
        backed: bool,
    ) -> Result<Records, Failure> {
        let range = range(start, end)?;
        py.detach(|| walks::resident_regions(&self.0, range, backed))
    }

    /// Returns the leaf entries of the page table: one row for each page. Requires
    /// CAP_SYS_ADMIN.
    #[pyo3(signature = (start, end, *, backed=false, details=false))]
    fn page_table(
        &self,
        py: Python<'_>,
        start: u64,
        end: Option<u64>,
        backed: bool,
        details: bool,
    ) -> Result<Records, Failure> {
        let range = range(start, end)?;
        py.detach(|| walks::page_table(&self.0, range, backed, details))
    }

    /// Returns the extents of exactly these bytes, as a device's scatter list has them.
    /// Requires CAP_SYS_ADMIN.
    fn extents(&self, py: Python<'_>, start: u64, end: u64) -> Result<Records, Failure> {
        let range = range(start, Some(end))?;
        py.detach(|| walks::extents(&self.0, range))
    }

    /// Returns the composition of the memory, in one row.
    fn summary(&self, py: Python<'_>) -> Result<Records, Failure> {
        py.detach(|| walks::summary(&self.0))
    }

    /// Returns the amounts of memory of each mapping.
    fn mapping_usage(&self, py: Python<'_>) -> Result<Records, Failure> {
        py.detach(|| walks::mapping_usage(&self.0))
    }

    /// Returns published metrics of the contiguity of the memory.
    fn contiguity_metrics(&self, py: Python<'_>) -> Result<Records, Failure> {
        py.detach(|| walks::contiguity_metrics(&self.0))
    }

    /// Returns the physical address of a byte; None if no memory is there. Requires
    /// CAP_SYS_ADMIN.
    fn physical_address(&self, py: Python<'_>, address: u64) -> Result<Option<u64>, Failure> {
        let address = py.detach(|| self.0.physical_address(address))?;
        Ok(address.map(|address| address.as_u64()))
    }

    /// Returns a copy of bytes of the memory.
    fn read_memory<'py>(
        &self,
        py: Python<'py>,
        address: u64,
        size: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        PyBytes::new_with(py, size, |bytes| {
            let read = py.detach(|| self.0.read_memory(address, bytes));
            read.map_err(|error| Failure::from(error).into())
        })
    }

    fn __repr__(&self) -> String {
        let command = self.0.command_line();
        match self.0.pid() {
            Some(pid) => format!("<Process {pid}: {command:?}>"),
            None => format!("<Process {command:?}>"),
        }
    }
}
