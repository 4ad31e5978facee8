//! Writing a snapshot: each table into a file of its own, which gets its name when all are
//! complete, the row of the snapshot last.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arrow_array::types::Int8Type;
use arrow_array::{ArrayRef, DictionaryArray, Int8Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field as Column, FieldRef, Schema, SchemaRef};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{encode_arrow_schema, ArrowWriter, ARROW_SCHEMA_META_KEY};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use process_introspection_export::{Extra, Fields};

use crate::columns::Builder;
use crate::lake::error::LakeError;
use crate::lake::path::{partial_name, Place, SnapshotId};
use crate::tables::frames::FrameRow;
use crate::tables::mappings::MappingRow;
use crate::tables::metrics::MetricRow;
use crate::tables::processes::ProcessRow;
use crate::tables::regions::RegionRow;
use crate::tables::snapshots::SnapshotRow;
use crate::tables::{Table, SCHEMA_VERSION, SNAPSHOT_ID};

/// Rows of a row group, of which statistics tell readers whether they need it. All columns of
/// one group are in memory while it is written.
const ROW_GROUP: usize = 1 << 17;
/// Columns of ascending, or often ascending, numbers, whose differences are stored.
const DELTA: [&str; 5] = ["vpn", "pfn", "vaddr", "mapping_vaddr", "unique_pid"];

/// Facts of a snapshot that are known when it begins.
#[derive(Clone, Debug)]
pub struct Start {
    /// Bytes of the host's name, for the path.
    pub host: Vec<u8>,
    /// Time of the snapshot.
    pub taken_at: SystemTime,
    /// Whether regions have details.
    pub details: bool,
    /// Whether it has the frames of the machine.
    pub frames: bool,
    /// Description of the data, in the metadata of each file, beside the versions.
    pub description: Vec<(String, String)>,
}

/// Complete snapshot.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its id.
    pub id: SnapshotId,
    /// Its row of table snapshots.
    pub row: SnapshotRow,
}

/// Writer of one snapshot. Rows are in the order of [`Table::sorted_by`]. Memory use is
/// constant. If it is dropped, nothing of the snapshot is left.
#[derive(Debug)]
pub struct SnapshotWriter {
    root: PathBuf,
    place: Place,
    description: Vec<(String, String)>,
    processes: TableFile,
    mappings: TableFile,
    regions: TableFile,
    /// Tables frames and metrics.
    machine: Option<(TableFile, TableFile)>,
}

impl SnapshotWriter {
    /// Begins a snapshot in the lake, which is created if there is none.
    ///
    /// # Errors
    /// [`LakeError::Io`].
    pub fn begin(root: &Path, start: Start) -> Result<Self, LakeError> {
        let place = Place::new(SnapshotId::at(start.taken_at), &start.host);
        let mut description = start.description;
        description.push(("schema_version".to_owned(), SCHEMA_VERSION.to_string()));
        let extra: &[Extra] = match start.details {
            true => &[Extra::Details],
            false => &[],
        };
        let table = |table, extra| TableFile::create(root, &place, table, extra, &description);
        Ok(Self {
            processes: table(Table::Processes, &[])?,
            mappings: table(Table::Mappings, &[])?,
            regions: table(Table::Regions, extra)?,
            machine: match start.frames {
                true => Some((table(Table::Frames, &[])?, table(Table::Metrics, &[])?)),
                false => None,
            },
            root: root.to_owned(),
            place,
            description,
        })
    }

    /// Returns the id of the snapshot.
    pub fn id(&self) -> SnapshotId {
        self.place.id
    }

    /// Adds a process.
    ///
    /// # Errors
    /// [`LakeError::Io`].
    pub fn process(&mut self, row: &ProcessRow) -> Result<(), LakeError> {
        self.processes.push(row)
    }

    /// Adds a mapping.
    ///
    /// # Errors
    /// [`LakeError::Io`].
    pub fn mapping(&mut self, row: &MappingRow) -> Result<(), LakeError> {
        self.mappings.push(row)
    }

    /// Adds a region.
    ///
    /// # Errors
    /// [`LakeError::Io`].
    pub fn region(&mut self, row: &RegionRow) -> Result<(), LakeError> {
        self.regions.push(row)
    }

