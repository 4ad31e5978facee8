//! `introspect owner`.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{as_nobody, introspect, number, run, Running};
use testkit::machine::is_root_or_skip;
use testkit::memory::{self, page};
use testkit::oracle::{self, State};
use testkit::target::Target;

fn address_of(pid: u32, at: u64) -> u64 {
    match oracle::runs(pid, at, at + page())[0].state {
        State::Memory(address) => address,
        ref other => panic!("not in memory: {other:?}"),
    }
}

/// Starts a process with memory that does not move.
fn target() -> Target {
    Target::spawn(|| {
        let at = memory::anonymous(8 * page());
        memory::advise(at, 8 * page(), libc::MADV_NOHUGEPAGE);
        memory::touch(at, 8, 1);
        vec![at]
    })
}

fn of_process(records: &[Value], pid: u32, kind: &str) -> Vec<Value> {
    let its = |record: &&Value| record["pid"] == pid && record["record"] == kind;
    records.iter().filter(its).cloned().collect()
}

fn validator() -> jsonschema::Validator {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schemas/owner.json");
    let text = fs::read_to_string(path).unwrap();
    jsonschema::draft202012::new(&serde_json::from_str(&text).unwrap()).unwrap()
}

#[test]
fn a_page_has_the_same_owner_in_every_format_and_form_of_address() {
    if !is_root_or_skip("a_page_has_the_same_owner_in_every_format") {
        return;
    }
    let target = target();
    let (pid, at) = (target.pid(), target.addresses()[0] + 2 * page());
    let address = address_of(pid, at);
    let forms = [
        format!("{address:x}"),
        format!("{:#x}", address + 5),
        format!("pfn:{}", address / page()),
        format!("{address:x}+1"),
        format!("{address:x}-{:x}", address + page()),
    ];
    for form in &forms {
        let run = run(&["owner", form, "--format", "json"]);
        assert_eq!(run.status, 0, "{run:?}");
        let records = run.array();
        let whole = Value::Array(records.clone());
        if let Err(error) = validator().validate(&whole) {
            panic!("{error}");
        }
        let mapped = of_process(&records, pid, "mapped");
        assert_eq!(mapped.len(), 1, "{records:?}");
        assert_eq!(number(&mapped[0], "vaddr"), at);
        assert_eq!(number(&mapped[0], "paddr"), address);
        assert_eq!(mapped[0]["size"], page());
        assert_eq!(mapped[0]["use"], "anonymous");
        assert_eq!(mapped[0]["prot"], "rw-");
        assert_eq!(mapped[0]["mapcount_max"], 1);
    }
    let table = run(&["owner", &forms[0]]);
    assert!(
        table.stdout.starts_with("      PADDR   SIZE USE"),
        "{table:?}"
    );
    let pid_and_address = format!("{pid} {at:x}");
    assert!(table.stdout.contains(&pid_and_address), "{table:?}");
    assert!(table.stdout.contains("\n    rw-p anon"), "{table:?}");
    let csv = run(&["owner", &forms[0], "--format", "csv"]);
    let mut reader = csv::Reader::from_reader(csv.stdout.as_bytes());
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|field| field == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let of_process = |row: &&csv::StringRecord| row[column("pid")] == *pid.to_string();
    let row = rows.iter().find(of_process).expect("a row");
    let found = (&row[column("record")], &row[column("vaddr")]);
    assert_eq!(found, ("mapped", &*format!("{at:#x}")));
}

