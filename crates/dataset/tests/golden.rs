//! Golden lakes: files that earlier versions wrote are read by this one, with nullable
//! columns that they lack as null and columns that this version lacks ignored.
//!
//! `GENERATE=1` writes a lake that is missing, and never writes one that is there.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field as Column, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::ArrowWriter;
use process_introspection::{AddrRange, Device};
use process_introspection_dataset::lake::{
    Lake, LakeError, Snapshot, SnapshotWriter, Start, State as Completeness, When,
};
use process_introspection_dataset::tables::mappings::MappingRow;
use process_introspection_dataset::tables::processes::ProcessRow;
use process_introspection_dataset::tables::regions::RegionRow;
use process_introspection_dataset::tables::snapshots::{SnapshotHead, SnapshotRow};
use process_introspection_dataset::tables::Table;
use process_introspection_export::{
    AtLeastRecord, ContiguityRecord, Details, DeviceNumber, ExtentClassRecord, FlagCounts, Hex,
    KindRecord, NameBuf, NodeRecord, PagesRecord, Span, State, Time, UsageRecord,
};
use tempfile::TempDir;

/// Host whose name is not UTF-8 and has characters that paths encode.
const HOST: &[u8] = b"mill/7\xff";
/// Its name in paths.
const HOST_IN_PATHS: &str = "mill/7\u{fffd}";
/// Time of the snapshot, in seconds.
const TAKEN: u64 = 1_790_000_000;
/// Mappings of the process that was read.
const ANONYMOUS: u64 = 0x7f00_0000_0000;
const DEVICE: u64 = 0x7f00_4000_0000;
const LIBRARY: u64 = 0x7f00_8000_0000;

/// Rows of a golden lake.
struct Rows {
    snapshot: SnapshotRow,
    processes: Vec<ProcessRow>,
    mappings: Vec<MappingRow>,
    regions: Vec<RegionRow>,
}

