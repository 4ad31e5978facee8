//! No text of a report becomes markup or script, whatever it contains, and all of it arrives as
//! it was.

mod decoded;

use decoded::header;
use process_introspection::{FrameFlags, FrameRun, FrameUse, MappingKind, Pfn};
use process_introspection_export::{
    ContiguityRecord, CounterRecord, Decimal, FileKind, FileRecord, GroupRecord, KhugepagedRecord,
    MachineRecord, MappingUsageRecord, Name, NameBuf, PayerRecord, Real, State, SummaryRecord,
    ThpRecord, ThpSizeRecord, UsageRecord, ZoneRecord,
};
use process_introspection_picture::map::space::Space;
use process_introspection_picture::report::document::{Document, Files, MOST_BYTES};
use process_introspection_picture::report::frames::FrameLayers;
use process_introspection_picture::report::layers::MapPicture;
use process_introspection_picture::report::records::{AgainstRecord, ProcessFacts, ProcessRecord};
use process_introspection_picture::report::spaces::{AddressSpace, SpaceMapping, SpacePicture};
use serde_json::Value;

/// Texts that a browser must not take for anything but text.
const HOSTILE: [&str; 9] = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "-->]]>",
    "\"'`&quot;&lt;&#60;\\\"",
    "\u{202e}gnirts\u{2066}\u{200f}",
    "\u{0}\u{1}\u{1b}[31m\n\r\t\u{7f}\u{85}",
    "\u{2028}\u{2029}\u{feff}",
    "</title><meta http-equiv=refresh content=0>{{data}}{{js}}",
];

fn usage() -> UsageRecord {
    UsageRecord {
        virt: 1 << 20,
        resident: 1 << 16,
        pss: None,
        uss: None,
        swap: 0,
        zero: None,
        hugetlb: 0,
    }
}

fn summary(text: &str) -> SummaryRecord {
    SummaryRecord {
        pid: 7,
        command: text.to_owned(),
        command_hex: None,
        mappings: 1,
        total: usage(),
        kinds: Vec::new(),
        page_sizes: None,
        huge_pages: None,
        thp: None,
        contiguity: Some(ContiguityRecord {
            bytes: 0,
            extents: 0,
            median: None,
            half_in: None,
            largest: Vec::new(),
            at_least: Vec::new(),
            histogram: Vec::new(),
        }),
        nodes: None,
    }
}

fn machine(text: &str, bytes: &[u8]) -> MachineRecord {
    MachineRecord {
        present: 1,
        counted: 1,
        mem_total: None,
        uses: Vec::new(),
        unflagged: Vec::new(),
        unexplained: Real::from(0u64),
        payers: Some(vec![PayerRecord {
            payer: "cgroup",
            cgroup: NameBuf(bytes.to_vec()),
            unit: Some(text.to_owned()),
            container: Some(text.to_owned()),
            bytes: 1,
        }]),
        nodes: Vec::new(),
        zones: vec![ZoneRecord {
            node: 0,
            zone: text.to_owned(),
            present: 1,
            managed: 1,
            free: 0,
            per_cpu: 0,
        }],
        free: Vec::new(),
        contiguity: Vec::new(),
    }
}

fn thp(text: &str) -> ThpRecord {
    let counters = || {
        vec![CounterRecord {
            name: text.to_owned(),
            count: 1,
        }]
    };
    ThpRecord {
        khugepaged: KhugepagedRecord {
            defrag: None,
            pages_to_scan: None,
            scan_sleep_ms: None,
            alloc_sleep_ms: None,
            pages_collapsed: None,
            full_scans: None,
        },
        sizes: vec![ThpSizeRecord {
            size: 1 << 21,
            enabled: Some(text.to_owned()),
            shmem_enabled: Some(text.to_owned()),
            statistics: counters(),
        }],
        events: counters(),
    }
}

fn file<'a>(text: &str, bytes: &'a [u8]) -> FileRecord<'a> {
    FileRecord {
        record: FileKind::File,
        cached: Some(1),
        dirty: None,
        writeback: None,
        evicted: None,
        size: Some(1),
        files: Some(1),
        processes: Some(1),
        commands: Some(vec![text.to_owned()]),
        pids: Some(vec![7]),
        file_system: Some(text.to_owned()),
        dev: None,
        ino: None,
        deleted: None,
        path: Name(bytes),
    }
}

fn group(bytes: &[u8]) -> GroupRecord<'_> {
    GroupRecord {
        group: Name(bytes),
        dev: None,
        ino: None,
        processes: 1,
        mappings: 1,
        memory: None,
        shared: None,
        virt: 1,
        resident: 1,
        pss: None,
        uss: None,
        swap: 0,
        hugetlb: None,
        huge: None,
        extents: None,
        nodes: None,
    }
}

