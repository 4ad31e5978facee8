//! `introspect report`: the sections of live memory and of snapshots, and what it refuses.

#[path = "../../picture/tests/decoded/mod.rs"]
mod decoded;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use decoded::{words, Counts};
use process_introspection::{FrameFlags, FrameUse};
use process_introspection_dataset::lake::{Lake, Snapshot, When};
use process_introspection_dataset::tables::frames::FrameRow;
use serde_json::Value;
use support::{as_nobody, fail, number, run, succeed, target};
use tempfile::TempDir;
use testkit::machine::is_root_or_skip;
use testkit::memory;
use testkit::settled::assert_equal;
use testkit::target::Target;

/// Runs the command, and returns the data of the report and what was written to standard error.
fn report_with(arguments: &[&str]) -> (Value, String) {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("report.html");
    let arguments: Vec<_> = ["report"].iter().chain(arguments).copied().collect();
    let arguments = [&arguments[..], &["-o", file.to_str().unwrap()]].concat();
    let run = run(&arguments);
    assert_eq!(run.status, 0, "{run:?}");
    (data(&fs::read_to_string(file).unwrap()), run.stderr)
}

fn report(arguments: &[&str]) -> Value {
    let (report, stderr) = report_with(arguments);
    assert_eq!(stderr, "");
    report
}

fn data(html: &str) -> Value {
    assert!(html.len() <= 3_000_000, "{} bytes", html.len());
    let begin = html.find("id=\"data\">").unwrap() + "id=\"data\">".len();
    let end = begin + html[begin..].find("</script>").unwrap();
    serde_json::from_str(&html[begin..end]).unwrap()
}

fn rows(list: &Value) -> &Vec<Value> {
    list["rows"].as_array().unwrap()
}

fn unseen(report: &Value) -> Vec<(Option<&str>, &str)> {
    let unseen = report["header"]["unseen"].as_array().unwrap().iter();
    let unseen = unseen.map(|one| (one["section"].as_str(), one["text"].as_str().unwrap()));
    unseen.collect()
}

fn snapshot_of(root: &Path) -> Snapshot {
    let lake = Lake::open(root).unwrap();
    lake.select(When::Latest, None, b"").unwrap()
}

/// Removes what depends on other processes that map the same libraries.
fn without_shares(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(without_shares),
        Value::Object(members) => {
            members.remove("pss");
            members.remove("uss");
            members.values_mut().for_each(without_shares);
        }
        _ => {}
    }
}

/// Stores processes, and frames if requested.
fn store(root: &str, arguments: &[&str]) {
    let arguments = [&["snapshot", "-o", root], arguments].concat();
    assert_eq!(run(&arguments).status, 0);
}

/// Classes of the sizes of folios, by the naive rule: a head and its tails.
fn folio_classes(rows: &[FrameRow]) -> Vec<(Range<u64>, u8)> {
    let none = [
        "free",
        "unflagged",
        "offline",
        "reserved",
        "poisoned",
        "kernel",
    ];
    let is = |row: &FrameRow, flag| FrameFlags::from_bits(row.flags.0).contains(flag);
    let mut classes = Vec::new();
    let mut at = 0;
    while at < rows.len() {
        let row = &rows[at];
        let end = row.pfn + row.pages;
        at += 1;
        if is(row, FrameFlags::COMPOUND_TAIL) {
            classes.push((row.pfn..end, 12));
        } else if is(row, FrameFlags::COMPOUND_HEAD) {
            // Tails follow the last of several heads.
            let mut last = end;
            while at < rows.len()
                && is(&rows[at], FrameFlags::COMPOUND_TAIL)
                && rows[at].pfn == last
            {
                last += rows[at].pages;
                at += 1;
            }
            let pages = last - (end - 1);
            let class = match pages.is_power_of_two() && pages > 1 {
                true => pages.ilog2().min(11) as u8,
                false => 12,
            };
            classes.push((row.pfn..end - 1, 12));
            classes.push((end - 1..last, class));
        } else {
            let class = if none.contains(&row.page_use) { 13 } else { 0 };
            classes.push((row.pfn..end, class));
        }
    }
    classes
}

