//! Every subcommand in every format, on itself and on another process.

mod support;

use serde_json::Value;
use support::{number, run, succeed};
use testkit::machine::is_root_or_skip;
use testkit::memory;
use testkit::oracle::{self, State};
use testkit::target::Target;

/// Some of everything: dense, zero, holes, read-only, shared.
fn target() -> Target {
    Target::spawn(|| {
        let page = memory::page();
        let dense = memory::anonymous(16 * page);
        memory::touch(dense, 16, 1);
        let sparse = memory::anonymous(64 * page);
        memory::touch(sparse, 8, 3);
        memory::read(sparse + 40 * page, 4);
        let shared = memory::map(8 * page, libc::MAP_SHARED, memory::memfd(8 * page));
        memory::touch(shared, 4, 2);
        vec![dense, sparse, shared]
    })
}

/// What is asked for, the schema's name, and whether frame numbers are needed.
fn subcommands(pid: &str, range: &str, address: &str) -> Vec<(Vec<String>, &'static str, bool)> {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    vec![
        (words(&format!("physical {pid}")), "physical", true),
        (words(&format!("physical {pid} --backed")), "physical", true),
        (
            words(&format!("physical {pid} --vm-flags")),
            "physical",
            true,
        ),
        (words(&format!("extents {pid} {range}")), "extents", true),
        (words(&format!("virtual {pid}")), "virtual", false),
        (
            words(&format!("virtual {pid} --resident")),
            "virtual-resident",
            false,
        ),
        (
            words(&format!("pagetable {pid} {range}")),
            "pagetable",
            true,
        ),
        (words(&format!("object {pid} {address}")), "object", false),
    ]
}

fn schema(name: &str) -> jsonschema::Validator {
    let path = format!(
        "{}/../../docs/schemas/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    jsonschema::draft202012::new(&serde_json::from_str(&text).unwrap()).unwrap()
}

#[test]
fn every_subcommand_gives_the_same_records_in_every_format() {
    let root = is_root_or_skip("physical, extents and pagetable in every format");
    let target = target();
    let [dense, _, shared] = target.addresses() else {
        panic!("three addresses")
    };
    let (range, address) = (format!("{dense:x}+64K"), format!("{shared:x}"));
    for (arguments, name, frames) in subcommands(&target.pid().to_string(), &range, &address) {
        if frames && !root {
            continue;
        }
        let output = |format: &str| {
            let mut arguments = arguments.clone();
            arguments.extend(["--format".to_owned(), format.to_owned()]);
            succeed(&arguments)
        };
        let records = output("json").array();
        assert!(!records.is_empty(), "{arguments:?}");
        let whole = Value::Array(records.clone());
        if let Err(error) = schema(name).validate(&whole) {
            panic!("{arguments:?}: {error}");
        }
        assert_eq!(output("jsonl").lines(), records, "{arguments:?}");
        let table = output("table").stdout;
        assert_eq!(
            table.lines().count(),
            records.len() + 1,
            "{arguments:?}\n{table}"
        );

        let text = output("csv").stdout;
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().unwrap().clone();
        assert_eq!(&header[0], "vaddr");
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), records.len(), "{arguments:?}");
        for (row, record) in rows.iter().zip(&records) {
            assert_eq!(&row[0], record["vaddr"]);
            for (field, text) in header.iter().zip(row) {
                match record.get(field) {
                    Some(Value::String(value)) => assert_eq!(text, value, "{field}"),
                    Some(Value::Null) => assert_eq!(text, "", "{field}"),
                    Some(other) => assert_eq!(text, other.to_string(), "{field}"),
                    None => assert!(text.is_empty() || field.starts_with("swap"), "{field}"),
                }
            }
        }
    }
}

#[test]
fn the_command_can_look_at_itself() {
    for itself in ["self", "0"] {
        let records = succeed(&["virtual", itself, "--format", "json"]).array();
        let program = env!("CARGO_BIN_EXE_introspect");
        assert!(
            records.iter().any(|record| record["path"] == program),
            "{itself}"
        );
        let resident = succeed(&["virtual", itself, "--resident", "--format", "json"]).array();
        assert!(
            resident.iter().any(|record| record["state"] == "resident"),
            "{itself}"
        );
        if is_root_or_skip("physical self") {
            let stack = succeed(&[
                "physical",
                itself,
                "--mapping",
                "[stack]",
                "--format",
                "json",
            ]);
            assert!(
                stack.array().iter().any(|record| record["state"] == "ram"),
                "{itself}"
            );
        }
    }
}

