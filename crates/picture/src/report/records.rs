//! Records that only a report has. Must not know the document.

use process_introspection_export::{
    record, ContiguityRecord, Decimal, MachineRecord, NameBuf, PayerRecord, SummaryRecord, Time,
    UsageRecord,
};

use crate::palette::Class;

record! {
    /// Subject and source of a report.
    pub struct HeaderRecord {
        /// Title.
        pub title: String,
        /// Memory that the report is about.
        pub scope: String,
        /// Name of the machine.
        pub host: Option<String> = null("if it is unknown"),
        /// Release of the kernel.
        pub kernel: Option<String> = null("if it is unknown"),
        /// Architecture of the kernel.
        pub architecture: String,
        /// Size of a base page.
        pub page_size: u64 = bytes(),
        /// Time at which reading began.
        pub taken_at: Time,
        /// Version of the program that wrote the report.
        pub tool_version: String,
        /// Whether memory was read now or comes from a snapshot.
        pub source: &'static str = one_of(|| vec!["live", "snapshot"]),
        /// Id of the snapshot.
        pub snapshot: Option<String> = null("if memory was read now"),
        /// Snapshot with which it is compared.
        pub against: Option<AgainstRecord> = null("if it is compared with none"),
        /// Facts that could not be seen.
        pub unseen: Vec<UnseenRecord>,
    }
}

/// Returns the names of sections.
fn sections() -> Vec<&'static str> {
    vec![
        "memory",
        "map",
        "processes",
        "spaces",
        "contiguity",
        "huge",
        "files",
        "changes",
    ]
}

record! {
    /// Fact that a report lacks.
    pub struct UnseenRecord {
        /// Section that lacks it.
        pub section: Option<&'static str> = one_of(sections).null("if several do"),
        /// Sentence that says what is unknown, why, and what to do.
        pub text: String,
    }
}

impl HeaderRecord {
    /// Adds a fact that a section lacks.
    pub fn lacks(&mut self, section: Option<&'static str>, text: impl Into<String>) {
        self.unseen.push(UnseenRecord {
            section,
            text: text.into(),
        });
    }
}

record! {
    /// Snapshot with which a report compares.
    pub struct AgainstRecord {
        /// Name of the machine.
        pub host: String,
        /// Id of the snapshot.
        pub snapshot: String,
        /// Time at which it began.
        pub taken_at: Time,
    }
}

record! {
    /// Class of a picture.
    pub struct ClassRecord {
        /// Word of the class, or name of a process, a payer or a node.
        pub word: String,
        /// Colour on a light background.
        pub light: String,
        /// Colour on a dark background.
        pub dark: String,
        /// Letter for screens without colours.
        pub letter: String,
    }
}

/// Longest word of a class in bytes.
const LONGEST_WORD: usize = 128;

impl From<&Class> for ClassRecord {
    fn from(class: &Class) -> Self {
        Self::named(class.word, class)
    }
}

impl ClassRecord {
    /// Returns a class with the colours of another one.
    pub fn named(word: impl Into<String>, class: &Class) -> Self {
        Self {
            word: beginning(&word.into(), LONGEST_WORD),
            light: class.light.to_string(),
            dark: class.dark.to_string(),
            letter: class.letter.to_string(),
        }
    }
}

record! {
    /// Process of a report.
    pub struct ProcessRecord {
        /// Process.
        pub pid: u32,
        /// Unique number of the process, in decimal.
        pub unique_pid: Decimal,
        /// Its comm: the first 15 bytes of its program's name, or the name that it gave itself.
        pub name: NameBuf = null("if it is unknown"),
        /// Beginning of its command line. Bytes that are not UTF-8 are replaced.
        pub command: NameBuf = null("if it is empty"),
        /// Effective user.
        pub user: Option<u32> = null("if it is unknown"),
        /// Path of its control group.
        pub cgroup: NameBuf = null("if it is unknown"),
        /// Unit of systemd.
        pub unit: Option<String> = null("if it is in none"),
        /// Id of its container.
        pub container: Option<String> = null("if it is in none"),
        /// Number of mappings.
        pub mappings: u64,
        /// Amounts of memory.
        pub usage: UsageRecord = flat(),
        /// Bytes in memory that huge page-table entries map.
        pub huge: Option<u64> = bytes().null("if the kernel does not export it (before Linux 6.7)"),
        /// Number of extents.
        pub extents: Option<u64> = null("without addresses"),
        /// Median of the extents' sizes.
        pub median: Option<u64> = bytes().null("without extents"),
        /// Largest size for which extents of at least this size have half of the bytes.
        pub half_in: Option<u64> = bytes().null("without extents"),
    }
}

