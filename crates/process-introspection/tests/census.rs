//! Census of the machine's RAM, beside the kernel's own counts.

use std::collections::HashMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use process_introspection::{
    FrameCensus, FrameRuns, FrameUse, MemoryBalance, MemoryCgroups, MemoryCounter, Mounts,
    UnflaggedPart, Zone,
};
use testkit::balloon::{taken, Balloon};
use testkit::machine::is_root_or_skip;

/// Locked by tests that take memory away; the others share it.
static MEMORY: RwLock<()> = RwLock::new(());

/// Returns the lock of tests that leave memory as it is.
fn same_memory() -> RwLockReadGuard<'static, ()> {
    MEMORY.read().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn the_frames_of_each_zone_are_those_that_the_kernel_calls_present() {
    if !is_root_or_skip("the_frames_of_each_zone_are_those_that_the_kernel_calls_present") {
        return;
    }
    let _same = same_memory();
    let census = FrameCensus::take().unwrap();
    let zones = Zone::read_all().unwrap();
    for (counted, zone) in census.zones().iter().zip(&zones) {
        assert_eq!(counted.node, Some(zone.node));
        assert_eq!(counted.zone.as_ref(), Some(&zone.name));
        assert_eq!(counted.uses.frames(), zone.present, "{zone:?}");
    }
    let present: u64 = zones.iter().map(|zone| zone.present).sum();
    assert_eq!(census.total().frames(), present);
    assert_eq!(census.zones().len(), zones.len(), "{:?}", census.zones());
}

#[test]
fn the_progress_of_a_census_ends_with_all_frames() {
    if !is_root_or_skip("the_progress_of_a_census_ends_with_all_frames") {
        return;
    }
    let _same = same_memory();
    let passed = Mutex::new(Vec::new());
    let take = FrameCensus::take_with_progress(&Mounts::new(), |done, of| {
        passed.lock().unwrap().push((done, of));
    });
    let all = take.unwrap().total().frames();
    let mut passed = passed.into_inner().unwrap();
    passed.sort_unstable();
    assert_eq!(passed.last(), Some(&(all, all)));
    assert!(passed.iter().all(|&(done, of)| done > 0 && of == all));
}

/// Number of censuses of which one must agree with the counters: the machine is at work.
const TIMES: usize = 10;

/// Fails unless one of several comparisons finds nothing that differs.
fn agree_once(compare: impl Fn() -> Vec<String>) {
    let mut different = Vec::new();
    for _ in 0..TIMES {
        different = compare();
        if different.is_empty() {
            return;
        }
    }
    panic!("{different:#?}");
}

/// Number of frames by which a use may differ from its counter: the kernel adds up the counters
/// of the CPUs now and then.
fn room(census: &FrameCensus) -> u64 {
    census.total().frames() / 50
}

#[test]
fn uses_are_what_the_counters_of_the_kernel_say() {
    if !is_root_or_skip("uses_are_what_the_counters_of_the_kernel_say") {
        return;
    }
    let _same = same_memory();
    agree_once(|| {
        let balance = MemoryBalance::take().unwrap();
        let census = balance.census();
        let room = room(census) * census.page_size().bytes();
        let mut different = Vec::new();
        for counted in balance.uses() {
            let (Some(counter), Some((before, after))) = (counted.counter, counted.counted) else {
                continue;
            };
            let total = census.total();
            let frames: u64 = counter.uses.iter().map(|&one| total[one]).sum();
            let bytes = frames * census.page_size().bytes();
            let least = before.min(after).saturating_sub(room);
            // Drivers that are no balloons take memory offline, too.
            let most = match counted.frame_use {
                FrameUse::Offline => u64::MAX,
                _ => before.max(after) + room,
            };
            if !(least..=most).contains(&bytes) {
                different.push(format!("{counter:?} {before} then {after}: {bytes}"));
            }
        }
        different
    });
}

/// Memory that is not initialized yet is the largest part where there is any: the test holds
/// that it is told apart.
#[test]
fn memory_that_no_flag_explains_is_explained_by_counters() {
    if !is_root_or_skip("memory_that_no_flag_explains_is_explained_by_counters") {
        return;
    }
    let _same = same_memory();
    print_balance();
    agree_once(|| {
        let balance = MemoryBalance::take().unwrap();
        let census = balance.census();
        assert_eq!(
            balance.present(),
            census.total().frames() * census.page_size().bytes()
        );
        let room = room(census) * census.page_size().bytes();
        match balance.unexplained().unsigned_abs() <= room {
            true => Vec::new(),
            false => vec![format!(
                "{} bytes, with {:?} and {:?}",
                balance.unexplained(),
                balance.unflagged(),
                balance.uses()
            )],
        }
    });
}

