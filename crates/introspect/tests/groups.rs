//! `introspect summary --by`, and the sum of several processes: memory that they share counts
//! once, in every format.

mod support;

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{as_nobody, fail, number, run, schema, succeed, Waiting, NOBODY};
use testkit::machine::{is_root_or_skip, HugePages};
use testkit::memory::{self, page};
use testkit::target::Target;

/// Gives a process the name of its command.
fn rename(name: &str) {
    let name = CString::new(name).unwrap();
    // SAFETY: a NUL-terminated name, which the kernel copies.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Starts a process that writes to the pages `from..to` of a shared file.
fn writer(name: &str, fd: i32, from: u64, to: u64) -> Target {
    let target = Target::spawn(|| {
        rename(name);
        let (size, access) = ((to - from) * page(), libc::PROT_READ | libc::PROT_WRITE);
        let offset = from * page();
        let at = memory::try_map(size, access, libc::MAP_SHARED, fd, offset).unwrap();
        memory::touch(at, to - from, 1);
        vec![at]
    });
    target.stop();
    target
}

/// An unnamed file in memory whose name no other has.
fn file(pages: u64) -> (i32, String) {
    let name = format!("groups-{}-{pages}", std::process::id());
    let text = CString::new(name.as_str()).unwrap();
    // SAFETY: a NUL-terminated name; the descriptor is new.
    let fd = unsafe {
        let fd = libc::memfd_create(text.as_ptr(), 0);
        assert!(fd >= 0 && libc::ftruncate(fd, (pages * page()) as libc::off_t) == 0);
        fd
    };
    (fd, format!("/memfd:{name} (deleted)"))
}

/// Runs `summary` with these arguments, and returns the rows as JSON.
fn rows(arguments: &[&str]) -> Vec<Value> {
    let run = run(&[&["summary"], arguments, &["--format", "json"]].concat());
    assert_eq!(run.status, 0, "{run:?}");
    let rows = run.array();
    let schema = schema("summary-group");
    if let Err(error) = schema.validate(&Value::from(rows.clone())) {
        panic!("{error} in {rows:?}");
    }
    rows
}

/// Returns the row of this name.
fn row<'a>(rows: &'a [Value], name: &str) -> &'a Value {
    let found: Vec<_> = rows.iter().filter(|row| row["group"] == name).collect();
    assert_eq!(found.len(), 1, "{name}: {rows:?}");
    found[0]
}

/// Returns own and shared memory of a row, in pages.
fn memory_of(row: &Value) -> (u64, u64) {
    let pages = |field| number(row, field) / page();
    (pages("memory"), pages("shared"))
}

