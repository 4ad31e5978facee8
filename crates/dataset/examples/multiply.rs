//! Makes the lake of a fleet from a few real snapshots of one or more machines, for tests of
//! queries.
//!
//! ```text
//! introspect snapshot --all --frames --every 1m --count 3 -o base
//! cargo run --release -p process-introspection-dataset --example multiply -- base fleet --hosts 100
//! ```
//!
//! Processes stay whole: the rows of a process, its mappings and its regions agree with each
//! other as they do in the snapshot, so that the command's answers about the new lake are an
//! oracle. What differs between hosts and days depends on their numbers alone:
//!
//! * which processes a host has, and how many copies of each;
//! * the frames of anonymous memory of copies, and from one snapshot to the next of one
//!   process in two;
//! * the inodes of the files of every other process, as containers have copies of files;
//! * the kernel's release if the snapshots are of one machine;
//! * the unit of processes that have none: the name of the process;
//! * one free block of every fourth host with frames is hugetlb that nobody uses;
//! * in the last snapshot of hosts with frames, the frame of one of its processes is poisoned.
//!
//! With `--interrupted` the last host is what interrupted copies leave: the rows of its
//! snapshots of the last day are missing, and so is a table of its first snapshot.

use std::error::Error;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Parser;
use process_introspection_dataset::lake::{Lake, Snapshot, SnapshotWriter, Start};
use process_introspection_dataset::tables::frames::FrameRow;
use process_introspection_dataset::tables::mappings::MappingRow;
use process_introspection_dataset::tables::metrics::MetricRow;
use process_introspection_dataset::tables::processes::ProcessRow;
use process_introspection_dataset::tables::regions::RegionRow;
use process_introspection_dataset::tables::snapshots::SnapshotRow;
use process_introspection_dataset::tables::Table;
use process_introspection_export::{Hex, NameBuf, State, Time};

/// Seconds of a day.
const DAY: u64 = 86_400;
/// Copies of one process that a host has at most.
const COPIES: u64 = 100;
/// Bit of the unique PID above which the number of the copy is: real ones are below it.
const COPY_SHIFT: u32 = 56;
/// Frames between the memory of two copies, and between the places of memory that moves: a
/// multiple of huge pages, so that alignment stays.
const FRAMES_APART: u64 = 1 << 20;
/// Releases of the kernel; the first stands for that of the snapshots.
const KERNELS: [Option<&str>; 3] = [None, Some("6.12.57"), Some("6.1.158")];
/// Flag of a frame that a memory error took away (include/uapi/linux/kernel-page-flags.h,
/// KPF_HWPOISON).
const HWPOISON: u64 = 1 << 19;
/// Flag of a frame of hugetlb (the same, KPF_HUGE).
const HUGE: u64 = 1 << 17;
/// Base pages of a huge page.
const HUGE_PAGES: u64 = 512;

/// Make the lake of a fleet from a few real snapshots of one or more machines.
#[derive(Parser)]
struct Arguments {
    /// Lake with the snapshots that are multiplied
    base: PathBuf,
    /// New lake
    target: PathBuf,
    /// Number of hosts
    #[arg(long, default_value_t = 20)]
    hosts: u64,
    /// Number of days
    #[arg(long, default_value_t = 2)]
    days: u64,
    /// Snapshots of each host and day
    #[arg(long, default_value_t = 1)]
    snapshots: u64,
    /// Regions of each snapshot, about
    #[arg(long, default_value_t = 50_000)]
    regions: usize,
    /// Hosts whose snapshots have frames: one in this number
    #[arg(long, default_value_t = 1)]
    frames_every: u64,
    /// Runs of frames of each snapshot, at most
    #[arg(long, default_value_t = usize::MAX)]
    runs: usize,
    /// First day, in UTC
    #[arg(long, default_value = "2026-11-24")]
    first_day: String,
    /// Leave what interrupted copies leave
    #[arg(long)]
    interrupted: bool,
}

/// Process of a base with its rows of other tables.
struct Process {
    row: ProcessRow,
    mappings: Vec<MappingRow>,
    regions: Range<usize>,
}

