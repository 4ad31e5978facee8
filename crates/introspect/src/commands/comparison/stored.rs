//! Two snapshots of one boot, compared in one pass over both. Must not know running
//! processes.

use std::ops::Range;

use process_introspection::{compare_frames_with, FrameUse, NoRegions, PageSize};
use process_introspection_dataset::lake::{LakeError, RegionPass, Snapshot};
use process_introspection_export::{ChangeKind, FrameChangeRecord};

use super::results::{Checked, Compared, Results};
use super::Watch;
use crate::failure::Failure;
use crate::options::from::{as_user, no_frames};
use crate::options::pid::TargetText;
use crate::source::stored::is_named;

/// Two snapshots that can be compared.
#[derive(Debug)]
pub(crate) struct Snapshots {
    before: Snapshot,
    after: Snapshot,
    base: PageSize,
}

/// Process of at least one of the snapshots.
struct Member {
    unique_pid: u64,
    process: Compared,
    /// Each `None` if it is not in that snapshot, or whether it was read there.
    before: Option<bool>,
    after: Option<bool>,
}

impl Snapshots {
    /// Checks that the snapshots are of one boot of one machine: unique PIDs of different
    /// boots say nothing of each other.
    pub(crate) fn new(before: Snapshot, after: Snapshot) -> Result<Self, Failure> {
        let boots = [&before, &after].map(|snapshot| snapshot.row().boot_id.clone());
        if boots[0] != boots[1] {
            let of = |snapshot: &Snapshot| {
                let host = String::from_utf8_lossy(snapshot.entry().host()).into_owned();
                format!(
                    "{} ({host}, {})",
                    snapshot.entry().id(),
                    snapshot.row().head.taken_at
                )
            };
            return Err(Failure::Message(format!(
                "snapshots {} and {} are of different boots: no process can be in both",
                of(&before),
                of(&after)
            )));
        }
        let base = before.page_size()?;
        if after.page_size()? != base {
            return Err(Failure::Message(
                "the snapshots have different page sizes".to_owned(),
            ));
        }
        Ok(Self {
            before,
            after,
            base,
        })
    }

    /// Returns the first snapshot.
    pub(crate) fn first(&self) -> &Snapshot {
        &self.before
    }

    /// Returns the second snapshot.
    pub(crate) fn second(&self) -> &Snapshot {
        &self.after
    }

    /// Returns the uses of frames that changed, and passes the uses of all runs of frames at both
    /// times to `each`, changed or not.
    pub(crate) fn compare_frames(
        &self,
        watch: &impl Watch,
        each: impl FnMut([Option<FrameUse>; 2], Range<u64>),
    ) -> Result<Vec<FrameChangeRecord>, Failure> {
        let runs = |snapshot: &Snapshot| {
            let rows = as_user(|| snapshot.frames(0..=u64::MAX))?;
            let rows = rows.ok_or_else(|| no_frames(snapshot))?;
            let id = snapshot.entry().id();
            Ok::<_, Failure>(rows.map(move |row| {
                watch.check()?;
                row?.run(None).ok_or_else(|| {
                    Failure::Message(format!("snapshot {id} has frames of an unknown use"))
                })
            }))
        };
        let changes = compare_frames_with(runs(&self.before)?, runs(&self.after)?, each)?;
        let [before_at, after_at] =
            [&self.before, &self.after].map(|snapshot| snapshot.row().head.taken_at);
        let changes = changes.iter();
        let changes =
            changes.map(|change| FrameChangeRecord::new(change, before_at, after_at, self.base));
        Ok(changes.collect())
    }

    /// Returns what differs, and the number of processes that were not read in one of the
    /// snapshots.
    pub(crate) fn compare<W: Watch>(
        &self,
        pids: &[TargetText],
        watch: &W,
    ) -> Result<(Results, u64), Failure> {
        let members = self.members(pids)?;
        let only = match &members[..] {
            [one] => Some(one.unique_pid),
            _ => None,
        };
        let mut before = as_user(|| self.before.region_pass(only))?;
        let mut after = as_user(|| self.after.region_pass(only))?;
        let [before_at, after_at] =
            [&self.before, &self.after].map(|snapshot| snapshot.row().head.taken_at);
        let mut results = Results::new(before_at, after_at);
        let (count, mut unread) = (members.len(), 0);
        for (index, member) in members.into_iter().enumerate() {
            watch.passed_processes(index, count);
            let Member {
                unique_pid,
                process,
                before: was_read,
                after: is_read,
            } = member;
            let of = |pass| {
                Checked::<W, _, LakeError>::new(watch, RegionPass::process(pass, unique_pid))
            };
            let base = self.base;
            match (was_read, is_read) {
                (Some(false), _) | (_, Some(false)) => {
                    unread += 1;
                    results.add_unread();
                }
                (Some(true), Some(true)) => {
                    let (mut before, mut after) = (of(&mut before), of(&mut after));
                    let change = ChangeKind::Changed;
                    results.compare(process, change, &mut before, &mut after, base)?;
                }
                (Some(true), None) => {
                    let mut before = of(&mut before);
                    results.compare(
                        process,
                        ChangeKind::Ended,
                        &mut before,
                        &mut NoRegions,
                        base,
                    )?;
                }
                (None, _) => {
                    let (change, mut after) = (ChangeKind::Started, of(&mut after));
                    results.compare(process, change, &mut NoRegions, &mut after, base)?;
                }
            }
        }
        Ok((results, unread))
    }

    /// Returns the processes of both snapshots by unique PID, or those that are named.
    fn members(&self, pids: &[TargetText]) -> Result<Vec<Member>, Failure> {
        let mut members: Vec<Member> = Vec::new();
        let mut is_found = vec![false; pids.len()];
        for (snapshot, is_after) in [(&self.before, false), (&self.after, true)] {
            for row in as_user(|| snapshot.processes())? {
                let mut is_chosen = pids.is_empty();
                for (text, is_found) in pids.iter().zip(&mut is_found) {
                    if is_named(text, &row) {
                        (is_chosen, *is_found) = (true, true);
                    }
                }
                if is_chosen {
                    let is_read = Some(row.unread.is_none());
                    members.push(Member {
                        unique_pid: row.unique_pid,
                        process: Compared {
                            pid: Some(row.pid),
                            unique_pid: Some(row.unique_pid),
                            command: match row.command.0.is_empty() {
                                true => row.name.0,
                                false => row.command.0,
                            },
                        },
                        before: is_read.filter(|_| !is_after),
                        after: is_read.filter(|_| is_after),
                    });
                }
            }
        }
        if let Some((text, _)) = pids.iter().zip(is_found).find(|(_, is_found)| !is_found) {
            return Err(Failure::Message(format!(
                "process {text} is in neither snapshot"
            )));
        }
        // Stable: of two that are equal, the first is from the first snapshot.
        members.sort_by_key(|member| member.unique_pid);
        members.dedup_by(|second, first| {
            let is_same = second.unique_pid == first.unique_pid;
            if is_same {
                first.after = second.after;
                // An exec changes it.
                first.process.command = std::mem::take(&mut second.process.command);
            }
            is_same
        });
        Ok(members)
    }
}