#[test]
fn a_file_costs_a_group_once_and_what_others_map_is_apart() {
    if !is_root_or_skip("a_file_costs_a_group_once_and_what_others_map_is_apart") {
        return;
    }
    let (fd, name) = file(101);
    let targets = [
        writer("group one", fd, 0, 40),
        writer("group one", fd, 20, 60),
        writer("group two", fd, 50, 70),
    ];
    let pids = targets.each_ref().map(|target| target.pid().to_string());
    let pids = pids.each_ref().map(String::as_str);
    let of_file = |pids: &[&str]| {
        let rows = rows(&[pids, &["--by", "mapping"]].concat());
        let row = row(&rows, &name);
        assert!(row["dev"].is_string() && number(row, "ino") > 0, "{row}");
        assert_eq!(number(row, "processes"), pids.len() as u64);
        memory_of(row)
    };
    assert_eq!(of_file(&pids[..1]), (20, 20));
    assert_eq!(of_file(&pids[..2]), (50, 10));
    assert_eq!(of_file(&pids), (70, 0));
    // The mappings of this file by process give the same.
    let selected = [&pids[..], &["--mapping", "memfd:groups", "--by"]].concat();
    let by = |by: &str| rows(&[&selected[..], &[by]].concat());
    let by_command = by("command");
    assert_eq!(memory_of(row(&by_command, "group one")), (50, 10));
    assert_eq!(memory_of(row(&by_command, "group two")), (10, 10));
    let user = by("user");
    let own = row(&user, "0");
    assert_eq!((user.len(), memory_of(own)), (1, (70, 0)));
    assert_eq!(number(own, "resident"), 100 * page());
    let nodes = own["nodes"].as_array().unwrap();
    let bytes = nodes.iter().map(|node| number(node, "bytes"));
    assert_eq!(bytes.sum::<u64>(), 70 * page());
    let all = by("all");
    assert_eq!((all.len(), memory_of(&all[0])), (1, (70, 0)));
    assert!(all[0]["group"].is_null());
    // The other formats have the same.
    let csv = succeed(&[&["summary"], &selected[..], &["command", "--format", "csv"]].concat());
    let mut reader = csv::Reader::from_reader(csv.stdout.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let at = |name| headers.iter().position(|header| header == name).unwrap();
    let first = reader.records().next().unwrap().unwrap();
    assert_eq!(&first[at("group")], "group one");
    assert_eq!(first[at("memory")], (50 * page()).to_string());
    let sum = |cell: &str| {
        let nodes = cell.split('|').map(|node| node.split_once(':').unwrap().1);
        nodes
            .map(|bytes| bytes.parse::<u64>().unwrap())
            .sum::<u64>()
    };
    assert_eq!(sum(&first[at("nodes")]), 60 * page());
    let table = succeed(&[&["summary"], &selected[..], &["command"]].concat()).stdout;
    let lines: Vec<_> = table.lines().collect();
    assert!(
        lines[1].ends_with("group one") && lines[2].ends_with("group two"),
        "{table}"
    );
    assert!(
        lines[3].starts_with("    3 ") && lines[3].ends_with(" total"),
        "{table}"
    );
    // Sorted and cut, with the sum of all.
    let top = [&selected[..], &["command", "--sort", "pss", "--top", "1"]].concat();
    let table = succeed(&[&["summary"], &top[..]].concat()).stdout;
    assert_eq!(table.lines().count(), 3, "{table}");
    // SAFETY: this test's own descriptor.
    unsafe { libc::close(fd) };
}

#[test]
fn the_sum_of_several_processes_counts_each_page_once() {
    if !is_root_or_skip("the_sum_of_several_processes_counts_each_page_once") {
        return;
    }
    let (fd, _) = file(102);
    let targets = [writer("one", fd, 0, 40), writer("other", fd, 20, 60)];
    let pids = targets.each_ref().map(|target| target.pid().to_string());
    let arguments = ["summary", &pids[0], &pids[1], "--mapping", "memfd:groups"];
    let table = succeed(&arguments).stdout;
    let lines: Vec<_> = table.lines().collect();
    // 60 pages; the sum of both would be 80.
    let (once, none) = ((60 * page()) >> 10, "0");
    assert!(
        lines[3].starts_with(&format!("  total     {once}K")),
        "{table}"
    );
    let notes = format!("    of their own: {once}K, shared with others: {none}, each page once");
    assert_eq!(lines[4], notes, "{table}");
    // SAFETY: this test's own descriptor.
    unsafe { libc::close(fd) };
}

#[test]
fn hugetlb_counts_in_ranks_and_once_in_sums_and_unused_pages_are_shown() {
    let test = "hugetlb_counts_in_ranks_and_once_in_sums_and_unused_pages_are_shown";
    if !is_root_or_skip(test) {
        return;
    }
    let Some(reserved) = HugePages::reserve(3, test) else {
        return;
    };
    let size = reserved.size();
    let name = CString::new("groups-hugetlb").unwrap();
    // SAFETY: a NUL-terminated name; the descriptor is new.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_HUGETLB) };
    // SAFETY: this test's own descriptor.
    assert!(fd >= 0 && unsafe { libc::ftruncate(fd, 2 * size as libc::off_t) } == 0);
    let mapper = || {
        let target = Target::spawn(|| {
            rename("huge mapper");
            let at = memory::map(2 * size, libc::MAP_SHARED, fd);
            memory::touch(at, 2, size / page());
            vec![at]
        });
        target.stop();
        target
    };
    let targets = [mapper(), mapper()];
    let pids = targets.each_ref().map(|target| target.pid().to_string());
    let of_both = rows(&[&pids[0], &pids[1], "--by", "command"]);
    assert_eq!(number(row(&of_both, "huge mapper"), "hugetlb"), 2 * size);
    let by_mapping = rows(&[&pids[0], &pids[1], "--by", "mapping"]);
    // The largest mapping is the first.
    assert_eq!(by_mapping[0]["group"], "/memfd:groups-hugetlb (deleted)");
    assert_eq!(memory_of(&by_mapping[0]), (2 * size / page(), 0));
    let mappings = succeed(&["summary", &pids[0], "--by-mapping"]).stdout;
    let first = mappings.lines().nth(1).unwrap();
    assert!(
        first.ends_with("/memfd:groups-hugetlb (deleted)"),
        "{mappings}"
    );
    let screen = succeed(&["summary", &pids[0], "--mapping", "hugetlb"]).stdout;
    if !screen.contains("(this kernel does not report huge pages") {
        let mapped = format!("HUGE PAGES map {}M, 100% of memory", (2 * size) >> 20);
        assert!(screen.contains(&mapped), "{screen}");
    }
    // One page is left, which nobody uses.
    let all = run(&["summary", "--all"]);
    assert_eq!(all.status, 0, "{all:?}");
    let total = |run: &support::Run| {
        let line = run.stdout.lines().find(|line| line.starts_with("  total "));
        let cells: Vec<_> = line.unwrap().split_whitespace().collect();
        cells[5].to_owned()
    };
    let unused = all
        .stdout
        .lines()
        .find(|line| line.ends_with("unused hugetlb"));
    // Tests of other programs can use hugetlb, too.
    if total(&all) == format!("{}M", (2 * size) >> 20) {
        assert!(
            unused.is_some_and(|line| line.contains(&format!(" {}M ", size >> 20))),
            "{all:?}"
        );
    } else {
        eprintln!("SKIPPED the pools of {test}: others use hugetlb");
    }
    drop(targets);
    // SAFETY: this test's own descriptor.
    unsafe { libc::close(fd) };
}

/// A cgroup for one test; removed when dropped.
struct PrivateCgroup(PathBuf);

impl PrivateCgroup {
    /// Makes a cgroup below that of this process, in the hierarchy that pays for memory.
    fn new() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/cgroup").ok()?;
        let find = |name: &str, root: &str| {
            let mut lines = text
                .lines()
                .map(|line| line.splitn(3, ':').collect::<Vec<_>>());
            let line = lines.find(|line| line[1].split(',').any(|one| one == name))?;
            let path = Path::new(root).join(line[2].trim_start_matches('/'));
            path.join("cgroup.procs").exists().then_some(path)
        };
        let parent = find("memory", "/sys/fs/cgroup/memory").or_else(|| find("", "/sys/fs/cgroup"));
        let path = parent?.join(format!("groups-{}.scope", std::process::id()));
        fs::create_dir(&path).ok()?;
        Some(Self(path))
    }

    fn add(&self, pid: u32) -> bool {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).is_ok()
    }
}

