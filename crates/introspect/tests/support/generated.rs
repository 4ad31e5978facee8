//! Generated snapshots of a machine with any amount of memory. Facts of a frame follow from its
//! number.

use std::path::Path;
use std::time::{Duration, SystemTime};

use process_introspection::Device;
use process_introspection::{FrameFlags, FrameUse};
use process_introspection_dataset::lake::{SnapshotWriter, Start};
use process_introspection_dataset::tables::frames::FrameRow;
use process_introspection_dataset::tables::mappings::MappingRow;
use process_introspection_dataset::tables::processes::ProcessRow;
use process_introspection_dataset::tables::regions::RegionRow;
use process_introspection_dataset::tables::snapshots::{SnapshotHead, SnapshotRow};
use process_introspection_dataset::tables::SCHEMA_VERSION;
use process_introspection_export::{DeviceNumber, Hex, NameBuf, State, Time};

/// Host of the snapshot.
pub(crate) const HOST: &str = "generated";

/// A machine: consecutive frames from 0, in runs of equal facts, all of one length.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Machine {
    /// Number of frames of 4 KiB.
    pub(crate) frames: u64,
    /// Frames of a run.
    pub(crate) run: u64,
    /// Processes, which map anonymous frames.
    pub(crate) processes: u64,
}

/// Facts of a frame.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) frame_use: FrameUse,
    pub(crate) mapcount: u64,
    /// Inode number of the cgroup that pays.
    pub(crate) cgroup: Option<u64>,
    pub(crate) node: u32,
    /// Process that maps it.
    pub(crate) process: Option<u64>,
}

/// Numbers that look random, the same for each seed.
fn mixed(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Uses, in which memory is free or anonymous most often.
const USES: [FrameUse; 8] = [
    FrameUse::Free,
    FrameUse::Anonymous,
    FrameUse::Anonymous,
    FrameUse::PageCacheUnmapped,
    FrameUse::PageCacheMapped,
    FrameUse::Slab,
    FrameUse::Shmem,
    FrameUse::Reserved,
];

impl Machine {
    /// Returns the number of runs.
    pub(crate) fn runs(&self) -> u64 {
        self.frames / self.run
    }

    /// Returns the facts of the frames of a run.
    pub(crate) fn facts(&self, run: u64) -> Facts {
        // Neighbours are alike more often than not, as in real memory.
        let coarse = mixed(run / 64);
        let fine = mixed(run ^ 0x5555);
        let bits = if fine.is_multiple_of(4) {
            fine >> 8
        } else {
            coarse
        };
        let frame_use = USES[(bits % 8) as usize];
        let is_mapped = matches!(frame_use, FrameUse::Anonymous | FrameUse::PageCacheMapped);
        let mapcount = match (is_mapped, bits >> 3 & 3) {
            (false, _) => 0,
            (true, 0) => 2,
            (true, _) => 1,
        };
        Facts {
            frame_use,
            mapcount,
            cgroup: (!matches!(frame_use, FrameUse::Free | FrameUse::Reserved))
                .then_some(1000 + (bits >> 8) % 40),
            node: u32::from(run * 2 >= self.runs()),
            process: (mapcount == 1 && frame_use == FrameUse::Anonymous)
                .then_some((bits >> 16) % self.processes.max(1))
                .filter(|_| self.processes > 0),
        }
    }

    /// Writes the snapshot.
    pub(crate) fn write(&self, root: &Path, taken_at: SystemTime) {
        let start = Start {
            host: HOST.into(),
            taken_at,
            details: false,
            frames: true,
            description: Vec::new(),
        };
        let mut writer = SnapshotWriter::begin(root, start).unwrap();
        for run in 0..self.runs() {
            let facts = self.facts(run);
            let path = facts
                .cgroup
                .map(|inode| format!("/slice/unit{inode}.service"));
            writer
                .frame(&FrameRow {
                    pfn: run * self.run,
                    pages: self.run,
                    page_use: facts.frame_use.name(),
                    flags: Hex(FrameFlags::default().bits()),
                    mapcount: facts.mapcount,
                    cgroup_ino: facts.cgroup,
                    cgroup: NameBuf(path.unwrap_or_default().into_bytes()),
                    node: Some(facts.node),
                    zone: Some("Normal".to_owned()),
                })
                .unwrap();
        }
        for process in 0..self.processes {
            self.write_process(process, &mut writer);
        }
        writer.finish(self.row(taken_at)).unwrap();
    }

    fn write_process(&self, process: u64, writer: &mut SnapshotWriter) {
        let unique_pid = process + 1;
        let start = 0x10_0000_0000;
        let mut pages = 0;
        for run in (0..self.runs()).filter(|run| self.facts(*run).process == Some(process)) {
            writer
                .region(&RegionRow {
                    unique_pid,
                    vpn: (start >> 12) + pages,
                    mapping_vaddr: Hex(start),
                    pages: self.run,
                    pfn: Some(run * self.run),
                    state: State::Ram,
                    reason: None,
                    swap_area: None,
                    swap_slot: None,
                    page_size: Some(4096),
                    node: None,
                    cache: None,
                    anonymous: true,
                    details: None,
                })
                .unwrap();
            pages += self.run;
        }
        let size = (pages << 12).max(4096);
        writer
            .mapping(&MappingRow {
                unique_pid,
                vaddr: Hex(start),
                size,
                prot: "rw-",
                shared: false,
                kind: "anon",
                path: NameBuf::default(),
                dev: DeviceNumber(Device { major: 0, minor: 0 }),
                ino: 0,
                file_offset: Hex(0),
                deleted: false,
                page_size: Some(4096),
                device_paddr: None,
                device_cache: None,
                unlisted: None,
                resident: Some(pages << 12),
                pss: Some(pages << 12),
                uss: Some(pages << 12),
                swap: Some(0),
                zero: Some(0),
                hugetlb: Some(0),
                huge: Some(0),
                extents: None,
                median_extent: None,
                largest_extent: None,
            })
            .unwrap();
        writer
            .process(&ProcessRow {
                unique_pid,
                pid: unique_pid as u32,
                name: NameBuf(format!("p{process}").into_bytes()),
                command: NameBuf(format!("process {process}").into_bytes()),
                mappings: Some(1),
                virtual_size: Some(size),
                resident: Some(pages << 12),
                pss: Some(pages << 12),
                uss: Some(pages << 12),
                swap: Some(0),
                zero: Some(0),
                hugetlb: Some(0),
                kinds: Some(Vec::new()),
                ..ProcessRow::default()
            })
            .unwrap();
    }

    fn row(&self, taken_at: SystemTime) -> SnapshotRow {
        SnapshotRow {
            head: SnapshotHead {
                taken_at: Time::from(taken_at),
                duration: Duration::from_secs(1).as_micros() as u64,
                schema_version: SCHEMA_VERSION,
                kernel: "6.18.0".to_owned(),
                all_processes: true,
                processes_read: self.processes,
                ..SnapshotHead::default()
            },
            tool_version: "0".to_owned(),
            boot_id: Some("00000000-0000-0000-0000-000000000000".to_owned()),
            arch: "x86_64".to_owned(),
            page_size: 4096,
            mem_total: Some(self.frames << 12),
            nodes: Some(2),
            has_frames: true,
            host_name: NameBuf(HOST.into()),
            ..SnapshotRow::default()
        }
    }
}
