//! One pass over the regions of a snapshot: a stream for each process, in the order of unique
//! PIDs. A thread decodes ahead. Must not know what regions are read for.

use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::sync::Arc;
use std::thread;

use process_introspection::{
    AddrRange, Attributed, Backing, Mapping, PageSize, PhysicalRegion, RegionSource,
};

use crate::lake::error::LakeError;
use crate::lake::read::Snapshot;
use crate::tables::mappings::MappingRow;
use crate::tables::regions::RegionRow;
use crate::tables::Table;

/// Regions that are handed over at a time, 48 bytes each.
const BATCH: usize = 8 << 10;
/// Batches that wait.
const WAITING: usize = 4;
/// Columns that are not read.
const LEFT_OUT: [&str; 5] = ["node", "cache", "swap_area", "swap_slot", "details"];

/// Pass over the regions of all processes of a snapshot, or of one, in constant memory.
/// Regions have their mapping and the size of their page-table entries; places in swap are
/// left out.
#[derive(Debug)]
pub struct RegionPass {
    batches: Receiver<Result<Batch, LakeError>>,
    batch: Batch,
    next: usize,
    next_mapping: usize,
    current: Option<(u64, Attributed<PhysicalRegion>)>,
    /// Whether the current region was not handed over yet.
    is_waiting: bool,
}

/// Regions in order, each with the mapping that was set last.
#[derive(Debug, Default)]
struct Batch {
    regions: Vec<Kept>,
    /// Each with the number of its first region, and with its process.
    mappings: Vec<(usize, u64, Arc<Mapping>)>,
}

#[derive(Copy, Clone, Debug)]
struct Kept {
    virt: AddrRange,
    backing: Backing,
    anonymous: bool,
    page_size: Option<PageSize>,
}

impl Snapshot {
    /// Begins a pass over the regions of all processes, or of one.
    ///
    /// # Errors
    /// [`LakeError::Io`], [`LakeError::Damaged`]; also those of the pass itself.
    pub fn region_pass(&self, unique_pid: Option<u64>) -> Result<RegionPass, LakeError> {
        let base = self.page_size()?;
        let mappings = self.rows::<MappingRow>(Table::Mappings, unique_pid)?;
        let regions = self.rows_of::<RegionRow, _>(Table::Regions, &LEFT_OUT, move |group| {
            group.may_have("unique_pid", unique_pid, unique_pid)
        })?;
        // A row group can have regions of others.
        let regions = regions.filter(move |row| match (row, unique_pid) {
            (Ok(row), Some(unique_pid)) => row.unique_pid == unique_pid,
            _ => true,
        });
        let path = self.path(Table::Regions);
        let (sender, batches) = sync_channel(WAITING);
        let mut decoder = Decoder {
            base,
            mappings,
            mapping: None,
            batch: Batch::default(),
            end: (0, 0),
        };
        let decode = move || {
            let damaged = |why: String| LakeError::damaged(&path, why);
            let result = decoder.run(regions, &sender, damaged);
            // Who began the pass may have ended it.
            let _ = match result {
                Ok(()) => sender.send(Ok(decoder.batch)),
                Err(error) => sender.send(Err(error)),
            };
        };
        let builder = thread::Builder::new().name("decode".to_owned());
        builder.spawn(decode).map_err(LakeError::io(
            "start a thread that reads",
            &self.path(Table::Regions),
        ))?;
        Ok(RegionPass {
            batches,
            batch: Batch::default(),
            next: 0,
            next_mapping: 0,
            current: None,
            is_waiting: false,
        })
    }
}

/// Maker of batches.
struct Decoder<M> {
    base: PageSize,
    mappings: M,
    /// Process and mapping of the last region.
    mapping: Option<(u64, Arc<Mapping>)>,
    batch: Batch,
    /// Process and end of the last region.
    end: (u64, u64),
}

