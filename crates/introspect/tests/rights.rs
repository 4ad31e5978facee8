//! The command with more privileges than its user: file capabilities, or set-user-ID. Files
//! and programs that the user names are opened with the user's own rights.

mod support;

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{chown, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{copy_into, finish, of_nobody, Run, NOBODY};
use tempfile::TempDir;
use testkit::machine::is_root_or_skip;

/// Numbers of capabilities (include/uapi/linux/capability.h).
const DAC_OVERRIDE: u32 = 1;
const DAC_READ_SEARCH: u32 = 2;
const FOWNER: u32 = 3;
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;

/// More capabilities than the command needs: each of these opens files.
const ALL: &[u32] = &[DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, SYS_PTRACE, SYS_ADMIN];

/// Source of the copy's privileges.
#[derive(Copy, Clone, Debug)]
enum Given {
    Capabilities,
    /// Without the effective bit.
    PermittedCapabilities,
    SetUserId,
    SetGroupId,
}

const EVERY: [Given; 4] = [
    Given::Capabilities,
    Given::PermittedCapabilities,
    Given::SetUserId,
    Given::SetGroupId,
];

/// A privileged copy of the command, and a directory that its user cannot read.
struct Place {
    dir: TempDir,
    program: PathBuf,
}

impl Place {
    /// Creates them; `None` if privileges cannot be given here, which is reported.
    fn new(given: Given, test: &str) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let program = copy_into(&dir);
        let mode = |mode| fs::Permissions::from_mode(mode);
        match given {
            Given::Capabilities => set_capabilities(&program, EFFECTIVE, ALL),
            Given::PermittedCapabilities => set_capabilities(&program, 0, ALL),
            Given::SetUserId => fs::set_permissions(&program, mode(0o4755)).unwrap(),
            Given::SetGroupId => fs::set_permissions(&program, mode(0o2755)).unwrap(),
        }
        let place = Self { dir, program };
        let secret = place.path("secret");
        fs::create_dir(&secret).unwrap();
        // Root's group may look into it.
        fs::set_permissions(&secret, mode(0o770)).unwrap();
        let line = "Memory failure: 0x1234: recovery action for clean LRU page: Recovered\n";
        fs::write(secret.join("log"), line).unwrap();
        fs::write(place.path("log"), line).unwrap();
        let gained = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let is_there = |line: &&str| place.program.starts_with(line.split(' ').nth(4).unwrap());
        let mounted = gained.lines().rfind(is_there).unwrap();
        if mounted.split(' ').nth(5).unwrap().contains("nosuid") {
            eprintln!(
                "SKIPPED {test}: programs gain no rights in {}",
                place.dir.path().display()
            );
            return None;
        }
        Some(place)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let mut command = of_nobody(&self.program);
        command.args(arguments);
        finish(command)
    }
}

/// Bit of the attribute's first word (include/uapi/linux/capability.h
/// `VFS_CAP_FLAGS_EFFECTIVE`).
const EFFECTIVE: u32 = 1;

/// As setcap(8): revision 2 of the attribute, the effective bit, permitted ones
/// (include/uapi/linux/capability.h `vfs_cap_data`).
fn set_capabilities(program: &Path, effective: u32, capabilities: &[u32]) {
    let permitted = capabilities.iter().fold(0u32, |set, bit| set | 1 << bit);
    let words = [0x0200_0000 | effective, permitted, 0, 0, 0];
    let value: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let path = CString::new(program.as_os_str().as_bytes()).unwrap();
    // SAFETY: both names end in a zero byte; the value has the length given.
    let set = unsafe {
        libc::setxattr(
            path.as_ptr(),
            c"security.capability".as_ptr(),
            value.as_ptr().cast(),
            value.len(),
            0,
        )
    };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn the_rights_are_there_for_processes() {
    let test = "the_rights_are_there_for_processes";
    if !is_root_or_skip(test) {
        return;
    }
    for given in [
        Given::Capabilities,
        Given::PermittedCapabilities,
        Given::SetUserId,
    ] {
        let Some(place) = Place::new(given, test) else {
            return;
        };
        // Also after files were opened with the user's rights.
        let open = place.path("open");
        fs::create_dir(&open).unwrap();
        chown(&open, Some(NOBODY), Some(NOBODY)).unwrap();
        let out = open.join("out");
        let run = place.run(&["physical", "self", "--backed", "-o", out.to_str().unwrap()]);
        assert_eq!((run.status, &*run.stderr), (0, ""), "{given:?}: {run:?}");
        let text = fs::read_to_string(&out).unwrap();
        assert!(text.contains(" ram "), "{given:?}: {text}");
        let log = place.path("log");
        let run = place.run(&["owner", "--from-log", log.to_str().unwrap()]);
        assert_eq!(run.status, 0, "{given:?}: {run:?}");
        assert!(run.stdout.contains("1234000"), "{given:?}: {run:?}");
    }
}

#[test]
fn a_file_without_the_effective_bit_is_executed_where_its_capabilities_are_dropped() {
    let test = "a_file_without_the_effective_bit_is_executed_where_its_capabilities_are_dropped";
    if !is_root_or_skip(test) {
        return;
    }
    let Some(place) = Place::new(Given::PermittedCapabilities, test) else {
        return;
    };
    let dropped = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--clear-groups", "--bounding-set=-all"]);
        command.arg(&place.program).args(arguments);
        finish(command)
    };
    let run = dropped(&["completions", "bash"]);
    assert_eq!((run.status, &*run.stderr), (0, ""), "{run:?}");
    // It has no rights there, and says so.
    let run = dropped(&["physical", "self"]);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.stderr.contains("CAP_SYS_ADMIN"), "{run:?}");
}