    /// Adds a run of frames.
    ///
    /// # Errors
    /// [`LakeError::Io`].
    ///
    /// # Panics
    /// If the snapshot began without frames.
    pub fn frame(&mut self, row: &FrameRow) -> Result<(), LakeError> {
        let (frames, _) = self.machine.as_mut().expect("a snapshot with frames");
        frames.push(row)
    }

    /// Adds a number of the machine.
    ///
    /// # Errors
    /// [`LakeError::Io`].
    ///
    /// # Panics
    /// If the snapshot began without frames.
    pub fn metric(&mut self, row: &MetricRow) -> Result<(), LakeError> {
        let (_, metrics) = self.machine.as_mut().expect("a snapshot with frames");
        metrics.push(row)
    }

    /// Completes the snapshot. The rows and sizes of its tables are added to `row`.
    ///
    /// # Errors
    /// [`LakeError::Io`]; nothing of the snapshot is left then.
    pub fn finish(self, mut row: SnapshotRow) -> Result<Written, LakeError> {
        let Self {
            root,
            place,
            description,
            mut processes,
            mut mappings,
            mut regions,
            mut machine,
        } = self;
        let head = &mut row.head;
        (head.processes_rows, head.processes_bytes) = processes.complete()?;
        (head.mappings_rows, head.mappings_bytes) = mappings.complete()?;
        (head.regions_rows, head.regions_bytes) = regions.complete()?;
        if let Some((frames, metrics)) = &mut machine {
            let (rows, bytes) = frames.complete()?;
            (head.frames_rows, head.frames_bytes) = (Some(rows), Some(bytes));
            let (rows, bytes) = metrics.complete()?;
            (head.metrics_rows, head.metrics_bytes) = (Some(rows), Some(bytes));
        }
        let mut snapshots = TableFile::create(&root, &place, Table::Snapshots, &[], &description)?;
        snapshots.push(&row)?;
        snapshots.complete()?;
        let mut all = vec![processes, mappings, regions];
        all.extend(machine.into_iter().flat_map(<[TableFile; 2]>::from));
        // Behind all others.
        all.push(snapshots);
        for table in &mut all {
            table.publish()?;
        }
        // All have their names: none is removed any more.
        all.iter_mut().for_each(|table| table.is_kept = true);
        Ok(Written { id: place.id, row })
    }
}

/// File of one table of a snapshot.
struct TableFile {
    partial: PathBuf,
    target: PathBuf,
    snapshot_id: String,
    schema: SchemaRef,
    builder: Builder,
    writer: Option<ArrowWriter<File>>,
    rows: u64,
    is_published: bool,
    is_kept: bool,
}

impl std::fmt::Debug for TableFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableFile")
            .field("partial", &self.partial)
            .finish_non_exhaustive()
    }
}

impl TableFile {
    fn create(
        root: &Path,
        place: &Place,
        table: Table,
        extra: &'static [Extra],
        description: &[(String, String)],
    ) -> Result<Self, LakeError> {
        let folder = place.folder(root, table);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(LakeError::io("create", &folder))?;
        let target = place.file(root, table);
        let partial = folder.join(partial_name(place.id));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&partial)
            .map_err(LakeError::io("create", &partial))?;
        let (_, fields) = table.declaration();
        let builder = Builder::new(fields, extra, HashMap::new());
        let schema = with_snapshot(builder.schema());
        let properties = properties(table, &schema, description);
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(file, Arc::clone(&schema), options);
        let mut created = Self {
            partial,
            target,
            snapshot_id: place.id.to_string(),
            schema,
            builder,
            writer: None,
            rows: 0,
            is_published: false,
            is_kept: false,
        };
        created.writer = Some(writer.map_err(|error| created.failed(error))?);
        Ok(created)
    }

    fn failed(&self, error: ParquetError) -> LakeError {
        let error = match error {
            // The error of the system says more than the words around it.
            ParquetError::External(error) => match error.downcast::<io::Error>() {
                Ok(error) => *error,
                Err(error) => io::Error::other(error),
            },
            other => io::Error::other(other),
        };
        LakeError::io("write", &self.partial)(error)
    }

    fn push<R: Fields>(&mut self, row: &R) -> Result<(), LakeError> {
        self.builder.push(row);
        match self.builder.is_full() {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), LakeError> {
        if self.builder.is_empty() {
            return Ok(());
        }
        let batch = self.builder.finish();
        let rows = batch.num_rows();
        let ids = DictionaryArray::<Int8Type>::new(
            Int8Array::from_value(0, rows),
            Arc::new(StringArray::from_iter_values([&self.snapshot_id])),
        );
        let mut columns: Vec<ArrayRef> = vec![Arc::new(ids)];
        columns.extend(batch.columns().iter().cloned());
        let batch =
            RecordBatch::try_new(Arc::clone(&self.schema), columns).expect("columns of the schema");
        self.rows += rows as u64;
        let writer = self.writer.as_mut().expect("not complete");
        let written = writer.write(&batch);
        written.map_err(|error| self.failed(error))
    }

    /// Writes the end of the file, to the disk, and returns its rows and bytes.
    fn complete(&mut self) -> Result<(u64, u64), LakeError> {
        self.flush()?;
        let writer = self.writer.take().expect("completed once");
        let file = writer.into_inner().map_err(|error| self.failed(error))?;
        let synced = file.sync_all().and_then(|()| file.metadata());
        let bytes = synced.map_err(LakeError::io("write", &self.partial))?.len();
        Ok((self.rows, bytes))
    }

    /// Gives the complete file its name.
    fn publish(&mut self) -> Result<(), LakeError> {
        fs::rename(&self.partial, &self.target).map_err(LakeError::io("create", &self.target))?;
        self.is_published = true;
        Ok(())
    }
}