impl Drop for PrivateCgroup {
    fn drop(&mut self) {
        // Its processes leave it some time after they have ended.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

#[test]
fn processes_of_a_cgroup_are_one_row() {
    let test = "processes_of_a_cgroup_are_one_row";
    if !is_root_or_skip(test) {
        return;
    }
    let Some(cgroup) = PrivateCgroup::new() else {
        return eprintln!("SKIPPED {test}: no cgroup can be made");
    };
    let (fd, _) = file(103);
    let targets = [
        writer("one", fd, 0, 40),
        writer("two", fd, 20, 60),
        writer("outside", fd, 50, 70),
    ];
    if !targets[..2].iter().all(|target| cgroup.add(target.pid())) {
        return eprintln!("SKIPPED {test}: a cgroup takes no process");
    }
    let pids = targets.each_ref().map(|target| target.pid().to_string());
    let name = cgroup.0.file_name().unwrap().to_str().unwrap();
    let of_selected = rows(&[
        &pids[0],
        &pids[1],
        &pids[2],
        "--mapping",
        "memfd:groups",
        "--by",
        "cgroup",
    ]);
    let ends = |row: &&Value| {
        row["group"]
            .as_str()
            .is_some_and(|path| path.ends_with(name))
    };
    let of_it = of_selected.iter().find(ends).expect("its row");
    assert_eq!(
        (number(of_it, "processes"), memory_of(of_it)),
        (2, (50, 10))
    );
    // The path names a unit; all processes are read.
    let of_all = rows(&["--all", "--by", "cgroup"]);
    let of_it = of_all.iter().find(ends).expect("its row");
    assert_eq!(number(of_it, "processes"), 2);
    assert!(memory_of(of_it).0 >= 50, "{of_it}");
    drop(targets);
    // SAFETY: this test's own descriptor.
    unsafe { libc::close(fd) };
}

#[test]
fn without_privileges_the_memory_of_groups_is_unknown() {
    let test = "without_privileges_the_memory_of_groups_is_unknown";
    if !is_root_or_skip(test) {
        return;
    }
    let waiting = [Waiting::of(NOBODY), Waiting::of(NOBODY)];
    let pids = waiting.each_ref().map(|one| one.pid().to_string());
    let arguments = [
        "summary", &pids[0], &pids[1], "--by", "user", "--format", "json",
    ];
    let run = as_nobody(&arguments);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(
        run.stderr.contains("addresses need CAP_SYS_ADMIN"),
        "{run:?}"
    );
    let rows = run.array();
    schema("summary-group")
        .validate(&Value::from(rows.clone()))
        .unwrap();
    let row = row(&rows, &NOBODY.to_string());
    assert!(number(row, "resident") > 0);
    for unknown in ["memory", "shared", "pss", "uss", "extents", "nodes"] {
        assert!(row[unknown].is_null(), "{row}");
    }
    assert_eq!(number(row, "hugetlb"), 0);
    let table = as_nobody(&["summary", &pids[0], &pids[1]]).stdout;
    let total = table
        .lines()
        .find(|line| line.starts_with("  total "))
        .unwrap();
    let second = total.split_whitespace().nth(1);
    assert_eq!(second, Some("-"), "{table}");
}

#[test]
fn wrong_usage_of_groups_is_reported() {
    for wrong in [
        &["summary", "self", "--by"][..],
        &["summary", "self", "--by", "colour"],
        &["summary", "self", "--by", "user", "--by-mapping"],
        &["summary", "--all", "--by", "user", "--vm-flags"],
        &["summary", "--by", "user", "--", "true"],
        &["summary", "--all", "--by", "user", "--from", "/nowhere"],
        &["summary", "self", "--by", "user", "--sort", "total.pss"],
    ] {
        assert_eq!(run(wrong).status, 2, "{wrong:?}");
    }
    // It says which facts a snapshot lacks.
    let said = run(&["summary", "--all", "--by", "user", "--from", "/nowhere"]).stderr;
    assert!(said.contains("mapcount of each frame"), "{said}");
    let said = fail(&["summary", "nobody has this name", "--by", "user"]);
    assert!(said.contains("no process"), "{said}");
}
