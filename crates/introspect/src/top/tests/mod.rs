//! Tests of the view without a terminal: states with fixed contents.

mod keys;
mod sampling;
mod screens;
mod terminal;

use std::time::Duration;

use process_introspection::{Cgroup, FrameFlags, FrameRun, FrameUse, MappingKind, PageSize, Pfn};
use process_introspection_export::{
    BlockRecord, FrameUseRecord, FreeRecord, MachineRecord, NameBuf, PayerRecord,
    State as PageState,
};

use super::frame_map::FrameMap;
use super::model::{
    Counted, Exact, Facts, Key, Machine, MachineContent, MappingRow, Mappings, RegionRow, Regions,
    Time, Totals, Unread, Update,
};
use super::state::State;

const MIB: u64 = 1 << 20;

fn seconds(seconds: u64) -> Time {
    Duration::from_secs(seconds)
}

fn key(pid: u32) -> Key {
    Key {
        pid,
        started: Duration::from_secs(u64::from(pid)),
    }
}

fn counted(pid: u32, command: &str, resident: u64) -> Counted {
    Counted {
        key: key(pid),
        command: command.as_bytes().to_vec(),
        virt: 4 * resident,
        resident,
    }
}

fn exact(resident: u64, pss: u64) -> Exact {
    Exact {
        virt: 4 * resident,
        resident,
        pss: Some(pss),
        uss: Some(pss / 2),
        memory: Some(pss * 3 / 4),
        swap: pss / 16,
        hugetlb: 0,
        huge: Some(resident / 4),
        extents: Some(resident / 65536),
    }
}

fn facts(command: &str, uid: u32, cgroup: &str) -> Facts {
    Facts {
        command: command.into(),
        uid,
        cgroup: Some(Cgroup::of_path(cgroup)),
    }
}

/// Processes of the fixed state: an exact one, one with a name that upsets terminals, one not
/// read, one denied.
fn processes() -> Vec<Counted> {
    vec![
        counted(1, "systemd", 12 * MIB),
        counted(310, "postgres", 900 * MIB),
        counted(311, "postgres", 420 * MIB),
        counted(4021, "\x1b[31m\u{202e}evil\n界", 70 * MIB),
        counted(4022, "sshd", 9 * MIB),
        counted(5000, "browser", 300 * MIB),
    ]
}

/// State with processes that were read at various times, after half a minute.
fn state() -> State {
    let mut state = State::new(None, None);
    let totals = Totals {
        memory: Some(16 << 30),
        free: Some(3 << 30),
    };
    state.update(Update::Counted(processes(), totals), seconds(1));
    let postgres = "/system.slice/postgresql.service";
    state.update(
        Update::Facts(vec![
            (key(1), facts("systemd", 0, "/init.scope")),
            (key(310), facts("postgres", 104, postgres)),
            (key(311), facts("postgres", 104, postgres)),
            (key(4022), facts("sshd", 0, "/system.slice/ssh.service")),
        ]),
        seconds(1),
    );
    for (pid, result, at) in [
        (1, Ok(exact(12 * MIB, 8 * MIB)), 2),
        (310, Ok(exact(901 * MIB, 640 * MIB)), 28),
        (311, Ok(exact(421 * MIB, 200 * MIB)), 20),
        (4021, Ok(exact(70 * MIB, 64 * MIB)), 10),
        (4022, Err(Unread::Denied), 12),
    ] {
        state.update(Update::Read(key(pid), result, seconds(at)), seconds(at));
    }
    state.update(Update::Load(38), seconds(30));
    state
}

/// Mappings of process 310.
fn mappings() -> Mappings {
    let row = |start, size, kind, protection, name: &str, resident| MappingRow {
        start,
        end: start + size,
        exact: exact(resident, resident),
        largest: Some(2 * MIB),
        protection,
        kind,
        name: name.to_owned(),
    };
    use MappingKind::{Anonymous, Elf, Heap, SharedMemory};
    Mappings {
        key: key(310),
        rows: vec![
            row(
                0x5570_0000_0000,
                8 * MIB,
                Elf,
                "r-x",
                "/usr/lib/postgresql/16/bin/postgres",
                6 * MIB,
            ),
            row(0x5570_1000_0000, 32 * MIB, Heap, "rw-", "[heap]", 20 * MIB),
            row(
                0x7f00_0000_0000,
                1024 * MIB,
                SharedMemory,
                "rw-",
                "/dev/zero (deleted)",
                870 * MIB,
            ),
            row(0x7f80_0000_0000, 4 * MIB, Anonymous, "rw-", "", 0),
        ],
        at: seconds(29),
    }
}

