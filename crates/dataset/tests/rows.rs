//! Records that are read back from columns.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use process_introspection::Device;
use process_introspection_dataset::columns::{Builder, Rows};
use process_introspection_export::{
    record, DeviceNumber, Fields, FlagCounts, Hex, NameBuf, NodeRecord, Real, Swap, Time,
};

record! {
    /// Every kind of value that can be read.
    struct Everything: Readable {
        /// Number.
        number: u64,
        /// Small number.
        small: u32,
        /// Number that need not be whole.
        real: Real,
        /// Such a number or null.
        ratio: Option<Real>,
        /// Address.
        address: Hex,
        /// Number or null.
        maybe: Option<u64>,
        /// Truth.
        truth: bool,
        /// Truth or null.
        doubt: Option<bool>,
        /// Time.
        at: Time,
        /// Word of a list.
        word: &'static str = one_of(|| vec!["one", "two"]),
        /// Word or null.
        hint: Option<&'static str> = one_of(|| vec!["", "a", "of sixteen bytes", "of 17 bytes long."]),
        /// Text.
        text: Option<String>,
        /// Device.
        dev: DeviceNumber,
        /// Name.
        path: NameBuf,
        /// Texts.
        texts: Vec<String>,
        /// Numbers.
        numbers: Option<Vec<u64>>,
        /// Flags.
        flags: FlagCounts,
        /// Group.
        swap: Option<Swap>,
        /// Flat group.
        part: NodeRecord = flat(),
        /// Records.
        nodes: Option<Vec<NodeRecord>>,
    }
}

fn some(path: &[u8]) -> Everything {
    let node = |node, bytes| NodeRecord { node, bytes };
    Everything {
        number: u64::MAX,
        small: u32::MAX,
        real: Real::thousandths(-500),
        ratio: Real::ratio(1, 3),
        address: Hex(0xffff_8000_0000_0000),
        maybe: Some(0),
        truth: true,
        doubt: Some(false),
        at: Time(-1),
        word: "two",
        hint: Some("of sixteen bytes"),
        text: Some("é".to_owned()),
        dev: DeviceNumber(Device {
            major: 0x103,
            minor: 2,
        }),
        path: NameBuf(path.to_vec()),
        texts: vec!["a".to_owned(), String::new()],
        numbers: Some(vec![1 << 63, 0]),
        flags: FlagCounts(vec![("lru".to_owned(), 3)]),
        swap: Some(Swap {
            area: 31,
            offset: 9,
        }),
        part: node(Some(1), 2),
        nodes: Some(vec![node(None, 5), node(Some(0), 6)]),
    }
}

fn none() -> Everything {
    Everything {
        ratio: None,
        maybe: None,
        doubt: None,
        word: "one",
        hint: None,
        text: None,
        texts: Vec::new(),
        numbers: None,
        flags: FlagCounts::default(),
        swap: None,
        part: NodeRecord {
            node: None,
            bytes: 0,
        },
        nodes: None,
        ..some(b"/a")
    }
}

#[test]
fn records_are_read_as_they_were_written_in_every_batch() {
    let mut builder = Builder::new(Everything::FIELDS, &[], HashMap::new());
    for _ in 0..2 {
        let records = [some(b"/a"), none(), some(b"/\xff"), none(), some(b"/b")];
        records.iter().for_each(|record| builder.push(record));
        let rows = Rows::<Everything>::new(&builder.finish()).unwrap();
        assert_eq!(rows.size_hint(), (5, Some(5)));
        assert_eq!(rows.collect::<Result<Vec<_>, _>>().unwrap(), records);
    }
}

/// Runs of values and of nulls begin and end at every place of the words of a bit map.
#[test]
fn runs_of_values_and_of_nulls_are_read_as_they_were_written() {
    let names: [&[u8]; 4] = [b"/a", b"", b"/\xff", b"/usr/lib/libc.so.6"];
    let hints = ["", "a", "of sixteen bytes", "of 17 bytes long."];
    let mut random = 1_u64;
    let mut below = |limit: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) % limit
    };
    let mut builder = Builder::new(Everything::FIELDS, &[], HashMap::new());
    for _ in 0..8 {
        let mut records = Vec::new();
        while records.len() < 1500 {
            let record = match below(2) {
                0 => none(),
                _ => Everything {
                    hint: Some(hints[below(4) as usize]),
                    maybe: Some(below(3)),
                    ..some(names[below(4) as usize])
                },
            };
            let count = 1 + below(150) as usize;
            records.extend(std::iter::repeat_n(record, count));
        }
        records.iter().for_each(|record| builder.push(record));
        let rows = Rows::<Everything>::new(&builder.finish()).unwrap();
        assert!(rows.map(Result::unwrap).eq(records));
    }
}

#[test]
fn a_name_that_is_empty_stays_empty() {
    let mut builder = Builder::new(Everything::FIELDS, &[], HashMap::new());
    builder.push(&some(b""));
    let mut rows = Rows::<Everything>::new(&builder.finish()).unwrap();
    assert_eq!(rows.next(), Some(Ok(some(b""))));
}

fn batch(columns: &[(&str, ArrayRef)]) -> RecordBatch {
    let columns = columns
        .iter()
        .map(|(name, array)| (*name, Arc::clone(array)));
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))
        .unwrap()
}

#[test]
fn columns_may_be_missing_or_unknown_but_never_of_another_type() {
    let bytes: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None]));
    let other: ArrayRef = Arc::new(BooleanArray::from(vec![true, false]));
    let stored = batch(&[("later", Arc::clone(&other)), ("bytes", bytes)]);
    let mut rows = Rows::<NodeRecord>::new(&stored).unwrap();
    let record = NodeRecord {
        node: None,
        bytes: 7,
    };
    assert_eq!(rows.next(), Some(Ok(record)));
    // Null is no number.
    assert_eq!(rows.next().unwrap().unwrap_err().name, "bytes");
    assert_eq!(rows.next(), None);
    let error = Rows::<NodeRecord>::new(&batch(&[("bytes", other)])).unwrap_err();
    assert_eq!(error.column, "bytes");
}

record! {
    /// Words, as another program could have written them.
    struct Words: Readable {
        /// Word of a list.
        word: &'static str = one_of(|| vec!["one", "two"]),
    }
}

#[test]
fn words_need_no_dictionary_but_must_be_known() {
    let words: ArrayRef = Arc::new(StringArray::from(vec!["two", "three"]));
    let mut rows = Rows::<Words>::new(&batch(&[("word", words)])).unwrap();
    assert_eq!(rows.next(), Some(Ok(Words { word: "two" })));
    assert_eq!(rows.next().unwrap().unwrap_err().name, "word");
}