#[test]
fn physical_records_are_what_the_kernel_says_page_by_page() {
    if !is_root_or_skip("physical_records_are_what_the_kernel_says_page_by_page") {
        return;
    }
    let target = target();
    let pid = target.pid().to_string();
    for &start in target.addresses() {
        let area = oracle::areas(target.pid())
            .into_iter()
            .find(|area| area.start <= start && start < area.end)
            .expect("its area");
        let range = format!("{:x}-{:x}", area.start, area.end);
        let records = succeed(&["physical", &pid, &range, "--format", "json"]).array();
        let expected = oracle::runs(target.pid(), area.start, area.end);
        assert_eq!(records.len(), expected.len());
        for (record, run) in records.iter().zip(&expected) {
            assert_eq!(number(record, "vaddr"), run.start);
            assert_eq!(number(record, "vpn"), run.start / memory::page());
            assert_eq!(number(record, "size"), run.end - run.start);
            let (state, paddr) = match run.state {
                State::Memory(address) => ("ram", Some(address)),
                State::Zero(address) => ("zero", Some(address)),
                _ => ("not-present", None),
            };
            assert_eq!(record["state"], state, "{record}");
            match paddr {
                Some(address) => {
                    assert_eq!(number(record, "paddr"), address);
                    assert_eq!(number(record, "pfn"), address / memory::page());
                    assert_eq!(number(record, "page_size"), memory::page());
                }
                None => assert!(record["paddr"].is_null() && record["pfn"].is_null()),
            }
            assert_eq!(number(record, "offset"), run.offset);
            assert_eq!(number(record, "ino"), run.area.inode);
            assert_eq!(record["path"].as_str().unwrap_or_default(), run.area.name);
            assert_eq!(record["shared"], !run.area.is_private());
        }
        let backed = succeed(&["physical", &pid, &range, "--format", "json", "--backed"]).array();
        let all_backed: Vec<_> = records
            .into_iter()
            .filter(|record| !record["paddr"].is_null())
            .collect();
        assert_eq!(backed, all_backed);
    }
}

#[test]
fn the_output_does_not_depend_on_the_number_of_threads() {
    if !is_root_or_skip("the_output_does_not_depend_on_the_number_of_threads") {
        return;
    }
    // Long enough for threads to be started.
    let (size, touched) = (1u64 << 40, 4096);
    let target = Target::spawn(|| {
        let at = memory::anonymous(size);
        memory::touch(at, touched, size / touched / memory::page());
        vec![at]
    });
    let at = target.addresses()[0];
    let (pid, range) = (target.pid().to_string(), format!("{at:x}-{:x}", at + size));
    for format in ["table", "json", "jsonl", "csv"] {
        for backed in [&[][..], &["--backed"]] {
            let output = |threads: &str| {
                let arguments = ["physical", &pid, &range, "--format", format];
                let threads = ["--threads", threads];
                succeed(&[&arguments[..], backed, &threads].concat()).stdout
            };
            let alone = output("1");
            let header = usize::from(matches!(format, "table" | "csv"));
            let records = touched as usize * if backed.is_empty() { 2 } else { 1 };
            if format != "json" {
                assert_eq!(alone.lines().count(), records + header, "{format}");
            }
            // The kernel may move pages at any time, to make room for huge ones:
            // then alone it gives something else, too.
            let mut alone = alone;
            for threads in ["0", "2", "3", "64", "default"] {
                let same = (0..20).any(|_| {
                    let given = match threads {
                        "default" => {
                            let arguments = ["physical", &pid, &range, "--format", format];
                            succeed(&[&arguments[..], backed].concat()).stdout
                        }
                        threads => output(threads),
                    };
                    let before = std::mem::replace(&mut alone, output("1"));
                    assert!(
                        given == before || before != alone,
                        "{format} {backed:?} {threads}"
                    );
                    given == before
                });
                assert!(same, "pages never come to rest");
            }
        }
    }
}

