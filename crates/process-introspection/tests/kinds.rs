//! Every kind of mapping, with a target that really has it, told by the ioctl
//! and by the text alike.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

use process_introspection::{Backing, MappingKind, Process, QnxFlags};
use testkit::machine::{is_root_or_skip, HugePages};
use testkit::memory::{self, page};
use testkit::objects;
use testkit::target::Target;

/// The kind of what is mapped at an address of this process, by each source.
fn kinds_of(pid: u32, address: u64) -> [MappingKind; 2] {
    [false, true].map(|text| {
        let process = Process::open(pid).unwrap();
        process.as_core().disable_features(text, false);
        kind_at(&process, address)
    })
}

fn kind_at(process: &Process, address: u64) -> MappingKind {
    let mut regions = process.virtual_regions(address..=address).unwrap();
    regions.next().unwrap().unwrap().kind()
}

/// Checks the kind of what `make` maps in a target; skipped if that fails.
fn check(what: &str, expected: MappingKind, make: impl FnOnce() -> io::Result<u64>) {
    let target = Target::spawn(|| match make() {
        Ok(address) => vec![address],
        Err(error) => {
            eprintln!("SKIPPED {what}: this machine refuses it: {error}");
            vec![]
        }
    });
    if let [address] = *target.addresses() {
        assert_eq!(kinds_of(target.pid(), address), [expected; 2], "{what}");
        if matches!(expected, MappingKind::Special | MappingKind::DmaBuf) {
            is_in_memory_or_unknown(what, target.pid(), address);
        }
    }
}

/// What is mapped is there, if perhaps as frames that the page map leaves out.
fn is_in_memory_or_unknown(what: &str, pid: u32, address: u64) {
    if !is_root_or_skip("the frames of what the kernel maps") {
        return;
    }
    let process = Process::open(pid).unwrap();
    let mut regions = process.physical_regions(address..=address).unwrap();
    let backing = regions.next().unwrap().unwrap().backing;
    eprintln!("{what}: {backing:?}");
    let known = matches!(backing, Backing::Ram(_) | Backing::Unknown(_));
    assert!(known, "{what}: {backing:?}");
}

fn map_file(path: &Path, flags: i32) -> io::Result<u64> {
    let file = fs::File::open(path)?;
    memory::try_map(page(), libc::PROT_READ, flags, file.as_raw_fd(), 0)
}

#[test]
fn memory_that_processes_share_is_shared_memory() {
    let shared = MappingKind::SharedMemory;
    check("shared anonymous", shared, || {
        Ok(memory::map(
            page(),
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
        ))
    });
    check("memfd", shared, || {
        Ok(memory::map(page(), libc::MAP_SHARED, memory::memfd(page())))
    });
    check("System V", shared, || objects::system_v(page(), 0));
    check("memfd_secret", shared, objects::secret);
}

/// A directory in tmpfs, if this machine has one.
fn in_memory(what: &str) -> Option<tempfile::TempDir> {
    let directory = tempfile::tempdir_in("/dev/shm").ok();
    if directory.is_none() {
        eprintln!("SKIPPED {what}: no /dev/shm");
    }
    directory
}

#[test]
fn a_file_in_tmpfs_is_shared_memory_unless_it_is_elf() {
    let Some(directory) = in_memory("a file in tmpfs") else {
        return;
    };
    let file = directory.path().join("file");
    fs::write(&file, vec![1; 5000]).unwrap();
    check("tmpfs", MappingKind::SharedMemory, || {
        map_file(&file, libc::MAP_SHARED)
    });
    check("tmpfs, private", MappingKind::SharedMemory, || {
        map_file(&file, libc::MAP_PRIVATE)
    });
    let library = directory.path().join("library");
    fs::copy("/proc/self/exe", &library).unwrap();
    check("ELF in tmpfs", MappingKind::Elf, || {
        map_file(&library, libc::MAP_PRIVATE)
    });
}

