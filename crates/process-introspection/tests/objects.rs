//! What is mapped: names of every sort, kinds, linked addresses, the bytes
//! themselves.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use process_introspection::{MappingKind, Process};
use testkit::machine::is_root_or_skip;
use testkit::memory::{self, page};
use testkit::target::Target;

/// Maps one page of a file in a target and gives what it is named there, by
/// the ioctl and by the text.
fn names(path: &std::path::Path, unlink: bool) -> [Vec<u8>; 2] {
    fs::write(path, vec![7; 5000]).unwrap();
    let file = fs::File::open(path).unwrap();
    let target = Target::spawn(|| {
        let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
        vec![memory::try_map(page(), libc::PROT_READ, libc::MAP_PRIVATE, fd, 0).unwrap()]
    });
    if unlink {
        fs::remove_file(path).unwrap();
    }
    [false, true].map(|text| {
        let process = Process::open(target.pid()).unwrap();
        process.as_core().disable_features(text, false);
        let object = process.object_at(target.addresses()[0]).unwrap().unwrap();
        assert_eq!(object.mapping.kind(), MappingKind::File);
        assert_eq!(object.linked_address, None);
        object.mapping.name().as_bytes().to_vec()
    })
}

#[test]
fn names_are_bytes_and_the_same_by_ioctl_and_text() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().canonicalize().unwrap();
    for name in [
        &b"plain"[..],
        b"with space",
        b" leading and trailing ",
        b"new\nline",
        b"tab\tand\\backslash",
        b"not \xff\xfe utf-8",
        b"quote\"s'",
        b"\x1b[31mred",
    ] {
        let path = directory.join(OsStr::from_bytes(name));
        let expected = path.as_os_str().as_bytes().to_vec();
        assert_eq!(
            names(&path, false),
            [expected.clone(), expected],
            "{}",
            name.escape_ascii()
        );
    }
}

#[test]
fn a_deleted_file_keeps_its_name_with_the_kernels_remark() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap().join("gone");
    let expected = [path.as_os_str().as_bytes(), b" (deleted)"].concat();
    assert_eq!(names(&path, true), [expected.clone(), expected]);
}

#[test]
fn a_path_of_more_than_four_kibibytes_is_given_whole() {
    // The kernel fails a whole query for a name over 4095 bytes.
    let directory = tempfile::tempdir().unwrap();
    let start = directory.path().canonicalize().unwrap();
    let expected = start.as_os_str().as_bytes().to_vec();
    let target = Target::spawn(|| {
        std::env::set_current_dir(&start).unwrap();
        let part = "d".repeat(250);
        for _ in 0..20 {
            fs::create_dir(&part).unwrap();
            std::env::set_current_dir(&part).unwrap();
        }
        fs::write("file", vec![1; 5000]).unwrap();
        let file = fs::File::open("file").unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
        vec![memory::try_map(page(), libc::PROT_READ, libc::MAP_PRIVATE, fd, 0).unwrap()]
    });
    let expected = [
        expected,
        format!("/{}", "d".repeat(250)).repeat(20).into_bytes(),
        b"/file".to_vec(),
    ]
    .concat();
    for text in [false, true] {
        let process = Process::open(target.pid()).unwrap();
        process.as_core().disable_features(text, false);
        let address = target.addresses()[0];
        let mapping = process
            .virtual_regions(address..=address)
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        // Through tmpfs and overlays the kernel itself may give up on such paths.
        assert_eq!(
            mapping.name().as_bytes().len(),
            expected.len(),
            "text: {text}"
        );
        assert_eq!(mapping.name().as_bytes(), expected);
    }
}

