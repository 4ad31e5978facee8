//! Records of one kind in memory, as batches of Arrow, and rows as dictionaries. Must not
//! know kinds of records, and opens no process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use process_introspection_dataset::columns::Builder;
use process_introspection_export::{Fields, Layout};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyList};

use crate::errors::Failure;
use crate::plain;
use crate::stream::capsule;

/// Facts about records, each with its name.
pub(crate) type Facts = Vec<(&'static str, String)>;

/// Collector of records.
pub(crate) struct Collector {
    builder: Builder,
    batches: Vec<RecordBatch>,
}

impl Collector {
    /// Begins records of this layout, which these facts describe.
    pub(crate) fn new(layout: &Layout, facts: Facts) -> Self {
        let tool = [
            ("tool", "process-introspection for Python".to_owned()),
            ("tool_version", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        let facts = facts.into_iter().chain(tool);
        let metadata: HashMap<_, _> = facts.map(|(name, fact)| (name.to_owned(), fact)).collect();
        Self {
            builder: Builder::new(layout.fields, layout.extra, metadata),
            batches: Vec::new(),
        }
    }

    /// Appends a record.
    #[inline]
    pub(crate) fn push<R: Fields>(&mut self, record: &R) {
        self.builder.push(record);
        if self.builder.is_full() {
            self.batches.push(self.builder.finish());
        }
    }

    pub(crate) fn finish(mut self) -> Records {
        if !self.builder.is_empty() {
            self.batches.push(self.builder.finish());
        }
        Records::new(Arc::clone(self.builder.schema()), self.batches)
    }

    /// Returns all of these records.
    pub(crate) fn all<'a, R: Fields + 'a>(
        layout: &Layout,
        facts: Facts,
        records: impl IntoIterator<Item = &'a R>,
    ) -> Records {
        let mut collector = Self::new(layout, facts);
        records
            .into_iter()
            .for_each(|record| collector.push(record));
        collector.finish()
    }
}

/// Records of one kind: rows with the same columns, in memory.
///
/// polars, pyarrow, DuckDB and others take them directly, by Arrow's PyCapsule interface:
/// `polars.from_arrow(records)`, `pyarrow.table(records)`. Without any of these, each row is a
/// dictionary: `records[0]`, `for row in records`.
#[pyclass(frozen, module = "process_introspection")]
#[derive(Debug)]
pub(crate) struct Records {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    rows: usize,
}

impl Records {
    pub(crate) fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        Self {
            schema,
            batches,
            rows,
        }
    }
}

#[pymethods]
impl Records {
    /// Returns the rows as a stream of Arrow. The schema is always that of the records.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // Casts are the consumer's: the interface leaves them open.
        drop(requested_schema);
        let batches = self.batches.clone().into_iter().map(Ok);
        capsule(py, Arc::clone(&self.schema), batches)
    }

    fn __len__(&self) -> usize {
        self.rows
    }

    /// Returns a row as a dictionary. Negative numbers count from the end.
    fn __getitem__<'py>(&self, py: Python<'py>, index: isize) -> PyResult<Bound<'py, PyDict>> {
        let index = match index {
            0.. => Some(index as usize),
            _ => self.rows.checked_sub(index.unsigned_abs()),
        };
        let mut row = index
            .filter(|index| *index < self.rows)
            .ok_or_else(|| PyIndexError::new_err("there is no such row"))?;
        for batch in &self.batches {
            match row.checked_sub(batch.num_rows()) {
                Some(further) => row = further,
                None => return plain::row(py, batch, row),
            }
        }
        Err(PyIndexError::new_err("there is no such row"))
    }

    fn __iter__(&self) -> RowIterator {
        RowIterator::new(self.batches.clone().into_iter().map(Ok))
    }

    /// Returns all rows as dictionaries.
    fn to_pylist<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let rows = PyList::empty(py);
        for batch in &self.batches {
            for row in 0..batch.num_rows() {
                rows.append(plain::row(py, batch, row)?)?;
            }
        }
        Ok(rows)
    }

    /// Names of the columns.
    #[getter]
    fn column_names(&self) -> Vec<String> {
        names(&self.schema)
    }

    /// Facts about all rows: the machine, the boot, the time, the page size, the process.
    #[getter]
    fn metadata(&self) -> HashMap<String, String> {
        self.schema.metadata().clone()
    }

    fn __repr__(&self) -> String {
        let columns = self.schema.fields().len();
        format!("<Records: {} rows, {columns} columns>", self.rows)
    }
}

/// Returns the names of columns.
pub(crate) fn names(schema: &SchemaRef) -> Vec<String> {
    let fields = schema.fields().iter();
    fields.map(|field| field.name().clone()).collect()
}

/// Source of batches.
type Batches = Box<dyn Iterator<Item = Result<RecordBatch, Failure>> + Send>;

/// Iterator of rows as dictionaries.
#[pyclass(module = "process_introspection")]
pub(crate) struct RowIterator {
    /// Only a thread that has the iterator for itself uses them: the mutex is never waited for.
    batches: Mutex<Batches>,
    batch: Option<RecordBatch>,
    row: usize,
}

impl RowIterator {
    pub(crate) fn new(
        batches: impl Iterator<Item = Result<RecordBatch, Failure>> + Send + 'static,
    ) -> Self {
        Self {
            batches: Mutex::new(Box::new(batches)),
            batch: None,
            row: 0,
        }
    }
}

#[pymethods]
impl RowIterator {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        loop {
            if let Some(batch) = &self.batch {
                if self.row < batch.num_rows() {
                    self.row += 1;
                    return plain::row(py, batch, self.row - 1).map(Some);
                }
            }
            let batches = self.batches.get_mut();
            let batches = batches.unwrap_or_else(PoisonError::into_inner);
            self.batch = py.detach(|| batches.next()).transpose()?;
            self.row = 0;
            if self.batch.is_none() {
                return Ok(None);
            }
        }
    }
}
