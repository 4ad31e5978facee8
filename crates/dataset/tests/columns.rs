//! Columns of records of every kind of value.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, Int8Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use process_introspection::Device;
use process_introspection_dataset::columns::{schema, Builder};
use process_introspection_export::{
    AddressRecord, ContiguityRecord, Details, DeviceNumber, ExtentRecord, Extra, Fields,
    FlagCounts, Hex, Name, ObjectRecord, OwnerRecord, PageTableRecord, PhysicalRecord,
    ResidentRecord, Span, State, SummaryRecord, Swap, VirtualRecord,
};

const KERNEL_HALF: u64 = 0xffff_8000_0000_1000;

fn record(path: &[u8]) -> PhysicalRecord<'_> {
    PhysicalRecord {
        process: None,
        vaddr: Hex(KERNEL_HALF),
        vpn: KERNEL_HALF >> 12,
        size: 8192,
        paddr: Some(Hex(0x1000)),
        pfn: Some(1),
        state: State::Ram,
        reason: None,
        swap: None,
        prot: "r-x",
        shared: false,
        kind: "elf",
        page_size: Some(4096),
        offset: Hex(0),
        dev: DeviceNumber(Device {
            major: 0xfe,
            minor: 1,
        }),
        ino: u64::MAX,
        path: Name(path),
        node: None,
        cache: None,
        flags: Hex(0x20),
        byte: None,
        folded: None,
        details: None,
    }
}

