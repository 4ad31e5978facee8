//! What is added up is what the kernel adds up: `smaps_rollup`, to the page.

use std::fs;
use std::ops::ControlFlow;
use std::process::Command;

use process_introspection::{
    all_processes, AddrRange, PageClass, PhysicalMap, Process, Summary, SummaryOptions,
    SummaryStep, Usage,
};
use testkit::machine::{is_root_or_skip, HugePages};
use testkit::memory::{self, huge, page};
use testkit::merging::{self, Merging};
use testkit::target::{fork_sharer, Target};

/// What `smaps_rollup` says, in bytes, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rollup(Vec<(String, u64)>);

impl Rollup {
    fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let lines = text.lines().skip(1).filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            let kib: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
            Some((name.to_owned(), kib << 10))
        });
        Some(Self(lines.collect()))
    }

    /// The sum of what has these names.
    fn of(&self, names: &[&str]) -> u64 {
        let named = self.0.iter().filter(|(name, _)| names.contains(&&**name));
        named.map(|(_, bytes)| bytes).sum()
    }

    /// What differs, in words.
    fn differences(&self, summary: &Summary) -> Vec<String> {
        let total = &summary.total;
        let mut ours = vec![
            ("Rss", total.resident, self.of(&["Rss"])),
            ("Pss", total.proportional() >> 10 << 10, self.of(&["Pss"])),
            (
                "USS",
                total.unique,
                self.of(&["Private_Clean", "Private_Dirty"]),
            ),
            ("Swap", total.swap, self.of(&["Swap"])),
            (
                "hugetlb",
                total.hugetlb,
                self.of(&["Private_Hugetlb", "Shared_Hugetlb"]),
            ),
        ];
        if let Some(coverage) = &summary.coverage {
            let theirs = ["AnonHugePages", "ShmemPmdMapped", "FilePmdMapped"];
            ours.push(("huge", coverage.huge, self.of(&theirs)));
        }
        let differing = ours.iter().filter(|(_, ours, theirs)| ours != theirs);
        differing
            .map(|(name, ours, theirs)| format!("{name}: {ours}, the kernel {theirs}"))
            .collect()
    }
}

fn summary(pid: u32) -> Summary {
    let process = Process::open(pid).unwrap();
    process.summary(.., &PhysicalMap::read().unwrap()).unwrap()
}

/// The summary without classes of pages, which reads fewer facts.
fn amounts(pid: u32) -> Summary {
    let process = Process::open(pid).unwrap();
    let map = PhysicalMap::read().unwrap();
    let options = SummaryOptions::new(&map).without_page_classes();
    let summary = process
        .summary_with(&[AddrRange::ALL], &options, |_| ControlFlow::Continue(()))
        .unwrap();
    assert!(!summary.knows_page_classes && summary.pages.is_empty());
    summary
}

/// What differs of both summaries of a process.
fn differences(rollup: &Rollup, whole: &Summary, pid: u32) -> Vec<String> {
    let mut differences = rollup.differences(whole);
    let of_amounts = rollup.differences(&amounts(pid)).into_iter();
    differences.extend(of_amounts.map(|one| format!("without classes: {one}")));
    differences
}

/// What always holds within one summary.
fn check_within(summary: &Summary, name: &str) {
    let mut kinds = Usage::default();
    for (_, usage) in &summary.kinds {
        kinds.add(usage);
    }
    assert_eq!(kinds, summary.total, "{name}: kinds");
    let memory = summary.total.resident + summary.total.hugetlb;
    let of_pages: u64 = summary.pages.iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(of_pages, memory, "{name}: {:?}", summary.pages);
    let coverage = summary.coverage.unwrap();
    assert_eq!(
        coverage.resident(),
        summary.total.resident,
        "{name}: {coverage:?}"
    );
    let contiguity = summary.contiguity.as_ref().unwrap();
    assert_eq!(contiguity.bytes(), memory, "{name}");
    let nodes: u64 = summary.nodes.as_ref().unwrap().values().sum();
    assert_eq!(nodes, memory, "{name}");
    // By kind they add up to the kind, and to the node.
    let of_kinds = summary.nodes_of_kinds.as_ref().unwrap();
    assert_eq!(of_kinds.len(), summary.kinds.len(), "{name}");
    for (nodes, (kind, usage)) in of_kinds.iter().zip(&summary.kinds) {
        let bytes: u64 = nodes.values().sum();
        assert_eq!(bytes, usage.resident + usage.hugetlb, "{name}: {kind:?}");
    }
    for (node, bytes) in summary.nodes.as_ref().unwrap() {
        let of_node = of_kinds.iter().filter_map(|nodes| nodes.get(node));
        assert_eq!(of_node.sum::<u64>(), *bytes, "{name}: node {node:?}");
    }
}