/// Two snapshots of one process with the frames of the machine.
struct Frames {
    lake: TempDir,
    /// Id of the first.
    first: String,
    pid: String,
}

impl Frames {
    /// Returns the lake, which the tests of this program share.
    fn get() -> &'static Self {
        static FRAMES: OnceLock<Frames> = OnceLock::new();
        FRAMES.get_or_init(|| {
            let (target, lake) = (target(), TempDir::new().unwrap());
            let pid = target.pid().to_string();
            let root = lake.path().to_str().unwrap();
            store(root, &["--frames", &pid]);
            let first = snapshot_of(lake.path()).entry().id().to_string();
            store(root, &["--frames", &pid]);
            Self { lake, first, pid }
        })
    }

    fn root(&self) -> &str {
        self.lake.path().to_str().unwrap()
    }
}

#[test]
fn each_cell_is_what_the_frames_of_the_snapshot_give() {
    if !is_root_or_skip("each_cell_is_what_the_frames_of_the_snapshot_give") {
        return;
    }
    let stored = Frames::get();
    let root = stored.root();
    let report = report(&["--from", root, &stored.pid]);
    let snapshot = snapshot_of(stored.lake.path());
    let frames = snapshot.frames(0..=u64::MAX).unwrap().unwrap();
    let frames: Vec<FrameRow> = frames.map(Result::unwrap).collect();
    let map = &report["map"];
    let mut places = BTreeMap::new();
    for piece in map["pieces"].as_array().unwrap() {
        let [pfn, count, place] = [0, 1, 2].map(|at| piece[at].as_u64().unwrap());
        places.insert(pfn, (count, place));
    }
    let place = |frame: u64| {
        let (pfn, (count, place)) = places.range(..=frame).next_back().unwrap();
        assert!(frame - pfn < *count);
        place + (frame - pfn)
    };
    let row = &snapshot.processes().unwrap()[0];
    let regions = snapshot.regions(Some(row.unique_pid), false).unwrap();
    let mut mapped = BTreeSet::new();
    let regions = regions.map(Result::unwrap);
    for region in regions.filter(|region| region.state.name() == "ram") {
        mapped.extend(region.pfn.unwrap()..region.pfn.unwrap() + region.pages);
    }
    let folios = folio_classes(&frames);
    let layers = map["layers"].as_array().unwrap();
    let names: Vec<_> = layers
        .iter()
        .map(|layer| layer["name"].as_str().unwrap())
        .collect();
    assert!(["use", "owner", "size"]
        .iter()
        .all(|name| names.contains(name)));
    for layer in layers {
        let words = words(&report, layer);
        let found = |word: &str| words.iter().position(|one| one == word);
        let last = words.len() - 1;
        let mut counts = Counts::new(map, words.len());
        let mut add = |frames: Range<u64>, class: usize| {
            let start = place(frames.start);
            counts.add(start..start + (frames.end - frames.start), class as u8);
        };
        for row in &frames {
            let all = row.pfn..row.pfn + row.pages;
            match layer["name"].as_str().unwrap() {
                "use" => add(all, found(row.page_use).unwrap()),
                "payer" => {
                    let path = String::from_utf8_lossy(&row.cgroup.0);
                    let class = row.cgroup_ino.map(|_| found(&path[..]).unwrap_or(last - 1));
                    add(all, class.unwrap_or(last));
                }
                "owner" if row.mapcount == 1 => all.for_each(|frame| {
                    let is_mapped = mapped.contains(&frame);
                    add(frame..frame + 1, if is_mapped { 0 } else { last });
                }),
                "owner" if row.mapcount == 0 => add(all, last),
                "owner" => add(all, last - 1),
                "node" => {
                    let node = row.node.map(|node| format!("node {node}"));
                    add(all, node.map_or(last, |node| found(&node).unwrap()));
                }
                "size" => break,
                other => panic!("layer {other}"),
            }
        }
        if layer["name"] == "size" {
            for (frames, class) in folios.iter().filter(|one| !one.0.is_empty()) {
                add(frames.clone(), usize::from(*class));
            }
        }
        counts.check(map, layer);
    }
    // The bars are those of the same frames.
    let mut uses = BTreeMap::<&str, u64>::new();
    for row in &frames {
        *uses.entry(row.page_use).or_default() += row.pages * snapshot.row().page_size;
    }
    for one in report["machine"]["uses"].as_array().unwrap() {
        let name = one["use"].as_str().unwrap();
        assert_eq!(
            number(one, "bytes"),
            uses.get(name).copied().unwrap_or(0),
            "{name}"
        );
    }
    let shown = succeed(&["machine", "--from", root, "--format", "json"])
        .array()
        .remove(0);
    for field in [
        "present",
        "counted",
        "uses",
        "unflagged",
        "zones",
        "free",
        "contiguity",
    ] {
        assert_eq!(report["machine"][field], shown[field], "{field}");
    }
    assert_eq!(
        report["classes"]["use"].as_array().unwrap().len(),
        FrameUse::ALL.len()
    );
}

