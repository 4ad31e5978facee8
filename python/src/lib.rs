//! Native module of the Python package `process_introspection`: the library's queries as
//! classes and functions, and their results as streams of Arrow. What a column is called and
//! means is declared in the records of `process-introspection-export` alone.
#![deny(unsafe_code)]

mod errors;
mod lake;
mod machine;
mod owners;
mod plain;
mod process;
mod records;
mod signals;
mod stream;
mod walks;

use pyo3::pymodule;

/// Physical memory behind the addresses of processes.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::lake::{Lake, Snapshot, Table};
    #[pymodule_export]
    use crate::machine::{machine, Machine};
    #[pymodule_export]
    use crate::owners::{owners, Coverage};
    #[pymodule_export]
    use crate::process::{processes, processes_named, ListedProcess, Process};
    #[pymodule_export]
    use crate::records::{Records, RowIterator};
    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