/// Holds a target that stands still against the kernel.
fn reconcile(target: &Target, name: &str) -> Summary {
    target.stop();
    // What comes and goes with others (pages of the C library in a test that
    // starts beside this one) is no difference; nothing of these stays so.
    for _ in 0..100 {
        let before = Rollup::read(target.pid()).unwrap();
        let summary = summary(target.pid());
        let differences = differences(&before, &summary, target.pid());
        if Rollup::read(target.pid()).unwrap() != before {
            continue;
        }
        let shown = format!("/proc/{}/status", target.pid());
        let status = fs::read_to_string(shown).unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
        let size = size.unwrap().trim().strip_suffix(" kB").unwrap();
        assert_eq!(
            summary.total.virt >> 10,
            size.parse::<u64>().unwrap(),
            "{name}"
        );
        if !differences.is_empty() {
            // Between the readings both can have been there for a moment.
            let again = Rollup::read(target.pid()).unwrap();
            assert!(
                again != before || is_passing(target, &differences),
                "{name}: {differences:?}"
            );
            continue;
        }
        check_within(&summary, name);
        return summary;
    }
    panic!("{name}: never stands still");
}

fn differences_of(rollup: &Rollup, pid: u32) -> Vec<String> {
    differences(rollup, &summary(pid), pid)
}

/// Whether a second look finds no such difference: two changes of other
/// processes that cancel each other out between two readings.
fn is_passing(target: &Target, differences: &[String]) -> bool {
    (0..5).any(|_| {
        let before = Rollup::read(target.pid()).unwrap();
        let now = differences_of(&before, target.pid());
        now.is_empty() || now != differences
    })
}

fn kind(summary: &Summary, name: &str) -> Usage {
    let found = summary.kinds.iter().find(|(kind, _)| kind.name() == name);
    found.map(|(_, usage)| *usage).unwrap_or_default()
}

#[test]
fn anonymous_memory_is_what_the_kernel_counts() {
    if !is_root_or_skip("anonymous_memory_is_what_the_kernel_counts") {
        return;
    }
    let target = Target::spawn(|| {
        memory::keep_page_sizes();
        let at = memory::anonymous(300 * page());
        memory::touch(at, 40, 3);
        memory::read(at + 200 * page(), 50);
        vec![at]
    });
    let seen = reconcile(&target, "anonymous");
    let anon = kind(&seen, "anon");
    assert!(
        anon.virt >= 300 * page() && anon.resident >= 40 * page(),
        "{anon:?}"
    );
    assert!(seen.total.zero >= 50 * page(), "{:?}", seen.total);
}

/// Pages that all begin with this, hold zeros else, and may be merged.
fn alike(pages: u64, beginning: u64) -> Target {
    Target::spawn(|| {
        memory::keep_page_sizes();
        vec![merging::alike(pages, beginning)]
    })
}

#[test]
fn merged_pages_are_divided_as_the_kernel_divides_them() {
    let test = "merged_pages_are_divided_as_the_kernel_divides_them";
    if !is_root_or_skip(test) {
        return;
    }
    let Some(running) = Merging::start(false, test) else {
        return;
    };
    const PAGES: u64 = 48;
    let beginning = merging::nobodys();
    let targets = [alike(PAGES, beginning), alike(PAGES, beginning)];
    let ranges = targets.each_ref().map(|target| {
        let at = target.addresses()[0];
        running.wait_until_merged(target.pid(), at, PAGES);
        (target, at..at + PAGES * page())
    });
    let map = PhysicalMap::read().unwrap();
    for (target, range) in ranges {
        reconcile(target, "merged");
        let process = Process::open(target.pid()).unwrap();
        let part = process.summary(range.clone(), &map).unwrap().total;
        assert_eq!(part.resident, PAGES * page());
        // Nobody's own, also where this process maps the frame alone.
        assert_eq!(part.unique, 0);
        // One frame, which the two have in so many places.
        let each = (page() << 12) / (2 * PAGES);
        assert_eq!(part.proportional(), (PAGES * each) >> 12);
    }
}

