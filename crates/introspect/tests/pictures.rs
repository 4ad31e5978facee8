//! `--format svg`: pictures of what lists have, and usage that has no picture.

mod support;

use support::{as_nobody, fail, introspect, number, run, succeed, Waiting};
use tempfile::TempDir;
use testkit::machine::is_root_or_skip;

/// Returns the picture that a command writes, which may warn.
fn picture(arguments: &[&str]) -> String {
    let run = run(&[arguments, &["--format", "svg"]].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    let picture = run.stdout;
    assert!(picture.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
    assert!(picture.ends_with("</svg>\n") && picture.len() < 200 << 10);
    picture
}

/// Returns the description of a picture.
fn description(picture: &str) -> &str {
    let (_, after) = picture.split_once("<desc id=").unwrap();
    let (_, after) = after.split_once('>').unwrap();
    after.split_once("</desc>").unwrap().0
}

fn rough(bytes: u64) -> String {
    process_introspection_export::rough(bytes)
}

#[test]
fn each_of_the_four_draws_its_records() {
    if !is_root_or_skip("each_of_the_four_draws_its_records") {
        return;
    }
    let waiting = Waiting::named("cat");
    let pid = waiting.pid().to_string();
    let bytes_of = |command: &str, state: &str| -> u64 {
        let records = succeed(&[command, &pid, "--format", "jsonl"]).lines();
        let records = records.iter().filter(|record| record["state"] == state);
        records.map(|record| number(record, "size")).sum()
    };
    let physical = picture(&["physical", &pid]);
    let ram = rough(bytes_of("physical", "ram"));
    let words = description(&physical);
    assert!(words.contains(&format!("{ram} in RAM in ")), "{words}");
    assert!(physical.contains(&format!("of process {pid}</title>")));
    let resident = picture(&["resident", &pid]);
    let words = description(&resident);
    let all = rough(bytes_of("resident", "resident"));
    assert!(words.contains(&format!("{all} resident")), "{words}");
    let summary = picture(&["summary", &pid]);
    let record = &succeed(&["summary", &pid, "--format", "json"]).array()[0];
    let all = rough(number(&record["total"], "resident"));
    let words = description(&summary);
    assert!(words.contains(&format!("{all} resident")), "{words}");
    let machine = picture(&["machine"]);
    let record = &succeed(&["machine", "--format", "json"]).array()[0];
    let present = rough(number(record, "present"));
    let words = description(&machine);
    assert!(
        words.starts_with(&format!("Of {present} of memory")),
        "{words}"
    );
}

/// The numbers of a stored machine are those of its record, and equal frames give equal bytes.
#[test]
fn the_machine_of_a_snapshot_is_drawn_from_its_frames() {
    if !is_root_or_skip("the_machine_of_a_snapshot_is_drawn_from_its_frames") {
        return;
    }
    let root = TempDir::new().unwrap();
    let root = root.path().to_str().unwrap();
    succeed(&["snapshot", "--frames", "-o", root]);
    let drawn = picture(&["machine", "--from", root]);
    assert_eq!(drawn, picture(&["machine", "--from", root]));
    let record = &succeed(&["machine", "--from", root, "--format", "json"]).array()[0];
    for one in record["uses"].as_array().unwrap() {
        let word = one["use"].as_str().unwrap();
        assert!(drawn.contains(&format!(">{word}</text>")), "{word}");
    }
    assert!(drawn.contains("on a Hilbert curve") || drawn.contains("Hilbert"));
}

#[test]
fn several_processes_are_beside_each_other_in_a_summary_only() {
    let (one, other) = (Waiting::named("cat"), Waiting::named("cat"));
    let both = [one.pid().to_string(), other.pid().to_string()];
    let drawn = picture(&["summary", &both[0], &both[1]]);
    assert!(drawn.contains(">Memory of 2 processes</title>"));
    let top = picture(&["summary", &both[0], &both[1], "--top", "1"]);
    assert!(top.contains(">Memory of 1 process</title>"));
    let list = both.join(",");
    for command in ["physical", "resident"] {
        for processes in [&[&list[..]][..], &["--all"]] {
            let run = run(&[&[command], processes, &["--format", "svg"]].concat());
            assert_eq!((run.status, &run.stdout[..]), (2, ""), "{command}");
            let expected = "--format svg shows the addresses of one process: give one PID";
            assert!(run.stderr.contains(expected), "{}", run.stderr);
        }
    }
}

#[test]
fn a_name_of_several_processes_is_no_picture_of_addresses() {
    let dir = TempDir::new().unwrap();
    let program = dir.path().join("twice-named");
    std::fs::copy("/bin/cat", &program).unwrap();
    let start = || {
        let mut command = std::process::Command::new(&program);
        let piped = std::process::Stdio::piped;
        command.stdin(piped()).stdout(piped()).spawn().unwrap()
    };
    let mut both = [start(), start()];
    let message = fail(&["resident", "twice-named", "--format", "svg"]);
    assert!(message.contains("give one PID"), "{message}");
    for child in &mut both {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn usage_without_a_picture_is_wrong_and_names_those_with_one() {
    for arguments in [
        &["virtual", "self"][..],
        &["extents", "self"],
        &["pagetable", "self"],
        &["object", "self", "1000"],
        &["frame", "1000"],
        &["owner", "1000"],
        &["files"],
        &["snapshots", "lake"],
        &["diff", "a", "b"],
    ] {
        let run = run(&[arguments, &["--format", "svg"]].concat());
        assert_eq!((run.status, &run.stdout[..]), (2, ""), "{arguments:?}");
        let expected = "which only physical, resident, summary and machine draw\n\nUsage: ";
        assert!(run.stderr.contains(expected), "{}", run.stderr);
    }
    for arguments in [
        &["machine", "--by", "use"][..],
        &["machine", "--contiguity"],
        &["summary", "self", "--by-mapping"],
        &["summary", "--all", "--by", "user"],
        &["summary", "self", "--contiguity"],
        &["physical", "self", "--details"],
        &["physical", "self", "--vm-flags"],
        &["physical", "self", "--fold"],
    ] {
        let run = run(&[arguments, &["--format", "svg"]].concat());
        assert_eq!((run.status, &run.stdout[..]), (2, ""), "{arguments:?}");
    }
}

#[test]
fn without_privileges_a_picture_says_what_is_unknown() {
    if !is_root_or_skip("without_privileges_a_picture_says_what_is_unknown") {
        return;
    }
    let run = as_nobody(&["summary", "self", "--format", "svg"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.stdout.contains("PSS unknown, USS unknown"));
    assert!(run.stdout.contains("addresses need CAP_SYS_ADMIN"));
    assert_eq!(
        as_nobody(&["resident", "self", "--format", "svg"]).status,
        0
    );
    for command in [&["machine"][..], &["physical", "self"]] {
        let run = as_nobody(&[command, &["--format", "svg"]].concat());
        assert_eq!((run.status, &run.stdout[..]), (1, ""), "{command:?}");
    }
}

#[test]
fn a_file_has_the_picture_only_when_it_is_complete() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("picture.svg");
    let path = path.to_str().unwrap();
    succeed(&["resident", "self", "--format", "svg", "-o", path]);
    let written = std::fs::read_to_string(path).unwrap();
    assert!(written.ends_with("</svg>\n"));
    let full = introspect()
        .args(["resident", "self", "--format", "svg", "-o", "/dev/full"])
        .output()
        .unwrap();
    assert_eq!(full.status.code(), Some(1));
}