impl<M: Iterator<Item = Result<MappingRow, LakeError>>> Decoder<M> {
    fn run(
        &mut self,
        regions: impl Iterator<Item = Result<RegionRow, LakeError>>,
        sender: &SyncSender<Result<Batch, LakeError>>,
        damaged: impl Fn(String) -> LakeError,
    ) -> Result<(), LakeError> {
        for row in regions {
            let row = row?;
            let pid = row.unique_pid;
            self.find_mapping(&row)?;
            let virt = row.virt(self.base);
            let kept = virt
                .zip(row.backing(self.base))
                .and_then(|(virt, backing)| {
                    let page_size = match row.page_size {
                        Some(bytes) => Some(PageSize::from_bytes(bytes)?),
                        None => None,
                    };
                    let anonymous = row.anonymous;
                    Some(Kept {
                        virt,
                        backing,
                        anonymous,
                        page_size,
                    })
                });
            let kept = kept.filter(|kept| {
                let is_of_mapping = |(of, mapping): &(u64, Arc<Mapping>)| {
                    *of == pid
                        && mapping.range.start().as_u64() == row.mapping_vaddr.0
                        // A mapping that grew during the walk can end before its regions.
                        && mapping.range.start() <= kept.virt.start()
                };
                self.mapping.as_ref().is_some_and(is_of_mapping)
                    && (pid, kept.virt.start().as_u64()) >= self.end
            });
            let Some(kept) = kept else {
                let at = row.vpn << self.base.shift();
                return Err(damaged(format!("a region at {at:#x} of process {pid}")));
            };
            self.end = (pid, kept.virt.end().as_u64());
            self.batch.regions.push(kept);
            if self.batch.regions.len() == BATCH {
                let next = Batch::default();
                if sender
                    .send(Ok(std::mem::replace(&mut self.batch, next)))
                    .is_err()
                {
                    return Ok(());
                }
                let mapping = self.mapping.clone();
                let mapping = mapping.map(|(pid, mapping)| (0, pid, mapping));
                self.batch.mappings.extend(mapping);
                self.batch.regions.reserve_exact(BATCH);
            }
        }
        Ok(())
    }

    /// Advances to the mapping of a region, if there is one.
    fn find_mapping(&mut self, row: &RegionRow) -> Result<(), LakeError> {
        let wanted = (row.unique_pid, row.mapping_vaddr.0);
        let is_before =
            |(pid, mapping): &(u64, Arc<Mapping>)| (*pid, mapping.range.start().as_u64()) < wanted;
        while self.mapping.as_ref().is_none_or(is_before) {
            let Some(next) = self.mappings.next() else {
                return Ok(());
            };
            let next = next?;
            // A mapping that cannot be made is missed by its first region.
            if let Some(mapping) = next.mapping() {
                let mapping = Arc::new(mapping);
                let first = self.batch.regions.len();
                self.mapping = Some((next.unique_pid, Arc::clone(&mapping)));
                if self
                    .mapping
                    .as_ref()
                    .is_some_and(|mapping| !is_before(mapping))
                {
                    self.batch.mappings.push((first, next.unique_pid, mapping));
                }
            }
        }
        Ok(())
    }
}

impl RegionPass {
    /// Returns the regions of a process. Those of processes with smaller unique PIDs are
    /// passed over, and those of this process that were not read will be, too.
    pub fn process(&mut self, unique_pid: u64) -> ProcessRegions<'_> {
        ProcessRegions {
            pass: self,
            unique_pid,
        }
    }

    /// Makes the next region the current one; returns false at the end.
    fn advance(&mut self) -> Result<bool, LakeError> {
        while self.next == self.batch.regions.len() {
            // A decoder that has ended sends nothing more.
            let Ok(batch) = self.batches.recv() else {
                self.current = None;
                return Ok(false);
            };
            (self.batch, self.next, self.next_mapping) = (batch?, 0, 0);
        }
        let kept = self.batch.regions[self.next];
        while let Some((first, pid, mapping)) = self.batch.mappings.get(self.next_mapping) {
            if *first != self.next {
                break;
            }
            self.next_mapping += 1;
            let mapping = Arc::clone(mapping);
            let region = PhysicalRegion::new(kept.virt, kept.backing, kept.anonymous, mapping);
            self.current = Some((*pid, Attributed::new(region)));
        }
        if let Some((_, region)) = &mut self.current {
            region.pages.virt = kept.virt;
            region.pages.backing = kept.backing;
            region.pages.anonymous = kept.anonymous;
            region.page_size = kept.page_size;
        }
        self.next += 1;
        Ok(true)
    }
}

/// Stream of the regions of one process of a snapshot.
#[derive(Debug)]
pub struct ProcessRegions<'a> {
    pass: &'a mut RegionPass,
    unique_pid: u64,
}

impl RegionSource<LakeError> for ProcessRegions<'_> {
    fn next_region(&mut self) -> Result<Option<&Attributed<PhysicalRegion>>, LakeError> {
        loop {
            if !std::mem::take(&mut self.pass.is_waiting) && !self.pass.advance()? {
                return Ok(None);
            }
            match &self.pass.current {
                Some((pid, _)) if *pid < self.unique_pid => {}
                Some((pid, _)) if *pid == self.unique_pid => break,
                _ => {
                    self.pass.is_waiting = true;
                    return Ok(None);
                }
            }
        }
        Ok(self.pass.current.as_ref().map(|(_, region)| region))
    }
}