impl Drop for TableFile {
    fn drop(&mut self) {
        let path = match (self.is_kept, self.is_published) {
            (true, _) => return,
            (false, true) => &self.target,
            (false, false) => &self.partial,
        };
        // What cannot be removed is no snapshot.
        let _ = fs::remove_file(path);
    }
}

/// Returns the schema with the column of the snapshot before the others.
fn with_snapshot(schema: &Schema) -> SchemaRef {
    let words = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    let column = Column::new(SNAPSHOT_ID, words, false);
    let columns = [Arc::new(column)].into_iter();
    let columns: Vec<_> = columns.chain(schema.fields().iter().cloned()).collect();
    Arc::new(Schema::new(columns))
}

/// Returns the types of columns alone. Their meanings would be most of a small file, and
/// docs/DATASETS.md has them.
fn without_meanings(schema: &Schema) -> Schema {
    fn plain(column: &FieldRef) -> FieldRef {
        let data_type = match column.data_type() {
            DataType::List(item) => DataType::List(plain(item)),
            DataType::Struct(columns) => DataType::Struct(columns.iter().map(plain).collect()),
            other => other.clone(),
        };
        Arc::new(Column::new(column.name(), data_type, column.is_nullable()))
    }
    Schema::new(schema.fields().iter().map(plain).collect::<Vec<_>>())
}

fn properties(table: Table, schema: &Schema, description: &[(String, String)]) -> WriterProperties {
    let index = |name: &&str| schema.index_of(name).ok();
    let sorted = table.sorted_by().iter().filter_map(index);
    let sorted = sorted.map(|index| SortingColumn {
        column_idx: index as i32,
        descending: false,
        nulls_first: false,
    });
    let types = encode_arrow_schema(&without_meanings(schema));
    let types = (ARROW_SCHEMA_META_KEY.to_owned(), types);
    let pairs = description.iter().chain([&types]);
    let pairs = pairs.map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let level = ZstdLevel::try_new(3).expect("a level of zstd");
    // A lake has as many files of one row as snapshots, and all are read to list them.
    let has_one_row = table == Table::Snapshots;
    let (compression, statistics) = match has_one_row {
        true => (Compression::UNCOMPRESSED, EnabledStatistics::None),
        false => (Compression::ZSTD(level), EnabledStatistics::Chunk),
    };
    let mut properties = WriterProperties::builder()
        .set_compression(compression)
        .set_dictionary_enabled(!has_one_row)
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_statistics_enabled(statistics)
        .set_offset_index_disabled(true)
        .set_sorting_columns(Some(sorted.collect()))
        .set_key_value_metadata(Some(pairs.collect()));
    for name in DELTA.iter().filter(|name| schema.index_of(name).is_ok()) {
        let path = ColumnPath::from(*name);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    properties.build()
}
