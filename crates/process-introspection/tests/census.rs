//! Census of the machine's RAM, beside the kernel's own counts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use process_introspection::{FrameCensus, FrameUse, MemoryCgroups, PageSize, Zone};
use testkit::machine::is_root_or_skip;

/// Lines of meminfo, in pages.
fn meminfo() -> BTreeMap<String, u64> {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let lines = text.lines().filter_map(|line| {
        let (name, rest) = line.split_once(':')?;
        let kib: u64 = rest.split_whitespace().next()?.parse().ok()?;
        Some((name.to_owned(), kib * 1024 / PageSize::base().bytes()))
    });
    lines.collect()
}

#[test]
fn the_frames_of_each_zone_are_those_that_the_kernel_calls_present() {
    if !is_root_or_skip("the_frames_of_each_zone_are_those_that_the_kernel_calls_present") {
        return;
    }
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

/// The machine works meanwhile: a use is between what its counter is before and after, with
/// room for what changes and changes back.
#[test]
fn uses_are_what_the_counters_of_the_kernel_say() {
    if !is_root_or_skip("uses_are_what_the_counters_of_the_kernel_say") {
        return;
    }
    let before = meminfo();
    let census = FrameCensus::take().unwrap();
    let after = meminfo();
    let total = census.total();
    let close = |name: &str, frames: u64, counters: &[&str]| {
        let of = |info: &BTreeMap<String, u64>| -> u64 {
            counters
                .iter()
                .map(|&counter| info.get(counter).copied().unwrap_or(0))
                .sum()
        };
        let (one, other) = (of(&before), of(&after));
        let room = total.frames() / 50;
        let (least, most) = (one.min(other).saturating_sub(room), one.max(other) + room);
        println!("{name}: {frames}, {counters:?} {one} then {other}");
        assert!(
            (least..=most).contains(&frames),
            "{name}: {frames}, counters {one}, {other}"
        );
    };
    close("free", total[FrameUse::Free], &["MemFree"]);
    close("anonymous", total[FrameUse::Anonymous], &["AnonPages"]);
    close("shmem", total[FrameUse::Shmem], &["Shmem"]);
    let files = [
        FrameUse::Shmem,
        FrameUse::PageCacheMapped,
        FrameUse::PageCacheUnmapped,
    ];
    let files: u64 = files.iter().map(|&file| total[file]).sum();
    close("files", files, &["Cached", "Buffers"]);
    close("slab", total[FrameUse::Slab], &["Slab"]);
    close(
        "page tables",
        total[FrameUse::PageTable],
        &["PageTables", "SecPageTables"],
    );
    let hugetlb = total[FrameUse::HugetlbMapped] + total[FrameUse::HugetlbUnmapped];
    close("hugetlb", hugetlb, &["Hugetlb"]);
}

/// memory.stat is of the group alone in cgroup v1 and of its whole subtree in v2, so the
/// groups without children are compared.
#[test]
fn groups_pay_for_the_memory_that_their_own_counters_say() {
    if !is_root_or_skip("groups_pay_for_the_memory_that_their_own_counters_say") {
        return;
    }
    let stat = |folder: &Path| -> Option<[u64; 3]> {
        let text = fs::read_to_string(folder.join("memory.stat")).ok()?;
        let value = |names: [&str; 2]| -> u64 {
            let mut lines = text.lines().filter_map(|line| line.split_once(' '));
            let found = lines.find(|(name, _)| names.contains(name));
            found.map_or(0, |(_, bytes)| bytes.parse().unwrap_or(0))
        };
        Some([
            value(["anon", "rss"]),
            value(["file", "cache"]),
            value(["shmem", "shmem"]),
        ])
    };
    let first = Path::new("/sys/fs/cgroup/memory");
    let root = match first.join("memory.stat").exists() {
        true => first,
        false => Path::new("/sys/fs/cgroup"),
    };
    let groups = MemoryCgroups::read();
    let census = FrameCensus::take().unwrap();
    let Some(payers) = census.payers() else {
        println!("skipped: the kernel has no memory cgroups");
        return;
    };
    let page = census.page_size().bytes();
    let room = census.total().frames() * page / 50;
    let mut compared = 0;
    for payer in payers {
        let Some(group) = groups.get(payer.inode) else {
            continue;
        };
        let path = Path::new(&group.path);
        let folder = root.join(path.strip_prefix("/").unwrap());
        let is_leaf = |folder: &Path| {
            let mut children = fs::read_dir(folder).into_iter().flatten().flatten();
            !children.any(|child| child.path().is_dir())
        };
        let Some([anon, file, shmem]) = is_leaf(&folder).then(|| stat(&folder)).flatten() else {
            continue;
        };
        let of = |uses: &[FrameUse]| uses.iter().map(|&one| payer.uses[one]).sum::<u64>() * page;
        let files = [
            FrameUse::Shmem,
            FrameUse::PageCacheMapped,
            FrameUse::PageCacheUnmapped,
        ];
        for (name, counted, counter) in [
            (
                "anon",
                of(&[FrameUse::Anonymous, FrameUse::SwapCache]),
                anon,
            ),
            ("file", of(&files), file),
            ("shmem", of(&[FrameUse::Shmem]), shmem),
        ] {
            println!(
                "{} {name}: {counted}, memory.stat {counter}",
                path.display()
            );
            assert!(
                counted.abs_diff(counter) <= room,
                "{} {name}: {counted} {counter}",
                path.display()
            );
        }
        compared += 1;
    }
    println!("{compared} groups were compared");
    let paid: u64 = payers.iter().map(|payer| payer.uses.frames()).sum();
    assert!(paid <= census.total().frames());
}
