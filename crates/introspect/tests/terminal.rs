//! Output on a terminal, which util-linux's `script` creates; without it these tests report
//! that they are skipped.

mod support;

use std::process::{Command, Stdio};

use support::{finish, Waiting};
use testkit::machine::is_root_or_skip;
use testkit::memory;
use testkit::target::Target;

/// Returns the output on a terminal of 80 columns of a shell that runs `line`, in which
/// `introspect` is the command under test.
fn on_terminal(test: &str, line: &str) -> Option<String> {
    let there = Command::new("script")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if !there.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED {test}: needs util-linux's script");
        return None;
    }
    let program = env!("CARGO_BIN_EXE_introspect");
    let line = format!("stty rows 24 cols 80; introspect() {{ '{program}' \"$@\"; }}; {line}");
    let mut command = Command::new("script");
    command
        .args(["-qec", &line, "/dev/null"])
        .env("SHELL", "/bin/sh")
        .env("TERM", "xterm");
    let run = finish(command);
    assert_eq!(run.status, 0, "{run:?}");
    Some(run.stdout.replace('\r', ""))
}

#[test]
fn a_table_is_as_wide_as_the_terminal() {
    let waiting = Waiting::named("cat");
    let line = format!("introspect virtual {}", waiting.pid());
    let Some(seen) = on_terminal("a_table_is_as_wide_as_the_terminal", &line) else {
        return;
    };
    assert!(seen.contains("VADDR") && seen.contains("…"), "{seen}");
    let widest = seen.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{seen}");
    // Not through a pipe.
    let line = format!("{line} | cat");
    let Some(seen) = on_terminal("a_table_is_as_wide_as_the_terminal", &line) else {
        return;
    };
    assert!(!seen.contains("…"), "{seen}");
}

#[test]
fn bytes_are_dumped_on_a_terminal() {
    let test = "bytes_are_dumped_on_a_terminal";
    let waiting = Waiting::named("cat");
    let line = format!("introspect read {} --mapping '[vdso]'", waiting.pid());
    let Some(seen) = on_terminal(test, &line) else {
        return;
    };
    assert!(
        seen.lines()
            .next()
            .is_some_and(|line| line.contains("  7f 45 4c 46")),
        "{seen}"
    );
    let Some(seen) = on_terminal(test, &format!("{line} | od -An -tx1 -N4")) else {
        return;
    };
    assert_eq!(seen.trim(), "7f 45 4c 46");
}

#[test]
fn a_stream_of_arrow_or_a_picture_is_refused_on_a_terminal() {
    let test = "a_stream_of_arrow_or_a_picture_is_refused_on_a_terminal";
    let waiting = Waiting::named("cat");
    let line = format!("introspect resident {} --format svg || true", waiting.pid());
    let Some(seen) = on_terminal(test, &line) else {
        return;
    };
    assert!(seen.contains("--format svg is for programs"), "{seen}");
    let line = format!("introspect virtual {} --format arrow", waiting.pid());
    let Some(seen) = on_terminal(test, &format!("{line} || echo failed")) else {
        return;
    };
    let message =
        "introspect: --format arrow is for programs, not for a terminal: give -o FILE or \
                   a pipe\nfailed\n";
    assert_eq!(seen, message);
    let Some(seen) = on_terminal(test, &format!("{line} | tail -c 8 | od -An -tx1")) else {
        return;
    };
    assert_eq!(seen.trim(), "ff ff ff ff 00 00 00 00");
}

#[test]
fn a_long_run_shows_its_progress_and_a_short_one_none() {
    let test = "a_long_run_shows_its_progress_and_a_short_one_none";
    if !is_root_or_skip(test) {
        return;
    }
    let waiting = Waiting::named("cat");
    let pid = waiting.pid();
    // More than the size of a pipe, and a slow reader.
    let slow = format!(
        "introspect pagetable {pid} --mapping / --format jsonl | {{ sleep 2; cat >/dev/null; }}"
    );
    let Some(seen) = on_terminal(test, &slow) else {
        return;
    };
    assert!(
        seen.contains(" records, at ") && seen.contains('%'),
        "{seen:?}"
    );
    // With several threads as well.
    let size = 1u64 << 40;
    let target = Target::spawn(|| {
        let at = memory::anonymous(size);
        memory::touch(at, 4096, size / 4096 / memory::page());
        vec![at]
    });
    let (pid_of_large, at) = (target.pid(), target.addresses()[0]);
    let slow = format!(
        "introspect physical {pid_of_large} {at:x}-{:x} --threads 2 --format jsonl | {{ sleep 2; cat >/dev/null; }}",
        at + size
    );
    let Some(seen) = on_terminal(test, &slow) else {
        return;
    };
    assert!(
        seen.contains(" records, at ") && seen.contains('%'),
        "{seen:?}"
    );
    let short = format!("introspect virtual {pid} >/dev/null");
    let Some(seen) = on_terminal(test, &short) else {
        return;
    };
    assert_eq!(seen, "");
}

/// The counters of the kernel are read behind the frames from a pipe whose writer is slow.
#[test]
fn a_long_pass_over_frames_shows_its_progress_on_a_terminal_only() {
    let test = "a_long_pass_over_frames_shows_its_progress_on_a_terminal_only";
    if !is_root_or_skip(test) {
        return;
    }
    let private = Command::new("unshare").args(["-m", "true"]).status();
    if !private.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED {test}: needs util-linux's unshare");
        return;
    }
    let folder = tempfile::TempDir::new().unwrap();
    let folder = folder.path().display();
    let slow = |command: &str| {
        format!(
            "cp /proc/meminfo {folder}/text; mkfifo {folder}/pipe; \
             mount --bind {folder}/pipe /proc/meminfo; \
             {{ cat {folder}/text; exec >&-; sleep 2; cat {folder}/text >{folder}/pipe; }} \
             >{folder}/pipe & {command} >/dev/null; rm {folder}/text; umount /proc/meminfo; \
             rm {folder}/pipe"
        )
    };
    let program = env!("CARGO_BIN_EXE_introspect");
    let of_pass = |ending: &str| {
        let line = slow(&format!("'{program}' machine --by use {ending}"));
        on_terminal(test, &format!("unshare -m sh -c \"{line}\""))
    };
    let Some(seen) = of_pass("") else {
        return;
    };
    assert!(seen.contains(" frames ") && seen.contains('%'), "{seen:?}");
    let seen = of_pass(&format!("2>{folder}/errors")).unwrap();
    let errors = std::fs::read_to_string(format!("{folder}/errors"));
    assert_eq!((seen, errors.unwrap()), Default::default());
}

#[test]
fn csv_on_a_terminal_has_no_raw_escape_sequence() {
    let waiting = Waiting::named("\x1b[31mred");
    let line = format!("introspect summary {} --format csv", waiting.pid());
    let test = "csv_on_a_terminal_has_no_raw_escape_sequence";
    let Some(seen) = on_terminal(test, &line) else {
        return;
    };
    assert!(
        seen.contains(r"\x1b[31mred") && !seen.contains('\x1b'),
        "{seen:?}"
    );
    // A program that reads the output gets raw bytes.
    let Some(seen) = on_terminal(test, &format!("{line} | cat")) else {
        return;
    };
    assert!(seen.contains("\x1b[31mred"), "{seen:?}");
}