/// Snapshot that is multiplied.
struct Base {
    row: SnapshotRow,
    processes: Vec<Process>,
    regions: Vec<RegionRow>,
    frames: Vec<FrameRow>,
    metrics: Vec<MetricRow>,
}

impl Base {
    fn read(snapshot: &Snapshot) -> Result<Self, Box<dyn Error>> {
        let regions: Vec<_> = snapshot.regions(None, true)?.collect::<Result<_, _>>()?;
        let mut processes = Vec::new();
        let mut begin = 0;
        for row in snapshot.processes()? {
            // Rows ascend by process. Those of unread processes are a part of their memory.
            let rest = &regions[begin..];
            let count = rest.partition_point(|region| region.unique_pid <= row.unique_pid);
            let mappings = snapshot.mappings(row.unique_pid)?;
            let regions = begin..begin + count;
            begin = regions.end;
            processes.push(Process {
                row,
                mappings,
                regions,
            });
        }
        let frames = snapshot.frames(0..=u64::MAX)?.into_iter().flatten();
        Ok(Self {
            row: snapshot.row().clone(),
            processes,
            frames: frames.collect::<Result<_, _>>()?,
            metrics: snapshot.metrics()?,
            regions,
        })
    }

    /// Whether another snapshot is of the same machine.
    fn is_of_machine(&self, other: &Self) -> bool {
        self.row.host_name == other.row.host_name
    }

    /// Returns processes and numbers of their copies, in the order of the new unique PIDs, so
    /// that they have at most so many regions.
    fn chosen(&self, host: u64, mut regions: usize) -> Vec<(u64, usize)> {
        let count = self.processes.len();
        let mut chosen = Vec::new();
        for copy in 0..COPIES {
            for at in 0..count {
                let at = (at + host as usize * 7) % count;
                let process = &self.processes[at];
                let size = process.regions.len();
                // A process without memory takes no room, and has no copies.
                if size <= regions && (size > 0 || copy == 0) {
                    regions -= size;
                    chosen.push((copy, at));
                }
            }
        }
        chosen.sort_unstable();
        chosen
    }

    /// Returns a frame of anonymous memory of one of these processes in this snapshot.
    fn frame(&self, chosen: &[(u64, usize)], number: u64) -> Option<u64> {
        let originals = chosen.iter().filter(|(copy, _)| *copy == 0);
        let mut frames = originals.flat_map(|&(copy, at)| {
            let process = &self.processes[at];
            let apart = frames_apart(&process.row, copy, number);
            let regions = self.regions[process.regions.clone()].iter();
            let regions = regions.filter(|region| is_anonymous(region));
            regions.filter_map(move |region| Some(region.pfn? + apart))
        });
        // Memory that moved can be beyond the frames of the machine.
        frames.find(|&pfn| {
            let past = self.frames.partition_point(|run| run.pfn <= pfn);
            let run = past.checked_sub(1).map(|at| &self.frames[at]);
            run.is_some_and(|run| pfn < run.pfn + run.pages)
        })
    }
}

/// Returns the distance from the frames of a process's anonymous memory to those of its copy in
/// this snapshot.
fn frames_apart(process: &ProcessRow, copy: u64, number: u64) -> u64 {
    let is_moved = (process.unique_pid + copy) & 1 == 0 && number & 1 == 1;
    FRAMES_APART * (2 * copy + u64::from(is_moved))
}

fn is_anonymous(region: &RegionRow) -> bool {
    region.state == State::Ram && region.anonymous
}

/// Returns the unique PID of a copy.
fn unique_pid(original: u64, copy: u64) -> u64 {
    original | copy << COPY_SHIFT
}

/// One new snapshot.
struct Plan<'a> {
    base: &'a Base,
    /// Frames and metrics.
    machine: Option<&'a Base>,
    /// Release of the kernel instead of the base's.
    kernel: Option<&'static str>,
    host: u64,
    /// Number of the snapshot among the host's.
    number: u64,
    taken_at: SystemTime,
    chosen: Vec<(u64, usize)>,
    poisoned: Option<u64>,
}

