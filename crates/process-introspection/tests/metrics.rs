//! Published metrics of live processes and of the machine: compared with a naive computation
//! from the page map, with the kernel's tools/mm/thpmaps, and with extfrag in debugfs.

use std::collections::{BTreeMap, HashSet};
use std::ffi::CString;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use process_introspection::{
    AddrRange, ContiguityMetrics, FolioLayout, FoliosOfKind, FreeBlocks, MappingKind, Process,
};
use testkit::machine::{has_page_scan_or_skip, is_root_or_skip};
use testkit::memory::{self, huge, page};
use testkit::oracle::{areas, Pagemap};
use testkit::settled::assert_equal;
use testkit::target::Target;

fn metrics(process: &Process, range: AddrRange) -> ContiguityMetrics {
    let passed = |_| ControlFlow::Continue(());
    process.contiguity_metrics(&[range], passed).unwrap()
}

/// Numbers that follow from the page map alone.
#[derive(Debug, PartialEq)]
struct Translations {
    present: u64,
    /// Sizes of range translations in pages, in descending order.
    ranges: Vec<u64>,
    virtual_runs: u64,
    offsets: u64,
}

impl Translations {
    /// Reads each entry of a process's page map with one call.
    fn read(pid: u32) -> Self {
        let pagemap = Pagemap::open(pid);
        let (mut ranges, mut virtual_runs, mut offsets) = (Vec::new(), 0, HashSet::new());
        for area in areas(pid) {
            let mut before = None;
            for vpn in area.start / page()..area.end / page() {
                let entry = pagemap.entry(vpn * page());
                if entry >> 63 == 0 {
                    before = None;
                    continue;
                }
                let pfn = entry & ((1 << 55) - 1);
                offsets.insert(vpn.wrapping_sub(pfn));
                virtual_runs += u64::from(before.is_none());
                match ranges.last_mut() {
                    Some(last) if before.is_some_and(|before| before + 1 == pfn) => *last += 1,
                    _ => ranges.push(1),
                }
                before = Some(pfn);
            }
        }
        ranges.sort_unstable_by(|one, other| other.cmp(one));
        Self {
            present: ranges.iter().sum(),
            ranges,
            virtual_runs,
            offsets: offsets.len() as u64,
        }
    }

    fn of(metrics: &ContiguityMetrics) -> Self {
        let ranges = metrics.ranges.as_ref().unwrap();
        let sizes = ranges.largest(usize::MAX);
        Self {
            present: metrics.present_pages,
            ranges: sizes.into_iter().map(|size| size / page()).collect(),
            virtual_runs: metrics.virtual_runs,
            offsets: metrics.offsets.unwrap(),
        }
    }
}

/// Target with base pages, holes, shared memory, and huge pages that are mapped by a huge
/// entry, by small ones, in part, and at an unaligned address.
fn varied() -> Target {
    let target = Target::spawn(|| {
        let small = memory::anonymous(400 * page());
        memory::touch(small, 60, 3);
        memory::touch(small + 250 * page(), 100, 1);
        memory::read(small + 390 * page(), 5);
        let shared = memory::map(64 * page(), libc::MAP_SHARED, memory::memfd(64 * page()));
        memory::touch(shared, 40, 1);
        // They are half a gigabyte where base pages have 64 KiB.
        if huge() > 64 << 20 {
            return vec![small];
        }
        let large = memory::aligned(5 * huge(), huge());
        memory::advise(large, 5 * huge(), libc::MADV_HUGEPAGE);
        memory::touch(large, 5 * huge() / page(), 1);
        // Small entries map one as a whole from now on, in one mapping again.
        for protection in [libc::PROT_READ, libc::PROT_READ | libc::PROT_WRITE] {
            memory::protect(large + huge(), page(), protection);
        }
        memory::unmap(large + 2 * huge() + 7 * page(), 3 * page());
        // Two mappings have parts of one.
        memory::protect(large + 4 * huge(), page(), libc::PROT_READ);
        // The address of one is not a multiple of its size.
        let other = memory::aligned(3 * huge(), huge());
        memory::move_to(large, huge(), other + 5 * page());
        vec![large]
    });
    target.stop();
    target
}

/// Comparisons until pages of the C library and folios that others split must stand still.
const TIMES: usize = 20;

#[test]
fn translations_are_those_of_each_page_map_entry() {
    if !is_root_or_skip("translations_are_those_of_each_page_map_entry") {
        return;
    }
    let target = varied();
    let process = Process::open(target.pid()).unwrap();
    assert_equal(TIMES, || {
        let ours = Translations::of(&metrics(&process, AddrRange::ALL));
        (ours, Translations::read(target.pid()))
    });
}