#[test]
fn page_table_records_are_one_for_each_page() {
    if !is_root_or_skip("page_table_records_are_one_for_each_page") {
        return;
    }
    let target = target();
    let pid = target.pid().to_string();
    let (page, sparse) = (memory::page(), target.addresses()[1]);
    let range = format!("{sparse:x}+{}", 64 * page);
    let records = succeed(&["pagetable", &pid, &range, "--format", "jsonl"]).lines();
    let starts: Vec<_> = records
        .iter()
        .map(|record| number(record, "vaddr"))
        .collect();
    assert_eq!(
        starts,
        (0..64)
            .map(|index| sparse + index * page)
            .collect::<Vec<_>>()
    );
    let backed = records
        .iter()
        .filter(|record| !record["paddr"].is_null())
        .count();
    assert_eq!(backed, 8 + 4);
    let run = succeed(&["pagetable", &pid, &range, "--backed", "--format", "jsonl"]);
    assert_eq!(run.lines().len(), backed);
    // A range that begins in no mapping: first that page.
    let records = succeed(&["pagetable", &pid, "0-1000", "--format", "json"]).array();
    assert_eq!(records.len(), 1);
    assert_eq!(
        (&records[0]["state"], &records[0]["kind"]),
        (&"unmapped".into(), &Value::Null)
    );
}

#[test]
fn extents_are_exact_to_the_byte_and_judged() {
    if !is_root_or_skip("extents_are_exact_to_the_byte_and_judged") {
        return;
    }
    let target = target();
    let pid = target.pid().to_string();
    let [dense, sparse, _] = *target.addresses() else {
        panic!("three addresses")
    };
    let page = memory::page();

    let one = succeed(&[
        "extents",
        &pid,
        &format!("{:x}+5", dense + 3),
        "--contiguous",
        "--format",
        "json",
    ])
    .array();
    let physical = succeed(&["physical", &pid, &format!("{dense:x}"), "--format", "json"]).array();
    assert_eq!(one.len(), 1);
    assert_eq!(number(&one[0], "vaddr"), dense + 3);
    assert_eq!(number(&one[0], "size"), 5);
    assert_eq!(number(&one[0], "paddr"), number(&physical[0], "paddr") + 3);

    // Pages 0 and 3 are there, 1 and 2 are not.
    let range = format!("{:x}+{}", sparse + 10, 3 * page);
    let run = run(&["extents", &pid, &range, "--format", "json"]);
    assert_eq!(run.status, 1);
    let states: Vec<_> = run
        .array()
        .iter()
        .map(|extent| extent["state"].clone())
        .collect();
    assert_eq!(states, ["ram", "not-present", "ram"]);
    let missing = format!(
        "introspect: {} of {} bytes are not backed by RAM, the first at {:#x} (not-present)\n",
        2 * page,
        3 * page,
        sparse + page
    );
    assert_eq!(run.stderr, missing);

    let unaligned = support::fail(&[
        "extents",
        &pid,
        &format!("{:x}+5", dense + 3),
        "--align",
        "4K",
    ]);
    assert!(unaligned.contains("no multiple of 0x1000"), "{unaligned}");
    succeed(&["extents", &pid, &format!("{dense:x}+5000"), "--align", "4K"]);
    let unmapped = support::fail(&["extents", &pid, "1000-3000"]);
    assert!(
        unmapped.contains("8192 of 8192 bytes") && unmapped.contains("(unmapped)"),
        "{unmapped}"
    );
}

#[test]
fn residence_is_known_without_addresses() {
    let target = target();
    let pid = target.pid().to_string();
    let (page, sparse) = (memory::page(), target.addresses()[1]);
    let range = format!("{sparse:x}+{}", 24 * page);
    let records = succeed(&["virtual", &pid, &range, "--resident", "--format", "json"]).array();
    let states: Vec<_> = records
        .iter()
        .map(|record| record["state"].clone())
        .collect();
    let expected: Vec<_> = ["resident", "not-present"]
        .into_iter()
        .cycle()
        .take(16)
        .collect();
    assert_eq!(states, expected);
    assert!(records.iter().all(|record| record.get("paddr").is_none()));
    let backed = succeed(&[
        "virtual",
        &pid,
        &range,
        "--resident",
        "--backed",
        "--format",
        "json",
    ]);
    assert_eq!(backed.array().len(), 8);
}

