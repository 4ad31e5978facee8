//! Attributes of records beside addresses: objects, kinds, nodes, page facts, and what is
//! at a physical address.

mod support;

use serde_json::Value;
use support::{number, run, schema, succeed, target};
use testkit::machine::is_root_or_skip;
use testkit::memory;
use testkit::target::Target;

#[test]
fn an_object_has_the_offset_in_it() {
    let target = target();
    let (pid, shared) = (target.pid().to_string(), target.addresses()[2]);
    let address = format!("{:#x}", shared + 0x1234);
    let records = succeed(&["object", &pid, &address, "--format", "json"]).array();
    assert_eq!(records.len(), 1);
    assert_eq!(number(&records[0], "vaddr"), shared + 0x1234);
    assert_eq!(number(&records[0], "offset"), 0x1234);
    assert_eq!(records[0]["path"], "/memfd:testkit (deleted)");
    assert_eq!(records[0]["target_path"], Value::Null);
    let dense = target.addresses()[0];
    let lines = succeed(&["object", &pid, &address]).stdout;
    assert!(lines.lines().all(|line| line.len() <= 80), "{lines}");
    let ino = &records[0]["ino"];
    assert!(
        lines.contains(&format!("\nino           {ino}\n")),
        "{lines}"
    );
    let none = support::fail(&["object", &pid, &format!("{dense:x}")]);
    assert!(none.contains("no file or other object is mapped"), "{none}");
}

