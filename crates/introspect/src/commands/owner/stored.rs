//! `owner --from`: the processes of a snapshot that map physical memory.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use process_introspection::{
    Cgroup, Owner, OwnerSearch, PageSize, PassedProcess, PhysRange, UniquePid, VirtAddr,
};
use process_introspection_dataset::lake::{joined, LakeError, Snapshot, StoredRegion};
use process_introspection_dataset::tables::processes::ProcessRow;
use process_introspection_export::{Details, OwnedPages, OwnerRecord, Searched};

use super::stored_frames::{Payers, StoredFrames, StoredPages};
use super::totals::Totals;
use super::{reason, Arguments};
use crate::failure::{continue_unless, warn, Failure};
use crate::options::from::as_user;
use crate::output::sink::Sink;
use crate::text::processes;

/// No run of memory that a live search lists goes past a multiple of this.
const LONGEST: u64 = 1 << 30;

/// Statement about a process.
#[derive(Debug)]
enum Found {
    /// It maps these pages, which begin so far into the owner's.
    Pages(Box<Owner>, OwnedPages),
    /// It could not be read.
    Unread(Arc<PassedProcess>, String),
}

impl Found {
    /// Returns the order of a live search: by PID, then by address.
    fn order(&self) -> (u32, u64, VirtAddr) {
        match self {
            Self::Pages(owner, pages) => {
                let start = pages.range.start().as_u64();
                let first = owner.region.backing.address().unwrap_or_default();
                let into = start.saturating_sub(first.as_u64());
                let at = owner.region.virt.start().as_u64() + into;
                (owner.process.pid, unique(&owner.process), VirtAddr::new(at))
            }
            Self::Unread(process, _) => (process.pid, unique(process), VirtAddr::new(u64::MAX)),
        }
    }
}

fn unique(process: &PassedProcess) -> u64 {
    let unique = process.unique_pid.map(UniquePid::as_i64);
    unique.unwrap_or_default().unsigned_abs()
}

/// Writes the owners in a snapshot, and what no process of it maps.
pub(super) fn run(arguments: &Arguments, snapshot: &Snapshot) -> Result<(), Failure> {
    let page = snapshot.page_size()?;
    let (memory, named, log_failure) = arguments.memory(page)?;
    let mut sink = Sink::open_for_processes(&arguments.output, arguments.layout(), Some(snapshot))?;
    if memory.is_empty() {
        // The log names no memory, which was reported.
        sink.finish()?;
        return log_failure.map_or(Ok(()), Err);
    }
    let mut search = OwnerSearch::new(&memory, page)?;
    let mut found = find(snapshot, page, &mut search, &sink)?;
    found.sort_by_key(Found::order);
    let frames = as_user(|| StoredFrames::read(snapshot, &memory, page))?;
    let mut has_all = true;
    let mut totals = arguments.by_process.then(Totals::default);
    for found in &found {
        match found {
            Found::Pages(owner, pages) => {
                if let Some(totals) = &mut totals {
                    totals.add_stored(owner, pages);
                    continue;
                }
                with_uses(pages, &frames, |pages| {
                    has_all &= pages.page_use.is_some();
                    let record = OwnerRecord::mapped(owner, pages, page);
                    sink.check()?;
                    sink.write(&record.named_by(named.by(pages.range)))
                })?;
            }
            Found::Unread(process, why) if arguments.unread => {
                if let Some(totals) = &mut totals {
                    totals.add_unread(Arc::clone(process), why.clone());
                    continue;
                }
                sink.write(&OwnerRecord::unread(process, why.clone()))?;
            }
            Found::Unread(..) => {}
        }
    }
    let payers = match totals {
        Some(_) => Payers::OfPages,
        None => Payers::OfRuns,
    };
    for range in search.unmapped() {
        frames.visit(range, payers, |pages| {
            sink.check()?;
            if let Some(totals) = &mut totals {
                match pages {
                    StoredPages::Ram(run) => totals.add_unmapped(&run, Searched::Snapshot),
                    StoredPages::Unknown(range) => totals.add_unknown(range),
                }
                return Ok(());
            }
            let (range, record) = match pages {
                StoredPages::Ram(run) => {
                    let record = OwnerRecord::unmapped(&run, Searched::Snapshot, page);
                    (run.range, record.paid_by(frames.payer(run.payer)))
                }
                StoredPages::Unknown(range) => (range, OwnerRecord::not_in_snapshot(range, page)),
            };
            sink.write(&record.named_by(named.by(range)))
        })?;
    }
    if let Some(totals) = totals {
        sink.end_progress();
        totals.write(&arguments.sorting, |inode| frames.payer(inode), &mut sink)?;
    }
    sink.finish()?;
    let unread = found
        .iter()
        .filter(|found| matches!(found, Found::Unread(..)));
    remark(snapshot, unread.count() as u64, has_all);
    log_failure.map_or(Ok(()), Err)
}

