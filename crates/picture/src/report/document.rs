//! The document: its sections in their order, and the rule by which they fit. Must not know
//! where records come from.

use process_introspection_export::{
    ChangeRecord, Fields, FileRecord, FrameChangeRecord, GroupRecord, MachineRecord,
    MappingUsageRecord, MetricRecord, SummaryRecord, ThpRecord,
};

use crate::palette::{Class, KINDS, SERIES, STATES, USES};
use crate::report::fields;
use crate::report::json::{write_record, write_records, List};
use crate::report::layers::MapPicture;
use crate::report::owners::series;
use crate::report::records::{
    beginning, cut_payers, cut_places, cut_unseen, ClassRecord, HeaderRecord, MorePayersRecord,
    ProcessRecord,
};
use crate::report::spaces::SpacePicture;
use crate::report::template;

/// Size of a report in bytes that none exceeds.
///
/// Lists are bounded by rows and bytes, see the functions of [`Document`] that return them, and
/// the map gets what is left: first its levels, from the coarsest, then the exact runs.
pub const MOST_BYTES: usize = 3_000_000;

/// Processes whose address space a report has.
pub const MOST_SPACES: usize = 8;

/// Bytes of all address spaces with their mappings.
const SPACES_BYTES: usize = 700_000;

/// Longest title in bytes.
const LONGEST_TITLE: usize = 500;

/// List of records with an amount that is in none of them.
#[derive(Clone, Debug)]
pub struct Files {
    /// Files, largest first.
    pub rows: List,
    /// Bytes of the page cache that no file explains.
    pub unattributed: Option<u64>,
}

/// Sections of a report.
#[derive(Clone, Debug)]
pub struct Document {
    /// Subject.
    pub header: HeaderRecord,
    /// Memory of the machine.
    pub machine: Option<MachineRecord>,
    /// Published metrics.
    pub metrics: List,
    /// Map of the frames.
    pub map: Option<MapPicture>,
    /// Processes, largest first.
    pub processes: List,
    /// Bytes of the processes that the list leaves out.
    pub other_processes_bytes: u64,
    /// Groups of processes by the name of what they have in common.
    pub groups: Vec<(&'static str, List)>,
    /// Address spaces.
    pub spaces: Vec<SpacePicture>,
    /// Page cache.
    pub files: Option<Files>,
    /// Transparent huge pages.
    pub thp: Option<ThpRecord>,
    /// Changes of memory and of frames.
    pub changes: Option<(List, List)>,
}

impl Document {
    /// Returns a document without sections.
    pub fn new(header: HeaderRecord) -> Self {
        Self {
            header,
            machine: None,
            metrics: List::new(2000, 150_000),
            map: None,
            processes: List::new(500, 400_000),
            other_processes_bytes: 0,
            groups: Vec::new(),
            spaces: Vec::new(),
            files: None,
            thp: None,
            changes: None,
        }
    }

    /// Returns an empty list of groups: at most 200 in 40 kB.
    pub fn group_list() -> List {
        List::new(200, 40_000)
    }

    /// Returns an empty list of files: at most 200 in 150 kB.
    pub fn file_list() -> List {
        List::new(200, 150_000)
    }

    /// Returns an empty list of changes: at most 500 in 200 kB.
    pub fn change_list() -> List {
        List::new(500, 200_000)
    }

    /// Returns the size of the list of mappings of each of so many address spaces; the spaces
    /// themselves have as much.
    pub fn mapping_bytes(spaces: usize) -> usize {
        SPACES_BYTES / 2 / spaces.clamp(1, MOST_SPACES)
    }

    /// Returns the file.
    pub fn html(self) -> Vec<u8> {
        let title = beginning(&self.header.title, LONGEST_TITLE);
        let room = MOST_BYTES.saturating_sub(template::size(&title));
        template::file(&title, &self.json(room))
    }

