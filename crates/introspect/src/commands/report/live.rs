//! Records of a report from this machine: one pass over its frames, one walk of each process.

use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use process_introspection::{
    page_cache, stream_processes, AddrRange, AdviceReading, FrameRuns, GroupPart, Host,
    HugePageActivity, HugePageSettings, Mapping, MappingSummary, MemoryBalance, MemoryCgroups,
    Mounts, PageCacheStep, PageSize, Parts, PassEvent, PassOptions, PhysicalMap, Process, Summary,
    SummaryOptions, SummaryStep, UniquePid,
};
use process_introspection_export::{
    FileRecord, MachineRecord, MappingUsageRecord, MetricRecord, State, SummaryRecord, Time,
};
use process_introspection_picture::map::space::Space;
use process_introspection_picture::report::document::{Document, Files, MOST_SPACES};
use process_introspection_picture::report::frames::{FrameLayers, FINEST};
use process_introspection_picture::report::layers::MapPicture;
use process_introspection_picture::report::records::{
    with_short_command, HeaderRecord, ProcessFacts,
};
use process_introspection_picture::report::spaces::{AddressSpace, SpaceMapping, SpacePicture};

use super::groups::LiveGroups;
use super::processes::{name, Processes, Spaces};
use super::task::Task;
use super::Scope;
use crate::commands::cached_files;
use crate::commands::selected::Selected;
use crate::commands::summaries::missing;
use crate::commands::unread::Unread;
use crate::failure::{continue_unless, Failure};

/// Regions that are handed over at a time.
const PART: usize = 2048;

/// Collects the records of a report.
pub(super) fn collect(
    scope: Scope<'_>,
    mounts: &Mounts,
    deadline: Duration,
    task: &Task,
) -> Result<Document, Failure> {
    let host = Host::read_in(mounts);
    let mut document = Document::new(HeaderRecord {
        title: String::new(),
        scope: String::new(),
        host: host.name.clone(),
        kernel: host.kernel.clone(),
        architecture: host.architecture.clone(),
        page_size: host.page_size.bytes(),
        taken_at: Time::from(SystemTime::now()),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        source: "live",
        snapshot: None,
        against: None,
        unseen: Vec::new(),
    });
    let selected = selected(scope, mounts)?;
    let space;
    let mut frames = None;
    match FrameRuns::open_in(mounts) {
        Ok(runs) => {
            space = Space::new(runs.page_size().bytes(), runs.ranges());
            let with_owners = !matches!(scope, Scope::Machine);
            let layers = FrameLayers::new(&space, FINEST, with_owners);
            frames = Some(read_frames(&runs, layers, mounts, task, &mut document)?);
        }
        Err(error) if error.is_permission_denied() || error.is_unsupported() => {
            for section in ["memory", "map", "contiguity"] {
                document.header.lacks(Some(section), error.to_string());
            }
        }
        Err(error) => return Err(error.into()),
    }
    if let Some(selected) = selected {
        let is_all = matches!(scope, Scope::All);
        let walk = Walk {
            mounts,
            deadline,
            is_all,
            task,
        };
        walk.processes(&selected, frames.as_mut(), &mut document)?;
        if is_all {
            files(mounts, deadline, task, &mut document)?;
        }
    } else {
        set_scope(&mut document.header, "the machine".to_owned());
    }
    if let Some(layers) = frames {
        let cgroups = MemoryCgroups::read_in(mounts);
        let space = layers.space().clone();
        let (layers, runs) = layers.finish(|inode| match cgroups.get(inode) {
            Some(cgroup) => cgroup.path.to_string_lossy().into_owned(),
            None => format!("cgroup {inode}, which is not mounted here"),
        });
        document.map = Some(MapPicture {
            space,
            layers,
            runs,
            runs_command: "introspect owner 0x{start}-0x{end}".to_owned(),
        });
    }
    document.thp = Some((&HugePageActivity::read_in(mounts)).into());
    task.end();
    Ok(document)
}

/// Sets title and scope.
pub(super) fn set_scope(header: &mut HeaderRecord, scope: String) {
    let host = header.host.as_deref().unwrap_or("an unnamed machine");
    header.title = format!("Memory of {scope} on {host}");
    header.scope = scope;
}

