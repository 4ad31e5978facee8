//! Reading a snapshot: its row, and the rows of its tables, in constant memory where they
//! can be many.

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::ProjectionMask;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::ChunkReader;
use parquet::file::statistics::Statistics;
use process_introspection::{AddrRange, Attributed, Mapping, PageSize, PhysicalRegion};
use process_introspection_export::{Details, FromSource};

use crate::columns::{has_column, Rows};
use crate::lake::entry::{Entry, State};
use crate::lake::error::LakeError;
use crate::lake::parts::{cut, joined, made_of, mapping_of, region_of, StoredRegion};
use crate::tables::mappings::MappingRow;
use crate::tables::processes::ProcessRow;
use crate::tables::regions::RegionRow;
use crate::tables::snapshots::{SnapshotHead, SnapshotRow};
use crate::tables::{Table, SCHEMA_VERSION};

/// Rows that are decoded at a time.
const BATCH: usize = 16 << 10;

impl Entry {
    /// Reads the snapshot's row.
    ///
    /// # Errors
    /// [`LakeError::Io`], [`LakeError::Damaged`], [`LakeError::LaterVersion`].
    pub fn open(&self) -> Result<Snapshot, LakeError> {
        let row = self.read(|row: &SnapshotRow| &row.head)?;
        Ok(Snapshot {
            entry: self.clone(),
            row,
        })
    }

    /// Reads what lists show of the snapshot, and looks whether its tables are there.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    fn look(&self) -> Result<(SnapshotHead, State), LakeError> {
        let head = self.read(|head| head)?;
        let state = self.state(&head);
        Ok((head, state))
    }

    /// Reads columns of the snapshot's row.
    fn read<R: FromSource>(&self, head: fn(&R) -> &SnapshotHead) -> Result<R, LakeError> {
        let path = self.path();
        let mut rows = Vec::<R>::new();
        for batch in TableReader::read(&path)?.batches::<R>(|_| true, &[])? {
            for row in rows_of(&batch?, &path)? {
                rows.push(row?);
            }
        }
        let [row] = <[R; 1]>::try_from(rows)
            .map_err(|rows| LakeError::damaged(&path, format!("it has {} rows", rows.len())))?;
        match head(&row).schema_version {
            version if version > SCHEMA_VERSION => Err(LakeError::LaterVersion { path, version }),
            _ => Ok(row),
        }
    }

    /// Returns whether the tables of the snapshot are there, by their sizes.
    fn state(&self, head: &SnapshotHead) -> State {
        for table in Table::PARTS {
            let Some(expected) = head.bytes_of(table) else {
                continue;
            };
            let path = self.place.file(&self.root, table);
            let why = match fs::metadata(&path) {
                Ok(metadata) if metadata.len() == expected => continue,
                Ok(metadata) => format!("has {} bytes instead of {expected}", metadata.len()),
                Err(error) => error.to_string(),
            };
            return State::Incomplete(format!("table {}: {why}", table.name()));
        }
        State::Complete
    }
}

/// Snapshots of which a thread reads at least so many.
const LEAST: usize = 64;

/// Reads what lists show of snapshots, by several threads if they are many, each with whether
/// its tables are there, in order.
///
/// # Errors
/// Those of [`Entry::open`], for each.
pub fn heads(entries: &[Entry]) -> Vec<Result<(SnapshotHead, State), LakeError>> {
    let threads = thread::available_parallelism().map_or(1, Into::into);
    let size = entries.len().div_ceil(threads).max(LEAST);
    let (first, others) = entries.split_at(size.min(entries.len()));
    thread::scope(|scope| {
        let others = others.chunks(size);
        let others = others.map(|part| scope.spawn(move || part.iter().map(Entry::look).collect()));
        let others: Vec<thread::ScopedJoinHandle<'_, Vec<_>>> = others.collect();
        let mut all: Vec<_> = first.iter().map(Entry::look).collect();
        for part in others {
            match part.join() {
                Ok(part) => all.extend(part),
                Err(panic) => resume_unwind(panic),
            }
        }
        all
    })
}

