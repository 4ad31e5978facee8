//! `-o FILE`: files that are replaced, and places that are written on.

mod support;

use std::fs;
use std::io::Read;
use std::os::unix::fs::{symlink, FileTypeExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use support::{fail, introspect, names_in, succeed, Running};
use tempfile::TempDir;
use testkit::machine::is_root_or_skip;
use testkit::memory;
use testkit::target::Target;

#[test]
fn a_file_is_replaced_only_by_a_complete_output() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("out.json");
    let path = file.to_str().unwrap();
    let virtual_self = ["virtual", "self", "--format", "json", "-o", path];
    assert_eq!(succeed(&virtual_self).stdout, "");
    let first: Vec<serde_json::Value> = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert!(first.len() > 5);
    assert_eq!(names_in(dir.path()), ["out.json"]);

    // The present file stays, whatever fails.
    fs::write(&file, "precious").unwrap();
    fail(&["virtual", "self", "--mapping", "no such thing", "-o", path]);
    let target = Target::spawn(|| {
        let at = memory::anonymous(2 * memory::page());
        memory::unmap(at + memory::page(), memory::page());
        vec![at]
    });
    let (pid, start) = (target.pid().to_string(), target.addresses()[0]);
    let range = format!("{start:x}+{}", 2 * memory::page());
    fail(&["read", &pid, &range, "-o", path]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert_eq!(names_in(dir.path()), ["out.json"]);

    // A violated condition does not make the output incomplete.
    if is_root_or_skip("extents -o") {
        fail(&["extents", &pid, "1000+1", "--format", "csv", "-o", path]);
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 2);
    }
}

/// Returns the status of a command that must end in time.
fn ended_within(limit: Duration, running: &mut Running) -> Option<ExitStatus> {
    let begun = Instant::now();
    loop {
        let status = running.0.try_wait().unwrap();
        if status.is_some() || begun.elapsed() > limit {
            return status;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_signal_leaves_no_temporary_file_behind() {
    if !is_root_or_skip("a_signal_leaves_no_temporary_file_behind") {
        return;
    }
    // Far more records than can be written before the signal arrives.
    let size = 256u64 << 30;
    let target = Target::spawn(|| vec![memory::anonymous(size)]);
    let range = format!("{:x}+{size}", target.addresses()[0]);
    for (name, number) in [("HUP", 1), ("INT", 2), ("TERM", 15)] {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("out.csv");
        fs::write(&file, "precious").unwrap();
        let mut command = introspect();
        command.args([
            "pagetable",
            &target.pid().to_string(),
            &range,
            "--format",
            "csv",
            "-o",
        ]);
        let mut running = Running(command.arg(&file).stdin(Stdio::null()).spawn().unwrap());
        while names_in(dir.path()).len() < 2 {
            assert_eq!(running.0.try_wait().unwrap(), None);
            std::thread::sleep(Duration::from_millis(1));
        }
        let pid = running.0.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {pid}")])
            .status();
        assert!(sent.unwrap().success());
        let ended = ended_within(Duration::from_secs(60), &mut running);
        assert_eq!(ended.and_then(|status| status.signal()), Some(number));
        assert_eq!(names_in(dir.path()), ["out.csv"]);
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }
}

#[test]
fn a_replaced_file_keeps_its_mode_and_its_links() {
    let dir = TempDir::new().unwrap();
    let (file, link) = (dir.path().join("file"), dir.path().join("link"));
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("file", &link).unwrap();
    succeed(&["virtual", "self", "-o", link.to_str().unwrap()]);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(&file)
        .unwrap()
        .starts_with("       VADDR"));
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o640
    );
    // A new file has the default mode.
    let new = dir.path().join("new");
    succeed(&["virtual", "self", "-o", new.to_str().unwrap()]);
    fs::write(dir.path().join("plain"), "").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&new), mode(&dir.path().join("plain")));
}

#[test]
fn a_link_that_leads_to_nothing_yet_stays_and_its_file_is_made() {
    let dir = TempDir::new().unwrap();
    let (elsewhere, links) = (dir.path().join("elsewhere"), dir.path().join("links"));
    for dir in [&elsewhere, &links] {
        fs::create_dir(dir).unwrap();
    }
    let (first, second) = (links.join("first"), links.join("second"));
    symlink("second", &first).unwrap();
    symlink("../elsewhere/file", &second).unwrap();
    for _ in 0..2 {
        succeed(&["virtual", "self", "-o", first.to_str().unwrap()]);
        for link in [&first, &second] {
            assert!(fs::symlink_metadata(link).unwrap().is_symlink());
        }
        assert_eq!(names_in(&elsewhere), ["file"]);
        assert_eq!(names_in(&links), ["first", "second"]);
        let written = fs::read_to_string(elsewhere.join("file")).unwrap();
        assert!(written.starts_with("       VADDR"), "{written}");
    }
    let round = links.join("round");
    symlink("round", &round).unwrap();
    let failed = fail(&["virtual", "self", "-o", round.to_str().unwrap()]);
    assert!(failed.contains("cannot open"), "{failed}");
}

#[test]
fn standard_output_by_a_name_is_written_on_and_not_replaced() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "before\n").unwrap();
    for name in ["/dev/stdout", "/dev/fd/1", "-"] {
        let append = fs::OpenOptions::new().append(true).open(&file).unwrap();
        let mut command = introspect();
        command.args(["virtual", "self", "-o", name]).stdout(append);
        assert!(command.status().unwrap().success());
    }
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("before\n"), "{text}");
    assert_eq!(text.matches("VADDR").count(), 3, "{text}");
}

#[test]
fn a_fifo_is_written_in_place() {
    let dir = TempDir::new().unwrap();
    let fifo = dir.path().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    let mut reader = Command::new("cat");
    reader.arg(&fifo).stdout(Stdio::piped());
    let mut reader = Running(reader.spawn().unwrap());
    succeed(&["virtual", "self", "-o", fifo.to_str().unwrap()]);
    let mut text = String::new();
    let mut output = reader.0.stdout.take().unwrap();
    output.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("       VADDR"), "{text}");
    assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());
}

#[test]
fn a_special_file_is_written_in_place() {
    succeed(&["virtual", "self", "-o", "/dev/null"]);
    assert!(fs::metadata("/dev/null")
        .unwrap()
        .file_type()
        .is_char_device());
    assert!(succeed(&["virtual", "self", "-o", "-"])
        .stdout
        .contains("VADDR"));
    let full = fail(&["virtual", "self", "-o", "/dev/full"]);
    assert!(
        full.contains("cannot write to /dev/full: No space left"),
        "{full}"
    );
    let nowhere = fail(&["virtual", "self", "-o", "/no/such/dir/file"]);
    assert!(
        nowhere.contains("cannot open /no/such/dir/file for writing"),
        "{nowhere}"
    );
    let dir = fail(&["virtual", "self", "-o", "/"]);
    assert!(dir.contains("cannot open / for writing"), "{dir}");
}
