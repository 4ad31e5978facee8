//! Settings of huge pages, in directories with the kernel's layout.

use std::fs;

use process_introspection::{AnonymousMode, HugePageSettings, SharedMode};

/// Returns the settings of a directory with these files.
fn settings(files: &[(&str, &str)]) -> HugePageSettings {
    let dir = tempfile::TempDir::new().unwrap();
    let thp = dir.path().join("transparent_hugepage");
    for (name, text) in files {
        let path = thp.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    HugePageSettings::read_from(&thp, 2 << 20)
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