/// Complete snapshot of a lake.
#[derive(Clone, Debug)]
pub struct Snapshot {
    entry: Entry,
    row: SnapshotRow,
}

impl Snapshot {
    /// Returns the snapshot's row.
    pub fn row(&self) -> &SnapshotRow {
        &self.row
    }

    /// Returns its place in the lake.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Returns the base page size of the machine.
    ///
    /// # Errors
    /// [`LakeError::Damaged`].
    pub fn page_size(&self) -> Result<PageSize, LakeError> {
        let size = PageSize::from_bytes(self.row.page_size);
        size.ok_or_else(|| LakeError::damaged(&self.entry.path(), "it has no page size"))
    }

    /// Returns the path of the file of a table, which is there if
    /// [`SnapshotHead::bytes_of`] has its size.
    pub fn path(&self, table: Table) -> PathBuf {
        self.entry.place.file(&self.entry.root, table)
    }

    /// Returns whether its tables are there, by their sizes.
    pub fn state(&self) -> State {
        self.entry.state(&self.row.head)
    }

    /// Returns the schema and all rows of a table as they are stored, in batches, with the
    /// columns of other versions.
    ///
    /// # Errors
    /// [`LakeError::Io`], [`LakeError::Damaged`].
    pub fn batches(
        &self,
        table: Table,
    ) -> Result<
        (
            SchemaRef,
            impl Iterator<Item = Result<RecordBatch, LakeError>> + Send + use<>,
        ),
        LakeError,
    > {
        let path = self.path(table);
        let reader = TableReader::open(&path)?;
        let reader =
            ParquetRecordBatchReaderBuilder::new_with_metadata(reader.file, reader.metadata)
                .with_batch_size(BATCH)
                .build()
                .map_err(|error| LakeError::damaged(&path, error))?;
        let schema = reader.schema();
        let batches =
            reader.map(move |batch| batch.map_err(|error| LakeError::damaged(&path, error)));
        Ok((schema, batches))
    }

    /// Returns the rows of a table, or at least all of one process.
    pub(super) fn rows<R: FromSource>(
        &self,
        table: Table,
        unique_pid: Option<u64>,
    ) -> Result<impl Iterator<Item = Result<R, LakeError>> + use<R>, LakeError> {
        self.rows_of(table, &[], move |group| {
            group.may_have("unique_pid", unique_pid, unique_pid)
        })
    }

    /// Returns the rows of a table in the row groups that are chosen, without these columns.
    pub(super) fn rows_of<R: FromSource, F: FnMut(Group<'_>) -> bool>(
        &self,
        table: Table,
        left_out: &[&str],
        is_chosen: F,
    ) -> Result<impl Iterator<Item = Result<R, LakeError>> + use<R, F>, LakeError> {
        let path = self.path(table);
        let batches = TableReader::open(&path)?.batches::<R>(is_chosen, left_out)?;
        Ok(batches.flat_map(move |batch| {
            let (rows, error) = match batch.and_then(|batch| rows_of::<R>(&batch, &path)) {
                Ok(rows) => (Some(rows), None),
                Err(error) => (None, Some(Err(error))),
            };
            rows.into_iter().flatten().chain(error)
        }))
    }

    /// Returns all processes, also those that could not be read, by their unique PIDs.
    ///
    /// # Errors
    /// [`LakeError::Io`], [`LakeError::Damaged`].
    pub fn processes(&self) -> Result<Vec<ProcessRow>, LakeError> {
        self.rows(Table::Processes, None)?.collect()
    }

    /// Returns the mappings of a process by their addresses.
    ///
    /// # Errors
    /// [`LakeError::Io`], [`LakeError::Damaged`].
    pub fn mappings(&self, unique_pid: u64) -> Result<Vec<MappingRow>, LakeError> {
        let rows = self.rows::<MappingRow>(Table::Mappings, Some(unique_pid))?;
        let is_of_process =
            |row: &Result<MappingRow, _>| !matches!(row, Ok(row) if row.unique_pid != unique_pid);
        rows.filter(is_of_process).collect()
    }