/// Prints the memory of the machine: docs/KERNELS.md has the numbers of each row of guests.
fn print_balance() {
    let balance = MemoryBalance::take().unwrap();
    let kib = |bytes: u64| bytes >> 10;
    println!("present {} KiB", kib(balance.present()));
    for one in balance.uses() {
        let counter = one.counter.map_or("no counter", |counter| counter.name);
        let (before, after) = one.counted.unwrap_or_default();
        println!(
            "use {} {} KiB, {counter} {} then {}",
            one.frame_use.name(),
            kib(one.bytes),
            kib(before),
            kib(after)
        );
    }
    for (part, bytes) in balance.unflagged() {
        println!("unflagged {} {} KiB", part.name(), kib(bytes));
    }
    println!("unexplained {} KiB", balance.unexplained() >> 10);
}

/// Variable that allows this test to take memory offline: only guests do.
const TAKE_OFFLINE: &str = "INTROSPECTION_TAKE_OFFLINE";

/// Block of memory that is online again when this is dropped.
struct Offline(PathBuf);

impl Offline {
    /// Takes a block of ZONE_MOVABLE offline; `None` if there is none, or the kernel cannot.
    fn take() -> Option<Self> {
        let blocks = fs::read_dir("/sys/devices/system/memory").ok()?.flatten();
        let blocks = blocks.map(|block| block.path());
        let is_movable = |block: &PathBuf| {
            let zones = fs::read_to_string(block.join("valid_zones")).unwrap_or_default();
            zones.contains("Movable")
        };
        let mut blocks = blocks.filter(is_movable);
        blocks
            .find(|block| fs::write(block.join("state"), "offline").is_ok())
            .map(Self)
    }
}

impl Drop for Offline {
    fn drop(&mut self) {
        // A guest that ends soon needs no memory.
        let _ = fs::write(self.0.join("state"), "online_movable");
    }
}

#[test]
fn memory_that_is_offline_is_no_part() {
    if !is_root_or_skip("memory_that_is_offline_is_no_part") {
        return;
    }
    if std::env::var_os(TAKE_OFFLINE).is_none() {
        println!("skipped: takes memory offline, which only guests allow ({TAKE_OFFLINE})");
        return;
    }
    let _alone = MEMORY.write().unwrap_or_else(PoisonError::into_inner);
    let before = MemoryBalance::take().unwrap().present();
    let offline = Offline::take().expect("a block of ZONE_MOVABLE that can be taken offline");
    let size = fs::read_to_string("/sys/devices/system/memory/block_size_bytes").unwrap();
    let size = u64::from_str_radix(size.trim(), 16).unwrap();
    let balance = MemoryBalance::take().unwrap();
    let counted = balance.census().total().frames() * balance.census().page_size().bytes();
    assert_eq!(balance.present(), before - size);
    assert_eq!(counted, before - size);
    drop(offline);
    assert_eq!(MemoryBalance::take().unwrap().present(), before);
}

/// Bytes of the machine's memory, as a balance has them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sizes {
    offline: u64,
    managed: u64,
    mem_total: u64,
    balloon: u64,
    not_initialized: u64,
}

impl Sizes {
    /// Returns the sizes; fails unless each zone has the frames that are present in it, and
    /// what is unexplained is within bounds.
    fn read() -> Self {
        let balance = MemoryBalance::take().unwrap();
        let (census, counters) = (balance.census(), balance.counters());
        let page = census.page_size().bytes();
        let counted = census.zones().iter().map(|zone| zone.uses.frames());
        let zones = counters.zones().iter();
        assert!(counted.eq(zones.clone().map(|zone| zone.present)));
        let unexplained = balance.unexplained();
        assert!(
            unexplained.unsigned_abs() <= room(census) * page,
            "{unexplained}"
        );
        let not_initialized = balance.unflagged().into_iter();
        let mut not_initialized = not_initialized
            .filter(|&(part, _)| part == UnflaggedPart::NotInitialized)
            .map(|(_, bytes)| bytes);
        Self {
            offline: census.total()[FrameUse::Offline] * page,
            managed: zones.map(|zone| zone.managed).sum::<u64>() * page,
            mem_total: counters.get(MemoryCounter::MemTotal).unwrap(),
            balloon: counters.get(MemoryCounter::Balloon).unwrap(),
            not_initialized: not_initialized.next().unwrap_or(0),
        }
    }
}