fn batch(records: &[PhysicalRecord<'_>], extra: &'static [Extra]) -> RecordBatch {
    let mut builder = Builder::new(PhysicalRecord::FIELDS, extra, HashMap::new());
    records.iter().for_each(|record| builder.push(record));
    assert_eq!(builder.len(), records.len());
    let batch = builder.finish();
    assert!(builder.is_empty());
    batch
}

fn numbers(batch: &RecordBatch, name: &str) -> Vec<Option<i64>> {
    let column = batch.column_by_name(name).unwrap();
    column.as_primitive::<Int64Type>().iter().collect()
}

#[test]
fn numbers_keep_their_bits_and_null_is_not_zero() {
    let absent = PhysicalRecord {
        paddr: None,
        pfn: None,
        state: State::Swapped,
        swap: Some(Swap { area: 3, offset: 7 }),
        ..record(b"")
    };
    let batch = batch(&[record(b""), absent], &[]);
    let kernel = KERNEL_HALF as i64;
    assert_eq!(numbers(&batch, "vaddr"), [Some(kernel), Some(kernel)]);
    assert_eq!(numbers(&batch, "ino"), [Some(-1), Some(-1)]);
    assert_eq!(numbers(&batch, "paddr"), [Some(0x1000), None]);
    let swap = batch.column_by_name("swap").unwrap().as_struct();
    assert!(swap.is_null(0) && swap.is_valid(1));
    let areas = swap.column_by_name("type").unwrap();
    assert_eq!(areas.as_primitive::<Int64Type>().value(1), 3);
}

#[test]
fn words_are_keys_of_the_declared_list_also_in_the_next_batch() {
    let mut builder = Builder::new(PhysicalRecord::FIELDS, &[], HashMap::new());
    let mut first = None;
    for state in [State::Zero, State::Guard] {
        builder.push(&PhysicalRecord {
            state,
            ..record(b"")
        });
        builder.push(&record(b""));
        let batch = builder.finish();
        let states = batch.column_by_name("state").unwrap();
        let states = states.as_dictionary::<Int8Type>();
        let words = states.downcast_dict::<arrow_array::StringArray>().unwrap();
        let words: Vec<_> = words.into_iter().flatten().collect();
        assert_eq!(words, [state.name(), "ram"]);
        let values = states.values().to_data();
        assert_eq!(*first.get_or_insert(values.clone()), values);
    }
    builder.push(&record(b""));
    let batch = builder.finish();
    let word = |name| {
        let column = batch.column_by_name(name).unwrap();
        let words = column.as_dictionary::<Int32Type>();
        let words = words.downcast_dict::<arrow_array::StringArray>().unwrap();
        words.into_iter().flatten().next().unwrap().to_owned()
    };
    assert_eq!((word("prot"), word("dev")), ("r-x".into(), "fe:01".into()));
}

#[test]
fn a_name_has_all_its_bytes_only_if_it_is_not_text() {
    let names: [&[u8]; 7] = [
        b"/a",
        b"/a",
        b"",
        b"/\xe9",
        b"/\xe9",
        "/\u{fffd}".as_bytes(),
        b"/b",
    ];
    let batch = batch(&names.map(record), &[]);
    let texts = batch.column_by_name("path").unwrap().as_string::<i32>();
    let texts: Vec<_> = texts.iter().collect();
    let replaced = Some("/\u{fffd}");
    let expected = [
        Some("/a"),
        Some("/a"),
        None,
        replaced,
        replaced,
        replaced,
        Some("/b"),
    ];
    assert_eq!(texts, expected);
    let bytes = batch
        .column_by_name("path_bytes")
        .unwrap()
        .as_binary::<i32>();
    let bytes: Vec<_> = bytes.iter().collect();
    let raw: Option<&[u8]> = Some(b"/\xe9");
    assert_eq!(bytes, [None, None, None, raw, raw, None, None]);
}

#[test]
fn details_are_a_struct_where_the_output_has_them() {
    let details = Details {
        pages: 2,
        frames: 2,
        flags: FlagCounts(vec![("lru".to_owned(), 2), ("dirty".to_owned(), 1)]),
        entries: FlagCounts::default(),
        mapcount: Some(Span { min: 1, max: 4 }),
        swap_area: None,
    };
    let with = PhysicalRecord {
        details: Some(&details),
        ..record(b"")
    };
    assert!(batch(&[with], &[]).column_by_name("details").is_none());
    let batch = batch(&[record(b""), with], &[Extra::Details]);
    let column = batch.column_by_name("details").unwrap().as_struct();
    assert!(column.is_null(0));
    let flags = column
        .column_by_name("flags")
        .unwrap()
        .as_list::<i32>()
        .value(1);
    let flags = flags.as_struct();
    let names: Vec<_> = flags
        .column(0)
        .as_string::<i32>()
        .iter()
        .flatten()
        .collect();
    let counts = flags.column(1).as_primitive::<Int64Type>().values();
    assert_eq!((names, &counts[..]), (vec!["lru", "dirty"], &[2, 1][..]));
    let mapcount = column.column_by_name("mapcount").unwrap().as_struct();
    assert_eq!(mapcount.column(1).as_primitive::<Int64Type>().value(1), 4);
}

#[test]
fn a_batch_ends_by_its_rows_or_by_its_text() {
    let mut builder = Builder::new(PhysicalRecord::FIELDS, &[], HashMap::new());
    let short = record(b"/short");
    while !builder.is_full() {
        builder.push(&short);
    }
    assert_eq!(builder.finish().num_rows(), Builder::ROWS);
    let long = vec![b'a'; 1 << 20];
    while !builder.is_full() {
        builder.push(&record(&long));
    }
    let rows = builder.finish().num_rows();
    assert!(rows <= 64, "{rows}");
}

/// Every kind of record can be declared in Arrow, with types that every reader has.
#[test]
fn every_record_has_a_schema_with_meanings() {
    fn check(data_type: &DataType) {
        match data_type {
            DataType::Int64 | DataType::Boolean | DataType::Utf8 | DataType::Binary => {}
            DataType::Dictionary(_, values) => assert_eq!(**values, DataType::Utf8),
            DataType::List(item) => check(item.data_type()),
            DataType::Struct(fields) => {
                fields.iter().for_each(|field| check(field.data_type()));
            }
            other => panic!("{other}"),
        }
    }
    let records = [
        AddressRecord::FIELDS,
        ContiguityRecord::FIELDS,
        ExtentRecord::FIELDS,
        ObjectRecord::FIELDS,
        OwnerRecord::FIELDS,
        PageTableRecord::FIELDS,
        PhysicalRecord::FIELDS,
        ResidentRecord::FIELDS,
        SummaryRecord::FIELDS,
        VirtualRecord::FIELDS,
    ];
    for fields in records {
        let mut builder = Builder::new(fields, &[Extra::Details], HashMap::new());
        assert_eq!(builder.finish().num_rows(), 0);
        let schema = schema(fields, &[Extra::Details], HashMap::new());
        assert_eq!(**builder.schema(), schema);
        for field in schema.fields() {
            check(field.data_type());
            assert!(field.metadata().contains_key("meaning"), "{field}");
        }
    }
    let schema = schema(PhysicalRecord::FIELDS, &[], HashMap::new());
    let field = schema.field_with_name("size").unwrap();
    assert_eq!(field.metadata()["unit"], "bytes");
    assert!(!field.is_nullable());
    let field = schema.field_with_name("pfn").unwrap();
    assert_eq!(field.metadata()["null"], "as for paddr");
    assert!(field.is_nullable());
}
