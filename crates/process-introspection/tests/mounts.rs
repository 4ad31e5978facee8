//! Processes by their numbers in a proc that is named, held against the same
//! processes by their PIDs.

use std::ops::ControlFlow;

use process_introspection::{
    all_processes, owners, Frames, Mounts, OwnerEvent, PageSize, PassOptions, PhysRange,
    PhysicalMap, Process, SwapAreas, Target, UniquePid,
};
use testkit::machine::is_root_or_skip;
use testkit::memory::{self, page};
use testkit::target::Target as Child;

fn named() -> Mounts {
    Mounts::new().procfs("/proc").unwrap()
}

#[test]
fn a_process_is_the_same_by_its_number_in_a_named_proc() {
    let child = Child::spawn(|| {
        let at = memory::anonymous(8 * page());
        memory::touch(at, 3, 2);
        vec![at]
    });
    let by_number = named().process(child.pid()).unwrap();
    let by_pid = Process::open(child.pid()).unwrap();
    assert_eq!(by_number.pid(), Some(child.pid()));
    assert_eq!(by_number.command_line(), by_pid.command_line());
    let at = child.addresses()[0];
    let range = at..at + 8 * page();
    let resident = |process: &Process| process.resident_regions(range.clone()).unwrap().count();
    assert_eq!((resident(&by_number), resident(&by_pid)), (6, 6));
    if is_root_or_skip("addresses of a process in a named proc") {
        let regions = |process: &Process| {
            let regions = process.physical_regions(range.clone()).unwrap();
            let regions = regions.map(|region| region.map(|region| (region.virt, region.backing)));
            regions.collect::<Result<Vec<_>, _>>().unwrap()
        };
        assert_eq!(regions(&by_number), regions(&by_pid));
    }
}

#[test]
fn the_caller_is_self_in_a_named_proc() {
    let process = named().process(Target::Caller).unwrap();
    let value = 5u64;
    let mut bytes = [0; 8];
    process
        .read_memory(&raw const value as u64, &mut bytes)
        .unwrap();
    assert_eq!(bytes, value.to_ne_bytes());
}

#[test]
fn a_threads_id_is_no_process_in_a_named_proc() {
    let id = std::thread::spawn(|| {
        let link = std::fs::read_link("/proc/thread-self").unwrap();
        let id = link.file_name().unwrap().to_str().unwrap().to_owned();
        // While the thread lives its directory can be opened.
        assert!(std::fs::metadata(format!("/proc/{id}/maps")).is_ok());
        let error = named().process(id.parse::<u32>().unwrap()).unwrap_err();
        (id, error)
    });
    let (id, error) = id.join().unwrap();
    assert!(error.is_gone(), "{id}: {error}");
}

#[test]
fn a_unique_pid_of_a_named_proc_is_one_process_of_this_boot() {
    let mut child = std::process::Command::new("sleep")
        .arg("100")
        .spawn()
        .unwrap();
    let mounts = named();
    let all = mounts.all_processes().unwrap();
    let found = all.iter().find(|process| process.pid() == child.id());
    let unique = found.map(|process| process.unique_pid);
    let opened = unique.map(|unique| (mounts.process(unique), Process::open(unique)));
    let other = unique.map(|unique| Target::Unique {
        pid: unique.pid(),
        mark: (unique.as_i64() >> 32) as u32 ^ 1,
    });
    let other = other.map(|other| mounts.process(other));
    child.kill().unwrap();
    child.wait().unwrap();
    let (by_number, by_pid) = opened.expect("it was listed");
    assert_eq!(by_number.unwrap().pid(), Some(child.id()));
    // A start time is accepted wherever a process is opened.
    assert_eq!(by_pid.unwrap().pid(), Some(child.id()));
    assert!(other.unwrap().unwrap_err().is_gone());
    assert!(mounts.process(unique.unwrap()).unwrap_err().is_gone());
    // By a pidfd's inode no process can be recognised in a directory.
    let own = UniquePid::of(std::process::id()).unwrap();
    let is_start_time = own.as_i64() >> 62 & 1 == 1;
    assert_eq!(mounts.process(own).is_ok(), is_start_time);
}

#[test]
fn a_named_proc_lists_the_processes_that_proc_lists() {
    let pids = |all: Vec<process_introspection::NamedProcess>| {
        all.iter().map(|process| process.pid()).collect::<Vec<_>>()
    };
    let (this, first) = (std::process::id(), 1);
    for all in [
        pids(all_processes().unwrap()),
        pids(named().all_processes().unwrap()),
    ] {
        assert!(all.contains(&this) && all.contains(&first), "{all:?}");
        assert!(all.is_sorted(), "{all:?}");
    }
}

#[test]
fn owners_are_found_in_a_named_proc() {
    if !is_root_or_skip("owners in a named proc") {
        return;
    }
    let at = memory::anonymous(page());
    memory::touch(at, 1, 1);
    let address = Process::current().unwrap().physical_address(at).unwrap();
    let address = address.expect("it was touched");
    let range = PhysRange::page_of(address, PageSize::base());
    let mut found = Vec::new();
    let options = PassOptions::new().mounts(&named());
    let coverage = owners(&[range], options, |event| {
        if let OwnerEvent::Owner(owner) = event {
            found.push(owner.process.pid);
        }
        ControlFlow::Continue(())
    });
    assert!(coverage.unwrap().read > 0);
    assert!(found.contains(&std::process::id()), "{found:?}");
}

#[test]
fn the_machines_files_are_read_in_the_mounts_that_are_named() {
    let mounts = named().sysfs("/sys").unwrap();
    let (named, own) = (PhysicalMap::read_in(&mounts), PhysicalMap::read());
    let (named, own) = (named.unwrap(), own.unwrap());
    assert_eq!(named.sees_resources(), own.sees_resources());
    assert_eq!(Frames::open_in(&mounts).is_ok(), Frames::open().is_ok());
    let (named, own) = (SwapAreas::read_in(&mounts), SwapAreas::read());
    assert_eq!(named.unwrap().areas(), own.unwrap().areas());
}

#[test]
fn a_directory_that_is_no_proc_or_no_sysfs_is_refused() {
    for wrong in [Mounts::new().procfs("/sys"), Mounts::new().sysfs("/proc")] {
        let error = wrong.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{error}");
    }
    let missing = Mounts::new().procfs("/no/such/directory").unwrap_err();
    assert_eq!(missing.kind(), std::io::ErrorKind::NotFound, "{missing}");
}
