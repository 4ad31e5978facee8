//! A report has at most 3 MB, whatever it is about, and says what it leaves out.

mod decoded;

use decoded::header;
use process_introspection::{FrameFlags, FrameRun, FrameUse, MappingKind, Pfn};
use process_introspection_export::{
    ContiguityRecord, ExtentClassRecord, FrameUseRecord, MachineRecord, MappingUsageRecord, Metric,
    MetricRecord, Name, NameBuf, PayerRecord, Real, State, SummaryRecord, UsageRecord,
};
use process_introspection_picture::map::space::Space;
use process_introspection_picture::report::document::{Document, MOST_BYTES, MOST_SPACES};
use process_introspection_picture::report::frames::{FrameLayers, FINEST};
use process_introspection_picture::report::layers::MapPicture;
use process_introspection_picture::report::records::{ProcessFacts, ProcessRecord};
use process_introspection_picture::report::spaces::{AddressSpace, SpaceMapping, SpacePicture};
use serde_json::Value;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Longest names that the kernel has, of characters that take most room.
const LONG: [u8; 4095] = [b'<'; 4095];

fn usage(bytes: u64) -> UsageRecord {
    UsageRecord {
        virt: bytes,
        resident: bytes,
        pss: Some(bytes),
        uss: Some(bytes),
        swap: bytes,
        zero: Some(bytes),
        hugetlb: bytes,
    }
}

fn summary(pid: u32) -> SummaryRecord {
    SummaryRecord {
        pid,
        command: "<".repeat(100_000),
        command_hex: None,
        mappings: 1 << 40,
        total: usage(1 << 40),
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
            histogram: vec![
                ExtentClassRecord {
                    least: 1 << 50,
                    count: 1 << 50,
                    bytes: 1 << 50,
                };
                52
            ],
        }),
        nodes: None,
    }
}

fn facts(pid: u32) -> ProcessFacts {
    ProcessFacts {
        unique_pid: pid.into(),
        name: vec![b'<'; 15],
        user: Some(u32::MAX),
        cgroup: LONG.to_vec(),
        unit: Some("&".repeat(255)),
        container: Some("&".repeat(64)),
    }
}

fn machine() -> MachineRecord {
    let r#use = FrameUseRecord {
        r#use: "free",
        bytes: 1 << 40,
        counter: Some("nr_free_pages"),
        counter_bytes: Some(1 << 40),
        counter_after: Some(1 << 40),
        counted: Some(1 << 40),
        active: 1 << 40,
        inactive: 1 << 40,
        unevictable: 1 << 40,
        dirty: 1 << 40,
        writeback: 1 << 40,
    };
    MachineRecord {
        present: 1 << 40,
        counted: 1 << 40,
        mem_total: Some(1 << 40),
        uses: vec![r#use; FrameUse::ALL.len()],
        unflagged: Vec::new(),
        unexplained: Real::from(0u64),
        payers: Some(
            (0..20_000)
                .map(|bytes| PayerRecord {
                    payer: "cgroup",
                    cgroup: NameBuf(LONG.to_vec()),
                    unit: Some("&".repeat(255)),
                    container: Some("&".repeat(64)),
                    bytes,
                })
                .collect(),
        ),
        nodes: Vec::new(),
        zones: Vec::new(),
        free: Vec::new(),
        contiguity: Vec::new(),
    }
}

/// Layers of noise, which no compression makes smaller.
fn noise(level: u32) -> MapPicture {
    let mut random = Random(7);
    let space = Space::new(4096, std::iter::once(0..1 << 24));
    let mut layers = FrameLayers::new(&space, level, true);
    let mut at = 0;
    while at < 1 << 24 {
        let pages = 1 + random.below(60);
        let run = FrameRun {
            pfn: Pfn::new(at),
            pages: pages.min((1 << 24) - at),
            frame_use: FrameUse::ALL[random.below(16) as usize],
            flags: FrameFlags::default(),
            mapcount: random.below(3),
            cgroup: Some(1 + random.below(30)),
            zone: None,
        };
        layers.add(&run, Some(random.below(8) as u32));
        at += pages;
    }
    for process in 0..30 {
        for _ in 0..2000 {
            let start = random.below(1 << 24);
            layers.add_mapped(start..start + random.below(200));
        }
        layers.end_process(|| format!("process {process}"));
    }
    let (layers, runs) = layers.finish(|inode| "<".repeat(inode as usize * 100));
    MapPicture {
        space,
        layers,
        runs,
        runs_command: "list {start}-{end}".to_owned(),
    }
}

