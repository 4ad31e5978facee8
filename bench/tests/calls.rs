//! The bare calls of the floor for one address are the library's own: strace sees the
//! same calls of both.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use c_library::Library;
use testkit::machine::is_root_or_skip;
use testkit::memory::{self, page};
use testkit::target::Target;

fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = bench.parent().expect("the project's root");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c-library");
        Library::build(root, &target).expect("the C library")
    })
}

fn has_strace(test: &str) -> bool {
    let found = Command::new("strace").arg("-V").output().is_ok();
    if !found {
        eprintln!("SKIPPED {test}: needs strace");
    }
    found
}

/// Returns the names of the calls between the two of getppid.
fn traced(who: &str, pid: u32, address: u64) -> Vec<String> {
    let output = Command::new("strace")
        .args(["-q", "-e", "signal=none", "--"])
        .args([env!("CARGO_BIN_EXE_bench"), "calls", "--library"])
        .arg(&library().shared)
        .args([who, &pid.to_string(), &address.to_string()])
        .output()
        .expect("strace");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| Some(line.split_once('(')?.0))
        .collect();
    let parts: Vec<&[&str]> = names.split(|&name| name == "getppid").collect();
    assert_eq!(parts.len(), 3, "{text}");
    parts[1].iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn the_bare_calls_for_an_address_of_oneself_are_the_librarys() {
    let test = "the_bare_calls_for_an_address_of_oneself_are_the_librarys";
    if is_root_or_skip(test) && has_strace(test) {
        assert_eq!(traced("bare", 0, 0), traced("library", 0, 0));
    }
}

#[test]
fn the_bare_calls_for_an_address_of_another_process_are_the_librarys() {
    let test = "the_bare_calls_for_an_address_of_another_process_are_the_librarys";
    if is_root_or_skip(test) && has_strace(test) {
        let target = Target::spawn(|| {
            let at = memory::anonymous(page());
            memory::touch(at, 1, 1);
            vec![at]
        });
        let (pid, address) = (target.pid(), target.addresses()[0]);
        assert_eq!(
            traced("bare", pid, address),
            traced("library", pid, address)
        );
    }
}