#[test]
fn memory_in_a_balloon_is_offline_and_counted_by_its_counter() {
    let name = "memory_in_a_balloon_is_offline_and_counted_by_its_counter";
    const SIZES: [u64; 3] = [64 << 20, 16 << 20, 0];
    if !is_root_or_skip(name) {
        return;
    }
    let _alone = MEMORY.write().unwrap_or_else(PoisonError::into_inner);
    let Some(mut balloon) = Balloon::open_or_skip(name) else {
        return;
    };
    let before = Sizes::read();
    assert_eq!(before.balloon, taken().unwrap());
    for size in SIZES {
        balloon.resize(size);
        // A page that compaction moves while frames are read can be seen twice.
        agree_once(|| {
            let expected = Sizes {
                offline: before.offline + size,
                managed: before.managed - size,
                mem_total: before.mem_total - size,
                balloon: before.balloon + size,
                not_initialized: before.not_initialized,
            };
            match Sizes::read() {
                sizes if sizes == expected => Vec::new(),
                sizes => vec![format!("{sizes:?}, not {expected:?}")],
            }
        });
        print_balance();
    }
}

#[test]
fn blocks_are_those_of_their_frames() {
    if !is_root_or_skip("blocks_are_those_of_their_frames") {
        return;
    }
    let _same = same_memory();
    let runs = FrameRuns::open().unwrap();
    let page = runs.page_size().bytes();
    // Uses of the frames of each block of 2 MiB that is wholly RAM of one zone.
    let naive = || {
        let (mut blocks, mut seen) = (0, HashMap::<_, u64>::new());
        let visited = runs.visit(|run| {
            for frame in run.pfn.as_u64()..run.pfn.as_u64() + run.pages {
                let key = (frame * page / (2 << 20), run.zone);
                let frames = seen.entry(key).or_default();
                *frames += 1;
                if *frames == (2 << 20) / page {
                    blocks += 1;
                }
            }
            ControlFlow::Continue(())
        });
        visited.unwrap();
        blocks
    };
    let census = FrameCensus::take().unwrap();
    let Some(small) = census.blocks().first().filter(|one| one.size == 2 << 20) else {
        println!("skipped: frames are larger than 2 MiB");
        return;
    };
    assert_eq!(small.blocks, naive());
    for block in census.blocks() {
        assert!(block.free + block.unflagged + block.unmovable <= block.blocks);
        let prevented: u64 = FrameUse::ALL
            .iter()
            .map(|&one| block.prevented_by(one))
            .sum();
        assert!(prevented <= block.unmovable, "{block:?}");
        assert!(block.containing(FrameUse::Free) >= block.free);
    }
}

/// Bytes of anonymous memory, files and shmem of a group, by its own counters.
fn stat(folder: &Path) -> Option<[u64; 3]> {
    let text = fs::read_to_string(folder.join("memory.stat")).ok()?;
    // Names of cgroup v2 and of v1.
    let value = |names: [&str; 2]| -> u64 {
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let found = lines.find(|(name, _)| names.contains(name));
        found.map_or(0, |(_, bytes)| bytes.parse().unwrap_or(0))
    };
    Some([["anon", "rss"], ["file", "cache"], ["shmem", "shmem"]].map(value))
}

/// memory.stat is of the group alone in cgroup v1 and of its whole subtree in v2, so groups
/// without children are compared.
#[test]
fn groups_pay_for_the_memory_that_their_own_counters_say() {
    if !is_root_or_skip("groups_pay_for_the_memory_that_their_own_counters_say") {
        return;
    }
    let first = Path::new("/sys/fs/cgroup/memory");
    let root = match first.join("memory.stat").exists() {
        true => first,
        false => Path::new("/sys/fs/cgroup"),
    };
    let is_leaf = |folder: &Path| {
        let mut children = fs::read_dir(folder).into_iter().flatten().flatten();
        !children.any(|child| child.path().is_dir())
    };
    agree_once(|| {
        let groups = MemoryCgroups::read();
        let census = FrameCensus::take().unwrap();
        let page = census.page_size().bytes();
        let mut different = Vec::new();
        let Some(payers) = census.payers() else {
            println!("skipped: the kernel has no memory cgroups");
            return different;
        };
        let paid: u64 = payers.iter().map(|payer| payer.uses.frames()).sum();
        assert!(paid <= census.total().frames());
        for payer in payers {
            let Some(group) = groups.get(payer.inode) else {
                continue;
            };
            let folder = root.join(Path::new(&group.path).strip_prefix("/").unwrap());
            let Some(counters) = is_leaf(&folder).then(|| stat(&folder)).flatten() else {
                continue;
            };
            let uses = &payer.uses;
            let shmem = uses[FrameUse::Shmem];
            let files = uses[FrameUse::PageCacheMapped] + uses[FrameUse::PageCacheUnmapped];
            let counted = [uses[FrameUse::Anonymous], files + shmem, shmem];
            for (frames, counter) in counted.into_iter().zip(counters) {
                if (frames * page).abs_diff(counter) > room(&census) * page {
                    different.push(format!("{folder:?} {counted:?} pages, {counters:?} bytes"));
                }
            }
        }
        different
    });
}