#[test]
fn memory_that_no_process_maps_is_reported() {
    if !is_root_or_skip("memory_that_no_process_maps_is_reported") {
        return;
    }
    // Far above all memory.
    let run_of = |format: &str| run(&["owner", "ff00000000000+8K", "--format", format]);
    let records = run_of("jsonl").lines();
    assert_eq!(records.len(), 1, "{records:?}");
    let record = &records[0];
    // Another process of the machine may end meanwhile, or not be readable.
    let says = [&record["record"], &record["searched"]].map(|field| field.as_str().unwrap());
    let can_say = [
        ["unmapped", "all"],
        ["not-found", "some"],
        ["not-found", "namespace"],
    ];
    assert!(can_say.contains(&says), "{record}");
    assert_eq!(record["use"], "unclaimed");
    assert_eq!(record["size"], 2 * page());
    assert!(record["pid"].is_null() && record["mapcount_min"].is_null());
    let table = run_of("table").stdout;
    let is_said = ["mapped by no process", "not found"]
        .iter()
        .any(|text| table.contains(text));
    assert!(is_said, "{table}");
}

#[test]
fn in_a_pid_namespace_what_others_map_is_not_found_and_not_unmapped() {
    if !is_root_or_skip("owner in a PID namespace") {
        return;
    }
    let target = target();
    let address = address_of(target.pid(), target.addresses()[0]);
    let mut command = std::process::Command::new("unshare");
    command
        .args(["--pid", "--fork", "--mount-proc"])
        .arg(env!("CARGO_BIN_EXE_introspect"))
        .args(["owner", &format!("{address:x}"), "--format", "json"]);
    let found = support::finish(command);
    assert_eq!(found.status, 0, "{found:?}");
    let records = found.array();
    validator()
        .validate(&Value::Array(records.clone()))
        .unwrap();
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0]["record"], "not-found");
    assert_eq!(records[0]["searched"], "namespace");
    assert_eq!(records[0]["mapcount_max"], 1);
}