#[test]
fn a_file_in_a_tmpfs_anywhere_is_shared_memory() {
    if !is_root_or_skip("a tmpfs of its own") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = std::ffi::CString::new(directory.path().to_str().unwrap()).unwrap();
    // In a mount namespace of the target's: it ends with the target.
    check("a tmpfs of its own", MappingKind::SharedMemory, || {
        // SAFETY: NUL-terminated strings or none.
        let mounted = unsafe {
            let (none, tmpfs) = (std::ptr::null(), c"tmpfs".as_ptr());
            libc::unshare(libc::CLONE_NEWNS) == 0
                && libc::mount(
                    none,
                    c"/".as_ptr(),
                    none,
                    libc::MS_REC | libc::MS_PRIVATE,
                    none.cast(),
                ) == 0
                && libc::mount(tmpfs, at.as_ptr(), tmpfs, 0, none.cast()) == 0
        };
        if !mounted {
            return Err(io::Error::last_os_error());
        }
        let file = directory.path().join("file");
        fs::write(&file, vec![1; 5000])?;
        map_file(&file, libc::MAP_PRIVATE)
    });
}

#[test]
fn memory_of_huge_pages_is_hugetlb_by_either_source() {
    let Some(_reserved) = HugePages::reserve(3, "hugetlb") else {
        return;
    };
    let (huge, kind) = (2 << 20, MappingKind::HugeTlb);
    let flags = libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
    for sharing in [libc::MAP_PRIVATE, libc::MAP_SHARED] {
        check("MAP_HUGETLB", kind, || {
            memory::try_map(huge, libc::PROT_READ, flags | sharing, -1, 0)
        });
    }
    check("SHM_HUGETLB", kind, || {
        objects::system_v(huge, libc::SHM_HUGETLB)
    });
    check("MFD_HUGETLB", kind, || {
        // SAFETY: a NUL-terminated name.
        let fd = unsafe { libc::memfd_create(c"testkit".as_ptr(), libc::MFD_HUGETLB) };
        // SAFETY: takes no memory.
        unsafe { libc::ftruncate(fd, huge as libc::off_t) };
        memory::try_map(huge, libc::PROT_READ, libc::MAP_SHARED, fd, 0)
    });
}

#[test]
fn rings_and_maps_of_the_kernel_are_special() {
    check("io_uring", MappingKind::Special, objects::io_uring);
    check("perf event", MappingKind::Special, objects::perf_event);
    check("aio", MappingKind::Special, objects::aio_ring);
    check("BPF array", MappingKind::Special, objects::bpf_array);
}

#[test]
fn a_buffer_that_drivers_share_is_a_dma_buf() {
    check("dma-buf", MappingKind::DmaBuf, objects::dma_buf);
}

#[test]
fn a_file_of_sysfs_is_a_devices() {
    check("sysfs", MappingKind::Device, || {
        map_file(Path::new("/sys/kernel/btf/vmlinux"), libc::MAP_PRIVATE)
    });
}

#[test]
fn anonymous_memory_keeps_the_name_that_it_was_given() {
    let name = "any name";
    let target = Target::spawn(|| {
        let at = memory::anonymous(2 * page());
        let named = objects::name_anonymous(at, page(), name).is_ok();
        let stack = objects::name_anonymous(at + page(), page(), "stack_and_tls:12").is_ok();
        if named && stack {
            vec![at]
        } else {
            vec![]
        }
    });
    let [at] = *target.addresses() else {
        return eprintln!("SKIPPED names of anonymous memory: this kernel has none");
    };
    assert_eq!(kinds_of(target.pid(), at), [MappingKind::Anonymous; 2]);
    assert_eq!(
        kinds_of(target.pid(), at + page()),
        [MappingKind::ThreadStack; 2]
    );
    let process = Process::open(target.pid()).unwrap();
    let mapping = process
        .virtual_regions(at..=at)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(mapping.name().as_bytes(), b"[anon:any name]");
    assert_eq!(mapping.name().given(), Some(name.as_bytes()));
}

#[test]
fn a_file_is_elf_by_its_header_whatever_its_name_and_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("libc.so.6"), "no library\n").unwrap();
    let target = Target::spawn(|| {
        for name in ["plain", "deleted", "replaced"] {
            fs::copy("/proc/self/exe", path(name)).unwrap();
        }
        ["plain", "deleted", "replaced", "libc.so.6"]
            .map(|name| map_file(&path(name), libc::MAP_PRIVATE).unwrap())
            .to_vec()
    });
    fs::remove_file(path("deleted")).unwrap();
    fs::write(path("new"), "no library\n").unwrap();
    fs::rename(path("new"), path("replaced")).unwrap();
    let kinds: Vec<_> = target
        .addresses()
        .iter()
        .map(|&address| kinds_of(target.pid(), address))
        .collect();
    let (elf, no_library) = ([MappingKind::Elf; 2], kinds[3]);
    assert_eq!(kinds[0], elf);
    if is_root_or_skip("the header of a deleted file") {
        assert_eq!(kinds[1..3], [elf, elf]);
    }
    assert!(!no_library.contains(&MappingKind::Elf), "{no_library:?}");
}

