//! Settings of huge pages, in directories with the kernel's layout.

use std::fs;

use process_introspection::{AnonymousMode, HugePageActivity, HugePageSettings, SharedMode};

/// Makes a directory with these files below `transparent_hugepage`.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::TempDir::new().unwrap();
    for (name, text) in files {
        let path = dir.path().join("transparent_hugepage").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

/// Returns the settings of a directory with these files.
fn settings(files: &[(&str, &str)]) -> HugePageSettings {
    let dir = directory(files);
    HugePageSettings::read_from(&dir.path().join("transparent_hugepage"), 2 << 20)
}

#[test]
fn a_size_that_inherits_has_the_settings_of_all_sizes() {
    let settings = settings(&[
        ("enabled", "always [madvise] never\n"),
        ("defrag", "always defer defer+madvise [madvise] never\n"),
        (
            "shmem_enabled",
            "always within_size advise [never] deny force\n",
        ),
        ("use_zero_page", "1\n"),
        ("khugepaged/max_ptes_none", "511\n"),
        (
            "hugepages-2048kB/enabled",
            "always [inherit] madvise never\n",
        ),
        (
            "hugepages-2048kB/shmem_enabled",
            "always [inherit] within_size advise never\n",
        ),
        // Setting of another size.
        ("hugepages-64kB/enabled", "[always] inherit madvise never\n"),
    ]);
    assert_eq!(settings.available, Some(true));
    assert_eq!(settings.anonymous(), Some(AnonymousMode::Madvise));
    assert_eq!(
        settings.anonymous_setting().as_deref(),
        Some("enabled=madvise")
    );
    assert_eq!(
        settings.shared_setting().as_deref(),
        Some("shmem_enabled=never")
    );
    assert_eq!(settings.defrag.as_deref(), Some("madvise"));
    assert_eq!(
        (settings.use_zero_page, settings.max_ptes_none),
        (Some(true), Some(511))
    );
    assert_eq!(settings.max_ptes_swap, None);
}

#[test]
fn the_setting_of_the_size_is_the_one_that_holds() {
    let settings = settings(&[
        ("enabled", "[always] madvise never\n"),
        (
            "shmem_enabled",
            "[always] within_size advise never deny force\n",
        ),
        (
            "hugepages-2048kB/enabled",
            "always inherit madvise [never]\n",
        ),
        (
            "hugepages-2048kB/shmem_enabled",
            "always inherit within_size [advise] never\n",
        ),
    ]);
    assert_eq!(settings.anonymous(), Some(AnonymousMode::Never));
    let setting = settings.anonymous_setting();
    assert_eq!(setting.as_deref(), Some("hugepages-2048kB/enabled=never"));
    assert_eq!(settings.shared(), Some(SharedMode::Advise));
    let setting = settings.shared_setting();
    assert_eq!(
        setting.as_deref(),
        Some("hugepages-2048kB/shmem_enabled=advise")
    );
}

#[test]
fn a_kernel_without_huge_pages_and_a_machine_without_sysfs_are_two_things() {
    let dir = tempfile::TempDir::new().unwrap();
    let of = |path: &str| HugePageSettings::read_from(&dir.path().join(path), 2 << 20);
    assert_eq!(of("transparent_hugepage").available, Some(false));
    assert_eq!(of("mm/transparent_hugepage").available, None);
}

#[test]
fn khugepaged_and_sizes_are_read_by_the_names_that_a_kernel_has() {
    let dir = directory(&[
        ("khugepaged/defrag", "0\n"),
        ("khugepaged/pages_to_scan", "4096\n"),
        ("khugepaged/scan_sleep_millisecs", "10000\n"),
        ("khugepaged/pages_collapsed", "7\n"),
        (
            "hugepages-2048kB/enabled",
            "always [inherit] madvise never\n",
        ),
        (
            "hugepages-2048kB/shmem_enabled",
            "always inherit within_size [advise] never\n",
        ),
        ("hugepages-2048kB/stats/swpout", "3\n"),
        ("hugepages-2048kB/stats/a_new_one", "5\n"),
        ("hugepages-64kB/enabled", "always inherit madvise [never]\n"),
        ("hugepages-xkB/enabled", "[always]\n"),
        (
            "vmstat",
            "nr_free_pages 5\nthp_fault_alloc 6\nthp_zero_page_alloc 1\n",
        ),
    ]);
    let thp = dir.path().join("transparent_hugepage");
    let activity = HugePageActivity::read_from(&thp, &thp.join("vmstat"));
    let khugepaged = &activity.khugepaged;
    assert_eq!(khugepaged.defrag, Some(false));
    assert_eq!(khugepaged.pages_to_scan, Some(4096));
    assert_eq!(khugepaged.scan_sleep_ms, Some(10_000));
    assert_eq!(khugepaged.pages_collapsed, Some(7));
    assert_eq!(
        (khugepaged.alloc_sleep_ms, khugepaged.full_scans),
        (None, None)
    );
    let [small, large] = &activity.sizes[..] else {
        panic!("{:?}", activity.sizes)
    };
    assert_eq!((small.size, large.size), (64 << 10, 2 << 20));
    assert_eq!(small.enabled.as_deref(), Some("never"));
    assert_eq!(
        (&small.shmem_enabled, &small.statistics[..]),
        (&None, &[][..])
    );
    assert_eq!(large.enabled.as_deref(), Some("inherit"));
    assert_eq!(large.shmem_enabled.as_deref(), Some("advise"));
    let named = |name: &str, number| (name.to_owned(), number);
    assert_eq!(
        large.statistics,
        [named("a_new_one", 5), named("swpout", 3)]
    );
    let events = [named("thp_fault_alloc", 6), named("thp_zero_page_alloc", 1)];
    assert_eq!(activity.events, events);
    let none = HugePageActivity::read_from(&dir.path().join("none"), &dir.path().join("none"));
    assert_eq!(none, HugePageActivity::default());
}

/// Every file of this machine is read, and has the number that it has before or after.
#[test]
fn settings_and_statistics_of_this_machine_are_those_of_its_files() {
    let read = |path: &str| {
        let path = format!("/sys/kernel/mm/transparent_hugepage/{path}");
        fs::read_to_string(path).ok()?.trim().parse::<u64>().ok()
    };
    for _ in 0..100 {
        let before = HugePageActivity::read();
        let khugepaged = before.khugepaged;
        let theirs = [
            read("khugepaged/defrag"),
            read("khugepaged/pages_to_scan"),
            read("khugepaged/scan_sleep_millisecs"),
            read("khugepaged/alloc_sleep_millisecs"),
            read("khugepaged/pages_collapsed"),
            read("khugepaged/full_scans"),
        ];
        let mut statistics = Vec::new();
        for size in &before.sizes {
            let folder = format!("hugepages-{}kB/stats", size.size >> 10);
            let path = format!("/sys/kernel/mm/transparent_hugepage/{folder}");
            let files = fs::read_dir(path).into_iter().flatten().count();
            assert_eq!(files, size.statistics.len());
            for (name, _) in &size.statistics {
                statistics.push(read(&format!("{folder}/{name}")).unwrap());
            }
        }
        let vmstat = fs::read_to_string("/proc/vmstat").unwrap();
        let events: Vec<_> = vmstat
            .lines()
            .filter(|line| line.starts_with("thp_"))
            .map(str::to_owned)
            .collect();
        if HugePageActivity::read() != before {
            continue;
        }
        let ours = [
            khugepaged.defrag.map(u64::from),
            khugepaged.pages_to_scan,
            khugepaged.scan_sleep_ms,
            khugepaged.alloc_sleep_ms,
            khugepaged.pages_collapsed,
            khugepaged.full_scans,
        ];
        assert_eq!(ours, theirs);
        let of_sizes = before.sizes.iter().flat_map(|size| &size.statistics);
        assert!(of_sizes.map(|(_, number)| *number).eq(statistics));
        let ours = before.events.iter();
        assert!(ours
            .map(|(name, number)| format!("{name} {number}"))
            .eq(events));
        return;
    }
    println!("SKIPPED settings_and_statistics_of_this_machine_are_those_of_its_files: they change");
}
