//! Golden lakes: files that earlier versions wrote are read by this one, with nullable
//! columns that they lack as null and columns that this version lacks ignored.
//!
//! `GENERATE=1` writes a lake that is missing, and never writes one that is there.

mod golden_rows;

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field as Column, Schema};
use golden_rows::{first, second, Rows, HOST, TAKEN};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::ArrowWriter;
use process_introspection::AddrRange;
use process_introspection_dataset::lake::{
    Lake, LakeError, Snapshot, SnapshotWriter, Start, State as Completeness, When,
};
use process_introspection_dataset::tables::Table;
use process_introspection_export::NameBuf;
use tempfile::TempDir;

/// Its name in paths.
const HOST_IN_PATHS: &str = "mill/7\u{fffd}";
/// Folder of a golden lake, and its rows. A column that the lake is older than is null in them.
type Golden = (&'static str, fn() -> Rows);
const LAKES: [Golden; 2] = [("1", first), ("2", second)];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn write(root: &Path, rows: &Rows) {
    let start = Start {
        host: HOST.to_vec(),
        taken_at: SystemTime::UNIX_EPOCH + Duration::from_secs(TAKEN),
        details: rows.snapshot.head.details,
        frames: !rows.frames.is_empty(),
        description: vec![("tool_version".to_owned(), "0.1.0".to_owned())],
    };
    let mut writer = SnapshotWriter::begin(root, start).unwrap();
    for row in &rows.processes {
        writer.process(row).unwrap();
    }
    for row in &rows.mappings {
        writer.mapping(row).unwrap();
    }
    for row in &rows.regions {
        writer.region(row).unwrap();
    }
    for row in &rows.frames {
        writer.frame(row).unwrap();
    }
    for row in &rows.metrics {
        writer.metric(row).unwrap();
    }
    writer.finish(rows.snapshot.clone()).unwrap();
}

fn open(root: &Path) -> Snapshot {
    let lake = Lake::open(root).unwrap();
    lake.select(When::Latest, None, b"another").unwrap()
}

/// Reads all rows; sizes of files, which compression determines, as 0.
fn read(snapshot: &Snapshot) -> Result<Rows, LakeError> {
    let processes = snapshot.processes()?;
    let mut mappings = Vec::new();
    for process in &processes {
        mappings.extend(snapshot.mappings(process.unique_pid)?);
    }
    let regions = snapshot.regions(None, true)?.collect::<Result<_, _>>()?;
    let frames = snapshot.frames(0..=u64::MAX)?;
    let frames = frames.into_iter().flatten().collect::<Result<_, _>>()?;
    let metrics = snapshot.metrics()?;
    let mut row = snapshot.row().clone();
    for number in [
        &mut row.head.processes_bytes,
        &mut row.head.mappings_bytes,
        &mut row.head.regions_bytes,
        &mut row.head.processes_rows,
        &mut row.head.mappings_rows,
        &mut row.head.regions_rows,
    ] {
        *number = 0;
    }
    for number in [
        &mut row.head.frames_bytes,
        &mut row.head.metrics_bytes,
        &mut row.head.frames_rows,
        &mut row.head.metrics_rows,
    ] {
        *number = None;
    }
    Ok(Rows {
        snapshot: row,
        processes,
        mappings,
        regions,
        frames,
        metrics,
    })
}

#[track_caller]
fn assert_same(read: &Rows, expected: &Rows) {
    assert_eq!(read.snapshot, expected.snapshot);
    assert_eq!(read.processes, expected.processes);
    assert_eq!(read.mappings, expected.mappings);
    assert_eq!(read.regions, expected.regions);
    assert_eq!(read.frames, expected.frames);
    assert_eq!(read.metrics, expected.metrics);
}

#[test]
fn golden_lakes_are_read() {
    for (name, rows) in LAKES {
        let (root, rows) = (folder(name), rows());
        if std::env::var_os("GENERATE").is_some() && !root.exists() {
            write(&root, &rows);
        }
        let snapshot = open(&root);
        assert_eq!(snapshot.entry().host(), HOST_IN_PATHS.as_bytes());
        assert_eq!(snapshot.state(), Completeness::Complete);
        let head = &snapshot.row().head;
        let counts = [
            (head.processes_rows, rows.processes.len()),
            (head.mappings_rows, rows.mappings.len()),
            (head.regions_rows, rows.regions.len()),
            (head.frames_rows.unwrap_or(0), rows.frames.len()),
            (head.metrics_rows.unwrap_or(0), rows.metrics.len()),
        ];
        assert!(counts.iter().all(|(count, rows)| *count == *rows as u64));
        assert_same(&read(&snapshot).unwrap(), &rows);
        // Regions of a process are as the library's walks report them.
        let process = snapshot.processes().unwrap().pop().unwrap();
        let process = snapshot.open_process(process).unwrap();
        let mut bytes = 0;
        let walked = process.regions(AddrRange::ALL, true, |region, _| {
            bytes += region.virt.size();
            std::ops::ControlFlow::Continue(())
        });
        assert!(walked.unwrap().is_continue());
        let pages: u64 = rows.regions.iter().map(|row| row.pages).sum();
        assert_eq!(bytes, pages * rows.snapshot.page_size);
    }
}

/// The newest golden lake has all columns of the tables; without it, no later version would
/// have to read those that it lacks.
#[test]
fn the_newest_golden_lake_has_all_columns() {
    let (name, rows) = LAKES[LAKES.len() - 1];
    let written = TempDir::new().unwrap();
    write(written.path(), &rows());
    for table in Table::ALL {
        // Readers find columns by their names.
        let columns = |root: &Path| {
            let mut columns = schema_of(&open(root), table).0;
            columns.sort_by(|one, other| one.0.cmp(&other.0));
            columns
        };
        assert_eq!(
            columns(&folder(name)),
            columns(written.path()),
            "table {} has other columns than its golden lake: see CONTRIBUTING.md",
            table.name()
        );
    }
}

fn file_of(snapshot: &Snapshot, table: Table) -> PathBuf {
    let path = snapshot.entry().path();
    let root = path.ancestors().nth(4).unwrap();
    let below = path.strip_prefix(root.join(Table::Snapshots.name()));
    root.join(table.name()).join(below.unwrap())
}

/// Returns names and types of a table's columns, and all its rows.
fn schema_of(snapshot: &Snapshot, table: Table) -> (Vec<(String, DataType)>, RecordBatch) {
    let file = File::open(file_of(snapshot, table)).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let mut batches = reader.build().unwrap();
    let batch = batches.next().unwrap().unwrap();
    assert!(batches.next().is_none(), "few rows are one batch");
    let schema = batch.schema();
    let columns = schema.fields().iter();
    let columns = columns.map(|column| (column.name().clone(), column.data_type().clone()));
    (columns.collect(), batch)
}

/// Writes the tables of a lake again, without some columns and with one that no table has.
fn rewrite(snapshot: &Snapshot, missing: &[&str]) {
    for table in Table::ALL {
        let (_, batch) = schema_of(snapshot, table);
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns());
        let is_missing = |name: &str| missing.contains(&&*format!("{}.{name}", table.name()));
        let kept = columns.filter(|(column, _)| !is_missing(column.name()));
        let (mut fields, mut arrays): (Vec<_>, Vec<_>) = kept
            .map(|(field, array)| (field.clone(), array.clone()))
            .unzip();
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["later"; batch.num_rows()]));
        fields.insert(
            1,
            Arc::new(Column::new("of_a_later_version", DataType::Utf8, false)),
        );
        arrays.insert(1, texts);
        let schema = Arc::new(Schema::new_with_metadata(fields, HashMap::new()));
        let file = File::create(file_of(snapshot, table)).unwrap();
        let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), None).unwrap();
        writer
            .write(&RecordBatch::try_new(schema, arrays).unwrap())
            .unwrap();
        writer.close().unwrap();
    }
}

