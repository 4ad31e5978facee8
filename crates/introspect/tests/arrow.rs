//! `--format arrow`: the values of `--format jsonl`, as arrow-ipc and pyarrow read them.

mod support;

use std::env;
use std::io::Write;
use std::process::{Command, Stdio};

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowDictionaryKeyType, Int32Type, Int64Type, Int8Type};
use arrow_array::{Array, StructArray};
use arrow_ipc::reader::StreamReader;
use arrow_schema::{DataType, Field, Fields, Schema};
use serde_json::{json, Map, Value};
use support::{introspect, number, run, succeed, target, Waiting};
use testkit::machine::is_root_or_skip;

/// Marker of the end of a stream.
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// Reads a stream with Python and writes a JSON object for each row.
const SCRIPT: &str = "
import json, sys, pyarrow
with pyarrow.ipc.open_stream(sys.stdin.buffer) as stream:
    for batch in stream:
        for row in batch.to_pylist():
            print(json.dumps(row, default=list))
";

/// Returns a value of a column.
fn value(array: &dyn Array, row: usize) -> Value {
    fn word<K: ArrowDictionaryKeyType<Native: Into<i64>>>(array: &dyn Array, row: usize) -> Value {
        let words = array.as_dictionary::<K>();
        let key: i64 = words.keys().value(row).into();
        words.values().as_string::<i32>().value(key as usize).into()
    }
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::Binary => array.as_binary::<i32>().value(row).into(),
        DataType::Dictionary(key, _) if **key == DataType::Int8 => word::<Int8Type>(array, row),
        DataType::Dictionary(..) => word::<Int32Type>(array, row),
        DataType::Struct(_) => row_of(array.as_struct(), row),
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            (0..items.len()).map(|item| value(&items, item)).collect()
        }
        other => panic!("{other}"),
    }
}

fn row_of(array: &StructArray, row: usize) -> Value {
    let columns = array.fields().iter().zip(array.columns());
    let values = columns.map(|(field, column)| (field.name().clone(), value(column, row)));
    Value::Object(values.collect())
}

/// Returns the value that a column must have for a value of JSON.
fn expected(of_json: &Value, data_type: &DataType) -> Value {
    match (data_type, of_json) {
        (_, Value::Null) => Value::Null,
        (DataType::Int64, Value::Number(number)) => {
            (number.as_u64().expect("not negative") as i64).into()
        }
        (DataType::Int64, Value::String(text)) => {
            let (sign, digits) = match text.strip_prefix('-') {
                Some(digits) => (-1, digits),
                None => (1, &**text),
            };
            let number = match digits.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16),
                None => digits.parse(),
            };
            (sign * number.expect("a number") as i64).into()
        }
        (DataType::Struct(fields), Value::Object(object)) => row_for(object, fields),
        (DataType::List(item), Value::Array(items)) => {
            let items = items.iter();
            items
                .map(|of_json| expected(of_json, item.data_type()))
                .collect()
        }
        // Names of flags with numbers. Their order is lost in JSON.
        (DataType::List(_), Value::Object(counts)) => counts
            .iter()
            .map(|(name, count)| json!({"name": name, "count": count}))
            .collect(),
        (_, other) => other.clone(),
    }
}

/// Returns the row that a record of JSON must have; all of its fields are in it.
fn row_for(record: &Map<String, Value>, fields: &Fields) -> Value {
    let of_bytes = |name: &str| {
        let hex = record.get(&format!("{name}_hex"))?.as_str()?;
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("digits");
        Some((0..hex.len()).step_by(2).map(byte).collect::<Vec<_>>())
    };
    let column = |field: &Field| match field.data_type() {
        DataType::Binary => {
            let name = field
                .name()
                .strip_suffix("_bytes")
                .expect("bytes of a name");
            of_bytes(name).map_or(Value::Null, Value::from)
        }
        data_type => {
            let of_json = record.get(field.name()).unwrap_or(&Value::Null);
            expected(of_json, data_type)
        }
    };
    for name in record.keys() {
        let stem = name
            .strip_suffix("_hex")
            .map(|stem| format!("{stem}_bytes"));
        let names = [Some(name.clone()), stem];
        let is_column = names
            .iter()
            .flatten()
            .any(|name| fields.find(name).is_some());
        assert!(is_column, "{name} is no column");
    }
    let columns = fields.iter();
    Value::Object(
        columns
            .map(|field| (field.name().clone(), column(field)))
            .collect(),
    )
}

/// Runs the command, which must succeed, and returns its standard output.
fn output(arguments: &[&str], format: &str) -> Vec<u8> {
    let mut command = introspect();
    command.args(arguments).args(["--format", format]);
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    output.stdout
}

/// Makes rows comparable: lists of flags are sorted by name, and a proportional set size,
/// which every process changes that shares pages with the target, is only known or not.
fn normalize(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(normalize);
            if items
                .iter()
                .all(|item| item["count"].is_u64() && item["name"].is_string())
            {
                items.sort_by_key(|item| item["name"].to_string());
            }
        }
        Value::Object(object) => {
            if let Some(pss) = object.get_mut("pss").filter(|pss| pss.is_i64()) {
                *pss = true.into();
            }
            object.values_mut().for_each(normalize);
        }
        _ => {}
    }
}

fn normalized(mut rows: Vec<Value>) -> Vec<Value> {
    rows.iter_mut().for_each(normalize);
    rows
}