const PAGES: usize = 8;
/// In the test's own .bss, at least seven whole base pages of 64 KiB.
static ZEROED: [AtomicU8; PAGES << 16] = [const { AtomicU8::new(0) }; PAGES << 16];

fn zeroed_page(index: u64) -> u64 {
    let start = (ZEROED.as_ptr() as u64).next_multiple_of(page());
    start + index * page()
}

/// The kinds of the pages of .bss, from whole walks.
fn kinds_of_zeroed(process: &Process) -> Vec<MappingKind> {
    let mappings: Vec<_> = process
        .virtual_regions(..)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let of = |address: u64| {
        let mut mappings = mappings.iter();
        mappings
            .find(|mapping| mapping.range.contains(address.into()))
            .unwrap()
            .kind()
    };
    (0..5).map(|index| of(zeroed_page(index))).collect()
}

#[test]
fn zeroed_memory_behind_an_executables_data_is_elf_wherever_a_walk_begins() {
    ZEROED[0].store(1, Ordering::Relaxed);
    // In five areas: two that are read-only, between others.
    let target = Target::spawn(|| {
        for index in [1, 3] {
            memory::protect(zeroed_page(index), page(), libc::PROT_READ);
        }
        let apart = memory::anonymous(page());
        vec![apart]
    });
    let elf = MappingKind::Elf;
    // The fifth area is one too many.
    let expected = [elf, elf, elf, elf, MappingKind::Anonymous];
    for text in [false, true] {
        let process = Process::open(target.pid()).unwrap();
        process.as_core().disable_features(text, false);
        assert_eq!(kinds_of_zeroed(&process), expected, "text: {text}");
        for (index, expected) in expected.into_iter().enumerate() {
            let address = zeroed_page(index as u64);
            assert_eq!(
                kind_at(&process, address),
                expected,
                "text: {text}, {index}"
            );
            let mut resident = process.resident_regions(address..=address).unwrap();
            let mapping = resident.next().unwrap().unwrap().mapping;
            assert_eq!(mapping.kind(), expected, "text: {text}, {index}");
            assert!(mapping.name().is_empty());
        }
        assert_eq!(
            kind_at(&process, target.addresses()[0]),
            MappingKind::Anonymous
        );
    }
}

#[test]
fn the_flag_of_executables_and_libraries_is_of_their_files_mappings() {
    ZEROED[0].store(1, Ordering::Relaxed);
    const ELF: QnxFlags = QnxFlags::from_bits(0x20);
    const ANON: QnxFlags = QnxFlags::from_bits(0x80000);
    let process = Process::current().unwrap();
    let flags = |address: u64| {
        let mut regions = process.virtual_regions(address..=address).unwrap();
        regions.next().unwrap().unwrap().flags() & (ELF | ANON)
    };
    assert_eq!(kind_at(&process, zeroed_page(1)), MappingKind::Elf);
    assert_eq!(flags(zeroed_page(1)), ANON);
    assert_eq!(flags(kinds_of as fn(u32, u64) -> _ as usize as u64), ELF);
}

/// Kinds as a target can report them.
fn reported(kind: MappingKind) -> u64 {
    MappingKind::ALL
        .iter()
        .position(|other| *other == kind)
        .unwrap() as u64
}