/// Regions of the heap of process 310.
fn regions() -> Regions {
    let row = |page: u64, pages: u64, state, physical, page_size| RegionRow {
        start: 0x5570_1000_0000 + page * 4096,
        size: pages * 4096,
        state,
        physical,
        page: page_size,
        node: physical.map(|_| 0),
    };
    Regions {
        key: key(310),
        start: 0x5570_1000_0000,
        rows: vec![
            row(0, 512, PageState::Ram, Some(0x1_2340_0000), Some(2 * MIB)),
            row(512, 3, PageState::Ram, Some(0x2_0000_7000), Some(4096)),
            row(515, 1, PageState::Zero, Some(0x30_9000), Some(4096)),
            row(516, 10, PageState::Swapped, None, None),
            row(526, 7666, PageState::NotPresent, None, None),
        ],
        is_cut: false,
        at: seconds(30),
    }
}

/// Machine of 1 GiB with a hole.
fn machine() -> Machine {
    let page = PageSize::SIZE_4K;
    let uses = [
        (0, 4096, FrameUse::Reserved),
        (4096, 60_000, FrameUse::Anonymous),
        (64_096, 40_000, FrameUse::PageCacheUnmapped),
        (104_096, 10_000, FrameUse::Slab),
        (114_096, 16_976, FrameUse::Free),
        (1 << 20, 100_000, FrameUse::Free),
        ((1 << 20) + 100_000, 20_000, FrameUse::PageTable),
        ((1 << 20) + 120_000, 11_072, FrameUse::Unflagged),
    ];
    let run = |&(pfn, pages, frame_use)| FrameRun {
        pfn: Pfn::new(pfn),
        pages,
        frame_use,
        flags: FrameFlags::default(),
        mapcount: 0,
        cgroup: None,
        zone: None,
    };
    let frames = |start: u64, end: u64| start * MIB / 4096..end * MIB / 4096;
    let map = FrameMap::new(page, [frames(0, 512), frames(4096, 4608)], |each| {
        uses.iter().map(run).for_each(|run| each(&run));
        Ok::<(), std::convert::Infallible>(())
    });
    let Ok((map, ())) = map;
    let bytes = |wanted: FrameUse| -> u64 {
        let of_it = uses.iter().filter(|(_, _, one)| *one == wanted);
        of_it.map(|(_, pages, _)| pages * 4096).sum()
    };
    let with_memory = FrameUse::ALL.into_iter().filter(|&one| bytes(one) > 0);
    let record = MachineRecord {
        present: 1024 * MIB,
        counted: 1024 * MIB,
        mem_total: Some(1000 * MIB),
        uses: with_memory
            .map(|one| FrameUseRecord {
                r#use: one.name(),
                bytes: bytes(one),
                counter: None,
                counter_bytes: None,
                counter_after: None,
                counted: None,
                active: 0,
                inactive: 0,
                unevictable: 0,
                dirty: 0,
                writeback: 0,
            })
            .collect(),
        unflagged: Vec::new(),
        unexplained: 0i64.into(),
        payers: Some(
            [
                ("free", "", 457),
                ("cgroup", "/system.slice/postgresql.service", 300),
                ("kernel", "", 180),
                ("cgroup", "", 50),
                ("none", "", 37),
            ]
            .map(|(payer, cgroup, mebibytes)| PayerRecord {
                payer,
                cgroup: NameBuf(cgroup.into()),
                unit: None,
                container: None,
                bytes: mebibytes * MIB,
            })
            .to_vec(),
        ),
        nodes: Vec::new(),
        zones: Vec::new(),
        free: (0..11)
            .map(|order| FreeRecord {
                node: 0,
                zone: "Normal".to_owned(),
                page_order: order,
                size: 4096 << order,
                blocks: u64::from(11 - order) * 9,
            })
            .collect(),
        contiguity: vec![BlockRecord {
            size: 2 * MIB,
            blocks: 512,
            free: 200,
            free_share: None,
            unmovable: 64,
            unflagged: 5,
            uses: Vec::new(),
        }],
    };
    Machine {
        content: MachineContent::Frames(Box::new(record), Box::new(map)),
        at: seconds(25),
    }
}