/// Processes to read.
struct Chosen {
    /// Each with whether it has to exist and be readable.
    processes: Vec<(UniquePid, bool)>,
    /// Processes of which proc hides even the unique PID.
    hidden: u64,
}

/// Returns the processes to read; `None` if none are.
fn selected(scope: Scope<'_>, mounts: &Mounts) -> Result<Option<Chosen>, Failure> {
    let (mut processes, mut hidden) = (Vec::new(), 0);
    match scope {
        Scope::Machine => return Ok(None),
        Scope::All => {
            for listed in mounts.listed_processes()? {
                match listed.unique_pid {
                    Ok(unique) => processes.push((unique, false)),
                    Err(_) => hidden += 1,
                }
            }
        }
        Scope::Named(texts) => {
            let named = Selected::named(mounts, texts)?;
            processes = Selected::unique_pids(mounts, &named)?;
        }
    }
    processes.sort_by_key(|(unique, _)| unique.as_i64());
    Ok(Some(Chosen { processes, hidden }))
}

/// Reads all frames: layers of the map, and the machine's memory beside its counters.
fn read_frames<'a>(
    runs: &FrameRuns,
    mut layers: FrameLayers<'a>,
    mounts: &Mounts,
    task: &Task,
    document: &mut Document,
) -> Result<FrameLayers<'a>, Failure> {
    let page = runs.page_size();
    let of_frames = |start: u64, end: u64| {
        AddrRange::new(start << page.shift(), end << page.shift()).unwrap_or_default()
    };
    let end = runs.ranges().last().map_or(0, |range| range.end);
    task.begin_frames(of_frames(0, end));
    let mut failed = None;
    let balance = MemoryBalance::visit(mounts, runs, |run| {
        let zone = run.zone.and_then(|zone| runs.zones().get(zone));
        layers.add(run, zone.map(|zone| zone.node));
        let (start, pages) = (run.pfn.as_u64(), run.pages);
        continue_unless(&mut failed, task.passed(of_frames(start, start + pages)))
    })?;
    failed.map_or(Ok(()), Err)?;
    let cgroups = MemoryCgroups::read_in(mounts);
    document.machine = Some(MachineRecord::new(&balance, |inode| cgroups.get(inode)));
    for metric in MetricRecord::of_machine(&balance) {
        document.metrics.push(&metric);
    }
    Ok(layers)
}

/// Adds the page cache by file.
fn files(
    mounts: &Mounts,
    deadline: Duration,
    task: &Task,
    document: &mut Document,
) -> Result<(), Failure> {
    task.begin_processes();
    let options = PassOptions::new().mounts(mounts).deadline(deadline);
    let mut failed = None;
    let found = page_cache(options, deadline, |step| {
        let passed = match step {
            PageCacheStep::Processes { done, of } => task.passed_processes(done, of),
            _ => task.check(),
        };
        continue_unless(&mut failed, passed)
    })?;
    failed.map_or(Ok(()), Err)?;
    let Some(found) = found else {
        return Ok(());
    };
    let page = PageSize::base().bytes();
    let mut rows = Document::file_list();
    for file in &found.files {
        rows.push(&FileRecord::new(file, page));
    }
    document.files = Some(Files {
        rows,
        unattributed: found.rest(false),
    });
    let lacks = cached_files::lacks(&found, deadline).into_iter();
    lacks.for_each(|lack| document.header.lacks(Some("files"), lack));
    Ok(())
}

/// Part of the memory of a process.
#[derive(Debug)]
enum Part {
    /// Mappings of a process that was named.
    Mappings(Vec<SpaceMapping>),
    Regions(Vec<Piece>),
}

/// Region of memory.
#[derive(Copy, Clone, Debug)]
struct Piece {
    start: u64,
    size: u64,
    state: State,
    pfn: Option<u64>,
}

/// Process that was read.
struct Read {
    record: SummaryRecord,
    facts: ProcessFacts,
    part: GroupPart,
    /// Summary with its mappings, of a process that was named.
    detail: Option<Box<(Summary, Vec<MappingSummary>)>>,
}

/// Reader of processes.
struct Reader {
    map: Arc<PhysicalMap>,
    settings: Arc<HugePageSettings>,
    /// Processes are named, not all of a machine.
    are_named: bool,
}