#[test]
fn unknown_columns_are_ignored_and_missing_ones_are_null() {
    let root = TempDir::new().unwrap();
    let mut rows = second();
    write(root.path(), &rows);
    let snapshot = open(root.path());
    let missing = [
        "snapshots.boot_id",
        "processes.contiguity",
        "processes.pss",
        "processes.exe",
        "processes.exe_bytes",
        "mappings.path_bytes",
        "mappings.device_cache",
        "mappings.pss",
        "regions.node",
        "regions.swap_slot",
        "regions.details",
        "frames.cgroup_ino",
        "metrics.value",
    ];
    rewrite(&snapshot, &missing);
    rows.snapshot.boot_id = None;
    for row in &mut rows.processes {
        (row.contiguity, row.pss) = (None, None);
        row.exe = NameBuf(Vec::new());
    }
    for row in &mut rows.mappings {
        (row.device_cache, row.pss) = (None, None);
        // Only the text of the name is left.
        row.path = NameBuf(String::from_utf8_lossy(&row.path.0).into_owned().into());
    }
    for row in &mut rows.regions {
        (row.node, row.swap_slot, row.details) = (None, None, None);
    }
    rows.frames.iter_mut().for_each(|row| row.cgroup_ino = None);
    rows.metrics.iter_mut().for_each(|row| row.value = None);
    let read = read(&open(root.path())).unwrap();
    assert_same(&read, &rows);
}

#[test]
fn a_column_that_is_never_null_must_be_there() {
    for missing in [
        "snapshots.arch",
        "processes.pid",
        "mappings.prot",
        "regions.state",
        "frames.page_use",
        "metrics.name",
    ] {
        let root = TempDir::new().unwrap();
        write(root.path(), &second());
        rewrite(&open(root.path()), &[missing]);
        let lake = Lake::open(root.path()).unwrap();
        let opened = lake.select(When::Latest, None, HOST);
        let error = match opened.and_then(|snapshot| read(&snapshot)) {
            Ok(_) => panic!("{missing}"),
            Err(error) => error.to_string(),
        };
        let (table, column) = missing.split_once('.').unwrap();
        assert!(error.contains(table) && error.contains(column), "{error}");
    }
}

/// Each golden lake is one that a test reads.
#[test]
fn nothing_else_is_beside_the_golden_lakes() {
    let names = fs::read_dir(folder("")).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, LAKES.map(|(name, _)| name.to_owned()));
}
