//! `introspect report` of a snapshot of 1 TiB: at most 3 MB in bounded memory, and each cell of
//! the map is what counting the frames gives.
//!
//! In the gate there are fewer runs of the same span. `cargo xtask deep` stores each frame as a
//! run of its own, 268 million of them.

#[path = "../../picture/tests/decoded/mod.rs"]
mod decoded;
#[path = "support/generated.rs"]
mod generated;
mod support;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::SystemTime;

use decoded::{words, Counts};
use generated::{Machine, HOST};
use process_introspection::FrameUse;
use serde_json::Value;
use support::introspect;
use tempfile::TempDir;

/// Frames of 1 TiB.
const FRAMES: u64 = 1 << 28;
/// Largest memory of the command, in KiB.
const MOST_MEMORY: libc::c_long = 700 << 10;

/// Runs the command in a process whose memory is measured. Returns the report and KiB.
fn report(arguments: &[&str]) -> (Vec<u8>, libc::c_long) {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("report.html");
    let mut command = introspect();
    command.args(arguments).arg("-o").arg(&file);
    command.stdout(Stdio::null());
    #[allow(
        clippy::zombie_processes,
        reason = "wait4 below takes it, with its memory"
    )]
    let child = command.spawn().unwrap();
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
    let pid = child.id() as libc::pid_t;
    // SAFETY: both point to memory of the size that the call writes.
    let waited = unsafe { libc::wait4(pid, &mut status, 0, usage.as_mut_ptr()) };
    assert_eq!(waited, pid);
    // SAFETY: zeros are valid, and the call has written it.
    let usage = unsafe { usage.assume_init() };
    let status = std::process::ExitStatus::from_raw(status);
    assert!(status.success(), "{status}");
    (fs::read(file).unwrap(), usage.ru_maxrss)
}

fn data(html: &[u8]) -> Value {
    let html = std::str::from_utf8(html).expect("text");
    let begin = html.find("id=\"data\">").expect("data") + "id=\"data\">".len();
    let end = begin + html[begin..].find("</script>").expect("its end");
    serde_json::from_str(&html[begin..end]).expect("JSON")
}

#[test]
fn a_report_of_a_tebibyte_is_bounded_and_each_cell_is_right() {
    check(Machine {
        frames: FRAMES,
        run: 2048,
        processes: 12,
    });
}

#[test]
#[ignore = "takes many minutes: cargo xtask deep"]
fn a_report_of_a_tebibyte_in_single_frames_is_bounded_and_each_cell_is_right() {
    check(Machine {
        frames: FRAMES,
        run: 1,
        processes: 0,
    });
}

fn check(machine: Machine) {
    let lake = TempDir::new().unwrap();
    machine.write(lake.path(), SystemTime::UNIX_EPOCH);
    let root = lake.path().to_str().unwrap();
    let (html, memory) = report(&["report", "--from", root, "--host", HOST]);
    assert!(html.len() <= 3_000_000, "{} bytes", html.len());
    assert!(memory <= MOST_MEMORY, "{memory} KiB");
    let report = data(&html);
    let map = &report["map"];
    let level = map["level"].as_u64().expect("level");
    assert!(level >= 8, "{level}");
    // 2^28 places in 4^level cells.
    assert_eq!(map["shift"].as_u64(), Some(28 - 2 * level));
    assert_eq!(report["machine"]["counted"].as_u64(), Some(FRAMES << 12));
    for layer in map["layers"].as_array().expect("layers") {
        let words = words(&report, layer);
        let name = layer["name"].as_str().expect("name");
        let place = |word: String| words.iter().position(|one| *one == word);
        let mut counts = Counts::new(map, words.len());
        for run in 0..machine.runs() {
            let facts = machine.facts(run);
            let class = match name {
                "use" => FrameUse::ALL.iter().position(|one| *one == facts.frame_use),
                "payer" => facts.cgroup.map_or(Some(words.len() - 1), |inode| {
                    place(format!("/slice/unit{inode}.service")).or(Some(words.len() - 2))
                }),
                "owner" => match (facts.mapcount, facts.process) {
                    (1, Some(process)) => {
                        place(format!("p{process} ({})", process + 1)).or(Some(words.len() - 3))
                    }
                    (2, _) => Some(words.len() - 2),
                    _ => Some(words.len() - 1),
                },
                "size" => Some(match facts.frame_use {
                    FrameUse::Free | FrameUse::Reserved => words.len() - 1,
                    _ => 0,
                }),
                "node" => Some(facts.node as usize),
                other => panic!("layer {other}"),
            };
            let places = run * machine.run..(run + 1) * machine.run;
            counts.add(places, class.expect("a class") as u8);
        }
        counts.check(map, layer);
    }
}