#[test]
fn virtual_records_are_the_lines_of_maps() {
    let target = target();
    let records = succeed(&["virtual", &target.pid().to_string(), "--format", "jsonl"]).lines();
    let areas = oracle::areas(target.pid());
    assert_eq!(records.len(), areas.len());
    for (record, area) in records.iter().zip(&areas) {
        assert_eq!(number(record, "vaddr"), area.start);
        assert_eq!(number(record, "size"), area.end - area.start);
        assert_eq!(record["prot"], area.permissions[..3]);
        assert_eq!(number(record, "offset"), area.offset);
        assert_eq!(
            record["dev"],
            format!("{:02x}:{:02x}", area.device.0, area.device.1)
        );
        assert_eq!(number(record, "ino"), area.inode);
        assert_eq!(record["path"].as_str().unwrap_or_default(), area.name);
    }
}

#[test]
fn read_gives_the_bytes_and_a_dump_of_them() {
    let target = Target::spawn(|| {
        let page = memory::page();
        let at = memory::anonymous(4 * page);
        memory::touch(at, 3, 1);
        memory::unmap(at + 3 * page, page);
        vec![at]
    });
    let (pid, page, start) = (
        target.pid().to_string(),
        memory::page(),
        target.addresses()[0],
    );
    // touch writes the index, with the lowest bit set, to the first byte of each page.
    let mut expected = vec![0u8; 3 * page as usize - 1];
    for index in 0..3 {
        expected[index * page as usize] = index as u8 | 1;
    }
    let run = succeed(&["read", &pid, &format!("{start:x}+{}", expected.len())]);
    assert_eq!(run.stdout.as_bytes(), expected);

    let dump = succeed(&["read", &pid, &format!("{start:x}+20"), "--hex"]).stdout;
    let lines: Vec<_> = dump.lines().collect();
    assert_eq!(lines.len(), 3, "{dump}");
    assert!(
        lines[0].starts_with(&format!("{start:012x}  01 00 00")),
        "{dump}"
    );
    assert_eq!(lines[2], format!("{:012x}", start + 20));

    // Up to the first byte that cannot be read, and then an error.
    let run = support::run(&[
        "read",
        &pid,
        &format!("{:x}+{}", start + 1, 5 * page),
        "--raw",
    ]);
    assert_eq!(run.status, 1);
    assert_eq!(run.stdout.as_bytes(), {
        expected.push(0);
        &expected[1..]
    });
    assert!(
        run.stderr.contains(&format!("{:#x}", start + 3 * page)),
        "{run:?}"
    );
}

#[test]
fn an_object_is_told_with_the_offset_in_it() {
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
    let output = |format: &str| succeed(&["address", address, &frame, nowhere, "--format", format]);
    let records = output("json").array();
    let whole = Value::Array(records.clone());
    if let Err(error) = schema("address").validate(&whole) {
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
            let place = &succeed(&["address", address, "--format", "json"]).array()[0];
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
                // Whether a frame was used lately and the like changes by itself.
                assert_eq!(text.is_empty(), names.is_empty(), "{row:?}");
            }
            assert_eq!(row[column("details_pages")], pages.to_string());
        }
        // Those that were touched; the zero page is nobody's.
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
fn a_programs_own_file_is_told_with_what_identifies_it() {
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
    // Where there is a build id, the file has its bytes.
    if let Some(id) = record["build_id"].as_str() {
        let digits = |at| u8::from_str_radix(&id[at..at + 2], 16).unwrap();
        let id: Vec<_> = (0..id.len()).step_by(2).map(digits).collect();
        let file = std::fs::read(&exe).unwrap();
        assert!(file.windows(id.len()).any(|bytes| bytes == id));
    }
}

#[test]
fn stacks_of_threads_are_told_when_that_is_asked_for() {
    let target = Target::spawn_reporting(|report| {
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
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
        // The thread may not sleep yet.
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