    /// Returns a process with its mappings.
    ///
    /// # Errors
    /// [`LakeError::Io`], [`LakeError::Damaged`].
    pub fn open_process(&self, row: ProcessRow) -> Result<StoredProcess<'_>, LakeError> {
        let path = self.path(Table::Mappings);
        let rows = self.mappings(row.unique_pid)?.into_iter();
        let mappings = rows.map(|row| Ok((made_of(&row, &path)?, row)));
        let mappings = mappings.collect::<Result<_, LakeError>>()?;
        Ok(StoredProcess {
            snapshot: self,
            page_size: self.page_size()?,
            row,
            mappings,
        })
    }

    /// Returns the regions of all processes, or of one, by unique PID and address.
    ///
    /// # Errors
    /// [`LakeError::Io`], [`LakeError::Damaged`].
    pub fn regions(
        &self,
        unique_pid: Option<u64>,
        with_details: bool,
    ) -> Result<impl Iterator<Item = Result<RegionRow, LakeError>> + use<>, LakeError> {
        self.regions_until(unique_pid, None, with_details)
    }

    /// As [`Self::regions`], but those of the process that begin behind a page may be left
    /// out.
    fn regions_until(
        &self,
        unique_pid: Option<u64>,
        last: Option<u64>,
        with_details: bool,
    ) -> Result<impl Iterator<Item = Result<RegionRow, LakeError>> + use<>, LakeError> {
        let left_out = &["details"][usize::from(with_details)..];
        let rows = self.rows_of::<RegionRow, _>(Table::Regions, left_out, move |group| {
            group.may_have("unique_pid", unique_pid, unique_pid)
                && (unique_pid.is_none() || group.may_have("vpn", None, last))
        })?;
        Ok(rows.filter(move |row| match (row, unique_pid) {
            (Ok(row), Some(unique_pid)) => row.unique_pid == unique_pid,
            _ => true,
        }))
    }
}

/// Process of a snapshot, with its mappings.
#[derive(Debug)]
pub struct StoredProcess<'a> {
    snapshot: &'a Snapshot,
    page_size: PageSize,
    row: ProcessRow,
    mappings: Vec<(Arc<Mapping>, MappingRow)>,
}