#[test]
fn a_missing_capability_is_named() {
    let test = "a_missing_capability_is_named";
    if !is_root_or_skip(test) {
        return;
    }
    let Some(place) = Place::new(Given::Capabilities, test) else {
        return;
    };
    for (has, lacks) in [
        (DAC_READ_SEARCH, "CAP_SYS_ADMIN"),
        (SYS_ADMIN, "CAP_DAC_READ_SEARCH"),
    ] {
        set_capabilities(&place.program, EFFECTIVE, &[has]);
        let run = place.run(&["machine"]);
        assert_eq!((run.status, &*run.stdout), (1, ""), "{lacks}: {run:?}");
        assert!(run.stderr.contains(lacks), "{lacks}: {run:?}");
        // Other metrics are there all the same.
        let run = place.run(&["metrics"]);
        assert_eq!(run.status, 0, "{lacks}: {run:?}");
        assert!(run.stderr.contains(lacks), "{lacks}: {run:?}");
        assert!(run.stdout.contains("introspect_memory_present_bytes{"));
    }
}

#[test]
fn a_log_is_read_with_the_users_rights() {
    let test = "a_log_is_read_with_the_users_rights";
    if !is_root_or_skip(test) {
        return;
    }
    for given in EVERY {
        let Some(place) = Place::new(given, test) else {
            return;
        };
        let log = place.path("secret/log");
        let run = place.run(&["owner", "--from-log", log.to_str().unwrap()]);
        assert_eq!((run.status, &*run.stdout), (1, ""), "{given:?}: {run:?}");
        assert!(!run.stderr.contains("1234"), "{given:?}: {run:?}");
    }
    // The reason, if no privilege is missing.
    let place = Place::new(Given::Capabilities, test).unwrap();
    let log = place.path("secret/log");
    let run = place.run(&["owner", "--from-log", log.to_str().unwrap()]);
    let said = format!(
        "introspect: cannot read {}: Permission denied",
        log.display()
    );
    assert!(run.stderr.starts_with(&said), "{run:?}");
}

#[test]
fn errors_do_not_tell_whether_a_hidden_path_exists() {
    let test = "errors_do_not_tell_whether_a_hidden_path_exists";
    if !is_root_or_skip(test) {
        return;
    }
    for given in EVERY {
        let Some(place) = Place::new(given, test) else {
            return;
        };
        let said = |name: &str| {
            let path = place.path(name);
            let path = path.to_str().unwrap();
            let written = place.run(&["virtual", "self", "-o", path]);
            let started = place.run(&["summary", "--", path]);
            let pages = place.run(&["man", path]);
            assert!(written.status != 0 && started.status != 0 && pages.status != 0);
            [written, started, pages].map(|run| run.stderr.replace(path, "PATH"))
        };
        let (there, missing) = (said("secret/log"), said("secret/no"));
        assert_eq!(there, missing, "{given:?}");
        assert!(
            there[0].contains("Permission denied"),
            "{given:?}: {there:?}"
        );
        let names = fs::read_dir(place.path("secret")).unwrap().count();
        assert_eq!(names, 1, "{given:?}: nothing was written there");
    }
}

#[test]
fn a_program_is_started_with_the_users_rights() {
    let test = "a_program_is_started_with_the_users_rights";
    if !is_root_or_skip(test) {
        return;
    }
    let line = "grep -E '^(Uid|Gid|CapEff|CapPrm)' /proc/self/status";
    let as_usual = {
        let mut command = of_nobody(Path::new("/bin/sh"));
        command.args(["-c", line]);
        finish(command).stdout
    };
    for given in EVERY {
        let Some(place) = Place::new(given, test) else {
            return;
        };
        for moment in [&["--at-exit"][..], &["--after", "1h"]] {
            // Without CAP_SYS_PTRACE, the child of a program that is not dumpable cannot
            // be traced.
            if matches!(given, Given::SetGroupId) && moment[0] == "--at-exit" {
                continue;
            }
            let program = ["--", "sh", "-c", line];
            let run = place.run(&[&["summary"], moment, &program].concat());
            assert_eq!(run.stdout, as_usual, "{given:?} {moment:?}: {run:?}");
        }
    }
}