#[test]
fn a_stopped_process_is_the_same_live_and_stored_and_two_reports_are_equal() {
    let name = "a_stopped_process_is_the_same_live_and_stored_and_two_reports_are_equal";
    if !is_root_or_skip(name) {
        return;
    }
    let target = target();
    let pid = target.pid().to_string();
    let lake = TempDir::new().unwrap();
    let root = lake.path().to_str().unwrap();
    let space_of = |report: &Value| {
        let mut space = report["spaces"][0].clone();
        space["process"] = report["processes"].clone();
        without_shares(&mut space);
        // Without frames there is no map to which cells could point.
        for row in space["space"]["rows"].as_array_mut().unwrap() {
            row["places"] = Value::Null;
        }
        space
    };
    let (mut live, mut stored) = (Value::Null, Value::Null);
    // The kernel can move or evict pages meanwhile.
    assert_equal(6, || {
        store(root, &[&pid]);
        (live, stored) = (report(&[&pid]), report(&["--from", root, &pid]));
        (space_of(&live), space_of(&stored))
    });
    assert_eq!(stored, report(&["--from", root, &pid]));
    for field in ["scope", "host", "kernel", "architecture", "page_size"] {
        assert_eq!(live["header"][field], stored["header"][field], "{field}");
    }
    assert_eq!(
        (&live["header"]["source"], &stored["header"]["source"]),
        (&"live".into(), &"snapshot".into())
    );
    for (by, groups) in live["groups"].as_object().unwrap() {
        let other = &rows(&stored["groups"][by])[0];
        for field in [
            "group",
            "processes",
            "mappings",
            "virtual",
            "resident",
            "swap",
            "extents",
        ] {
            assert_eq!(rows(groups)[0][field], other[field], "{by} {field}");
        }
        assert!(rows(groups)[0]["memory"].is_u64() && other["memory"].is_null());
    }
    // Facts that the snapshot lacks, and the option that stores them.
    assert_eq!(
        (&stored["map"], &stored["machine"]),
        (&Value::Null, &Value::Null)
    );
    let unseen = unseen(&stored);
    let of = |section| unseen.iter().find(|one| one.0 == Some(section)).unwrap().1;
    assert!(
        of("map").contains("introspect snapshot --frames stores them"),
        "{unseen:?}"
    );
    assert!(of("files").contains("page cache") && of("huge").contains("huge pages"));
}