#[test]
fn kinds_that_names_tell_are_told_without_privilege() {
    // SAFETY: takes no memory.
    let root = unsafe { libc::geteuid() } == 0;
    let target = Target::spawn(|| {
        let made = [
            Ok(memory::map(
                page(),
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
            )),
            Ok(memory::map(page(), libc::MAP_SHARED, memory::memfd(page()))),
            objects::system_v(page(), 0),
            objects::aio_ring(),
        ];
        // SAFETY: takes no memory. A process that has changed its user is not
        // dumpable, and could not open its own files.
        unsafe {
            if root {
                assert_eq!(libc::setresuid(65534, 65534, 65534), 0);
            }
            libc::prctl(libc::PR_SET_DUMPABLE, 1);
        }
        let process = Process::current().unwrap();
        // The build's directory need not be open to everybody.
        let exe = std::env::current_exe().and_then(fs::File::open);
        made.into_iter()
            .chain([exe.map(|_| zeroed_page(1))])
            .map(|made| match made {
                Ok(address) => reported(kind_at(&process, address)),
                Err(_) => u64::MAX,
            })
            .collect()
    });
    let expected = [
        MappingKind::SharedMemory,
        MappingKind::SharedMemory,
        MappingKind::SharedMemory,
        MappingKind::Special,
        MappingKind::Elf,
    ];
    for (told, expected) in target.addresses().iter().zip(expected) {
        if *told == u64::MAX {
            eprintln!("SKIPPED one without privilege: {expected:?}");
            continue;
        }
        assert_eq!(*told, reported(expected), "{expected:?}");
    }
}

/// A target with a second thread: an address in that one's stack, and one of
/// memory that is nobody's stack.
fn with_thread(run: fn()) -> Target {
    Target::spawn_reporting(|report| {
        let other = memory::anonymous(page());
        memory::touch(other, 1, 1);
        let (send, receive) = std::sync::mpsc::channel();
        testkit::thread::start(move || {
            let local = 1u64;
            send.send(&raw const local as u64).unwrap();
            run();
        });
        report.send(&[receive.recv().unwrap(), other]);
        report.wait();
    })
}

fn sleep() {
    std::thread::sleep(std::time::Duration::from_secs(3600));
}

#[test]
fn a_threads_stack_is_told_by_its_stack_pointer_for_those_who_ask() {
    const STACK: QnxFlags = QnxFlags::from_bits(0x1000);
    let target = with_thread(sleep);
    let process = Process::open(target.pid()).unwrap();
    let at = |address: u64| {
        let mut regions = process.virtual_regions(address..=address).unwrap();
        regions.next().unwrap().unwrap()
    };
    let [local, other] = *target.addresses() else {
        panic!()
    };
    // The thread may not sleep yet.
    let stacks = loop {
        let stacks = process.thread_stacks().unwrap();
        if stacks
            .threads()
            .iter()
            .all(|thread| thread.stack_pointer.is_some())
        {
            break stacks;
        }
    };
    assert_eq!(stacks.threads().len(), 2);
    assert!(stacks
        .threads()
        .iter()
        .any(|thread| thread.tid == target.pid()));
    let stack = stacks.classify(&at(local));
    assert_eq!(stack.kind(), MappingKind::ThreadStack);
    assert_eq!(stack.flags() & STACK, STACK);
    // By a name, where there are names; else not without being asked.
    if at(local).name().is_empty() {
        assert_eq!(at(local).kind(), MappingKind::Anonymous);
        assert_eq!(at(local).flags() & STACK, QnxFlags::NONE);
    }
    assert_eq!(stacks.classify(&at(other)).kind(), MappingKind::Anonymous);
    let main = process.virtual_regions(..).unwrap().map(Result::unwrap);
    let mut main = main.filter(|mapping| mapping.name().as_bytes() == b"[stack]");
    assert_eq!(
        stacks.classify(&main.next().unwrap()).kind(),
        MappingKind::Stack
    );
}

#[test]
fn the_stack_pointer_of_a_thread_that_runs_is_none_or_right() {
    let target = with_thread(|| loop {
        std::hint::spin_loop();
    });
    let process = Process::open(target.pid()).unwrap();
    let mut regions = process.virtual_regions(target.addresses()[0]..).unwrap();
    let stack = regions.next().unwrap().unwrap().range;
    for _ in 0..20 {
        let stacks = process.thread_stacks().unwrap();
        let mut running = stacks
            .threads()
            .iter()
            .filter(|thread| thread.tid != target.pid());
        let pointer = running.next().unwrap().stack_pointer;
        assert!(
            pointer.is_none_or(|pointer| stack.contains(pointer)),
            "{pointer:?}"
        );
    }
}

#[test]
fn stack_pointers_of_a_process_that_has_ended_are_an_error() {
    let target = with_thread(sleep);
    let process = Process::open(target.pid()).unwrap();
    drop(target);
    assert!(process.thread_stacks().unwrap_err().is_gone());
}