#[test]
fn addresses_are_taken_out_of_a_log() {
    if !is_root_or_skip("addresses_are_taken_out_of_a_log") {
        return;
    }
    let target = target();
    let (pid, at) = (target.pid(), target.addresses()[0]);
    let address = address_of(pid, at);
    let log = format!(
        "systemd[1]: Started.\n\
         Memory failure: {:#x}: recovery action for dirty LRU page: Recovered\n\
         mce: [Hardware Error]: TSC 0 ADDR ffffffff81000000 MISC 4c \n\
         \u{fffd}\n",
        address / page()
    );
    let mut command = introspect();
    command
        .args(["owner", "--from-log", "-", "--format", "jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = Running(command.spawn().unwrap());
    child
        .0
        .stdin
        .take()
        .unwrap()
        .write_all(log.as_bytes())
        .unwrap();
    let mut stdout = String::new();
    let mut stderr = String::new();
    use std::io::Read;
    child
        .0
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    child
        .0
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert!(child.0.wait().unwrap().success(), "{stderr}");
    let records: Vec<Value> = (stdout.lines())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mapped = of_process(&records, pid, "mapped");
    assert_eq!(mapped.len(), 1, "{stdout}");
    assert_eq!(number(&mapped[0], "vaddr"), at);
    assert!(
        stderr.contains("4 lines name 1 page of physical memory"),
        "{stderr}"
    );
    assert!(
        stderr.contains("0xffffffff81000000 is left out"),
        "{stderr}"
    );
    // The kernel's own log can be read to its end.
    let kernels = run(&["owner", "--kmsg", "--format", "jsonl"]);
    assert_eq!(kernels.status, 0, "{kernels:?}");
    let missing = run(&["owner", "--from-log", "/nonexistent/log"]);
    assert_eq!(missing.status, 1);
    assert!(
        missing.stderr.contains("cannot read /nonexistent/log"),
        "{missing:?}"
    );
}

#[test]
fn without_the_privilege_nothing_is_claimed_and_the_privilege_is_named() {
    if !is_root_or_skip("without_the_privilege_nothing_is_claimed") {
        return;
    }
    let run = as_nobody(&["owner", "100000"]);
    assert_eq!((run.status, run.stdout.as_str()), (1, ""), "{run:?}");
    assert_eq!(run.stderr.matches('\n').count(), 1, "{run:?}");
    assert!(run.stderr.contains("CAP_SYS_ADMIN"), "{run:?}");
}

#[test]
fn a_page_that_moves_is_followed_until_its_process_ends() {
    if !is_root_or_skip("a_page_that_moves_is_followed") {
        return;
    }
    // On release it frees its page and touches another one.
    let mut target = Target::spawn_reporting(|report| {
        let at = memory::anonymous(page());
        memory::touch(at, 1, 1);
        report.send(&[at]);
        report.wait();
        // Another page is allocated first, so that the kernel does not reuse the frame.
        memory::advise(at, page(), libc::MADV_DONTNEED);
        let others = memory::anonymous(64 * page());
        memory::touch(others, 64, 1);
        memory::touch(at, 1, 1);
        loop {
            thread::sleep(Duration::from_secs(60));
        }
    });
    let (pid, at) = (target.pid(), target.addresses()[0]);
    let address = address_of(pid, at);
    let mut command = introspect();
    command
        .args(["owner", &format!("{address:x}"), "--format", "jsonl"])
        .args(["--watch", "--interval", "20ms"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = Running(command.spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let mut next = |kind: &str| loop {
        let line = lines.next().expect("a line").unwrap();
        let record: Value = serde_json::from_str(&line).unwrap();
        if record["pid"] == pid && record["record"] == kind {
            return record;
        }
    };
    assert_eq!(number(&next("mapped"), "paddr"), address);
    target.release();
    // It can be read while it has no page.
    let moved = loop {
        let moved = next("moved");
        assert!(
            validator().is_valid(&Value::Array(vec![moved.clone()])),
            "{moved}"
        );
        if !moved["paddr"].is_null() {
            break moved;
        }
    };
    assert_eq!(number(&moved, "vaddr"), at);
    assert_eq!(number(&moved, "paddr"), address_of(pid, at));
    assert_ne!(number(&moved, "paddr"), address);
    drop(target);
    let ended = Instant::now();
    while child.0.try_wait().unwrap().is_none() {
        assert!(ended.elapsed() < Duration::from_secs(60), "it watches on");
        thread::sleep(Duration::from_millis(10));
    }
    assert!(child.0.wait().unwrap().success());
}

#[test]
fn a_signal_ends_a_pass_over_everything_and_its_file_is_removed() {
    if !is_root_or_skip("a_signal_ends_a_pass_over_everything") {
        return;
    }
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("owners");
    let mut command = introspect();
    command
        .args(["owner", "0+64G", "--format", "jsonl", "-o"])
        .arg(&file)
        .stderr(Stdio::null());
    let mut child = Running(command.spawn().unwrap());
    let begun = || fs::read_dir(dir.path()).unwrap().count() > 0;
    let started = Instant::now();
    while !begun() {
        assert!(started.elapsed() < Duration::from_secs(60));
        thread::sleep(Duration::from_millis(1));
    }
    // SAFETY: the PID is our unreaped child's.
    unsafe { libc::kill(child.0.id() as i32, libc::SIGINT) };
    let signalled = Instant::now();
    let status = child.0.wait().unwrap();
    let took = signalled.elapsed();
    // The text allows for a busy machine.
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(status.signal(), Some(libc::SIGINT), "{status:?}");
    assert!(!begun(), "something is left");
}

/// A log of which one line names this page, and another line the page after it.
fn log_of(address: u64) -> String {
    format!(
        "systemd[1]: Started.\n\
         1 2026-01-02 03:04:05 +0000 1 Corrected error(s): memory read error at DIMM_A1 mc: 0 \
         location: 3:1:0:-1, addr {address}, grain 5, syndrome 0 \n\
         BMC: ECC error at address {:#x}\n\
         rasdaemon: cxl_dram: memdev:mem1 hpa:{:#x} dpa:0x40 \n\
         cxl_dram: memdev=mem1 dpa=8e13f2c0\n",
        address + 5,
        address + 64
    )
}

#[test]
fn results_name_the_lines_of_a_compressed_log_and_lines_left_out_are_listed() {
    if !is_root_or_skip("results_name_the_lines_of_a_compressed_log") {
        return;
    }
    let target = target();
    let (pid, at) = (target.pid(), target.addresses()[0]);
    let address = address_of(pid, at);
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(log_of(address).as_bytes()).unwrap();
    fs::write(file.path(), encoder.finish().unwrap()).unwrap();
    let path = file.path().to_str().unwrap();
    let of = |format| run(&["owner", "--from-log", path, "--format", format]);
    let json = of("json");
    assert_eq!(json.status, 0, "{json:?}");
    let records = json.array();
    if let Err(error) = validator().validate(&Value::Array(records.clone())) {
        panic!("{error}");
    }
    let mapped = of_process(&records, pid, "mapped");
    assert_eq!(mapped.len(), 1, "{records:?}");
    assert_eq!(number(&mapped[0], "paddr"), address);
    let named = ["log", "log_line", "log_form", "log_lines"].map(|field| mapped[0][field].clone());
    let expected: [Value; 4] = [path.into(), 2.into(), "ras-mc-ctl-mc".into(), 2.into()];
    assert_eq!(named, expected);
    let says = |text: String| assert!(json.stderr.contains(&text), "{text}: {}", json.stderr);
    says("5 lines name 1 page of physical memory\n".to_owned());
    says(format!(
        "0x8e13f2c0 is left out ({path}:5, cxl-device): it is an address within"
    ));
    says(format!(
        "introspect:   {path}:3: BMC: ECC error at address {:#x}\n",
        address + 5
    ));
    let table = of("table");
    let note = format!("named by {path}:2 (ras-mc-ctl-mc) and 1 more");
    assert!(table.stdout.contains(&note), "{table:?}");
    let csv = of("csv");
    let mut reader = csv::Reader::from_reader(csv.stdout.as_bytes());
    let header = reader.headers().unwrap().clone();
    let column = |name| header.iter().position(|field| field == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let row = rows
        .iter()
        .find(|row| row[column("pid")] == *pid.to_string());
    let row = row.expect("a row");
    assert_eq!((&row[column("log")], &row[column("log_line")]), (path, "2"));
}

#[test]
fn an_address_above_memory_is_reported_and_a_decimal_one_recognized() {
    if !is_root_or_skip("an_address_above_memory_is_reported") {
        return;
    }
    let target = target();
    let address = address_of(target.pid(), target.addresses()[0]);
    for subcommand in ["owner", "frame"] {
        let decimal = run(&[subcommand, &address.to_string()]);
        let says = |text: &str| assert!(decimal.stderr.contains(text), "{text}: {decimal:?}");
        says(&format!("introspect: 0x{address} lies above "));
        says(&format!(
            "the decimal number {address} is {address:#x}, which is RAM)"
        ));
        let hexadecimal = run(&[subcommand, &format!("{address:x}")]);
        assert!(
            !hexadecimal.stderr.contains("lies above"),
            "{hexadecimal:?}"
        );
        assert_eq!(decimal.status, 0, "{decimal:?}");
    }
    // A log of a larger machine.
    let log = tempfile::NamedTempFile::new().unwrap();
    fs::write(
        log.path(),
        "{1}[Hardware Error]:   physical_address: 0x000ff00000000000\n",
    )
    .unwrap();
    let other = run(&["owner", "--from-log", log.path().to_str().unwrap()]);
    assert!(
        other.stderr.contains("it may be another machine's log"),
        "{other:?}"
    );
}

#[test]
fn nothing_to_watch_is_reported() {
    if !is_root_or_skip("nothing_to_watch_is_reported") {
        return;
    }
    // Far above all memory.
    let run = run(&["owner", "ff00000000000", "--watch"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stderr.contains("there is nothing to watch"), "{run:?}");
}

#[test]
fn wrong_usage_is_reported() {
    for arguments in [
        &["owner"][..],
        &["owner", "xyz"],
        &["owner", "2000-1000"],
        &["owner", "1000", "--interval", "1s"],
    ] {
        assert_eq!(run(arguments).status, 2, "{arguments:?}");
    }
}