#[test]
fn an_address_space_has_the_memory_of_its_regions() {
    if !is_root_or_skip("an_address_space_has_the_memory_of_its_regions") {
        return;
    }
    let target = target();
    let pid = target.pid().to_string();
    let report = report(&[&pid]);
    let space = &report["spaces"][0];
    assert_eq!(number(&space["summary"], "pid"), u64::from(target.pid()));
    let states = report["classes"]["state"].as_array().unwrap();
    let state = |class: u8| states[usize::from(class)]["word"].as_str().unwrap();
    let records = succeed(&["physical", &pid, "--format", "json"]).array();
    let map = &report["map"];
    let mut checked = 0;
    for row in rows(&space["space"]) {
        let (start, end, size) = (
            number(row, "start"),
            number(row, "end"),
            number(row, "cell"),
        );
        let cells = STANDARD.decode(row["cells"].as_str().unwrap()).unwrap();
        let places = row["places"].as_array().unwrap();
        assert_eq!(cells.len(), 2 * places.len());
        assert_eq!(places.len() as u64, (end - 1) / size - start / size + 1);
        for (index, cell) in cells.chunks(2).enumerate() {
            let from = (start / size + index as u64) * size;
            let (from, to) = (from.max(start), (from + size).min(end));
            let mut bytes = BTreeMap::<&str, u64>::new();
            let mut first = None;
            for record in &records {
                let (at, length) = (number(record, "vaddr"), number(record, "size"));
                let part = (at + length).min(to).saturating_sub(at.max(from));
                if part > 0 {
                    let name = record["state"].as_str().unwrap();
                    *bytes.entry(name).or_default() += part;
                    if name == "ram" && first.is_none() {
                        let skipped = from.saturating_sub(at);
                        first = Some((number(record, "paddr") + skipped) >> 12);
                    }
                }
            }
            let all: u64 = bytes.values().sum();
            let most = bytes.values().copied().max().unwrap();
            assert_eq!(bytes[state(cell[0])], most, "{row} {index}");
            assert_eq!(u64::from(cell[1]), most * 255 / all);
            let place = first.map_or(-1, |frame| {
                let pieces = map["pieces"].as_array().unwrap().iter();
                let numbers = pieces.map(|piece| [0, 1, 2].map(|at| piece[at].as_u64().unwrap()));
                let mut inside =
                    numbers.filter(|[pfn, count, _]| (*pfn..pfn + count).contains(&frame));
                inside
                    .next()
                    .map_or(-1, |[pfn, _, place]| (place + frame - pfn) as i64)
            });
            assert_eq!(places[index].as_i64(), Some(place), "{row} {index}");
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked}");
    let usages = rows(&space["mappings"]);
    let resident: u64 = usages.iter().map(|usage| number(usage, "resident")).sum();
    assert_eq!(resident, number(&space["summary"]["total"], "resident"));
}

#[test]
fn of_many_processes_those_with_the_most_memory_are_shown_the_largest_first() {
    if !is_root_or_skip("of_many_processes_those_with_the_most_memory_are_shown_the_largest_first")
    {
        return;
    }
    let targets: Vec<_> = (1..=10)
        .map(|pages| {
            Target::spawn(|| {
                let count = 200 * pages;
                let memory = memory::anonymous(count * memory::page());
                memory::touch(memory, count, 1);
                vec![memory]
            })
        })
        .collect();
    let pids: Vec<_> = targets.iter().map(|one| one.pid().to_string()).collect();
    let pids: Vec<_> = pids.iter().map(String::as_str).collect();
    let lake = TempDir::new().unwrap();
    let root = lake.path().to_str().unwrap();
    store(root, &pids);
    let arguments = [&["--from", root], &pids[..]].concat();
    let report = report(&arguments);
    let spaces = report["spaces"].as_array().unwrap().iter();
    let shown: Vec<_> = spaces
        .map(|space| number(&space["summary"], "pid").to_string())
        .collect();
    let largest: Vec<_> = pids.iter().rev().take(8).copied().collect();
    assert_eq!(shown, largest);
    let why = "10 processes were named: the 8 with the most memory are shown";
    assert!(unseen(&report).contains(&(Some("spaces"), why)));
}

#[test]
fn changes_are_those_of_diff() {
    if !is_root_or_skip("changes_are_those_of_diff") {
        return;
    }
    let Frames { first, .. } = Frames::get();
    let root = Frames::get().root();
    let before = format!("{root}@{first}");
    let report = report(&["--from", root, "--against", &before]);
    assert_eq!(report["header"]["against"]["snapshot"], *first);
    let changes = &report["changes"];
    let diff = |more: &[&str]| {
        let arguments = [&["diff", &before, root, "--format", "json"], more].concat();
        succeed(&arguments).array()
    };
    assert_eq!(changes["memory"], Value::Array(diff(&[])));
    let frames = diff(&["--frames"]);
    assert_eq!(changes["frames"], Value::Array(frames.clone()));
    // The map has as many changed frames as the list.
    let layers = report["map"]["layers"].as_array().unwrap();
    let layer = layers
        .iter()
        .find(|layer| layer["name"] == "change")
        .unwrap();
    let changed: u64 = frames.iter().map(|record| number(record, "bytes")).sum();
    let top = decoded::levels(&report["map"], layer)[0][0];
    let page = number(&report["header"], "page_size");
    let counted = number(&report["machine"], "counted");
    assert_eq!(top.0, 0, "most are unchanged");
    let share = 255 - changed * 255 / counted;
    assert!(
        u64::from(top.1).abs_diff(share) <= 1,
        "{top:?} {share} {page}"
    );
}

#[test]
fn all_processes_are_those_of_summary_and_the_machine_reads_none() {
    if !is_root_or_skip("all_processes_are_those_of_summary_and_the_machine_reads_none") {
        return;
    }
    let target = target();
    let (report, _) = report_with(&["--all"]);
    let row = rows(&report["processes"]).iter();
    let row = row
        .clone()
        .find(|row| number(row, "pid") == u64::from(target.pid()));
    let summary = succeed(&["summary", &target.pid().to_string(), "--format", "json"]);
    let total = &summary.array()[0]["total"];
    for field in ["virtual", "resident", "swap", "hugetlb"] {
        assert_eq!(row.unwrap()[field], total[field], "{field}");
    }
    assert!(!rows(&report["files"]).is_empty());
    assert_eq!(report["spaces"], Value::Array(Vec::new()));
    let commands = rows(&report["groups"]["command"]).iter();
    let processes: u64 = commands.map(|group| number(group, "processes")).sum();
    assert_eq!(processes, rows(&report["processes"]).len() as u64);
    let machine = report_with(&["--machine"]).0;
    assert!(rows(&machine["processes"]).is_empty() && machine["files"].is_null());
    let layers = machine["map"]["layers"].as_array().unwrap().iter();
    assert!(layers.clone().all(|layer| layer["name"] != "owner"));
    assert!(machine["thp"].is_object() && !machine["metrics"].as_array().unwrap().is_empty());
}

#[test]
fn without_privileges_it_says_what_is_unknown() {
    if !is_root_or_skip("without_privileges_it_says_what_is_unknown") {
        return;
    }
    let run = as_nobody(&["report", "self"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let report = data(&run.stdout);
    assert_eq!(
        (&report["map"], &report["machine"]),
        (&Value::Null, &Value::Null)
    );
    let row = &rows(&report["processes"])[0];
    assert!(number(row, "resident") > 0);
    for field in ["pss", "uss", "zero", "extents"] {
        assert_eq!(row[field], Value::Null, "{field}");
    }
    let unseen = unseen(&report);
    let of = |section| unseen.iter().find(|one| one.0 == Some(section)).unwrap().1;
    assert!(of("map").contains("run as root"), "{unseen:?}");
    assert!(of("processes").contains("CAP_SYS_ADMIN"), "{unseen:?}");
    let states = report["classes"]["state"].as_array().unwrap();
    let resident = states
        .iter()
        .position(|state| state["word"] == "resident")
        .unwrap() as u8;
    let cells = rows(&report["spaces"][0]["space"]).iter();
    let mut cells = cells.map(|row| STANDARD.decode(row["cells"].as_str().unwrap()).unwrap());
    assert!(cells.any(|cells| cells[0] == resident));
}

#[test]
fn what_cannot_be_reported_leaves_the_file_as_it_was() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("report.html");
    fs::write(&file, "before").unwrap();
    let path = file.to_str().unwrap();
    let message = fail(&["report", "4194305", "-o", path]);
    assert!(message.contains("4194305"), "{message}");
    let message = fail(&["report", "--from", dir.path().to_str().unwrap(), "-o", path]);
    assert!(
        message.contains("snapshot") || message.contains("lake"),
        "{message}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "before");
    let run = run(&["report", "--all", "--against", "lake@latest"]);
    assert_eq!(run.status, 2);
    assert!(
        run.stderr.contains("compares two snapshots"),
        "{}",
        run.stderr
    );
}