impl Reader {
    /// Hands over the regions of a process, and returns its numbers; `None` if it has no memory.
    fn read(
        &self,
        process: &Process,
        parts: &mut Parts<'_, Part>,
    ) -> Result<Option<Read>, Failure> {
        if process.virtual_regions(..)?.next().is_none() {
            return Ok(None);
        }
        let options = SummaryOptions::new(&self.map)
            .settings(&self.settings)
            .frames();
        let options = match self.are_named {
            true => {
                let mappings = process.virtual_regions(..)?;
                let mappings = mappings.map(|mapping| Ok(space_mapping(mapping?.as_ref())));
                let mappings = mappings.collect::<Result<_, Failure>>()?;
                // If nobody wants it, nobody wants the rest.
                let _ = parts.give(Part::Mappings(mappings));
                options.advice(AdviceReading::WhereCheap)
            }
            // Advice is not read: that would hold mmap locks.
            false => options.advice(AdviceReading::Never).without_page_classes(),
        };
        let page = process.page_size();
        let (mut mappings, mut pieces) = (Vec::new(), Vec::with_capacity(PART));
        let summary = process.summary_with(&[AddrRange::ALL], &options, |step| {
            match step {
                SummaryStep::Mapping(mapping) => mappings.push(mapping),
                SummaryStep::Region(region) => {
                    let state = State::from(region.backing);
                    let address = region.backing.address();
                    let pfn = address.filter(|_| state == State::Ram);
                    if !self.are_named && pfn.is_none() {
                        return ControlFlow::Continue(());
                    }
                    pieces.push(Piece {
                        start: region.virt.start().as_u64(),
                        size: region.virt.size(),
                        state,
                        pfn: pfn.map(|address| address.pfn(page).as_u64()),
                    });
                    if pieces.len() == PART {
                        let full = std::mem::replace(&mut pieces, Vec::with_capacity(PART));
                        return parts.give(Part::Regions(full));
                    }
                }
                _ => {}
            }
            ControlFlow::Continue(())
        })?;
        // If nobody wants it, nobody wants the rest.
        let _ = parts.give(Part::Regions(pieces));
        let command = process.command_line();
        let pid = process.pid().unwrap_or_default();
        let detail = self
            .are_named
            .then(|| Box::new((summary.clone(), mappings.clone())));
        Ok(Some(Read {
            record: SummaryRecord::new(pid, &command, &summary, page.bytes()),
            facts: facts(process)?,
            part: GroupPart::of_process(&summary, mappings),
            detail,
        }))
    }
}

fn facts(process: &Process) -> Result<ProcessFacts, Failure> {
    let info = process.info()?;
    let cgroup = info.cgroup.as_ref();
    Ok(ProcessFacts {
        unique_pid: process.unique_pid()?.as_i64() as u64,
        name: info.command.as_bytes().to_vec(),
        user: Some(info.uid),
        cgroup: cgroup.map_or(Vec::new(), |cgroup| cgroup.path.as_bytes().to_vec()),
        unit: cgroup.and_then(|cgroup| cgroup.unit.clone()),
        container: cgroup.and_then(|cgroup| cgroup.container.clone()),
    })
}

/// Returns a mapping of an address space.
pub(super) fn space_mapping(mapping: &Mapping) -> SpaceMapping {
    let range = mapping.range;
    SpaceMapping::new(
        range.start().as_u64()..range.end().as_u64(),
        mapping.kind(),
        mapping.name().as_bytes(),
    )
}

/// Walk over processes.
struct Walk<'a> {
    mounts: &'a Mounts,
    deadline: Duration,
    is_all: bool,
    task: &'a Task,
}

