//! Records of a report from a snapshot, or from two that are compared.

use std::collections::HashMap;
use std::ops::Range;

use process_introspection::{AddrRange, Attributed, Backing, Cgroup, PhysicalRegion, RegionSource};
use process_introspection_dataset::lake::{LakeError, RegionPass, Snapshot, StoredMachine};
use process_introspection_dataset::tables::mappings::MappingRow;
use process_introspection_dataset::tables::processes::ProcessRow;
use process_introspection_export::{MachineRecord, MetricRecord, State};
use process_introspection_picture::map::space::Space;
use process_introspection_picture::report::changes::ChangeLayer;
use process_introspection_picture::report::document::{Document, MOST_SPACES};
use process_introspection_picture::report::frames::{FrameLayers, FINEST};
use process_introspection_picture::report::layers::MapPicture;
use process_introspection_picture::report::records::{
    with_short_command, AgainstRecord, HeaderRecord, ProcessFacts,
};
use process_introspection_picture::report::spaces::{AddressSpace, SpacePicture};

use super::groups::StoredGroups;
use super::live::{set_scope, space_mapping};
use super::processes::{add_mappings, name, Processes, Spaces};
use super::task::Task;
use super::Scope;
use crate::commands::comparison::stored::Snapshots;
use crate::commands::summaries::missing;
use crate::commands::unread::Unread;
use crate::failure::{continue_unless, Failure};
use crate::options::from::{as_user, no_frames};
use crate::options::pid::TargetText;
use crate::source::stored::find_each;
use crate::text::counted;

/// Collects the records of a report of a snapshot.
pub(super) fn collect(
    scope: Scope<'_>,
    snapshot: &Snapshot,
    task: &Task,
) -> Result<Document, Failure> {
    collect_with(scope, snapshot, None, task)
}

/// Collects the records of a report of the second of two snapshots, with what changed since the
/// first.
pub(super) fn compare(
    scope: Scope<'_>,
    snapshots: &Snapshots,
    task: &Task,
) -> Result<Document, Failure> {
    collect_with(scope, snapshots.second(), Some(snapshots), task)
}

fn collect_with(
    scope: Scope<'_>,
    snapshot: &Snapshot,
    snapshots: Option<&Snapshots>,
    task: &Task,
) -> Result<Document, Failure> {
    let mut document = Document::new(header(snapshot, snapshots));
    let processes = match scope {
        Scope::Machine => None,
        Scope::All => Some(as_user(|| snapshot.processes())?),
        Scope::Named(texts) => {
            let found = find_each(snapshot, texts)?.into_iter();
            Some(found.map(|(row, _)| row).collect())
        }
    };
    let space = space(snapshot, snapshots, &mut document.header)?;
    let mut frames = None;
    if let Some(space) = &space {
        let layers = FrameLayers::new(space, FINEST, processes.is_some());
        frames = Some(read_frames(snapshot, layers, task, &mut document)?);
    }
    match processes {
        Some(mut rows) => {
            rows.sort_by_key(|row| row.unique_pid);
            let layers = frames.as_mut().map(|(layers, _)| layers);
            let are_named = matches!(scope, Scope::Named(_));
            read_processes(snapshot, &rows, are_named, layers, task, &mut document)?;
        }
        None => set_scope(&mut document.header, "the machine".to_owned()),
    }
    if let Some((layers, cgroups)) = frames {
        let space = layers.space().clone();
        let (layers, runs) = layers.finish(|inode| match cgroups.get(&inode) {
            Some(cgroup) => cgroup.path.to_string_lossy().into_owned(),
            None => format!("cgroup {inode}, which was removed"),
        });
        document.map = Some(MapPicture {
            space,
            layers,
            runs,
            runs_command: format!(
                "introspect owner 0x{{start}}-0x{{end}} --from ROOT@{}",
                snapshot.entry().id()
            ),
        });
    }
    if let Some(snapshots) = snapshots {
        let pids = match scope {
            Scope::Named(texts) => texts,
            _ => &[],
        };
        let with_processes = !matches!(scope, Scope::Machine);
        changes(
            snapshots,
            pids,
            with_processes,
            space.as_ref(),
            task,
            &mut document,
        )?;
    }
    let header = &mut document.header;
    header.lacks(
        Some("files"),
        "a snapshot does not have the page cache by file",
    );
    header.lacks(
        Some("huge"),
        "a snapshot does not have the settings and statistics of huge pages",
    );
    task.end();
    Ok(document)
}