#[test]
fn huge_coverage_is_that_of_smaps() {
    let test = "huge_coverage_is_that_of_smaps";
    if !is_root_or_skip(test) || !has_page_scan_or_skip(test) {
        return;
    }
    let target = varied();
    let process = Process::open(target.pid()).unwrap();
    assert_equal(TIMES, || {
        let metrics = metrics(&process, AddrRange::ALL);
        let total = metrics.total_huge_coverage();
        let names = ["AnonHugePages", "ShmemPmdMapped", "FilePmdMapped"];
        let path = format!("/proc/{}/smaps_rollup", target.pid());
        let text = fs::read_to_string(path).unwrap();
        let of = |names: &[&str]| {
            let lines = text.lines().filter_map(|line| line.split_once(':'));
            let lines = lines.filter(|(name, _)| names.contains(name));
            let kib = lines.map(|(_, kib)| kib.trim().trim_end_matches(" kB"));
            kib.map(|kib| kib.parse::<u64>().unwrap() << 10).sum()
        };
        let Some(FolioLayout {
            anonymous, file, ..
        }) = &metrics.folios
        else {
            panic!("flags of all frames are known")
        };
        let theirs: [u64; 4] = [of(&["Rss"]), of(&["Anonymous"]), of(&names), of(&names)];
        let pmd = |folios: &FoliosOfKind| -> u64 {
            folios.aligned.values().map(|of| of.pmd.unwrap()).sum()
        };
        let huge = pmd(anonymous) + pmd(file);
        let ours = [
            total.resident,
            anonymous.resident,
            total.huge.unwrap(),
            huge,
        ];
        (ours, theirs)
    });
}

/// Flags of a frame that cannot change between two readings while it is mapped.
fn flags_of(frames: &File, pfn: u64) -> u64 {
    let mut bytes = [0; 8];
    frames.read_exact_at(&mut bytes, pfn * 8).unwrap();
    u64::from_ne_bytes(bytes)
}

/// Bytes of pages of huge pages that are mapped whole with consecutive addresses, and of
/// others: naive, for folios of PMD size.
#[test]
fn huge_pages_are_aligned_unaligned_or_partial_as_their_pages_say() {
    if !is_root_or_skip("huge_pages_are_aligned_unaligned_or_partial_as_their_pages_say") {
        return;
    }
    const HEAD: u64 = 1 << 15;
    const TAIL: u64 = 1 << 16;
    const THP: u64 = 1 << 22;
    let target = varied();
    let process = Process::open(target.pid()).unwrap();
    let frames = File::open("/proc/kpageflags").unwrap();
    assert_equal(TIMES, || {
        let metrics = metrics(&process, AddrRange::ALL);
        let pagemap = Pagemap::open(target.pid());
        let [mut aligned, mut unaligned, mut partial] =
            [BTreeMap::new(), BTreeMap::new(), BTreeMap::new()];
        for area in areas(target.pid()) {
            let pages: BTreeMap<u64, u64> = (area.start / page()..area.end / page())
                .map(|vpn| (vpn, pagemap.entry(vpn * page())))
                .filter(|(_, entry)| entry >> 63 == 1)
                .map(|(vpn, entry)| (vpn, entry & ((1 << 55) - 1)))
                .collect();
            let mut folio = 0..0;
            for (&vpn, &pfn) in &pages {
                let flags = flags_of(&frames, pfn);
                // The huge zero page is no memory of the process.
                if flags & THP == 0 || flags & 1 << 24 != 0 {
                    continue;
                }
                // Its pages follow one another mostly.
                if !folio.contains(&pfn) {
                    let mut head = pfn;
                    while flags_of(&frames, head) & HEAD == 0 {
                        head -= 1;
                    }
                    let mut end = head + 1;
                    while flags_of(&frames, end) & TAIL != 0 {
                        end += 1;
                    }
                    folio = head..end;
                }
                let (head, end) = (folio.start, folio.end);
                let start = vpn.wrapping_sub(pfn - head);
                let is_whole = (head..end)
                    .all(|frame| pages.get(&start.wrapping_add(frame - head)) == Some(&frame));
                let sums = match (is_whole, start % (end - head) == 0) {
                    (true, true) => &mut aligned,
                    (true, false) => &mut unaligned,
                    (false, _) => &mut partial,
                };
                *sums.entry(end - head).or_default() += page();
            }
        }
        let folios = metrics.folios.unwrap();
        let both = [&folios.anonymous, &folios.file];
        let (mut of_aligned, mut of_unaligned) = (BTreeMap::new(), BTreeMap::new());
        for folios in both {
            for (order, bytes) in &folios.aligned {
                *of_aligned.entry(1 << order).or_default() += bytes.bytes;
            }
            for (order, bytes) in &folios.unaligned {
                *of_unaligned.entry(1 << order).or_default() += *bytes;
            }
        }
        let parts: u64 = both.iter().map(|folios| folios.partial).sum();
        let ours: (BTreeMap<u64, u64>, BTreeMap<u64, u64>, u64) = (of_aligned, of_unaligned, parts);
        (ours, (aligned, unaligned, partial.values().sum()))
    });
}

