//! `introspect owner`: cgroups, units and containers of owners and of page cache that nobody
//! maps, and sums by process.

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{number, run, schema};
use tempfile::TempDir;
use testkit::machine::{is_root_or_skip, skip};
use testkit::memory::{self, page};
use testkit::oracle::{self, State};
use testkit::settled::assert_equal;
use testkit::target::Target;

/// Identifier of a container that does not exist.
const CONTAINER: &str = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d";

/// Returns the physical address of a process's page.
fn address_of(pid: u32, at: u64) -> u64 {
    match oracle::runs(pid, at, at + page())[0].state {
        State::Memory(address) => address,
        ref other => panic!("not in memory: {other:?}"),
    }
}

/// Memory cgroup that a test made.
struct Group {
    folder: PathBuf,
    unit: String,
    path: String,
}

impl Group {
    fn make_or_skip(test: &str) -> Option<Self> {
        let root = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"];
        let root = root
            .map(Path::new)
            .into_iter()
            .find(|root| root.join("cgroup.procs").exists());
        let Some(root) = root else {
            return skip(test, "needs cgroups");
        };
        let unit = format!("introspect-test-{}.service", std::process::id());
        let path = format!("/{unit}/{CONTAINER}");
        let folder = root.join(&path[1..]);
        match fs::create_dir_all(&folder) {
            Ok(()) => Some(Self { folder, unit, path }),
            Err(error) => skip(test, &format!("cannot make a cgroup: {error}")),
        }
    }