fn header(snapshot: &Snapshot, snapshots: Option<&Snapshots>) -> HeaderRecord {
    let row = snapshot.row();
    let host = |snapshot: &Snapshot| String::from_utf8_lossy(&snapshot.row().host_name.0).into();
    HeaderRecord {
        title: String::new(),
        scope: String::new(),
        host: Some(host(snapshot)).filter(|host: &String| !host.is_empty()),
        kernel: Some(row.head.kernel.clone()),
        architecture: row.arch.clone(),
        page_size: row.page_size,
        taken_at: row.head.taken_at,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        source: "snapshot",
        snapshot: Some(snapshot.entry().id().to_string()),
        against: snapshots.map(Snapshots::first).map(|first| AgainstRecord {
            host: host(first),
            snapshot: first.entry().id().to_string(),
            taken_at: first.row().head.taken_at,
        }),
        unseen: Vec::new(),
    }
}

/// Returns the line of the frames of a snapshot, or of both; `None` if one has none.
fn space(
    snapshot: &Snapshot,
    snapshots: Option<&Snapshots>,
    header: &mut HeaderRecord,
) -> Result<Option<Space>, Failure> {
    let Some(mut ranges) = as_user(|| snapshot.frame_ranges())? else {
        let why = no_frames(snapshot).message(None);
        for section in ["memory", "map", "contiguity"] {
            header.lacks(Some(section), why.clone());
        }
        return Ok(None);
    };
    if let Some(first) = snapshots.map(Snapshots::first) {
        match as_user(|| first.frame_ranges())? {
            Some(more) => ranges.extend(more),
            None => header.lacks(Some("changes"), no_frames(first).message(None)),
        }
    }
    let page = snapshot.page_size()?.bytes();
    Ok(Some(Space::new(page, united(ranges))))
}

/// Returns ranges that ascend and do not overlap.
fn united(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut united = Vec::<Range<u64>>::new();
    for range in ranges {
        match united.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => united.push(range),
        }
    }
    united
}

/// Layers of the frames, and cgroups by inode number.
type Frames<'a> = (FrameLayers<'a>, HashMap<u64, Cgroup>);

/// Reads all frames: layers of the map, and the machine's memory beside its counters.
fn read_frames<'a>(
    snapshot: &Snapshot,
    mut layers: FrameLayers<'a>,
    task: &Task,
    document: &mut Document,
) -> Result<Frames<'a>, Failure> {
    let base = snapshot.page_size()?;
    let of_frames = |start: u64, end: u64| {
        AddrRange::new(start << base.shift(), end << base.shift()).unwrap_or_default()
    };
    let pieces = layers.space().pieces();
    let end = pieces.last().map_or(0, |piece| piece.pfn + piece.frames);
    task.begin_frames(of_frames(0, end));
    let mut failed = None;
    let machine = as_user(|| {
        snapshot.machine_with(|row, run| {
            layers.add(run, row.node);
            let passed = task.passed(of_frames(row.pfn, row.pfn + row.pages));
            continue_unless(&mut failed, passed)
        })
    })?;
    failed.map_or(Ok(()), Err)?;
    let Some(StoredMachine { balance, cgroups }) = machine else {
        return Err(no_frames(snapshot));
    };
    let cgroup = |inode| cgroups.get(&inode).cloned();
    document.machine = Some(MachineRecord::new(&balance, cgroup));
    for metric in MetricRecord::of_machine(&balance) {
        document.metrics.push(&metric);
    }
    Ok((layers, cgroups))
}