/// Numbers that thpmaps prints of a process, in bytes, without those that are 0.
fn thpmaps(script: &str, pid: u32) -> BTreeMap<String, u64> {
    let mut command = Command::new(std::env::var("PYTHON").unwrap_or("python3".to_owned()));
    command.arg(script).args(["--rollup", "--inc-empty"]);
    for size in sizes_of_blocks() {
        command.arg("--cont").arg(size.to_string());
    }
    let output = command.args(["--pid", &pid.to_string()]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let line = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let kib: u64 = value.trim().split(' ').next()?.parse().ok()?;
        Some((name.to_owned(), kib << 10))
    };
    let all = text.lines().filter_map(line);
    all.filter(|&(_, bytes)| bytes > 0).collect()
}

fn sizes_of_blocks() -> impl Iterator<Item = u64> {
    (1..=(huge() / page()).ilog2()).map(|order| page() << order)
}

/// Metrics under the names of thpmaps.
fn as_thpmaps(layout: &FolioLayout) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for (kind, folios) in [("anon", &layout.anonymous), ("file", &layout.file)] {
        let mut add = |name: String, bytes: u64| {
            *all.entry(format!("{kind}-{name}")).or_default() += bytes;
        };
        let kib = |order: u32| (page() << order) >> 10;
        // It has PMD-mapped memory in a line of each size.
        let pmd: u64 = folios.aligned.values().filter_map(|of| of.pmd).sum();
        for order in 1..=(huge() / page()).ilog2() {
            add(format!("cont-pmd-aligned-{}kB", kib(order)), pmd);
        }
        add(format!("thp-pmd-aligned-{}kB", huge() >> 10), pmd);
        for (&order, of) in &folios.contiguous {
            add(
                format!("cont-pte-aligned-{}kB", kib(order)),
                of.pte().unwrap(),
            );
        }
        // It does not print folios of two pages.
        for (&order, of) in folios.aligned.iter().filter(|(order, _)| **order > 1) {
            add(
                format!("thp-pte-aligned-{}kB", kib(order)),
                of.pte().unwrap(),
            );
        }
        for (&order, &bytes) in folios.unaligned.iter().filter(|(order, _)| **order > 1) {
            add(format!("thp-pte-unaligned-{}kB", kib(order)), bytes);
        }
        add("thp-pte-partial".to_owned(), folios.partial);
    }
    all.retain(|_, bytes| *bytes > 0);
    all
}

/// The environment names the script: `THPMAPS=linux/tools/mm/thpmaps`, and with `PYTHON` an
/// interpreter that has numpy.
#[test]
fn folios_are_those_of_the_kernels_thpmaps() {
    let test = "folios_are_those_of_the_kernels_thpmaps";
    if !is_root_or_skip(test) {
        return;
    }
    let Ok(script) = std::env::var("THPMAPS") else {
        println!("SKIPPED {test}: THPMAPS is not set to the kernel's tools/mm/thpmaps");
        return;
    };
    let target = varied();
    let process = Process::open(target.pid()).unwrap();
    assert_equal(TIMES, || {
        let metrics = metrics(&process, AddrRange::ALL);
        let ours = as_thpmaps(&metrics.folios.unwrap());
        (ours, thpmaps(&script, target.pid()))
    });
}

#[test]
fn without_privileges_what_needs_no_address_is_known() {
    if !is_root_or_skip("without_privileges_what_needs_no_address_is_known") {
        return;
    }
    let target = Target::spawn(|| {
        // SAFETY: takes no memory; the child is single-threaded.
        unsafe { libc::setuid(65534) };
        // SAFETY: as above; without it the child's files in proc are root's.
        unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) };
        let at = memory::anonymous(100 * page());
        memory::touch(at, 20, 3);
        let Ok(process) = Process::current() else {
            return vec![0];
        };
        let range = AddrRange::new(at, at + 100 * page()).unwrap();
        let metrics = metrics(&process, range);
        let is_unknown = metrics.ranges.is_none() && metrics.offsets.is_none();
        vec![
            metrics.present_pages,
            metrics.virtual_runs,
            u64::from(is_unknown && metrics.folios.is_none()),
            metrics.huge_coverage.len() as u64,
            u64::from(metrics.huge_coverage[0].0 == MappingKind::Anonymous),
        ]
    });
    assert_eq!(target.addresses(), [20, 20, 1, 1, 1]);
}