    fn procs(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that was killed leaves its cgroup a little later.
        for _ in 0..200 {
            if fs::remove_dir(&self.folder).is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        if let Some(above) = self.folder.parent() {
            let _ = fs::remove_dir(above);
        }
    }
}

fn records(arguments: &[&str], name: &str) -> Vec<Value> {
    let run = run(&[arguments, &["--format", "json"]].concat());
    assert_eq!(run.status, 0, "{run:?}");
    let records = run.array();
    if let Err(error) = schema(name).validate(&Value::Array(records.clone())) {
        panic!("{error}");
    }
    records
}

/// Returns the words of the table about an address.
fn table_words(address: &str) -> String {
    let table = run(&["owner", address]).stdout;
    table.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn owners_have_their_unit_and_container_and_unmapped_page_cache_has_its_payers() {
    const TEST: &str = "cgroups of owners";
    if !is_root_or_skip(TEST) {
        return;
    }
    let Some(group) = Group::make_or_skip(TEST) else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("file");
    // The process joins the group before it touches anything, and the first to touch a page
    // pays for it.
    let (procs, written) = (group.procs(), path.clone());
    let target = Target::spawn(move || {
        let mut joins = File::options().write(true).open(procs).unwrap();
        joins.write_all(b"0").unwrap();
        let at = memory::anonymous(8 * page());
        memory::touch(at, 8, 1);
        let mut file = File::create(written).unwrap();
        file.write_all(&vec![1; 2 * page() as usize]).unwrap();
        vec![at]
    });
    let (pid, own) = (target.pid(), target.addresses()[0]);
    let address = format!("{:x}", address_of(pid, own));
    let found = records(&["owner", &address], "owner");
    let owner = found.iter().find(|record| record["pid"] == target.pid());
    let owner = owner.unwrap_or_else(|| panic!("{found:?}"));
    let facts = ["cgroup", "unit", "container", "payer"].map(|field| owner[field].as_str());
    let expected = [
        Some(&*group.path),
        Some(&*group.unit),
        Some(CONTAINER),
        None,
    ];
    assert_eq!(facts, expected);
    let table = table_words(&address);
    let note = format!("unit {} container {}", group.unit, &CONTAINER[..12]);
    assert!(table.contains(&note), "{table}");

    let file = File::open(&path).unwrap();
    let size = 2 * page();
    let at = memory::try_map(size, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0);
    let at = at.unwrap();
    memory::read(at, 2);
    let address = address_of(std::process::id(), at + page());
    memory::unmap(at, size);
    let address = format!("{address:x}");
    let found = records(&["owner", &address], "owner");
    assert_eq!(found.len(), 1, "{found:?}");
    let page_cache = &found[0];
    assert_eq!(page_cache["use"], "page-cache", "{page_cache}");
    if page_cache["payer"].is_null() {
        return skip(TEST, "the kernel does not report who pays").unwrap_or(());
    }
    let fields = ["payer", "payer_unit", "payer_container", "cgroup"];
    let facts = fields.map(|field| page_cache[field].as_str());
    assert_eq!(facts, expected, "{page_cache}");
    let table = table_words(&address);
    let note = format!("paid by {} unit {}", group.path, group.unit);
    assert!(table.contains(&note), "{table}");
    let sums = records(&["owner", &address, "--by-process"], "owner-by-process");
    let [sum] = &sums[..] else {
        panic!("{sums:?}");
    };
    let facts = fields.map(|field| sum[field].as_str());
    assert_eq!((number(sum, "size"), facts), (page(), expected));

    // A snapshot with frames has all that a live search finds, unless the kernel moves the pages
    // meanwhile.
    target.stop();
    let pid_text = pid.to_string();
    let compared = || {
        let own = (0..8).map(|index| format!("{:x}", address_of(pid, own + index * page())));
        let arguments: Vec<_> = own.chain([address.clone()]).collect();
        let mut live = ["owner"].to_vec();
        live.extend(arguments.iter().map(String::as_str));
        let lake = TempDir::new().unwrap();
        let root = lake.path().to_str().unwrap();
        let taken = run(&["snapshot", &pid_text, "--frames", "-o", root]);
        assert_eq!(taken.status, 0, "{taken:?}");
        [(&[][..], "owner"), (&["--by-process"], "owner-by-process")].map(|(more, schema)| {
            let live = [&live[..], more].concat();
            let stored = records(&[&live[..], &["--from", root]].concat(), schema);
            let live = records(&live, schema);
            assert!(live.len() > 1, "{live:?}");
            [stored, live].map(|mut records| {
                for record in &mut records {
                    if !record["searched"].is_null() {
                        record["searched"] = "any".into();
                    }
                    // Reclaim changes them.
                    record["flags"] = Value::Null;
                }
                records
            })
        })
    };
    assert_equal(11, || {
        let [[stored, live], [stored_sums, live_sums]] = compared();
        ((stored, stored_sums), (live, live_sums))
    });
}

#[test]
fn a_sum_by_process_has_each_page_once() {
    const TEST: &str = "sums by process";
    if !is_root_or_skip(TEST) {
        return;
    }
    // Each process has five pages of its own; both map four pages of shared memory, one of
    // them twice.
    let fd = memory::memfd(4 * page());
    let make = || {
        let own = memory::anonymous(5 * page());
        memory::advise(own, 5 * page(), libc::MADV_NOHUGEPAGE);
        memory::touch(own, 5, 1);
        let [shared, again] = [(); 2].map(|()| memory::map(4 * page(), libc::MAP_SHARED, fd));
        memory::touch(shared, 4, 1);
        memory::touch(again, 4, 1);
        vec![own, shared]
    };
    let targets = [Target::spawn(make), Target::spawn(make)];
    let mut pages = Vec::new();
    for target in &targets {
        let [own, shared] = target.addresses()[..] else {
            panic!("two addresses");
        };
        let addresses = (0..5).map(|index| own + index * page());
        let addresses = addresses.chain((0..4).map(|index| shared + index * page()));
        pages.extend(addresses.map(|at| format!("{:x}", address_of(target.pid(), at))));
    }
    // A page that nobody maps: above all memory.
    pages.push("ff00000000000+8K".to_owned());
    let mut arguments = vec!["owner", "--by-process"];
    arguments.extend(pages.iter().map(String::as_str));
    let found = records(&arguments, "owner-by-process");
    for target in &targets {
        let its: Vec<_> = found
            .iter()
            .filter(|record| record["pid"] == target.pid())
            .collect();
        let [record] = its[..] else {
            panic!("{found:?}");
        };
        assert_eq!(number(record, "size"), 9 * page());
        assert_eq!(
            (&record["record"], &record["lost"]),
            (&"mapped".into(), &0.into())
        );
    }
    let nobody: Vec<_> = found
        .iter()
        .filter(|record| record["use"] == "unclaimed")
        .collect();
    assert_eq!(nobody.len(), 1, "{found:?}");
    assert_eq!(number(nobody[0], "size"), 2 * page());
    // The sums are those of the single records.
    let single = records(&[&["owner"], &arguments[2..]].concat(), "owner");
    let mut frames: Vec<_> = single
        .iter()
        .filter(|record| record["pid"] == targets[0].pid())
        .flat_map(|record| {
            let pages = number(record, "size") / page();
            let first = number(record, "pfn");
            first..first + pages
        })
        .collect();
    frames.sort_unstable();
    assert!(frames.len() > 9);
    frames.dedup();
    assert_eq!(frames.len(), 9);
    let top = records(
        &[&arguments[..], &["--top", "1"]].concat(),
        "owner-by-process",
    );
    assert_eq!(top.len(), 1);
    // A snapshot gives the same sums.
    let lake = TempDir::new().unwrap();
    let root = lake.path().to_str().unwrap();
    let pids = targets.each_ref().map(|target| target.pid().to_string());
    let taken = run(&["snapshot", &pids[0], &pids[1], "-o", root]);
    assert_eq!(taken.status, 0, "{taken:?}");
    let stored = records(
        &[&arguments[..], &["--from", root]].concat(),
        "owner-by-process",
    );
    for target in &targets {
        let of = |found: &[Value]| {
            let its = found.iter().find(|record| record["pid"] == target.pid());
            its.cloned().unwrap_or_else(|| panic!("{found:?}"))
        };
        assert_eq!(of(&stored), of(&found));
    }
    let refused = run(&["owner", "1000", "--top", "1"]);
    assert_eq!(refused.status, 2, "{refused:?}");
    assert!(refused.stderr.contains("--by-process"), "{refused:?}");
}

#[test]
fn an_address_beyond_ram_is_said_to_be_there() {
    if !is_root_or_skip("an address beyond RAM") {
        return;
    }
    let run = run(&["owner", "ff00000000000"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(
        run.stdout
            .contains("no memory and no device is known there"),
        "{run:?}"
    );
    assert!(
        run.stderr.contains("0xff00000000000 lies above "),
        "{run:?}"
    );
    assert!(run.stderr.contains("RAM ends at 0x"), "{run:?}");
}