#[test]
fn pages_of_zeros_that_were_merged_are_the_zero_page() {
    let test = "pages_of_zeros_that_were_merged_are_the_zero_page";
    if !is_root_or_skip(test) {
        return;
    }
    let Some(running) = Merging::start(true, test) else {
        return;
    };
    const PAGES: u64 = 32;
    let target = alike(PAGES, 0);
    let at = target.addresses()[0];
    running.wait_until_merged(target.pid(), at, PAGES);
    reconcile(&target, "merged zeros");
    let process = Process::open(target.pid()).unwrap();
    let range = at..at + PAGES * page();
    let part = process.summary(range, &PhysicalMap::read().unwrap());
    let part = part.unwrap().total;
    assert_eq!((part.zero, part.resident), (PAGES * page(), 0));
}

#[test]
fn memory_that_a_fork_shares_is_divided_among_those_that_have_it() {
    if !is_root_or_skip("memory_that_a_fork_shares_is_divided_among_those_that_have_it") {
        return;
    }
    const PAGES: u64 = 64;
    let target = Target::spawn(|| {
        memory::keep_page_sizes();
        let at = memory::anonymous(PAGES * page());
        memory::touch(at, PAGES, 1);
        let child = fork_sharer(|| memory::touch(at, PAGES / 4, 1));
        // Until the child has its copies.
        for _ in 0..1000 {
            std::thread::sleep(std::time::Duration::from_millis(1));
            let own = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            if own.contains(") S ") {
                break;
            }
        }
        vec![at]
    });
    let seen = reconcile(&target, "fork");
    let range = target.addresses()[0]..target.addresses()[0] + PAGES * page();
    let process = Process::open(target.pid()).unwrap();
    let part = process
        .summary(range, &PhysicalMap::read().unwrap())
        .unwrap();
    // A quarter is its own again, of the rest it has half.
    assert_eq!(part.total.resident, PAGES * page());
    assert_eq!(part.total.unique, PAGES / 4 * page());
    assert_eq!(
        part.total.proportional(),
        (PAGES / 4 + PAGES * 3 / 8) * page()
    );
    assert!(seen.total.unique < seen.total.resident);
}

#[test]
fn files_and_shared_memory_are_what_the_kernel_counts() {
    if !is_root_or_skip("files_and_shared_memory_are_what_the_kernel_counts") {
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), vec![1u8; 100 * page() as usize]).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let target = Target::spawn(|| {
        let fd = memory::open(&path);
        let shared = memory::map(100 * page(), libc::MAP_SHARED, fd);
        memory::read(shared, 60);
        memory::touch(shared, 5, 7);
        let private = memory::map(100 * page(), libc::MAP_PRIVATE, fd);
        memory::read(private, 60);
        memory::touch(private, 20, 2);
        let of_memory = memory::map(80 * page(), libc::MAP_SHARED, memory::memfd(80 * page()));
        memory::touch(of_memory, 40, 1);
        let locked = memory::anonymous(16 * page());
        // SAFETY: a mapping made for this.
        unsafe { libc::mlock(locked as *const _, 16 * page() as usize) };
        vec![shared, private, of_memory]
    });
    let seen = reconcile(&target, "files");
    assert!(kind(&seen, "file").resident >= 120 * page());
    assert_eq!(kind(&seen, "shm").resident, 40 * page());
}