fn space_of_noise(pid: u32) -> SpacePicture {
    let mut random = Random(pid.into());
    let mappings = (0..5000).map(|index: u64| {
        let start = index << 24;
        SpaceMapping::new(start..start + (1 << 22), MappingKind::File, &LONG)
    });
    let mut space = AddressSpace::new(4096, mappings.collect());
    for index in 0..5000u64 {
        let start = (index << 24) + 4096 * random.below(1000);
        space.add(start..start + 4096, State::Ram, Some(random.below(1 << 24)));
    }
    let mut picture = SpacePicture::new(
        &process_introspection_picture::report::records::with_short_command(summary(pid)),
        space,
        Document::mapping_bytes(MOST_SPACES),
    );
    for index in 0..5000 {
        picture.mappings.push(&MappingUsageRecord {
            pid,
            vaddr: process_introspection_export::Hex(index),
            usage: usage(1 << 40),
            huge: None,
            extents: None,
            median: None,
            largest: None,
            prot: "rw-",
            shared: false,
            kind: "file",
            path: Name(&LONG),
        });
    }
    picture
}

fn largest() -> Document {
    let mut document = Document::new(header(&"<".repeat(300)));
    for _ in 0..5000 {
        document.header.lacks(Some("processes"), "&".repeat(5000));
    }
    document.machine = Some(machine());
    for pid in 0..5000 {
        let row = ProcessRecord::new(facts(pid), &summary(pid));
        if !document.processes.push(&row) {
            document.other_processes_bytes += row.usage.resident;
        }
    }
    for by in ["command", "cgroup", "unit", "container", "user"] {
        let mut list = Document::group_list();
        for pid in 0..5000 {
            list.push(&ProcessRecord::new(facts(pid), &summary(pid)));
        }
        document.groups.push((by, list));
    }
    for _ in 0..100_000 {
        document
            .metrics
            .push(&MetricRecord::new(Metric::FreeContiguity, None));
    }
    for pid in 0..MOST_SPACES as u32 {
        document.spaces.push(space_of_noise(pid));
    }
    let mut changes = (Document::change_list(), Document::change_list());
    for pid in 0..5000 {
        changes
            .0
            .push(&ProcessRecord::new(facts(pid), &summary(pid)));
        changes
            .1
            .push(&ProcessRecord::new(facts(pid), &summary(pid)));
    }
    document.changes = Some(changes);
    document.map = Some(noise(FINEST));
    document
}

#[test]
fn the_largest_report_has_a_map_and_says_what_it_leaves_out() {
    let document = largest();
    let html = String::from_utf8(document.html()).expect("text");
    assert!(html.len() <= MOST_BYTES, "{}", html.len());
    let begin = html.find("id=\"data\">").expect("data") + "id=\"data\">".len();
    let end = begin + html[begin..].find("</script>").expect("its end");
    let report: Value = serde_json::from_str(&html[begin..end]).expect("JSON");
    // Noise takes 2 bytes a cell and layer: level 7 always fits.
    assert!(
        report["map"]["level"].as_u64() >= Some(7),
        "{}",
        report["map"]["level"]
    );
    assert_eq!(report["map"]["runs"], Value::Null);
    let rows = report["processes"]["rows"].as_array().expect("rows").len() as u64;
    assert!(rows > 10);
    let unseen = report["header"]["unseen"].as_array().expect("unseen");
    assert_eq!(
        unseen.last().expect("one")["text"],
        "4940 more facts are not known"
    );
    assert_eq!(report["processes"]["others"], 5000 - rows);
    assert!(report["processes"]["others_bytes"].as_u64() > Some(0));
    let payers = report["machine"]["payers"]
        .as_array()
        .expect("payers")
        .len() as u64;
    assert_eq!(report["more_payers"]["payers"], 20_000 - payers);
    for group in report["groups"].as_object().expect("groups").values() {
        let rows = group["rows"].as_array().expect("rows").len() as u64;
        assert!(rows > 0);
        assert_eq!(group["others"], 5000 - rows);
    }
    for space in report["spaces"].as_array().expect("spaces") {
        for list in [&space["mappings"], &space["space"]] {
            let rows = list["rows"].as_array().expect("rows").len() as u64;
            assert!(rows > 0);
            assert_eq!(list["others"], 5000 - rows);
        }
    }
}

#[test]
fn a_map_of_any_size_of_memory_has_as_many_cells() {
    // 1 TiB in blocks that are free in turn.
    let space = Space::new(4096, std::iter::once(0..1 << 28));
    let mut layers = FrameLayers::new(&space, FINEST, true);
    for block in 0..1u64 << 12 {
        let run = FrameRun {
            pfn: Pfn::new(block << 16),
            pages: 1 << 16,
            frame_use: [FrameUse::Free, FrameUse::Anonymous][block as usize % 2],
            flags: FrameFlags::default(),
            mapcount: block % 2,
            cgroup: None,
            zone: None,
        };
        layers.add(&run, Some(0));
    }
    let (layers, runs) = layers.finish(|_| String::new());
    assert!(layers
        .iter()
        .all(|layer| layer.pyramid.levels.len() == FINEST as usize + 1));
    assert_eq!(layers[0].pyramid.shift, 10);
    assert!(runs.is_some_and(|runs| runs.len() <= 5 << 12));
}