/// Values of extfrag, in thousandths, by node and zone. The kernel prints -0.5 as `0.-500`.
fn extfrag(path: &Path) -> Option<Vec<(u32, String, Vec<i32>)>> {
    let text = fs::read_to_string(path).ok()?;
    let line = |line: &str| {
        let (node, rest) = line.strip_prefix("Node ")?.split_once(',')?;
        let mut words = rest.split_whitespace().skip(1);
        let zone = words.next()?.to_owned();
        let value = |word: &str| {
            let (whole, rest) = word.split_once('.').unwrap();
            whole.parse::<i32>().unwrap() * 1000 + rest.parse::<i32>().unwrap()
        };
        Some((node.parse().ok()?, zone, words.map(value).collect()))
    };
    Some(text.lines().filter_map(line).collect())
}

/// Debugfs, mounted for as long as this exists if it was not.
struct Debugfs(Option<tempfile::TempDir>);

impl Debugfs {
    fn path(&self) -> &Path {
        self.0
            .as_ref()
            .map_or(Path::new("/sys/kernel/debug"), |own| own.path())
    }

    fn mount() -> Self {
        if Path::new("/sys/kernel/debug/extfrag").exists() {
            return Self(None);
        }
        let own = tempfile::TempDir::new().unwrap();
        let path = c_path(own.path());
        let debugfs = c"debugfs".as_ptr();
        // SAFETY: the texts live until after the call, and debugfs has no data of its own.
        // Whoever may not mount it has no file there.
        unsafe { libc::mount(debugfs, path.as_ptr(), debugfs, 0, std::ptr::null()) };
        Self(Some(own))
    }
}

impl Drop for Debugfs {
    fn drop(&mut self) {
        if let Some(own) = &self.0 {
            let path = c_path(own.path());
            // SAFETY: the text lives until after the call.
            unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
        }
    }
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

#[test]
fn indices_of_free_memory_are_those_of_extfrag() {
    let test = "indices_of_free_memory_are_those_of_extfrag";
    if !is_root_or_skip(test) {
        return;
    }
    let debugfs = Debugfs::mount();
    let folder = debugfs.path().join("extfrag");
    let read = |name| extfrag(&folder.join(name));
    if read("extfrag_index").is_none() {
        println!("SKIPPED {test}: needs extfrag in debugfs (CONFIG_COMPACTION)");
        return;
    }
    // Others allocate and free meanwhile: two equal readings are of one state.
    for _ in 0..1000 {
        let before = FreeBlocks::read_all().unwrap();
        let (unusable, index) = (read("unusable_index"), read("extfrag_index"));
        if FreeBlocks::read_all().unwrap() != before {
            continue;
        }
        let orders = |zone: &FreeBlocks| 0..zone.counts.len() as u32;
        let all = |value: &dyn Fn(&FreeBlocks, u32) -> i32| {
            let zone = |zone: &FreeBlocks| {
                let values = orders(zone).map(|order| value(zone, order)).collect();
                (zone.node, zone.zone.clone(), values)
            };
            before.iter().map(zone).collect::<Vec<_>>()
        };
        let ours = all(&|zone, order| zone.unusable_free_space_thousandths(order) as i32);
        assert_eq!(Some(ours), unusable);
        let ours = all(&|zone, order| zone.fragmentation_index_thousandths(order));
        assert_eq!(Some(ours), index);
        return;
    }
    println!("SKIPPED {test}: the machine never stands still");
}

/// Free pages of zones are those of zoneinfo but for what changed meanwhile.
#[test]
fn free_blocks_have_the_free_pages_of_zoneinfo() {
    let zones = || process_introspection::Zone::read_all().unwrap();
    for _ in 0..1000 {
        let before = zones();
        let blocks = FreeBlocks::read_all().unwrap();
        if zones() != before {
            continue;
        }
        for zone in blocks {
            let of = |other: &&process_introspection::Zone| {
                (other.node, &other.name) == (zone.node, &zone.zone)
            };
            let other = before.iter().find(of).unwrap();
            // nr_free_pages is batched by CPU.
            let difference = zone.free_pages().abs_diff(other.free);
            assert!(difference < 1 << 14, "{zone:?} {other:?}");
        }
        return;
    }
    println!("SKIPPED free_blocks_have_the_free_pages_of_zoneinfo: it never stands still");
}