#[test]
fn huge_pages_are_what_the_kernel_counts_and_what_missed_them_has_a_reason() {
    let name = "huge_pages_are_what_the_kernel_counts_and_what_missed_them_has_a_reason";
    if !is_root_or_skip(name) || !testkit::machine::has_page_scan_or_skip(name) {
        return;
    }
    let target = Target::spawn(|| {
        let at = memory::aligned(6 * huge(), huge());
        memory::advise(at, 4 * huge(), libc::MADV_HUGEPAGE);
        for block in 0..4 {
            memory::touch(at + block * huge(), 1, 1);
        }
        // The second is mapped by small entries, of frames that would do.
        memory::protect(at + huge(), page(), libc::PROT_READ);
        memory::protect(at + huge(), page(), libc::PROT_READ | libc::PROT_WRITE);
        // The third has a hole.
        memory::advise(at + 2 * huge(), page(), libc::MADV_DONTNEED);
        memory::advise(at + 4 * huge(), 2 * huge(), libc::MADV_NOHUGEPAGE);
        // Small, and nothing else is in its block.
        memory::touch(at + 5 * huge(), 3, 1);
        vec![at]
    });
    let seen = reconcile(&target, "THP");
    let at = target.addresses()[0];
    let process = Process::open(target.pid()).unwrap();
    let of = |start: u64, blocks: u64| {
        let range = at + start * huge()..at + (start + blocks) * huge();
        let part = process
            .summary(range, &PhysicalMap::read().unwrap())
            .unwrap();
        (part.coverage.unwrap(), part.pages)
    };
    if of(0, 1).0.huge == 0 {
        return eprintln!("SKIPPED the rest of {name}: no huge page to be had");
    }
    assert_eq!(of(0, 1).0.huge, huge());
    assert_eq!(of(0, 1).1, [(PageClass::Folio(huge()), huge())]);
    if of(1, 1).1 == [(PageClass::Folio(huge()), huge())] {
        let (second, _) = of(1, 1);
        assert_eq!(second.huge + second.small_entries, huge(), "{second:?}");
    }
    let (third, _) = of(2, 1);
    if third.huge == 0 {
        assert_eq!(
            (third.resident(), third.holes),
            (huge() - page(), huge() - page())
        );
    } else {
        eprintln!("SKIPPED the hole of {name}: khugepaged has filled it");
    }
    let (sixth, _) = of(5, 1);
    assert_eq!((sixth.resident(), sixth.policy), (3 * page(), 3 * page()));
    assert!(seen.coverage.unwrap().huge >= huge());
}

#[test]
fn hugetlb_is_counted_apart() {
    let name = "hugetlb_is_counted_apart";
    let Some(reserved) = HugePages::reserve(3, name) else {
        return;
    };
    let size = reserved.size();
    let target = Target::spawn(|| {
        let flags = libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
        let private = memory::map(2 * size, libc::MAP_PRIVATE | flags, -1);
        memory::touch(private, 1, 1);
        memory::touch(private + size, 1, 1);
        let shared = memory::map(size, libc::MAP_SHARED | flags, -1);
        memory::touch(shared, 1, 1);
        vec![private, shared]
    });
    let seen = reconcile(&target, "hugetlb");
    assert_eq!(seen.total.hugetlb, 3 * size);
    assert_eq!(kind(&seen, "hugetlb").resident, 0);
    let of_hugetlb: Vec<_> = seen
        .pages
        .iter()
        .filter(|(class, _)| matches!(class, PageClass::HugeTlb(_)))
        .collect();
    assert!(
        matches!(of_hugetlb[..], [(PageClass::HugeTlb(told), bytes)]
            if told.is_none_or(|told| told == size) && *bytes == 3 * size),
        "{of_hugetlb:?}"
    );
}

#[test]
fn swapped_memory_is_what_the_kernel_counts() {
    let name = "swapped_memory_is_what_the_kernel_counts";
    if !is_root_or_skip(name) {
        return;
    }
    let areas = fs::read_to_string("/proc/swaps").unwrap_or_default();
    if areas.lines().count() < 2 {
        return eprintln!("SKIPPED {name}: no swap area");
    }
    const PAGES: u64 = 64;
    let target = Target::spawn(|| {
        let at = memory::anonymous(PAGES * page());
        memory::touch(at, PAGES, 1);
        // MADV_PAGEOUT, Linux 5.4.
        memory::advise(at, PAGES / 2 * page(), 21);
        vec![at]
    });
    let seen = reconcile(&target, "swap");
    assert!(seen.total.swap > 0, "{:?}", seen.total);
}