#[test]
fn mappings_of_every_kind_are_told_apart() {
    let target = Target::spawn(|| {
        let shm = memory::map(page(), libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1);
        let memfd = memory::map(page(), libc::MAP_SHARED, memory::memfd(page()));
        let zero = memory::map(page(), libc::MAP_PRIVATE, memory::open("/dev/zero"));
        let anonymous = memory::anonymous(page());
        vec![anonymous, shm, memfd, zero]
    });
    let process = Process::open(target.pid()).unwrap();
    let kind = |address| {
        process
            .virtual_regions(address..=address)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .kind()
    };
    let [anonymous, shm, memfd, zero] = *target.addresses() else {
        panic!()
    };
    assert_eq!(kind(anonymous), MappingKind::Anonymous);
    assert_eq!(kind(shm), MappingKind::SharedMemory);
    assert_eq!(kind(memfd), MappingKind::SharedMemory);
    assert_eq!(kind(zero), MappingKind::Anonymous);
    let kinds: Vec<_> = process
        .virtual_regions(..)
        .unwrap()
        .map(|mapping| mapping.unwrap())
        .map(|mapping| {
            (
                mapping.kind(),
                mapping.name().to_string_lossy().into_owned(),
            )
        })
        .collect();
    let named = |name: &str| {
        kinds
            .iter()
            .find(|(_, other)| other == name)
            .map(|(kind, _)| *kind)
    };
    assert_eq!(named("[stack]"), Some(MappingKind::Stack));
    assert_eq!(named("[heap]"), Some(MappingKind::Heap));
    assert_eq!(named("[vdso]"), Some(MappingKind::Vdso));
    assert_eq!(named("[vvar]"), Some(MappingKind::Vvar));
    let this = std::env::current_exe()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    assert_eq!(named(&this), Some(MappingKind::Elf));
    // None in a static program.
    let libc = kinds.iter().find(|(_, name)| name.contains("libc.so"));
    assert!(
        libc.is_none_or(|(kind, _)| *kind == MappingKind::Elf),
        "{libc:?}"
    );
}

/// A function whose linked address its own file knows.
fn landmark() {}

#[test]
fn an_executables_linked_address_is_less_by_the_load_offset() {
    let process = Process::current().unwrap();
    let address = landmark as fn() as usize as u64;
    let object = process.object_at(address).unwrap().unwrap();
    let this = std::env::current_exe().unwrap();
    assert_eq!(object.mapping.name().as_path(), Some(this.as_path()));
    // The first mapping of a position-independent executable begins at its
    // load offset, having been linked to 0.
    let first = process
        .virtual_regions(..)
        .unwrap()
        .map(|mapping| mapping.unwrap())
        .find(|mapping| mapping.inode == object.mapping.inode && mapping.offset == 0)
        .unwrap();
    // Others are where they were linked to (elf(5): e_type, ET_EXEC is 2).
    let header = fs::read(&this).unwrap();
    let offset = match u16::from_ne_bytes([header[16], header[17]]) {
        2 => 0,
        _ => first.range.start().as_u64(),
    };
    assert_eq!(
        object.linked_address.map(|linked| linked.as_u64()),
        Some(address - offset)
    );
    assert_eq!(
        object.offset(),
        object.mapping.offset + (address - object.mapping.range.start().as_u64())
    );
}

#[test]
fn nothing_is_mapped_where_there_is_no_object() {
    let target = Target::spawn(|| vec![memory::anonymous(page())]);
    let process = Process::open(target.pid()).unwrap();
    assert_eq!(process.object_at(target.addresses()[0]).unwrap(), None);
    assert_eq!(process.object_at(0x1000).unwrap(), None);
    assert_eq!(process.object_at(u64::MAX).unwrap(), None);
}