/// Facts of a process beside its memory.
#[derive(Clone, Debug, Default)]
pub struct ProcessFacts {
    /// Unique PID.
    pub unique_pid: u64,
    /// Its comm.
    pub name: Vec<u8>,
    /// Effective user.
    pub user: Option<u32>,
    /// Path of its control group; empty if it is unknown.
    pub cgroup: Vec<u8>,
    /// Unit of systemd.
    pub unit: Option<String>,
    /// Id of its container.
    pub container: Option<String>,
}

/// Longest command line of a report in bytes.
const LONGEST_COMMAND: usize = 256;

impl ProcessRecord {
    /// Returns the record of a process with this summary.
    pub fn new(facts: ProcessFacts, summary: &SummaryRecord) -> Self {
        let contiguity = summary.contiguity.as_ref();
        let of_extents = |value: fn(&ContiguityRecord) -> Option<u64>| contiguity.and_then(value);
        Self {
            pid: summary.pid,
            unique_pid: Decimal(facts.unique_pid),
            name: NameBuf(facts.name),
            command: NameBuf(cut(&summary.command).into()),
            user: facts.user,
            cgroup: NameBuf(facts.cgroup),
            unit: facts.unit,
            container: facts.container,
            mappings: summary.mappings,
            usage: summary.total,
            huge: summary.huge_pages.as_ref().map(|huge| huge.mapped),
            extents: contiguity.map(|contiguity| contiguity.extents),
            median: of_extents(|contiguity| contiguity.median),
            half_in: of_extents(|contiguity| contiguity.half_in),
        }
    }
}

/// Returns the summary with the beginning of its command line only.
pub fn with_short_command(mut summary: SummaryRecord) -> SummaryRecord {
    if summary.command.len() > LONGEST_COMMAND {
        summary.command = cut(&summary.command);
        summary.command_hex = None;
    }
    summary
}

/// Returns the beginning of a command line.
fn cut(command: &str) -> String {
    beginning(command, LONGEST_COMMAND)
}

/// Returns the beginning of a text of at most so many bytes, with an ellipsis if it has more.
pub(super) fn beginning(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

record! {
    /// Payers that a report leaves out.
    #[derive(Copy, Default)]
    pub struct MorePayersRecord {
        /// Number of payers.
        pub payers: u64,
        /// Bytes for which they pay.
        pub bytes: u64 = bytes(),
    }
}

/// Payers of a machine that a report has, and the bytes of their names.
const MOST_PAYERS: (usize, usize) = (200, 100_000);
/// Nodes, zones, and free blocks of an order in a zone that a report has.
const MOST_PLACES: [usize; 3] = [256, 512, 2048];

/// Leaves out the smallest cgroups of a machine that has many, and returns their sum.
pub(super) fn cut_payers(machine: &mut MachineRecord) -> MorePayersRecord {
    let mut more = MorePayersRecord::default();
    let Some(payers) = &mut machine.payers else {
        return more;
    };
    let (mut count, mut bytes) = (0, 0);
    payers.retain(|payer: &PayerRecord| {
        if payer.payer != "cgroup" {
            return true;
        }
        count += 1;
        let names = [&payer.unit, &payer.container].into_iter().flatten();
        let names = names.map(String::as_bytes).chain([&*payer.cgroup.0]);
        bytes += names.map(written_size).sum::<usize>();
        let is_kept = count <= MOST_PAYERS.0 && bytes <= MOST_PAYERS.1;
        if !is_kept {
            more.payers += 1;
            more.bytes += payer.bytes;
        }
        is_kept
    });
    more
}

/// Returns at least the size of a name in the document, its bytes in hexadecimal included.
fn written_size(name: &[u8]) -> usize {
    let plain = |byte: &&u8| matches!(byte, b' '..=b'~') && !b"\"\\<>&".contains(byte);
    let others = name.len() - name.iter().filter(plain).count();
    name.len() + 8 * others
}

/// Leaves out places of a machine that has very many nodes, and returns their number.
pub(super) fn cut_places(machine: &mut MachineRecord) -> usize {
    fn cut<T>(list: &mut Vec<T>, most: usize) -> usize {
        let more = list.len().saturating_sub(most);
        list.truncate(most);
        more
    }
    let [nodes, zones, free] = MOST_PLACES;
    cut(&mut machine.nodes, nodes) + cut(&mut machine.zones, zones) + cut(&mut machine.free, free)
}

/// Facts that a report lacks, and bytes of each.
const MOST_UNSEEN: (usize, usize) = (60, 600);

/// Shortens the list of facts that a report lacks: processes that fail have one each.
pub(super) fn cut_unseen(header: &mut HeaderRecord) {
    let more = header.unseen.len().saturating_sub(MOST_UNSEEN.0);
    header.unseen.truncate(MOST_UNSEEN.0);
    for one in &mut header.unseen {
        one.text = beginning(&one.text, MOST_UNSEEN.1);
    }
    if more > 0 {
        header.lacks(None, format!("{more} more facts are not known"));
    }
}