    /// Returns the data in at most so many bytes, if all but the map fits.
    pub fn json(mut self, most: usize) -> Vec<u8> {
        let mut more_payers = MorePayersRecord::default();
        if let Some(machine) = &mut self.machine {
            more_payers = cut_payers(machine);
            let places = cut_places(machine);
            if places > 0 {
                let text = format!("{places} nodes, zones and sizes of free blocks are left out");
                self.header.lacks(Some("memory"), text);
            }
        }
        cut_unseen(&mut self.header);
        let mut text = b"{\"schema_version\":1,\"header\":".to_vec();
        write_record(&self.header, &mut text);
        text.extend_from_slice(b",\"fields\":{");
        write_fields(&mut text);
        text.extend_from_slice(b"},\"classes\":{");
        self.write_classes(&mut text);
        text.extend_from_slice(b"},\"machine\":");
        write_or_null(self.machine.as_ref(), &mut text);
        text.extend_from_slice(b",\"more_payers\":");
        write_record(&more_payers, &mut text);
        text.extend_from_slice(b",\"metrics\":");
        self.metrics.write(&mut text);
        text.extend_from_slice(b",\"processes\":{\"rows\":");
        self.processes.write(&mut text);
        let (others, bytes) = (self.processes.left_out(), self.other_processes_bytes);
        text.extend_from_slice(
            format!(",\"others\":{others},\"others_bytes\":{bytes}}},\"groups\":{{").as_bytes(),
        );
        for (index, (by, list)) in self.groups.iter().enumerate() {
            let separator = if index > 0 { "," } else { "" };
            text.extend_from_slice(format!("{separator}\"{by}\":{{\"rows\":").as_bytes());
            list.write(&mut text);
            text.extend_from_slice(format!(",\"others\":{}}}", list.left_out()).as_bytes());
        }
        text.extend_from_slice(b"},\"spaces\":[");
        let space = self.map.as_ref().map(|map| &map.space);
        let of_each = Self::mapping_bytes(self.spaces.len());
        for (index, one) in self.spaces.iter().take(MOST_SPACES).enumerate() {
            if index > 0 {
                text.push(b',');
            }
            one.write(space, of_each, &mut text);
        }
        text.extend_from_slice(b"],\"files\":");
        match &self.files {
            Some(files) => {
                text.extend_from_slice(b"{\"rows\":");
                files.rows.write(&mut text);
                let rest = files.unattributed.map(|bytes| bytes.to_string());
                let rest = rest.as_deref().unwrap_or("null");
                text.extend_from_slice(format!(",\"unattributed\":{rest}}}").as_bytes());
            }
            None => text.extend_from_slice(b"null"),
        }
        text.extend_from_slice(b",\"thp\":");
        write_or_null(self.thp.as_ref(), &mut text);
        text.extend_from_slice(b",\"changes\":");
        match &self.changes {
            Some((memory, frames)) => {
                for (name, list) in [("{\"memory\":", memory), (",\"frames\":", frames)] {
                    text.extend_from_slice(name.as_bytes());
                    list.write(&mut text);
                }
                text.push(b'}');
            }
            None => text.extend_from_slice(b"null"),
        }
        text.extend_from_slice(b",\"map\":");
        let room = most.saturating_sub(text.len() + 1);
        let map = self.map.as_ref().and_then(|map| map.write(room));
        text.extend_from_slice(map.as_deref().unwrap_or(b"null"));
        text.push(b'}');
        text
    }

    fn write_classes(&self, text: &mut Vec<u8>) {
        let records = |classes: &[Class]| classes.iter().map(ClassRecord::from).collect();
        let mut classes: Vec<(&str, Vec<ClassRecord>)> = vec![
            ("use", records(&USES)),
            ("kind", records(&KINDS)),
            ("state", records(&STATES)),
            (
                "series",
                series([const { String::new() }; SERIES.len()]).collect(),
            ),
        ];
        let layers = self.map.iter().flat_map(|map| &map.layers);
        let layers = layers.filter(|layer| layer.name != "use");
        classes.extend(layers.map(|layer| (layer.name, layer.classes.clone())));
        for (index, (name, classes)) in classes.iter().enumerate() {
            let separator = if index > 0 { "," } else { "" };
            text.extend_from_slice(format!("{separator}\"{name}\":").as_bytes());
            write_records(classes, text);
        }
    }
}

fn write_or_null<R: Fields>(record: Option<&R>, text: &mut Vec<u8>) {
    match record {
        Some(record) => write_record(record, text),
        None => text.extend_from_slice(b"null"),
    }
}

fn write_fields(text: &mut Vec<u8>) {
    fields::write("header", HeaderRecord::FIELDS, text);
    fields::write("machine", MachineRecord::FIELDS, text);
    fields::write("metric", MetricRecord::FIELDS, text);
    fields::write("process", ProcessRecord::FIELDS, text);
    fields::write("group", GroupRecord::FIELDS, text);
    fields::write("summary", SummaryRecord::FIELDS, text);
    fields::write("mapping", MappingUsageRecord::FIELDS, text);
    fields::write("file", FileRecord::FIELDS, text);
    fields::write("change", ChangeRecord::FIELDS, text);
    fields::write("frame_change", FrameChangeRecord::FIELDS, text);
}