/// Reads processes: their numbers, and where their memory is.
fn read_processes(
    snapshot: &Snapshot,
    rows: &[ProcessRow],
    are_named: bool,
    mut layers: Option<&mut FrameLayers<'_>>,
    task: &Task,
    document: &mut Document,
) -> Result<(), Failure> {
    let base = snapshot.page_size()?;
    let only = match rows {
        [one] => Some(one.unique_pid),
        _ => None,
    };
    let mut pass = as_user(|| snapshot.region_pass(only))?;
    let (mut processes, mut groups) = (Processes::default(), StoredGroups::default());
    let (mut unread, mut lacks, mut names) = (Unread::default(), Vec::new(), Vec::new());
    let most = Document::mapping_bytes(rows.len().min(MOST_SPACES));
    let mut spaces = Spaces::default();
    task.begin_processes();
    for (index, row) in rows.iter().enumerate() {
        task.passed_processes(index, rows.len())?;
        if row.unread.is_some() {
            unread.add_stored(row);
            continue;
        }
        let Some(summary) = row.summary().filter(|summary| summary.mappings > 0) else {
            continue;
        };
        let facts = facts(row);
        let mut space = None;
        let mut mappings = Vec::new();
        if are_named && spaces.have_room_for(&summary.total) {
            mappings = as_user(|| snapshot.mappings(row.unique_pid))?;
            let known = mappings.iter().filter_map(MappingRow::mapping);
            let known = known.map(|mapping| space_mapping(&mapping)).collect();
            space = Some(AddressSpace::new(base.bytes(), known));
        }
        let mut regions = RegionPass::process(&mut pass, row.unique_pid);
        while let Some(region) = next(&mut regions)? {
            task.check()?;
            let pages = &region.pages;
            let range = pages.virt.start().as_u64()..pages.virt.end().as_u64();
            let pfn = match pages.backing {
                Backing::Ram(address) => Some(address.pfn(base).as_u64()),
                _ => None,
            };
            if let (Some(layers), Some(pfn)) = (layers.as_deref_mut(), pfn) {
                layers.add_mapped(pfn..pfn + (pages.virt.size() >> base.shift()));
            }
            if let Some(space) = &mut space {
                space.add(range, State::from(pages.backing), pfn);
            }
        }
        if let Some(layers) = layers.as_deref_mut() {
            layers.end_process(|| name(&facts, row.pid));
        }
        for lack in missing(&summary) {
            if !lacks.contains(&lack) {
                lacks.push(lack);
            }
        }
        names.push(name(&facts, row.pid));
        groups.add(&facts, &summary);
        processes.add(facts, &summary);
        if let Some(space) = space {
            let usages = mappings.iter().filter_map(|mapping| mapping.usage(row.pid));
            let usage = summary.total;
            let record = with_short_command(summary);
            let mut picture = SpacePicture::new(&record, space, most);
            add_mappings(&mut usages.collect::<Vec<_>>(), &mut picture);
            spaces.add(&usage, picture);
        }
    }
    groups.finish(document);
    processes.finish(document);
    if are_named {
        spaces.finish(rows.len(), document);
    }
    let header = &mut document.header;
    let unseen = unread.lines().into_iter().chain(lacks);
    unseen.for_each(|lack| header.lacks(Some("processes"), lack));
    header.lacks(
        Some("processes"),
        "a snapshot does not have the memory that a group shares, each page once: groups have sums",
    );
    if !are_named && !snapshot.row().head.all_processes {
        header.lacks(
            Some("processes"),
            "the snapshot has some processes only: introspect snapshot --all stores all",
        );
    }
    let scope = match (&names[..], are_named) {
        (_, false) => "all processes".to_owned(),
        ([one], true) => one.clone(),
        (several, true) => crate::text::processes(several.len() as u64),
    };
    set_scope(header, scope);
    Ok(())
}

/// Returns the next region.
fn next(
    regions: &mut impl RegionSource<LakeError>,
) -> Result<Option<&Attributed<PhysicalRegion>>, Failure> {
    Ok(regions.next_region()?)
}

fn facts(row: &ProcessRow) -> ProcessFacts {
    ProcessFacts {
        unique_pid: row.unique_pid,
        name: row.name.0.clone(),
        user: row.uid,
        cgroup: row.cgroup.0.clone(),
        unit: row.unit.clone(),
        container: row.container.clone(),
    }
}

/// Adds what changed.
fn changes(
    snapshots: &Snapshots,
    pids: &[TargetText],
    with_processes: bool,
    space: Option<&Space>,
    task: &Task,
    document: &mut Document,
) -> Result<(), Failure> {
    let (mut memory, mut frames) = (Document::change_list(), Document::change_list());
    if with_processes {
        task.begin_processes();
        let (results, unread) = snapshots.compare(pids, task)?;
        results.visit(|record| {
            memory.push(record);
            Ok(())
        })?;
        if unread > 0 {
            let text = format!(
                "{} not compared: not read in one of the snapshots",
                counted(unread, "process was", "processes were")
            );
            document.header.lacks(Some("changes"), text);
        }
    }
    let has_frames = |snapshot: &Snapshot| snapshot.row().head.frames_rows.is_some();
    if let Some(space) = space.filter(|_| has_frames(snapshots.first())) {
        let mut layer = ChangeLayer::new(space, FINEST);
        for record in snapshots.compare_frames(task, |uses, frames| layer.add(uses, frames))? {
            frames.push(&record);
        }
        if let Some(map) = &mut document.map {
            map.layers.push(layer.finish());
        }
    }
    document.changes = Some((memory, frames));
    Ok(())
}