#[test]
fn what_is_at_an_address_is_the_same_in_every_format() {
    if !is_root_or_skip("what_is_at_an_address_is_the_same_in_every_format") {
        return;
    }
    let target = target();
    let own = &succeed(&[
        "physical",
        &target.pid().to_string(),
        &format!("{:x}", target.addresses()[0]),
        "--format",
        "json",
    ])
    .array()[0];
    let frame = format!("pfn:{}", own["pfn"]);
    let address = own["paddr"].as_str().unwrap();
    let nowhere = "ffffffffffffffff";
    let output = |format: &str| {
        let run = run(&["frame", address, &frame, nowhere, "--format", format]);
        assert_eq!(run.status, 0, "{run:?}");
        // A warning says that it lies above everything, in every format.
        assert!(run.stderr.contains(nowhere), "{run:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
        run
    };
    let records = output("json").array();
    let whole = Value::Array(records.clone());
    if let Err(error) = schema("frame").validate(&whole) {
        panic!("{error}: {whole}");
    }
    assert_eq!(records, output("jsonl").lines());
    assert_eq!(records[0], records[1]);
    assert_eq!(records[0]["paddr"], own["paddr"]);
    assert_eq!(records[0]["pfn"], own["pfn"]);
    assert_eq!(records[0]["node"], own["node"]);
    assert_eq!(records[0]["kind"], "system-ram");
    assert_eq!(records[0]["resources"][0], "System RAM");
    assert_eq!(records[0]["mapcount"], 1);
    let flags = records[0]["flags"].as_array().unwrap();
    assert!(flags.iter().any(|flag| flag == "anon"), "{flags:?}");
    assert_eq!(records[2]["kind"], "unclaimed");
    assert!(records[2]["flags"].is_null() && records[2]["first"].is_null());

    let text = output("csv").stdout;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(&rows[0][0], address);
    assert_eq!(&rows[0][3], "System RAM");
    assert!(rows[0][7].split('|').any(|flag| flag == "anon"), "{rows:?}");
    let table = output("table").stdout;
    assert!(table.lines().all(|line| line.len() <= 80), "{table}");
    assert_eq!(table.matches("system-ram").count(), 2, "{table}");
}

#[test]
fn the_node_of_a_record_is_that_of_its_addresses() {
    if !is_root_or_skip("the_node_of_a_record_is_that_of_its_addresses") {
        return;
    }
    let target = target();
    let pid = target.pid().to_string();
    let range = format!("{:x}+64K", target.addresses()[0]);
    for subcommand in ["physical", "pagetable"] {
        let records = succeed(&[subcommand, &pid, &range, "--format", "json"]).array();
        assert!(!records.is_empty());
        for record in records {
            let address = record["paddr"].as_str().unwrap();
            let place = &succeed(&["frame", address, "--format", "json"]).array()[0];
            assert_eq!(record["node"], place["node"], "{subcommand}");
            assert!(record["node"].is_u64(), "{subcommand}: {record}");
        }
    }
    let all = succeed(&["physical", &pid, "--format", "json"]).array();
    let unbacked: Vec<_> = all
        .iter()
        .filter(|record| record["paddr"].is_null())
        .collect();
    assert!(!unbacked.is_empty());
    assert!(unbacked.iter().all(|record| record["node"].is_null()));
}

#[test]
fn facts_of_pages_are_the_same_in_every_format() {
    if !is_root_or_skip("facts_of_pages_are_the_same_in_every_format") {
        return;
    }
    let target = target();
    let pid = target.pid().to_string();
    let [dense, sparse, _] = target.addresses() else {
        panic!("three addresses")
    };
    let ranges = [format!("{dense:x}+64K"), format!("{sparse:x}+256K")];
    for (subcommand, range) in [("physical", &ranges[0]), ("pagetable", &ranges[1])] {
        let output =
            |format: &str| succeed(&[subcommand, &pid, range, "--details", "--format", format]);
        let records = output("json").array();
        if let Err(error) = schema(subcommand).validate(&Value::Array(records.clone())) {
            panic!("{subcommand}: {error}");
        }
        let plain = succeed(&[subcommand, &pid, range, "--format", "json"]).array();
        assert_eq!(records.len(), plain.len());
        let text = output("csv").stdout;
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().unwrap().clone();
        let column = |name: &str| header.iter().position(|field| field == name).unwrap();
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        let mut anonymous = 0;
        for ((record, plain), row) in records.iter().zip(&plain).zip(&rows) {
            let mut without = record.clone();
            let details = without.as_object_mut().unwrap().remove("details").unwrap();
            assert_eq!(&without, plain, "only the facts are more");
            let pages = number(record, "size") / memory::page();
            assert_eq!(number(&details, "pages"), pages);
            let backed = if record["paddr"].is_null() { 0 } else { pages };
            assert_eq!(number(&details, "frames"), backed);
            anonymous += details["flags"]["anon"].as_u64().unwrap_or(0);
            for (kind, flags) in [("flags", "details_flags"), ("entries", "details_entries")] {
                let names = details[kind].as_object().unwrap();
                let mut text: Vec<_> = row[column(flags)].split('|').collect();
                text.retain(|flag| !flag.is_empty());
                // Flags such as referenced change by themselves.
                assert_eq!(text.is_empty(), names.is_empty(), "{row:?}");
            }
            assert_eq!(row[column("details_pages")], pages.to_string());
        }
        // Only touched pages: the zero page belongs to no process.
        let expected = if subcommand == "physical" { 16 } else { 8 };
        assert_eq!(anonymous, expected, "{subcommand}");
        let table = output("table").stdout;
        assert!(table.lines().all(|line| line.len() <= 80), "{table}");
        assert!(
            table.contains("    mapped: 1 entries: mmap_exclusive"),
            "{table}"
        );
    }
}

#[test]
fn a_programs_own_file_has_what_identifies_it() {
    let exe = std::fs::canonicalize("/proc/self/exe").unwrap();
    let code = target as fn() -> Target as usize;
    let target = target();
    let pid = target.pid().to_string();
    let record = &succeed(&["object", &pid, &format!("{code:x}"), "--format", "json"]).array()[0];
    let path = exe.to_str().unwrap();
    for field in ["path", "target_path", "open_path"] {
        assert_eq!(record[field], path, "{field}");
    }
    assert_eq!(record["deleted"], false);
    let address = |field: &str| {
        let text = record[field].as_str().unwrap();
        i64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
    };
    let linked = address("linked_vaddr");
    assert_eq!(linked + address("relocation"), code as i64);
    // The build id, if there is one, is in the file.
    if let Some(id) = record["build_id"].as_str() {
        let digits = |at| u8::from_str_radix(&id[at..at + 2], 16).unwrap();
        let id: Vec<_> = (0..id.len()).step_by(2).map(digits).collect();
        let file = std::fs::read(&exe).unwrap();
        assert!(file.windows(id.len()).any(|bytes| bytes == id));
    }
}

#[test]
fn stacks_of_threads_are_found_on_request() {
    let target = Target::spawn_reporting(|report| {
        let (send, receive) = std::sync::mpsc::channel();
        testkit::thread::start(move || {
            let local = 1u64;
            send.send(&raw const local as u64).unwrap();
            std::thread::sleep(std::time::Duration::from_secs(3600));
        });
        report.send(&[receive.recv().unwrap()]);
        report.wait();
    });
    let (pid, at) = (target.pid().to_string(), target.addresses()[0]);
    let address = format!("{at:x}");
    let told = |command: &str| {
        // The thread may not be asleep yet.
        let kind = || {
            let run = succeed(&[
                command,
                &pid,
                &address,
                "--thread-stacks",
                "--format",
                "json",
            ]);
            run.array()[0]["kind"].as_str().unwrap().to_owned()
        };
        (0..100).any(|_| kind() == "thread-stack")
    };
    assert!(told("virtual"));
    if testkit::machine::is_root_or_skip("stacks of threads in physical") {
        assert!(told("physical"));
    }
}