/// The machine's own processes: what can be compared is what did not change.
#[test]
fn processes_that_stand_still_are_what_the_kernel_counts() {
    let name = "processes_that_stand_still_are_what_the_kernel_counts";
    if !is_root_or_skip(name) {
        return;
    }
    // At least these do.
    let mut still: Vec<_> = (0..3)
        .map(|_| Running(Command::new("sleep").arg("600").spawn().unwrap()))
        .collect();
    still.iter().for_each(Running::wait_until_it_sleeps);
    let map = PhysicalMap::read().unwrap();
    let (mut compared, mut moved) = (0, 0);
    for process in all_processes().unwrap() {
        let (pid, mut differing) = (process.pid(), Vec::new());
        // What differs now and then changed in between and back again.
        for _ in 0..10 {
            let Some(before) = Rollup::read(pid).filter(|rollup| !rollup.0.is_empty()) else {
                break;
            };
            let Ok(opened) = Process::open(&process) else {
                break;
            };
            let Ok(summary) = opened.summary(.., &map) else {
                break;
            };
            if Rollup::read(pid).as_ref() != Some(&before) {
                moved += 1;
                continue;
            }
            differing = before.differences(&summary);
            // The kernel counts shared memory in swap, page tables do not. How
            // many share a page is up to others, who fork meanwhile.
            let own = |one: &String| {
                let others = ["Swap:", "Pss:", "USS:"];
                !others.iter().any(|name| one.starts_with(name))
            };
            differing.retain(own);
            if differing.is_empty() {
                check_within(&summary, &format!("{pid}"));
                compared += 1;
                break;
            }
        }
        assert!(differing.is_empty(), "{pid}: {differing:?}");
    }
    println!("{compared} processes compared, {moved} readings between which something moved");
    assert!(compared >= still.len(), "{compared}");
    still.clear();
}

/// A process that is killed and reaped, also when the test fails.
struct Running(std::process::Child);

impl Running {
    /// Until then it is still being loaded.
    fn wait_until_it_sleeps(&self) {
        let stat = format!("/proc/{}/stat", self.0.id());
        let begun = std::time::Instant::now();
        loop {
            let stat = std::fs::read_to_string(&stat).expect("a process that runs");
            if stat
                .rsplit(") ")
                .next()
                .is_some_and(|rest| rest.starts_with('S'))
            {
                return;
            }
            assert!(begun.elapsed().as_secs() < 60, "{stat}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn mappings_add_up_to_the_whole_and_extents_are_those_of_the_list() {
    if !is_root_or_skip("mappings_add_up_to_the_whole_and_extents_are_those_of_the_list") {
        return;
    }
    let target = Target::spawn(|| {
        let at = memory::anonymous(3000 * page());
        memory::touch(at, 1500, 2);
        vec![at]
    });
    target.stop();
    let process = Process::open(target.pid()).unwrap();
    let (mut total, mut mappings) = (Usage::default(), 0);
    let all = process_introspection::AddrRange::ALL;
    let summary = process
        .summary_of(&[all], &PhysicalMap::read().unwrap(), |step| {
            if let SummaryStep::Mapping(mapping) = step {
                assert_eq!(mapping.usage.virt, mapping.mapping.range.size());
                total.add(&mapping.usage);
                mappings += 1;
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!((total, mappings), (summary.total, summary.mappings));
    assert_eq!(
        mappings,
        process.virtual_regions(..).unwrap().count() as u64
    );
    let start = target.addresses()[0];
    let range = start..start + 3000 * page();
    let extents = process.extents(range.clone()).unwrap().map(Result::unwrap);
    let listed: Vec<_> = extents.filter(|extent| extent.is_ram()).collect();
    let part = process
        .summary(range, &PhysicalMap::read().unwrap())
        .unwrap();
    let contiguity = part.contiguity.unwrap();
    assert_eq!(contiguity.extents(), listed.len() as u64);
    let largest = listed.iter().map(|extent| extent.len()).max();
    assert_eq!(contiguity.largest(1).first().copied(), largest);
}

#[test]
fn without_the_privilege_there_is_what_can_be_known() {
    let name = "without_the_privilege_there_is_what_can_be_known";
    if !is_root_or_skip(name) {
        return;
    }
    let target = Target::spawn(|| {
        let at = memory::anonymous(64 * page());
        memory::touch(at, 32, 1);
        // Looks at itself as nobody.
        // SAFETY: take no memory.
        unsafe {
            libc::setresgid(65534, 65534, 65534);
            libc::setresuid(65534, 65534, 65534);
            libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0);
        }
        let process = Process::current().unwrap();
        let range = at..at + 64 * page();
        let seen = process
            .summary(range, &PhysicalMap::read().unwrap())
            .unwrap();
        vec![
            seen.total.virt,
            seen.total.resident,
            u64::from(seen.knows_addresses || seen.knows_frames),
            u64::from(seen.contiguity.is_some() || seen.nodes.is_some()),
        ]
    });
    assert_eq!(target.addresses(), [64 * page(), 32 * page(), 0, 0]);
}
