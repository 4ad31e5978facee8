//! Reading of the machine's memory: every frame, or the kernel's counters alone. Must not know
//! when it is made.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use process_introspection::{
    Error, FrameRuns, MemoryBalance, MemoryCgroups, MemoryCounter, MemoryCounters, Mounts,
};
use process_introspection_export::MachineRecord;

use crate::top::frame_map::FrameMap;
use crate::top::model::MachineContent;

/// Number of runs of frames between two checks.
const CHECKED: u32 = 1 << 12;

/// Reads the machine's memory. `check` is called often, and can break off: then there is no
/// reading.
pub(super) fn read(
    mounts: &Mounts,
    mut check: impl FnMut() -> ControlFlow<()>,
) -> Result<Option<MachineContent>, Error> {
    let runs = match FrameRuns::open_in(mounts) {
        Ok(runs) => runs,
        Err(error) if error.is_permission_denied() || error.is_unsupported() => {
            return Ok(Some(counters(&MemoryCounters::read_in(mounts)?, &error)));
        }
        Err(error) => return Err(error),
    };
    let (mut count, mut is_complete) = (0, true);
    let (map, balance) = FrameMap::new(runs.page_size(), runs.ranges(), |each| {
        MemoryBalance::visit(mounts, &runs, |run| {
            each(run);
            count += 1;
            if count % CHECKED != 0 {
                return ControlFlow::Continue(());
            }
            let checked = check();
            is_complete &= checked.is_continue();
            checked
        })
    })?;
    if !is_complete {
        return Ok(None);
    }
    let cgroups = MemoryCgroups::read_in(mounts);
    let record = MachineRecord::new(&balance, |inode| cgroups.get(inode));
    let content = MachineContent::Frames(Box::new(record), Box::new(map));
    Ok(Some(content))
}

fn counters(counters: &MemoryCounters, error: &Error) -> MachineContent {
    let values = MemoryCounter::ALL.into_iter();
    let values = values.filter_map(|one| Some((one.name(), counters.get(one)?)));
    let page = process_introspection::PageSize::base().bytes();
    let mut free = BTreeMap::<u64, u64>::new();
    for zone in counters.free_blocks() {
        for (order, blocks) in (0u32..).zip(&zone.counts) {
            let size = page << order;
            *free.entry(size).or_default() += blocks * size;
        }
    }
    let why = match error.is_permission_denied() {
        true => "uses of frames, payers and the map need root",
        false => "this kernel has no facts of frames: no uses, payers, map",
    };
    MachineContent::Counters {
        counters: values.filter(|&(_, bytes)| bytes > 0).collect(),
        free: free.into_iter().filter(|&(_, bytes)| bytes > 0).collect(),
        why: why.to_owned(),
    }
}