impl Walk<'_> {
    fn processes(
        &self,
        chosen: &Chosen,
        mut layers: Option<&mut FrameLayers<'_>>,
        document: &mut Document,
    ) -> Result<(), Failure> {
        let count = chosen.processes.len();
        let most = Document::mapping_bytes(count.min(MOST_SPACES));
        let map = Arc::new(PhysicalMap::read_in(self.mounts)?);
        let page = PageSize::base();
        let reader = Reader {
            map: Arc::clone(&map),
            settings: Arc::new(HugePageSettings::read_in(self.mounts, page.pmd().bytes())),
            are_named: !self.is_all,
        };
        // A walk starts threads of its own, and this thread adds up.
        let options = PassOptions::new().threads(1).mounts(self.mounts);
        let options = options.deadline(self.deadline);
        let look =
            move |process: Process, parts: &mut Parts<'_, Part>| reader.read(&process, parts);
        let pids = chosen.processes.iter().map(|&(unique, _)| unique).collect();
        let (mut rows, mut groups) = (Processes::default(), LiveGroups::default());
        let mut spaces = Spaces::default();
        let (mut unread, mut failed, mut lacks) = (Unread::default(), None, Vec::new());
        let (mut space, mut names) = (None::<AddressSpace>, Vec::new());
        self.task.begin_processes();
        stream_processes(pids, &options, look, |event| {
            let handled = self.task.check().and_then(|()| match event {
                PassEvent::Waiting => Ok(()),
                PassEvent::Part { part, .. } => {
                    match part {
                        Part::Mappings(mappings) => {
                            space = Some(AddressSpace::new(page.bytes(), mappings));
                        }
                        Part::Regions(pieces) => {
                            for piece in pieces {
                                add(piece, page, layers.as_deref_mut(), space.as_mut());
                            }
                        }
                    }
                    Ok(())
                }
                PassEvent::End { index, result } => {
                    let space = space.take();
                    let read = match result.map_err(Failure::from).and_then(|read| read) {
                        Ok(read) => read,
                        // It is required.
                        Err(failure) if chosen.processes[index].1 => return Err(failure),
                        Err(failure) => {
                            unread.add(failure)?;
                            None
                        }
                    };
                    if let Some(layers) = layers.as_deref_mut() {
                        let named = read.as_ref();
                        layers.end_process(|| match named {
                            Some(read) => name(&read.facts, read.record.pid),
                            None => "a process that was read in part".to_owned(),
                        });
                    }
                    if let Some(read) = read {
                        for lack in missing(&read.record) {
                            if !lacks.contains(&lack) {
                                lacks.push(lack);
                            }
                        }
                        names.push(name(&read.facts, read.record.pid));
                        groups.add(&read.facts, &read.part);
                        rows.add(read.facts, &read.record);
                        if let (Some(space), Some(detail)) = (space, read.detail) {
                            let usage = read.record.total;
                            if spaces.have_room_for(&usage) {
                                let picture = picture(read.record, &detail, space, most);
                                spaces.add(&usage, picture);
                            }
                        }
                    }
                    self.task.passed_processes(index + 1, count)
                }
            });
            continue_unless(&mut failed, handled)
        });
        failed.map_or(Ok(()), Err)?;
        if chosen.hidden > 0 {
            let hidden = crate::text::processes(chosen.hidden);
            lacks.push(format!("this proc hides {hidden} of other users"));
        }
        let are_all = self.is_all && unread.is_complete() && chosen.hidden == 0;
        groups.finish(are_all, self.mounts, &map, document)?;
        rows.finish(document);
        let unseen = unread.lines().into_iter().chain(lacks);
        unseen.for_each(|lack| document.header.lacks(Some("processes"), lack));
        if !self.is_all {
            spaces.finish(count, document);
        }
        let scope = match (&names[..], self.is_all) {
            (_, true) => "all processes".to_owned(),
            ([one], false) => one.clone(),
            (several, false) => crate::text::processes(several.len() as u64),
        };
        set_scope(&mut document.header, scope);
        Ok(())
    }
}

/// Adds a region to the map and to an address space.
fn add(
    piece: Piece,
    page: PageSize,
    layers: Option<&mut FrameLayers<'_>>,
    space: Option<&mut AddressSpace>,
) {
    if let (Some(layers), Some(pfn)) = (layers, piece.pfn) {
        layers.add_mapped(pfn..pfn + (piece.size >> page.shift()));
    }
    if let Some(space) = space {
        let range = piece.start..piece.start + piece.size;
        space.add(range, piece.state, piece.pfn);
    }
}

/// Returns the part about a process that was named.
fn picture(
    record: SummaryRecord,
    (summary, mappings): &(Summary, Vec<MappingSummary>),
    space: AddressSpace,
    most: usize,
) -> SpacePicture {
    let pid = record.pid;
    let of_mappings = mappings.iter();
    let mut usages: Vec<_> = of_mappings
        .map(|mapping| MappingUsageRecord::new(pid, summary, mapping))
        .collect();
    let record = with_short_command(record);
    let mut picture = SpacePicture::new(&record, space, most);
    super::processes::add_mappings(&mut usages, &mut picture);
    picture
}
