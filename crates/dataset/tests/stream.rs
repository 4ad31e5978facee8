//! Streams, as arrow-ipc reads them.

use std::collections::HashMap;
use std::io::{self, Write};

use arrow_ipc::reader::StreamReader;
use process_introspection_dataset::columns::{Builder, Rows};
use process_introspection_dataset::stream::Stream;
use process_introspection_export::{Fields, Layout, NodeRecord};

const LAYOUT: Layout = Layout::of(NodeRecord::FIELDS);
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

fn record(index: usize) -> NodeRecord {
    NodeRecord {
        node: (index % 3 > 0).then_some(index as u32),
        bytes: index as u64 * 4096,
    }
}

/// Returns the number of batches and the records.
fn read(bytes: &[u8]) -> (usize, Vec<NodeRecord>) {
    let batches = StreamReader::try_new(bytes, None).unwrap();
    assert_eq!(batches.schema().metadata()["tool"], "a test");
    let (mut count, mut records) = (0, Vec::new());
    for batch in batches {
        let rows = Rows::<NodeRecord>::new(&batch.unwrap()).unwrap();
        records.extend(rows.map(Result::unwrap));
        count += 1;
    }
    (count, records)
}

fn begin<W: Write>(out: W) -> Stream<W> {
    let metadata = HashMap::from([("tool".to_owned(), "a test".to_owned())]);
    Stream::begin(out, &LAYOUT, metadata).unwrap()
}

#[test]
fn all_records_come_in_batches_and_the_end_is_marked() {
    let count = 2 * Builder::ROWS + 1;
    let expected: Vec<_> = (0..count).map(record).collect();
    let mut stream = begin(Vec::new());
    for record in &expected {
        stream.write(record).unwrap();
    }
    let bytes = stream.finish().unwrap();
    assert!(bytes.ends_with(&END));
    assert_eq!(read(&bytes), (3, expected));
}

#[test]
fn a_stream_without_records_has_a_schema() {
    let bytes = begin(Vec::new()).finish().unwrap();
    assert_eq!(read(&bytes), (0, Vec::new()));
}

#[test]
fn what_is_flushed_can_be_read_before_the_end() {
    let mut bytes = Vec::new();
    let mut stream = begin(&mut bytes);
    stream.write(&record(1)).unwrap();
    stream.flush().unwrap();
    stream.flush().unwrap();
    stream.write(&record(2)).unwrap();
    stream.finish().unwrap();
    assert_eq!(read(&bytes), (2, vec![record(1), record(2)]));
}

#[test]
fn a_stream_that_fails_has_its_records_and_no_marker() {
    let mut bytes = Vec::new();
    let mut stream = begin(&mut bytes);
    stream.write(&record(1)).unwrap();
    drop(stream);
    assert!(!bytes.ends_with(&END));
    // Readers do not complain.
    assert_eq!(read(&bytes), (1, vec![record(1)]));
}

/// A disk that is full after some bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let count = bytes.len().min(self.0);
        self.0 -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn errors_of_the_output_keep_their_kind() {
    let begun = Stream::begin(Full(1), &LAYOUT, HashMap::new());
    assert_eq!(begun.unwrap_err().kind(), io::ErrorKind::StorageFull);
    let mut stream = begin(Full(10_000));
    let failed = (0..).find_map(|index| stream.write(&record(index)).err());
    assert_eq!(failed.unwrap().kind(), io::ErrorKind::StorageFull);
}