impl Plan<'_> {
    fn write(&self, arguments: &Arguments) -> Result<u64, Box<dyn Error>> {
        let host = format!("host-{:04}", self.host).into_bytes();
        let start = Start {
            host: host.clone(),
            taken_at: self.taken_at,
            details: self.base.row.head.details,
            frames: self.machine.is_some(),
            description: vec![("tool".to_owned(), "multiply".to_owned())],
        };
        let mut writer = SnapshotWriter::begin(&arguments.target, start)?;
        let id = writer.id();
        let mut row = self.row(host);
        for &(copy, at) in &self.chosen {
            self.add(&mut writer, &mut row, &self.base.processes[at], copy)?;
        }
        if let Some(machine) = self.machine {
            self.add_machine(&mut writer, machine, arguments.runs)?;
        }
        let written = writer.finish(row)?;
        debug_assert_eq!(written.id, id);
        Ok(written.row.head.regions_rows)
    }

    /// Returns the snapshot's row, as yet without any process.
    fn row(&self, host: Vec<u8>) -> SnapshotRow {
        let mut row = self.base.row.clone();
        let head = &mut row.head;
        head.taken_at = Time::from(self.taken_at);
        head.processes_read = 0;
        (head.unread_gone, head.unread_refused) = (0, 0);
        (head.unread_silent, head.unread_failed) = (0, 0);
        (head.frames_rows, head.frames_bytes) = (None, None);
        (head.metrics_rows, head.metrics_bytes) = (None, None);
        if let Some(kernel) = self.kernel {
            kernel.clone_into(&mut head.kernel);
        }
        row.machine_id_hash = Some(format!("{:016x}", self.host));
        row.boot_id = Some(format!("00000000-0000-4000-8000-{:012x}", self.host));
        row.host_name = NameBuf(host);
        row
    }

    fn add(
        &self,
        writer: &mut SnapshotWriter,
        snapshot: &mut SnapshotRow,
        process: &Process,
        copy: u64,
    ) -> Result<(), Box<dyn Error>> {
        let mut row = process.row.clone();
        row.unique_pid = unique_pid(row.unique_pid, copy);
        row.pid += (copy as u32) << 22;
        if row.unit.is_none() && !row.name.0.is_empty() {
            row.unit = Some(format!("{}.service", String::from_utf8_lossy(&row.name.0)));
        }
        let head = &mut snapshot.head;
        *match row.unread {
            None => &mut head.processes_read,
            Some("gone") => &mut head.unread_gone,
            Some("refused") => &mut head.unread_refused,
            Some("silent") => &mut head.unread_silent,
            Some(_) => &mut head.unread_failed,
        } += 1;
        writer.process(&row)?;
        for mapping in &process.mappings {
            let mut mapping = mapping.clone();
            mapping.unique_pid = row.unique_pid;
            if row.unique_pid & 1 == 1 && mapping.ino != 0 {
                mapping.ino |= 1 << COPY_SHIFT;
            }
            writer.mapping(&mapping)?;
        }
        let apart = frames_apart(&process.row, copy, self.number);
        for region in &self.base.regions[process.regions.clone()] {
            let mut region = region.clone();
            region.unique_pid = row.unique_pid;
            if is_anonymous(&region) {
                region.pfn = region.pfn.map(|pfn| pfn + apart);
            }
            writer.region(&region)?;
        }
        Ok(())
    }

    fn add_machine(
        &self,
        writer: &mut SnapshotWriter,
        machine: &Base,
        runs: usize,
    ) -> Result<(), Box<dyn Error>> {
        let frames = machine.frames.iter();
        let mut free = frames.filter(|run| run.page_use == "free" && run.pages >= HUGE_PAGES);
        let hugetlb = free.next().filter(|_| self.host % 4 == 1);
        for (at, frame) in machine.frames.iter().enumerate() {
            let mut frame = frame.clone();
            if hugetlb.is_some_and(|run| run.pfn == frame.pfn) {
                (frame.page_use, frame.flags) = ("hugetlb-unmapped", Hex(HUGE));
            }
            let end = frame.pfn + frame.pages;
            let bad = self.poisoned.filter(|bad| (frame.pfn..end).contains(bad));
            let Some(bad) = bad else {
                if at < runs || frame.page_use == "hugetlb-unmapped" {
                    writer.frame(&frame)?;
                }
                continue;
            };
            let part = |pfn, end| FrameRow {
                pfn,
                pages: end - pfn,
                ..frame.clone()
            };
            if bad > frame.pfn {
                writer.frame(&part(frame.pfn, bad))?;
            }
            writer.frame(&FrameRow {
                page_use: "poisoned",
                flags: Hex(HWPOISON),
                mapcount: 0,
                ..part(bad, bad + 1)
            })?;
            if bad + 1 < end {
                writer.frame(&part(bad + 1, end))?;
            }
        }
        for metric in &machine.metrics {
            writer.metric(metric)?;
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let lake = Lake::open(&arguments.base)?;
    let (entries, _) = lake.entries()?;
    let bases = entries.iter().map(|entry| Base::read(&entry.open()?));
    let bases: Vec<Base> = bases.collect::<Result<_, _>>()?;
    if bases.is_empty() {
        return Err("the base has no snapshots".into());
    }
    let is_one_machine = bases.iter().all(|base| base.is_of_machine(&bases[0]));
    let first_day = format!("{}T00:00:00Z", arguments.first_day);
    let first_day = humantime::parse_rfc3339(&first_day)?;
    let per_host = arguments.days * arguments.snapshots;
    let mut regions = 0;
    for host in 0..arguments.hosts {
        let base = &bases[host as usize % bases.len()];
        let kernel = KERNELS[host as usize % KERNELS.len()].filter(|_| is_one_machine);
        let machines: Vec<_> = (bases.iter().filter(|other| other.is_of_machine(base))).collect();
        let has_frames = host % arguments.frames_every == 0;
        let mut poisoned = None;
        for number in 0..per_host {
            let (day, hour) = (number / arguments.snapshots, number % arguments.snapshots);
            let seconds = day * DAY + (1 + hour) * DAY / (arguments.snapshots + 1) + host;
            // Hosts grow and shrink.
            let percent = 80 + (host * 7 + number * 3) % 5 * 5;
            let chosen = base.chosen(host, arguments.regions * percent as usize / 100);
            // The last snapshot but one has the owner.
            if has_frames && number + 2 == per_host {
                poisoned = base.frame(&chosen, number);
            }
            let machine = machines[(host + number) as usize % machines.len()];
            let plan = Plan {
                base,
                machine: has_frames.then_some(machine),
                kernel,
                host,
                number,
                taken_at: first_day + Duration::from_secs(seconds),
                chosen,
                poisoned: poisoned.filter(|_| number + 1 == per_host),
            };
            regions += plan.write(&arguments)?;
        }
    }
    if arguments.interrupted {
        interrupt(&arguments.target, arguments.hosts - 1)?;
    }
    println!(
        "{} snapshots, {regions} regions",
        arguments.hosts * per_host
    );
    Ok(())
}

/// Removes the rows of the host's snapshots of the last day, and a table of its first one.
fn interrupt(target: &Path, host: u64) -> Result<(), Box<dyn Error>> {
    let files = |table: Table| -> Result<Vec<PathBuf>, Box<dyn Error>> {
        let mut files = Vec::new();
        for date in fs::read_dir(target.join(table.name()))? {
            let folder = date?.path().join(format!("host=host-{host:04}"));
            for file in fs::read_dir(folder)? {
                files.push(file?.path());
            }
        }
        files.sort();
        Ok(files)
    };
    let rows = files(Table::Snapshots)?;
    let last_day = rows.last().and_then(|path| path.parent());
    for row in rows.iter().filter(|path| path.parent() == last_day) {
        fs::remove_file(row)?;
    }
    if let Some(table) = files(Table::Mappings)?.first() {
        fs::remove_file(table)?;
    }
    Ok(())
}