#[test]
fn memory_is_copied_whole_or_not_at_all() {
    let target = Target::spawn(|| {
        let at = memory::anonymous(4 * page());
        memory::touch(at, 4, 1);
        memory::protect(at + page(), page(), libc::PROT_NONE);
        memory::unmap(at + 3 * page(), page());
        vec![at]
    });
    let at = target.addresses()[0];
    let process = Process::open(target.pid()).unwrap();
    let mut bytes = vec![0xaa; 2 * page() as usize];
    // What the process itself may not read, nobody may on kernels that are built
    // or started so (fs/proc/base.c, `proc_mem_foll_force`, Linux 6.12).
    let memory = fs::File::open(format!("/proc/{}/mem", target.pid())).unwrap();
    let forced = memory.read_exact_at(&mut [0], at + page());
    match process.read_memory(at + page() / 2, &mut bytes) {
        Ok(()) => assert_eq!(
            bytes[page() as usize / 2],
            1,
            "what the target wrote to its second page"
        ),
        Err(error) => assert!(error.is_not_mapped() && forced.is_err(), "{error}"),
    }
    assert!(process
        .read_memory(at + 2 * page(), &mut bytes)
        .unwrap_err()
        .is_not_mapped());
    for nowhere in [0, 0x1000, i64::MAX as u64, u64::MAX - 8, u64::MAX] {
        assert!(
            process
                .read_memory(nowhere, &mut bytes)
                .unwrap_err()
                .is_not_mapped(),
            "{nowhere:#x}"
        );
        assert!(process
            .read_memory(nowhere, &mut [])
            .unwrap_err()
            .is_not_mapped());
    }
    process.read_memory(at, &mut []).unwrap();
}

#[test]
fn extents_are_exact_to_the_byte_and_merged_across_mappings() {
    if !is_root_or_skip("extents") {
        return;
    }
    let huge = memory::huge();
    let target = Target::spawn(|| {
        let at = memory::aligned(huge, huge);
        memory::advise(at, huge, libc::MADV_HUGEPAGE);
        memory::touch(at, 1, 1);
        // Two mappings, one piece of memory.
        memory::protect(at + huge / 2, huge / 2, libc::PROT_READ);
        vec![at]
    });
    let at = target.addresses()[0];
    let process = Process::open(target.pid()).unwrap();
    assert_eq!(process.virtual_regions(at..at + huge).unwrap().count(), 2);
    let extents: Vec<_> = process
        .extents(at + 10..at + huge - 3)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let [extent] = extents[..] else {
        panic!("{extents:?}")
    };
    assert_eq!(
        (extent.virt.start().as_u64(), extent.len()),
        (at + 10, huge - 13)
    );
    assert!(extent.is_ram());
    assert_eq!(extent.phys(), process.physical_address(at + 10).unwrap());
    assert_eq!(process.extents(at..at).unwrap().count(), 0);
}

#[test]
fn extents_tile_the_range_with_what_is_missing() {
    use process_introspection::{Backing, ExtentBacking};
    if !is_root_or_skip("extents with holes") {
        return;
    }
    let target = Target::spawn(|| {
        let at = memory::anonymous(8 * page());
        memory::touch(at, 1, 1);
        memory::read(at + 2 * page(), 2);
        memory::unmap(at + 5 * page(), page());
        memory::touch(at + 6 * page(), 1, 1);
        vec![at]
    });
    let at = target.addresses()[0];
    let process = Process::open(target.pid()).unwrap();
    let extents: Vec<_> = process
        .extents(at + 1..at + 7 * page())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let shapes: Vec<_> = extents
        .iter()
        .map(|extent| {
            let kind = match extent.backing {
                ExtentBacking::Ram(_) => 'r',
                ExtentBacking::Zero(_) => 'z',
                ExtentBacking::Missing(Backing::NotPresent) => 'n',
                ExtentBacking::Unmapped => 'u',
                _ => '?',
            };
            (kind, extent.virt.start().as_u64() - at, extent.len())
        })
        .collect();
    let page = page();
    assert_eq!(
        shapes,
        [
            ('r', 1, page - 1),
            ('n', page, page),
            ('z', 2 * page, 2 * page),
            ('n', 4 * page, page),
            ('u', 5 * page, page),
            ('r', 6 * page, page)
        ]
    );
}