/// Returns the schema and the rows of a stream.
fn rows(stream: &[u8]) -> (Schema, Vec<Value>) {
    assert!(stream.ends_with(&END));
    let batches = StreamReader::try_new(stream, None).expect("a stream");
    let schema = Schema::clone(&batches.schema());
    let mut rows = Vec::new();
    for batch in batches {
        let batch = StructArray::from(batch.expect("a batch"));
        rows.extend((0..batch.len()).map(|row| row_of(&batch, row)));
    }
    (schema, rows)
}

/// Python with pyarrow: `INTROSPECT_PYTHON`, or `python3`.
fn python() -> Option<String> {
    let python = env::var("INTROSPECT_PYTHON").unwrap_or("python3".to_owned());
    let mut command = Command::new(&python);
    let output = command.args(["-c", "import pyarrow"]).output();
    output
        .is_ok_and(|output| output.status.success())
        .then_some(python)
}

/// Returns the rows of a stream as pyarrow reads them.
fn rows_of_python(python: &str, stream: &[u8]) -> Vec<Value> {
    let mut reader = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut input = reader.stdin.take().expect("a pipe");
    let stream = stream.to_owned();
    let writer = std::thread::spawn(move || input.write_all(&stream).expect("it reads"));
    let output = reader.wait_with_output().expect("it ends");
    writer.join().expect("all is written");
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).expect("text");
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect()
}

/// Compares the formats of one list. Other processes can change facts of pages that they
/// share with the target, so that one of several attempts must give equal values.
fn compare(arguments: &[&str], python: Option<&str>) {
    for attempt in 1..=5 {
        let lines = String::from_utf8(output(arguments, "jsonl")).expect("text");
        let stream = output(arguments, "arrow");
        let (schema, rows) = rows(&stream);
        let records = lines.lines().map(serde_json::from_str);
        let expected = records.map(|record| row_for(&record.expect("an object"), schema.fields()));
        let expected = normalized(expected.collect());
        assert!(!expected.is_empty(), "{arguments:?}");
        let rows = normalized(rows);
        if attempt < 5 && rows != expected {
            continue;
        }
        assert_eq!(rows, expected, "{arguments:?}");
        if let Some(python) = python {
            let rows = normalized(rows_of_python(python, &stream));
            assert_eq!(rows, expected, "{arguments:?}");
        }
        return;
    }
}

#[test]
fn every_list_has_the_values_of_json_lines() {
    let is_root = is_root_or_skip("lists with addresses as Arrow");
    let python = python();
    if python.is_none() {
        eprintln!("SKIPPED lists as pyarrow reads them: needs python3 with pyarrow");
    }
    let (target, waiting) = (target(), [0; 2].map(|_| Waiting::named("cat")));
    let pid = target.pid().to_string();
    let [first, second] = waiting.each_ref().map(|waiting| waiting.pid().to_string());
    let [dense, sparse, shared] = target.addresses() else {
        panic!("three addresses")
    };
    let (dense, sparse) = (format!("{dense:x}+64K"), format!("{sparse:x}+256K"));
    let shared = format!("{shared:x}");
    let compare = |arguments: &[&str]| compare(arguments, python.as_deref());
    compare(&["virtual", &pid]);
    compare(&["resident", &pid]);
    compare(&["object", &pid, &shared]);
    let both = format!("{first},{second}");
    compare(&["virtual", &both]);
    compare(&["resident", &both]);
    if !is_root {
        return;
    }
    compare(&["physical", &pid]);
    compare(&["physical", &pid, &dense, "--details"]);
    compare(&["physical", &pid, &sparse]);
    compare(&["physical", &both, "--details", "--mapping", "stack"]);
    compare(&["pagetable", &pid, &dense, "--details"]);
    compare(&["pagetable", &pid, &sparse]);
    compare(&["extents", &pid, &dense]);
    // A child of this program shares pages with it.
    compare(&["summary", &first]);
    compare(&["summary", &first, &second]);
    compare(&["summary", &first, &second, "--by-mapping"]);
    let record = &succeed(&["physical", &pid, &dense, "--format", "jsonl"]).lines()[0];
    let paddr = format!("{:x}", number(record, "paddr"));
    compare(&["frame", &paddr, "0"]);
    compare(&["owner", &paddr]);
}

#[test]
fn a_stream_is_described_and_can_be_a_file() {
    let waiting = Waiting::named("cat");
    let pid = waiting.pid().to_string();
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("maps.arrow");
    let file = path.to_str().unwrap();
    let run = run(&[
        "virtual",
        &pid,
        "10000-20000",
        "--format",
        "arrow",
        "-o",
        file,
    ]);
    assert_eq!(run.status, 0, "{run:?}");
    let (schema, rows) = rows(&std::fs::read(&path).unwrap());
    assert!(rows.is_empty());
    let metadata = schema.metadata();
    assert_eq!(metadata["tool"], "introspect");
    assert_eq!(metadata["pid"], pid);
    assert_eq!(metadata["ranges"], "0x10000-0x20000");
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(metadata["boot_id"], boot.trim());
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(metadata["kernel"], kernel.trim());
    let unique_pid: u64 = metadata["unique_pid"].parse().unwrap();
    assert_eq!(unique_pid as u32, waiting.pid());
    let size = testkit::memory::page().to_string();
    assert_eq!(metadata["page_size"], size);
    let size = schema.field_with_name("size").unwrap();
    assert_eq!(size.metadata()["unit"], "bytes");
}
