//! Thread that lists processes with the kernel's counters, at intervals that follow from its
//! cost.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use process_introspection::{Cgroup, Error, PageSize, Zone};

use super::{Common, Processes, Updates};
use crate::grouping::Property;
use crate::pace::cpu_time;
use crate::top::model::{Counted, Key, Shown, Totals, Update};

/// Number of counts over which the load is taken.
const LOADS: usize = 8;

/// Counts until nobody receives the results.
pub(super) fn run(common: &Arc<Common>, updates: &Updates) {
    let mut loads = vec![(Duration::ZERO, Duration::ZERO)];
    loop {
        let (start, began) = (cpu_time(), Instant::now());
        let counted = count(common);
        let update = counted.unwrap_or_else(|error| {
            let shown = common.board().interest.shown;
            Update::Failed(shown, error.to_string())
        });
        loads.push((common.now(), cpu_time()));
        if loads.len() > LOADS {
            loads.remove(0);
        }
        let sent = updates.send(update).and_then(|()| match charges(common) {
            Some(charges) => updates.send(Update::Charges(charges)),
            None => Ok(()),
        });
        let sent = sent.and_then(|()| match load(&loads) {
            Some(load) => updates.send(Update::Load(load)),
            None => Ok(()),
        });
        if sent.is_err() {
            return;
        }
        // Several threads may have counted; what others did meanwhile is little.
        let cost = cpu_time().saturating_sub(start);
        let interval = common.budget.interval(cost).max(common.settings.interval);
        std::thread::sleep(interval.saturating_sub(began.elapsed()));
    }
}

fn count(common: &Common) -> Result<Update, Error> {
    let mounts = &common.settings.mounts;
    // Threads of the kernel and processes that have ended have no memory.
    let mut with = mounts.process_counters()?;
    with.retain(|process| process.virt > 0);
    let counted: Vec<_> = with
        .iter()
        .map(|process| Counted {
            key: Key {
                pid: process.pid,
                started: process.started,
            },
            command: process.command.as_bytes().to_vec(),
            virt: process.virt,
            resident: process.resident,
        })
        .collect();
    let processes = Processes {
        counted: counted.clone(),
        counters: with,
    };
    common.board().processes = Arc::new(processes);
    common.changed.notify_all();
    // A small file; others that have these sums take longer than all processes.
    let zones = Zone::read_all_in(mounts).unwrap_or_default();
    let page = PageSize::base().bytes();
    let sum = |pages: fn(&Zone) -> u64| {
        let sum = zones.iter().map(pages).sum::<u64>() * page;
        Some(sum).filter(|_| !zones.is_empty())
    };
    let totals = Totals {
        memory: sum(|zone| zone.managed),
        free: sum(|zone| zone.free + zone.per_cpu),
    };
    Ok(Update::Counted(counted, totals))
}

/// Returns the bytes for which the cgroups of all processes pay, if they are shown.
fn charges(common: &Common) -> Option<BTreeMap<Vec<u8>, u64>> {
    let (shown, cgroups) = {
        let board = common.board();
        (board.interest.shown, Arc::clone(&board.cgroups))
    };
    let Shown::Groups(Property::Cgroup | Property::Unit | Property::Container) = shown else {
        return None;
    };
    let charge = |cgroup: &Cgroup| {
        let charged = cgroup.charged_memory(&common.settings.mounts)?;
        Some((cgroup.path.as_bytes().to_vec(), charged))
    };
    Some(cgroups.iter().filter_map(charge).collect())
}

/// Returns the part of one CPU that this process has used lately, in thousandths.
fn load(loads: &[(Duration, Duration)]) -> Option<u32> {
    let (first, last) = (loads.first()?, loads.last()?);
    let (time, used) = (last.0.checked_sub(first.0)?, last.1.checked_sub(first.1)?);
    // The first count alone is no load.
    let is_long = time >= Duration::from_secs(1);
    is_long.then(|| (used.as_secs_f64() / time.as_secs_f64() * 1000.0).round() as u32)
}
