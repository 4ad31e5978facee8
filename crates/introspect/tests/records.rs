//! Every subcommand in every format, on itself and on another process.

mod support;

use serde_json::Value;
use support::{number, run, schema, succeed, target};
use testkit::machine::{has_huge_zero_page_or_skip, is_root_or_skip};
use testkit::memory;
use testkit::oracle::{self, State};
use testkit::target::Target;

/// Arguments, the schema's name, and whether frame numbers are needed.
fn subcommands(pid: &str, range: &str, address: &str) -> Vec<(Vec<String>, &'static str, bool)> {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    vec![
        (
            words(&format!("physical {pid} --no-fold")),
            "physical",
            true,
        ),
        (
            words(&format!("physical {pid} --no-fold --backed")),
            "physical",
            true,
        ),
        (
            words(&format!("physical {pid} --no-fold --vm-flags")),
            "physical",
            true,
        ),
        (words(&format!("extents {pid} {range}")), "extents", true),
        (words(&format!("virtual {pid}")), "virtual", false),
        (words(&format!("resident {pid}")), "resident", false),
        (
            words(&format!("pagetable {pid} {range}")),
            "pagetable",
            true,
        ),
        (words(&format!("object {pid} {address}")), "object", false),
    ]
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
        // The object has a line for each field.
        let is_list = name != "object";
        assert!(
            !is_list || table.lines().count() == records.len() + 1,
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
        let resident = succeed(&["resident", itself, "--format", "json"]).array();
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
            // The kernel can move pages at any time, for huge pages: only then do two runs
            // of one thread differ as well.
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
fn the_table_of_a_whole_process_joins_zero_pages() {
    if !is_root_or_skip("the_table_of_a_whole_process_joins_zero_pages") {
        return;
    }
    let target = Target::spawn(|| {
        let at = memory::anonymous(64 * memory::page());
        memory::read(at, 40);
        vec![at]
    });
    let (pid, at) = (target.pid().to_string(), target.addresses()[0]);
    let area = oracle::areas(target.pid())
        .into_iter()
        .find(|area| area.start <= at && at < area.end)
        .expect("its area");
    let range = format!("{:x}-{:x}", area.start, area.end);
    let rows = |arguments: &[&str]| {
        let table = succeed(&[&["physical", &pid], arguments].concat()).stdout;
        let zero = |row: &&str| row.split_whitespace().nth(3) == Some("zero");
        let rows = table.lines().filter(zero).map(str::to_owned);
        rows.collect::<Vec<_>>()
    };
    let size = 40 * memory::page() / 1024;
    for folded in [&[][..], &[&range, "--fold"]] {
        let rows = rows(folded);
        assert_eq!(rows.len(), 1, "{rows:?}");
        let words: Vec<_> = rows[0].split_whitespace().collect();
        assert_eq!(words[0], format!("{at:x}"));
        assert_eq!(words[1], format!("{size}K"));
        assert_eq!(words[4], "x40");
    }
    for listed in [&["--no-fold"][..], &[&range]] {
        assert_eq!(rows(listed).len(), 40);
    }
    // Other formats have a record for each of them.
    let all = succeed(&["physical", &pid, "--format", "jsonl"]).lines();
    let zero = all.iter().filter(|record| record["state"] == "zero");
    assert_eq!(zero.count(), 40);
}

#[test]
fn an_address_within_a_page_gets_its_own_physical_address() {
    if !is_root_or_skip("an_address_within_a_page_gets_its_own_physical_address") {
        return;
    }
    let target = target();
    let pid = target.pid().to_string();
    let page = target.addresses()[0];
    let address = format!("{:x}", page + 0x123);
    for subcommand in ["physical", "pagetable"] {
        let record = &succeed(&[subcommand, &pid, &address, "--format", "json"]).array()[0];
        assert_eq!(number(record, "vaddr"), page);
        let at = number(record, "paddr") + 0x123;
        let table = succeed(&[subcommand, &pid, &address]).stdout;
        let note = format!("    the byte at {address} is at {at:x}\n");
        assert!(table.ends_with(&note), "{table}");
    }
}

#[test]
fn an_empty_list_says_why_it_is_empty() {
    let zombie = support::Zombie::new();
    let target = Target::spawn(|| vec![memory::anonymous(memory::page())]);
    let (ended, pid) = (zombie.pid().to_string(), target.pid().to_string());
    let untouched = format!("{:x}", target.addresses()[0]);
    let cases: &[(&[&str], &str)] = &[
        (&["virtual", &ended], "the process has no memory"),
        (&["resident", &ended], "the process has no memory"),
        (&["physical", &ended], "the process has no memory"),
        (&["virtual", &pid, "1000"], "nothing is mapped at 0x1000"),
        (
            &["resident", &pid, "1000-3000"],
            "nothing is mapped from 0x1000 to 0x3000",
        ),
        (&["physical", &pid, "1000"], "nothing is mapped at 0x1000"),
        (
            &["resident", &pid, &untouched, "--backed"],
            "nothing of it is backed by memory (--backed)",
        ),
        (
            &["physical", &pid, &untouched, "--backed"],
            "nothing of it is backed by memory (--backed)",
        ),
    ];
    let root = is_root_or_skip("empty lists of physical");
    for (arguments, reason) in cases {
        if arguments[0] == "physical" && !root {
            continue;
        }
        for format in ["table", "json"] {
            let run = run(&[arguments, &["--format", format][..]].concat());
            assert_eq!(run.status, 0, "{run:?}");
            let said = format!("introspect: nothing is listed: {reason}");
            assert!(run.stderr.starts_with(&said), "{arguments:?}: {run:?}");
            assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
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
    // If the range begins in no mapping, the first record is that page.
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
    assert_eq!(one[0]["node"], physical[0]["node"]);

    // Pages 0 and 3 are present, 1 and 2 are not.
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
    let records = succeed(&["resident", &pid, &range, "--format", "json"]).array();
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
    let backed = succeed(&["resident", &pid, &range, "--backed", "--format", "json"]);
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

    // The bytes before the first one that cannot be read, and an error.
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

/// A device that writes to the zero page would damage it for the whole machine.
#[test]
fn the_huge_zero_page_of_dev_zero_is_no_memory_in_any_subcommand() {
    let test = "the_huge_zero_page_of_dev_zero_is_no_memory_in_any_subcommand";
    if !is_root_or_skip(test) || !has_huge_zero_page_or_skip(test) {
        return;
    }
    let huge = memory::huge();
    let target = Target::spawn(|| {
        let at = memory::dev_zero(huge, huge);
        memory::advise(at, huge, libc::MADV_HUGEPAGE);
        memory::read(at, 1);
        memory::keep_page_sizes();
        vec![at]
    });
    let at = target.addresses()[0];
    let (pid, range) = (target.pid().to_string(), format!("{at:x}+{huge}"));
    for subcommand in ["physical", "pagetable"] {
        let records = succeed(&[subcommand, &pid, &range, "--format", "json"]).array();
        assert_eq!(records.len(), 1, "{records:?}");
        assert_eq!(records[0]["state"], "zero", "{records:?}");
    }
    let conditions = ["--contiguous", "--align", "2M", "--format", "json"];
    let mut arguments = vec!["extents", &pid, &range];
    arguments.extend(conditions);
    let extents = run(&arguments);
    assert_eq!(extents.status, 1, "{extents:?}");
    assert!(extents.stderr.contains("not backed by RAM"), "{extents:?}");
    assert_eq!(extents.array()[0]["state"], "zero", "{extents:?}");
    let summary = succeed(&["summary", &pid, "--format", "json"]);
    let records = summary.array();
    let total = &records[0]["total"];
    assert!(number(total, "zero") >= huge, "{total}");
    let by_mapping = succeed(&["summary", &pid, "--by-mapping", "--format", "json"]);
    let mappings = by_mapping.array();
    let is_its = |mapping: &&Value| number(mapping, "vaddr") == at;
    let its = mappings.iter().find(is_its).expect("its mapping");
    for field in ["resident", "pss", "uss"] {
        assert_eq!(number(its, field), 0, "{its}");
    }
}