impl StoredProcess<'_> {
    /// Returns the base page size of its machine.
    pub fn page_size(&self) -> PageSize {
        self.page_size
    }

    /// Returns its snapshot.
    pub fn snapshot(&self) -> &Snapshot {
        self.snapshot
    }

    /// Returns the process's row.
    pub fn row(&self) -> &ProcessRow {
        &self.row
    }

    /// Returns its mappings by their addresses, each with its row.
    pub fn mappings(&self) -> &[(Arc<Mapping>, MappingRow)] {
        &self.mappings
    }

    /// Returns the regions in `range`, widened to whole pages, in the order of addresses,
    /// and cut to it. Regions that are mapped by entries of several sizes are in parts, as
    /// they are stored. Each has its details if they are requested and stored; of a piece of
    /// a part they are only known if all of its pages have the same.
    ///
    /// # Errors
    /// [`LakeError::Io`], [`LakeError::Damaged`].
    pub fn parts(
        &self,
        range: AddrRange,
        with_details: bool,
    ) -> Result<impl Iterator<Item = Result<StoredRegion, LakeError>> + '_, LakeError> {
        let base = self.page_size;
        let path = self.snapshot.path(Table::Regions);
        let range = range.widened(base);
        let last = range.end().as_u64().saturating_sub(1) >> base.shift();
        let pid = Some(self.row.unique_pid);
        let mut mappings = self.mappings.iter().map(|(mapping, _)| mapping).peekable();
        let rows = self.snapshot.regions_until(pid, Some(last), with_details)?;
        Ok(rows.filter_map(move |row| {
            let part = row.and_then(|row| {
                let mapping = mapping_of(&row, &mut mappings);
                region_of(row, mapping, base, &path)
            });
            match part {
                Ok(part) => cut(part, range, base).map(Ok),
                Err(error) => Some(Err(error)),
            }
        }))
    }

    /// Passes the regions in `range`, joined, to `each`, until that breaks.
    ///
    /// # Errors
    /// [`LakeError::Io`], [`LakeError::Damaged`].
    pub fn regions(
        &self,
        range: AddrRange,
        with_details: bool,
        mut each: impl FnMut(Attributed<PhysicalRegion>, Option<Details>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, LakeError> {
        for region in joined(self.parts(range, with_details)?) {
            let (region, details) = region?;
            if each(region, details).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Returns the rows of a batch.
fn rows_of<R: FromSource>(
    batch: &RecordBatch,
    path: &Path,
) -> Result<impl Iterator<Item = Result<R, LakeError>> + use<R>, LakeError> {
    let rows = Rows::<R>::new(batch).map_err(|error| LakeError::damaged(path, error))?;
    let path = path.to_owned();
    Ok(rows.map(move |row| row.map_err(|missing| LakeError::damaged(&path, missing))))
}

/// File of a table.
struct TableReader<F> {
    path: PathBuf,
    file: F,
    metadata: ArrowReaderMetadata,
}

impl TableReader<File> {
    fn open(path: &Path) -> Result<Self, LakeError> {
        let file = File::open(path).map_err(LakeError::io("open", path))?;
        Self::new(path, file, ArrowReaderOptions::new())
    }
}

impl TableReader<Bytes> {
    /// Reads a small file, without system calls for each column, and without the types that
    /// Arrow had: its words are texts.
    fn read(path: &Path) -> Result<Self, LakeError> {
        let bytes = fs::read(path).map_err(LakeError::io("read", path))?;
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        Self::new(path, bytes.into(), options)
    }
}

impl<F: ChunkReader + 'static> TableReader<F> {
    fn new(path: &Path, file: F, options: ArrowReaderOptions) -> Result<Self, LakeError> {
        let metadata = ArrowReaderMetadata::load(&file, options)
            .map_err(|error| LakeError::damaged(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            metadata,
        })
    }

    /// Reads the columns of a record, without those `left_out`, in the row groups that are
    /// chosen.
    fn batches<R: FromSource>(
        self,
        mut is_chosen: impl FnMut(Group<'_>) -> bool,
        left_out: &[&str],
    ) -> Result<impl Iterator<Item = Result<RecordBatch, LakeError>>, LakeError> {
        let Self {
            path,
            file,
            metadata,
        } = self;
        let groups = metadata.metadata().row_groups().iter().enumerate();
        let groups = groups.filter(|(_, group)| is_chosen(Group(group)));
        let groups = groups.map(|(index, _)| index).collect();
        let schema = metadata.metadata().file_metadata().schema_descr_ptr();
        let roots = schema.root_schema().get_fields().iter().enumerate();
        let is_read = |name| has_column(R::FIELDS, name) && !left_out.contains(&name);
        let roots = roots.filter(|(_, root)| is_read(root.name()));
        let mask = ProjectionMask::roots(&schema, roots.map(|(index, _)| index));
        let reader: Result<ParquetRecordBatchReader, _> =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
                .with_row_groups(groups)
                .with_projection(mask)
                .with_batch_size(BATCH)
                .build();
        let reader = reader.map_err(|error| LakeError::damaged(&path, error))?;
        Ok(reader.map(move |batch| batch.map_err(|error| LakeError::damaged(&path, error))))
    }
}

/// Row group, by its statistics.
pub(super) struct Group<'a>(&'a RowGroupMetaData);

impl Group<'_> {
    /// Returns whether a column may have a number between these; true without statistics.
    pub(super) fn may_have(&self, column: &str, least: Option<u64>, most: Option<u64>) -> bool {
        let columns = self.0.columns().iter();
        let mut columns = columns.filter(|chunk| chunk.column_path().string() == column);
        let statistics = columns.next().and_then(|chunk| chunk.statistics());
        let Some(Statistics::Int64(known)) = statistics else {
            return true;
        };
        let bits = |number: Option<&i64>| number.map(|number| *number as u64);
        let is_past = most
            .zip(bits(known.min_opt()))
            .is_some_and(|(most, min)| min > most);
        let is_before = least
            .zip(bits(known.max_opt()))
            .is_some_and(|(least, max)| max < least);
        !is_past && !is_before
    }
}