/// A report in which every field of text has this text, and every name these bytes.
fn report(text: &str, bytes: &[u8]) -> Document {
    let mut header = header(text);
    header.architecture = text.to_owned();
    header.tool_version = text.to_owned();
    header.snapshot = Some(text.to_owned());
    header.against = Some(AgainstRecord {
        host: text.to_owned(),
        snapshot: text.to_owned(),
        taken_at: header.taken_at,
    });
    header.lacks(Some("map"), text);
    let mut document = Document::new(header);
    document.machine = Some(machine(text, bytes));
    let facts = ProcessFacts {
        unique_pid: u64::MAX,
        name: bytes.to_vec(),
        user: None,
        cgroup: bytes.to_vec(),
        unit: Some(text.to_owned()),
        container: Some(text.to_owned()),
    };
    document
        .processes
        .push(&ProcessRecord::new(facts, &summary(text)));
    let mut groups = Document::group_list();
    groups.push(&group(bytes));
    document.groups.push(("command", groups));
    let mapping = SpaceMapping::new(0x1000..0x5000, MappingKind::Heap, bytes);
    let mut space = AddressSpace::new(4096, vec![mapping]);
    space.add(0x1000..0x2000, State::Ram, Some(3));
    let mut picture = SpacePicture::new(&summary(text), space, 10_000);
    picture.mappings.push(&MappingUsageRecord {
        pid: 7,
        vaddr: process_introspection_export::Hex(0x1000),
        usage: usage(),
        huge: None,
        extents: None,
        median: None,
        largest: None,
        prot: "rw-",
        shared: false,
        kind: "heap",
        path: Name(bytes),
    });
    document.spaces.push(picture);
    let mut rows = Document::file_list();
    rows.push(&file(text, bytes));
    document.files = Some(Files {
        rows,
        unattributed: None,
    });
    document.thp = Some(thp(text));
    let space = Space::new(4096, std::iter::once(0..64));
    let mut layers = FrameLayers::new(&space, 3, true);
    layers.add(
        &FrameRun {
            pfn: Pfn::new(0),
            pages: 64,
            frame_use: FrameUse::Anonymous,
            flags: FrameFlags::default(),
            mapcount: 1,
            cgroup: Some(9),
            zone: None,
        },
        None,
    );
    layers.add_mapped(0..64);
    layers.end_process(|| text.to_owned());
    let (layers, runs) = layers.finish(|_| text.to_owned());
    document.map = Some(MapPicture {
        space,
        layers,
        runs,
        runs_command: "list {start}-{end}".to_owned(),
    });
    document
}

/// A file of HTML in its parts: what is before the title, the title, what is before the data, the
/// data, and the rest.
fn parts(html: &str) -> [&str; 5] {
    let (before, rest) = html.split_once("<title>").expect("a title");
    let (title, rest) = rest.split_once("</title>").expect("its end");
    let (head, rest) = rest.split_once("id=\"data\">").expect("data");
    let (data, rest) = rest.split_once("</script>").expect("its end");
    [before, title, head, data, rest]
}

fn data(html: &str) -> Value {
    serde_json::from_str(parts(html)[3]).expect("JSON")
}

/// Appends all texts of a value.
fn texts(value: &Value, all: &mut Vec<String>) {
    match value {
        Value::String(text) => all.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| texts(value, all)),
        Value::Object(members) => members.values().for_each(|value| texts(value, all)),
        _ => {}
    }
}

#[test]
fn hostile_text_stays_text_in_every_field() {
    let plain = String::from_utf8(report("plain", b"plain").html()).unwrap();
    let plain = parts(&plain);
    let mut count = None;
    for text in HOSTILE.into_iter().chain(["everything"]) {
        let whole = HOSTILE.concat();
        let text = if text == "everything" { &whole } else { text };
        let html = report(text, text.as_bytes()).html();
        let html = String::from_utf8(html).unwrap();
        let [before, title, head, block, rest] = parts(&html);
        // All but the title and the data is the template.
        assert_eq!(
            [before, head, rest],
            [plain[0], plain[2], plain[4]],
            "{text:?}"
        );
        // Without these characters no parser of HTML finds anything but text in them. (A title is
        // RCDATA, in which only & and < mean something; a script ends at </script, and has
        // another rule for its end behind <!--.)
        assert!(!block.contains(['<', '>', '&', '\u{2028}', '\u{2029}']));
        assert!(!title.contains(['<', '>', '"', '\'', '\0', '\u{202e}']));
        let report = data(&html);
        let mut all = Vec::new();
        texts(&report, &mut all);
        let found = all.iter().filter(|one| *one == text).count();
        // Names of classes are short.
        if text.len() <= 128 {
            assert_eq!(*count.get_or_insert(found), found, "{text:?}");
        }
        assert!(found >= 25, "{found}");
        let known = [
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&quot;", "\""),
            ("&#39;", "'"),
            // The last: what it makes is no reference.
            ("&amp;", "&"),
        ];
        let replaced = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
        let shown = known.iter().fold(title.to_owned(), replaced);
        assert_eq!(shown, Name(text.as_bytes()).printable());
    }
}

#[test]
fn bytes_that_are_no_text_are_all_there() {
    let bytes = b"<\xff\xfe</script>\x80";
    let html = String::from_utf8(report("plain", bytes).html()).unwrap();
    let report = data(&html);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let process = &report["processes"]["rows"][0];
    for field in ["name_hex", "cgroup_hex"] {
        assert_eq!(process[field], *hex);
    }
    assert_eq!(report["machine"]["payers"][0]["cgroup_hex"], *hex);
    assert_eq!(report["files"]["rows"][0]["path_hex"], *hex);
    assert_eq!(report["groups"]["command"]["rows"][0]["group_hex"], *hex);
    let space = &report["spaces"][0];
    assert_eq!(space["mappings"]["rows"][0]["path_hex"], *hex);
    assert_eq!(space["space"]["rows"][0]["name_hex"], *hex);
}

#[test]
fn a_number_of_more_than_53_bits_is_text() {
    let html = String::from_utf8(report("plain", b"plain").html()).unwrap();
    assert_eq!(
        data(&html)["processes"]["rows"][0]["unique_pid"],
        Decimal(u64::MAX).0.to_string()
    );
}

#[test]
fn equal_records_give_equal_files() {
    let [one, other] = [0, 1].map(|_| report("plain", b"plain").html());
    assert!(one == other && one.len() < MOST_BYTES);
}
