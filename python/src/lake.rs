//! Lakes: their snapshots, and the tables of one. Rows are streamed from their files.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use arrow_schema::ArrowError;
use process_introspection::Host;
use process_introspection_dataset::lake::{self, verify, State, When};
use process_introspection_dataset::tables;
use process_introspection_export::{Record, SnapshotRecord};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::errors::{Class, Failure};
use crate::records::{names, Collector, Records, RowIterator};
use crate::signals::Signals;
use crate::stream::capsule;

/// Snapshots whose files are looked for at a time.
const PART: usize = 1024;

/// Lake: a folder with tables of snapshots, which `introspect snapshot` writes.
#[pyclass(frozen, module = "process_introspection")]
#[derive(Debug)]
pub(crate) struct Lake(lake::Lake);

/// Snapshot that is requested.
#[derive(FromPyObject)]
pub(crate) enum WhenArgument {
    /// Id, time in the form of RFC 3339, or "latest".
    Text(String),
    /// Time.
    Time(SystemTime),
}

impl WhenArgument {
    fn when(self) -> Result<When, Failure> {
        match self {
            Self::Time(time) => Ok(When::At(time)),
            Self::Text(text) => text
                .parse()
                .map_err(|message| Failure::Other(Class::Argument, message)),
        }
    }
}

#[pymethods]
impl Lake {
    #[new]
    fn new(root: PathBuf) -> Result<Self, Failure> {
        Ok(Self(lake::Lake::open(root)?))
    }

    /// The folder.
    #[getter]
    fn root(&self) -> OsString {
        self.0.root().as_os_str().to_owned()
    }

    /// Returns all snapshots, the oldest first, each with whether its files are there.
    fn snapshots(&self, py: Python<'_>) -> Result<Records, Failure> {
        py.detach(|| {
            let (entries, _) = self.0.entries()?;
            let mut records = Collector::new(&SnapshotRecord::LAYOUT, Vec::new());
            let mut signals = Signals::new();
            for part in entries.chunks(PART) {
                for snapshot in verify(part) {
                    records.push(&snapshot.record());
                }
                if signals.look().is_break() {
                    break;
                }
            }
            signals.finish()?;
            Ok(records.finish())
        })
    }

    /// Returns a snapshot: the newest ("latest"), the one with an id, or the newest that was
    /// taken at a time or before (a datetime with a time zone, or text such as
    /// 2026-11-25T18:00:00Z). Without a host it is this one if the lake has its snapshots, or
    /// the only one that it has.
    #[pyo3(signature = (when=WhenArgument::Text("latest".to_owned()), *, host=None),
        text_signature = "(self, when='latest', *, host=None)")]
    fn select(
        &self,
        py: Python<'_>,
        when: WhenArgument,
        host: Option<OsString>,
    ) -> Result<Snapshot, Failure> {
        let when = when.when()?;
        py.detach(|| {
            let this_host = Host::read().name.unwrap_or_default();
            let host = host.as_ref().map(|host| host.as_bytes());
            let snapshot = self.0.select(when, host, this_host.as_bytes())?;
            Ok(Snapshot(Arc::new(snapshot)))
        })
    }

    fn __repr__(&self) -> String {
        format!("<Lake {:?}>", self.0.root())
    }
}

/// Snapshot of a lake.
#[pyclass(frozen, module = "process_introspection")]
#[derive(Debug)]
pub(crate) struct Snapshot(Arc<lake::Snapshot>);

#[pymethods]
impl Snapshot {
    /// Id: a UUID that begins with the time.
    #[getter]
    fn id(&self) -> String {
        self.0.entry().id().to_string()
    }

    /// Name of the host.
    #[getter]
    fn host(&self) -> OsString {
        OsString::from_vec(self.0.row().host_name.0.clone())
    }

    /// Time at which it began, to the millisecond.
    #[getter]
    fn taken_at(&self) -> SystemTime {
        self.0.entry().id().time()
    }

    /// Base page size of the machine, in bytes.
    #[getter]
    fn page_size(&self) -> Result<u64, Failure> {
        Ok(self.0.page_size()?.bytes())
    }

    /// Whether all of its files are there, in their sizes.
    #[getter]
    fn is_complete(&self) -> bool {
        self.0.state() == State::Complete
    }

    /// Names of its tables.
    #[getter]
    fn tables(&self) -> Vec<&'static str> {
        let all = tables::Table::ALL.into_iter();
        all.filter(|table| self.has(*table))
            .map(tables::Table::name)
            .collect()
    }

    /// Returns a table.
    fn table(&self, name: &str) -> Result<Table, Failure> {
        let mut all = tables::Table::ALL.into_iter();
        let table = all.find(|table| table.name() == name && self.has(*table));
        let table = table.ok_or_else(|| {
            let (id, tables) = (self.id(), self.tables().join(", "));
            let message = format!("snapshot {id} has no table {name:?}: it has {tables}");
            Failure::Other(Class::NotInLake, message)
        })?;
        Ok(Table {
            snapshot: Arc::clone(&self.0),
            table,
        })
    }

    fn __repr__(&self) -> String {
        format!("<Snapshot {} of host {:?}>", self.id(), self.host())
    }
}

impl Snapshot {
    fn has(&self, table: tables::Table) -> bool {
        table == tables::Table::Snapshots || self.0.row().head.bytes_of(table).is_some()
    }
}

/// Table of a snapshot, which is read from its file when it is used, in batches.
///
/// polars, pyarrow, DuckDB and others take it directly, by Arrow's PyCapsule interface; they
/// can also read the Parquet file of its path.
#[pyclass(frozen, module = "process_introspection")]
#[derive(Debug)]
pub(crate) struct Table {
    snapshot: Arc<lake::Snapshot>,
    table: tables::Table,
}

#[pymethods]
impl Table {
    /// Name.
    #[getter]
    fn name(&self) -> &'static str {
        self.table.name()
    }

    /// Path of the file.
    #[getter]
    fn path(&self) -> OsString {
        self.snapshot.path(self.table).into_os_string()
    }

    /// Names of the columns.
    #[getter]
    fn column_names(&self) -> Result<Vec<String>, Failure> {
        Ok(names(&self.snapshot.batches(self.table)?.0))
    }

    /// Returns the rows as a stream of Arrow. The schema is always that of the file.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        drop(requested_schema);
        let opened = py.detach(|| self.snapshot.batches(self.table));
        let (schema, batches) = opened.map_err(Failure::from)?;
        let external = |error| ArrowError::ExternalError(Box::new(error));
        capsule(
            py,
            schema,
            batches.map(move |batch| batch.map_err(external)),
        )
    }

    /// Returns all rows.
    fn read(&self, py: Python<'_>) -> Result<Records, Failure> {
        py.detach(|| {
            let (schema, rows) = self.snapshot.batches(self.table)?;
            let mut batches = Vec::new();
            let mut signals = Signals::new();
            for batch in rows {
                batches.push(batch?);
                if signals.look().is_break() {
                    break;
                }
            }
            signals.finish()?;
            Ok(Records::new(schema, batches))
        })
    }

    fn __iter__(&self) -> Result<RowIterator, Failure> {
        let (_, batches) = self.snapshot.batches(self.table)?;
        Ok(RowIterator::new(
            batches.map(|batch| batch.map_err(Failure::from)),
        ))
    }

    fn __repr__(&self) -> String {
        format!(
            "<Table {} of snapshot {}>",
            self.table.name(),
            self.snapshot.entry().id()
        )
    }
}