/// Folder of a golden lake, and its rows. A column that the lake is older than is null in them.
type Golden = (&'static str, fn() -> Rows);
const LAKES: [Golden; 1] = [("1", first)];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// Rows of the first lake: all states and reasons, nulls, details, names that are not UTF-8.
fn first() -> Rows {
    Rows {
        snapshot: snapshot(),
        processes: vec![unread(), process()],
        mappings: vec![anonymous(), device(), library()],
        regions: regions(),
    }
}

fn snapshot() -> SnapshotRow {
    SnapshotRow {
        head: SnapshotHead {
            taken_at: Time::from(SystemTime::UNIX_EPOCH + Duration::from_secs(TAKEN)),
            duration: 1_234_567,
            schema_version: 1,
            kernel: "6.12.48".to_owned(),
            all_processes: true,
            details: true,
            processes_read: 1,
            unread_refused: 1,
            // Rows and bytes of the files, which compression determines, are compared apart.
            ..SnapshotHead::default()
        },
        tool_version: "0.1.0".to_owned(),
        boot_id: Some("0c6d5b4f-32a1-4d34-9a1c-6f54f1d8c2aa".to_owned()),
        arch: "x86_64".to_owned(),
        page_size: 4096,
        mem_total: Some(1 << 34),
        nodes: Some(2),
        booted_at: Some(Time(1_789_000_000_000_001)),
        has_frames: true,
        thp_enabled: Some("madvise".to_owned()),
        swappiness: Some(60),
        numa_balancing: Some(0),
        memory_some_avg10: Some(12),
        memory_some_total: Some(i64::MAX as u64),
        swap_areas: vec!["/swap file".to_owned(), "/dev/zram0".to_owned()],
        host_name: NameBuf(HOST.to_vec()),
        ..SnapshotRow::default()
    }
}

/// Process that could not be read.
fn unread() -> ProcessRow {
    ProcessRow {
        unique_pid: 41,
        pid: 4041,
        unread: Some("refused"),
        error: Some("permission denied".to_owned()),
        ..ProcessRow::default()
    }
}

fn process() -> ProcessRow {
    let usage = UsageRecord {
        virt: 98304,
        resident: 12288,
        pss: Some(8192),
        uss: None,
        swap: 8192,
        zero: Some(4096),
        hugetlb: 0,
    };
    let node = |node, bytes| NodeRecord { node, bytes };
    ProcessRow {
        // With the highest bit: negative in the file.
        unique_pid: (1 << 63) + 42,
        pid: 4042,
        ppid: Some(1),
        uid: Some(u32::MAX),
        started_at: Some(Time(1_789_999_999_000_000)),
        name: NameBuf("Mühle".into()),
        command: NameBuf(b"mill \xff\xfe".to_vec()),
        exe: NameBuf(b"/usr/bin/mill".to_vec()),
        cgroup: NameBuf(b"/system.slice/mill.service".to_vec()),
        unit: Some("mill.service".to_owned()),
        container: Some("a".repeat(64)),
        mappings: Some(3),
        virtual_size: Some(98304),
        resident: Some(12288),
        pss: Some(8192),
        swap: Some(8192),
        zero: Some(4096),
        hugetlb: Some(0),
        kinds: Some(vec![
            KindRecord {
                kind: "anon",
                usage,
                nodes: Some(vec![node(Some(1), 12288), node(None, 4096)]),
            },
            KindRecord {
                kind: "elf",
                usage: UsageRecord { pss: None, ..usage },
                nodes: None,
            },
        ]),
        page_sizes: Some(vec![PagesRecord {
            pages: "part",
            size: None,
            bytes: 12288,
        }]),
        contiguity: Some(ContiguityRecord {
            bytes: 16384,
            extents: 3,
            median: Some(4096),
            half_in: Some(8192),
            largest: vec![8192, 4096, 4096],
            at_least: vec![AtLeastRecord {
                size: 65536,
                bytes: 0,
            }],
            histogram: vec![ExtentClassRecord {
                least: 4096,
                count: 2,
                bytes: 8192,
            }],
        }),
        memory_by_node: Some(Vec::new()),
        ..ProcessRow::default()
    }
}

fn anonymous() -> MappingRow {
    MappingRow {
        unique_pid: process().unique_pid,
        vaddr: Hex(ANONYMOUS),
        size: 16 << 12,
        prot: "rw-",
        shared: false,
        kind: "anon",
        path: NameBuf(Vec::new()),
        dev: DeviceNumber::default(),
        ino: 0,
        file_offset: Hex(0),
        deleted: false,
        page_size: Some(4096),
        device_paddr: None,
        device_cache: None,
        unlisted: None,
        resident: Some(12288),
        pss: Some(8192),
        uss: None,
        swap: Some(8192),
        zero: Some(4096),
        hugetlb: Some(0),
        huge: Some(0),
        extents: Some(3),
        median_extent: Some(4096),
        largest_extent: Some(8192),
    }
}

/// Memory of a device that the page map leaves out.
fn device() -> MappingRow {
    MappingRow {
        vaddr: Hex(DEVICE),
        size: 4 << 12,
        shared: true,
        kind: "device",
        path: NameBuf(b"/dev/mem".to_vec()),
        dev: DeviceNumber(Device { major: 0, minor: 5 }),
        ino: 77,
        file_offset: Hex(0xfe00_0000),
        device_paddr: Some(Hex(0xfe00_0000)),
        device_cache: Some("uncached"),
        ..unmapped()
    }
}

/// Mapping without numbers, of a deleted file whose name is not UTF-8.
fn library() -> MappingRow {
    MappingRow {
        vaddr: Hex(LIBRARY),
        prot: "r-x",
        kind: "elf",
        path: NameBuf(b"/tmp/\xc3\x28.so (deleted)".to_vec()),
        dev: DeviceNumber(Device {
            major: 0xfe,
            minor: 0x12345,
        }),
        // Bits of an unsigned number.
        ino: u64::MAX,
        file_offset: Hex(0x1000),
        deleted: true,
        unlisted: Some("driver"),
        ..unmapped()
    }
}

/// Mapping whose numbers were not read.
fn unmapped() -> MappingRow {
    MappingRow {
        page_size: None,
        resident: None,
        pss: None,
        uss: None,
        swap: None,
        zero: None,
        hugetlb: None,
        huge: None,
        extents: None,
        median_extent: None,
        largest_extent: None,
        ..anonymous()
    }
}

fn regions() -> Vec<RegionRow> {
    let base = RegionRow {
        unique_pid: process().unique_pid,
        vpn: 0,
        mapping_vaddr: Hex(ANONYMOUS),
        pages: 1,
        pfn: None,
        state: State::NotPresent,
        reason: None,
        swap_area: None,
        swap_slot: None,
        page_size: None,
        node: None,
        cache: None,
        anonymous: true,
        details: None,
    };
    let states = [
        State::Ram,
        State::Zero,
        State::NotPresent,
        State::Swapped,
        State::Swapped,
        State::Guard,
        State::Poisoned,
        State::Migrating,
        State::Marker,
        State::Unknown,
    ];
    let mut rows: Vec<_> = states
        .into_iter()
        .zip(ANONYMOUS >> 12..)
        .map(|(state, vpn)| RegionRow {
            vpn,
            state,
            ..base.clone()
        })
        .collect();
    rows[0].pages = 1;
    rows[0].pfn = Some(0x11c183);
    rows[0].page_size = Some(4096);
    rows[0].node = Some(1);
    rows[0].cache = Some("write-back");
    rows[0].details = Some(Box::new(Details {
        pages: 1,
        frames: 1,
        flags: FlagCounts(vec![("uptodate".to_owned(), 1), ("bit63".to_owned(), 1)]),
        entries: FlagCounts(Vec::new()),
        mapcount: Some(Span { min: 1, max: 3 }),
        swap_area: None,
    }));
    rows[1].pfn = Some(0x42);
    (rows[3].swap_area, rows[3].swap_slot) = (Some(1), Some(1 << 40));
    rows[3].details = Some(Box::new(Details {
        pages: 1,
        frames: 0,
        flags: FlagCounts(Vec::new()),
        entries: FlagCounts(vec![("swap".to_owned(), 1)]),
        mapcount: None,
        swap_area: Some("/dev/zram0".to_owned()),
    }));
    rows[9].reason = Some("driver");
    rows.push(RegionRow {
        vpn: DEVICE >> 12,
        mapping_vaddr: Hex(DEVICE),
        pages: 4,
        pfn: Some(0xfe000),
        state: State::Device,
        cache: Some("uncached"),
        anonymous: false,
        ..base
    });
    rows
}

fn write(root: &Path, rows: &Rows) {
    let start = Start {
        host: HOST.to_vec(),
        taken_at: SystemTime::UNIX_EPOCH + Duration::from_secs(TAKEN),
        details: rows.snapshot.head.details,
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
    Ok(Rows {
        snapshot: row,
        processes,
        mappings,
        regions,
    })
}

#[track_caller]
fn assert_same(read: &Rows, expected: &Rows) {
    assert_eq!(read.snapshot, expected.snapshot);
    assert_eq!(read.processes, expected.processes);
    assert_eq!(read.mappings, expected.mappings);
    assert_eq!(read.regions, expected.regions);
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
        let counts = [
            (snapshot.row().head.processes_rows, rows.processes.len()),
            (snapshot.row().head.mappings_rows, rows.mappings.len()),
            (snapshot.row().head.regions_rows, rows.regions.len()),
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
    let mut rows = first();
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
    ] {
        let root = TempDir::new().unwrap();
        write(root.path(), &first());
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