/// Passes pages of an owner in runs of one use: as they are if their details have it, else
/// by the frames of the machine.
fn with_uses(
    pages: &OwnedPages,
    frames: &StoredFrames,
    mut each: impl FnMut(&OwnedPages) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if pages.page_use.is_some() {
        return each(pages);
    }
    frames.visit(pages.range, Payers::OfRuns, |known| match known {
        StoredPages::Ram(run) => each(&OwnedPages::from(&run)),
        StoredPages::Unknown(range) => {
            let mut rest = *pages;
            rest.range = range;
            each(&rest)
        }
    })
}

/// Returns the owners, and the processes that could not be read.
fn find(
    snapshot: &Snapshot,
    page: PageSize,
    search: &mut OwnerSearch,
    sink: &Sink,
) -> Result<Vec<Found>, Failure> {
    let (mut found, mut failed, mut done) = (Vec::new(), None, 0);
    let row = snapshot.row();
    let count = usize::try_from(row.head.processes_rows).unwrap_or(usize::MAX);
    as_user(|| {
        snapshot.for_each_process(row.head.details, |process, parts| {
            sink.passed_processes(done, count);
            done += 1;
            let added = sink
                .check()
                .and_then(|()| Ok(add(process, parts, page, search, &mut found)?));
            continue_unless(&mut failed, added)
        })
    })?;
    failed.map_or(Ok(found), Err)
}

/// Adds the owners in the regions of a process.
fn add(
    process: &ProcessRow,
    parts: &mut dyn Iterator<Item = Result<StoredRegion, LakeError>>,
    page: PageSize,
    search: &mut OwnerSearch,
    found: &mut Vec<Found>,
) -> Result<(), LakeError> {
    let unique = i64::try_from(process.unique_pid).ok();
    let passed = PassedProcess::new(
        process.pid,
        unique.and_then(UniquePid::from_i64),
        OsStr::from_bytes(&process.name.0),
    );
    let cgroup = OsStr::from_bytes(&process.cgroup.0);
    let cgroup = (!cgroup.is_empty())
        .then(|| Cgroup::new(cgroup, process.unit.clone(), process.container.clone()));
    let passed = Arc::new(passed.with_cgroup(cgroup));
    // A live search does not split regions where the memory type changes.
    let parts = parts.map(|part| {
        let (mut region, details) = part?;
        region.memory_type = None;
        Ok((region, details))
    });
    for region in joined(parts) {
        let (region, details) = region?;
        for owner in search.owners_in(&passed, &region) {
            add_pages(
                &owner,
                region.node,
                region.size(),
                details.as_ref(),
                page,
                found,
            );
        }
    }
    if let Some(unread) = process.unread {
        let why = reason(process.error.as_deref().unwrap_or(unread));
        found.push(Found::Unread(passed, why));
    }
    Ok(())
}

/// Adds the pages of an owner, which are a part of a region of this size with these details.
fn add_pages(
    owner: &Owner,
    node: Option<u32>,
    size: u64,
    details: Option<&Details>,
    page: PageSize,
    found: &mut Vec<Found>,
) {
    let Some(first) = owner.region.backing.address() else {
        return;
    };
    let (mut start, end) = (first.as_u64(), first.as_u64() + owner.region.size());
    while start < end {
        let boundary = (start / LONGEST + 1).saturating_mul(LONGEST).min(end);
        let [from, to] = [start, boundary].map(process_introspection::PhysAddr::new);
        let range = PhysRange::new(from, to).unwrap_or_default();
        let part = match range.size() == size {
            true => details.cloned(),
            false => details.and_then(|details| details.of_part(range.size() >> page.shift())),
        };
        let pages = OwnedPages::stored(range, node, part.as_ref());
        found.push(Found::Pages(Box::new(owner.clone()), pages));
        start = boundary;
    }
}

/// Warns of what the snapshot does not have.
fn remark(snapshot: &Snapshot, unread: u64, has_all: bool) {
    let row = snapshot.row();
    if !row.head.all_processes {
        let count = processes(row.head.processes_rows);
        warn(format_args!(
            "the snapshot is of {count}: others may map the memory as well (snapshot --all stores all)"
        ));
    }
    if unread > 0 {
        warn(format_args!(
            "the snapshot does not have the memory of {}, which could not be read",
            processes(unread)
        ));
    }
    let has_frames = row.head.frames_rows.is_some();
    match (has_all, row.head.details, has_frames) {
        (true, _, _) => {}
        (false, _, true) => {
            warn("some uses, flags and mapcounts are unknown: the snapshot has those of RAM")
        }
        (false, false, false) => warn(
            "use, flags and mapcounts of pages are not in the snapshot (snapshot --details or \
             --frames stores them)",
        ),
        (false, true, false) => warn(
            "some uses, flags and mapcounts are unknown: the snapshot has them of whole regions",
        ),
    }
}
