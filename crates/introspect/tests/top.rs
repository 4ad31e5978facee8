//! `introspect top` in a real terminal, which tmux creates; without tmux these tests report that
//! they are skipped.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use support::{copy_into, finish, introspect, Run, Waiting, NOBODY};
use tempfile::TempDir;
use testkit::machine::is_root_or_skip;

/// A terminal of a tmux server of its own, with a shell in it.
struct Pane {
    dir: TempDir,
}

impl Drop for Pane {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
    }
}

impl Pane {
    /// Starts a shell in a terminal of this size; `None` without tmux.
    fn new(test: &str, (width, height): (u16, u16)) -> Option<Self> {
        let there = Command::new("tmux")
            .arg("-V")
            .stdout(Stdio::null())
            .status();
        if !there.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED {test}: needs tmux");
            return None;
        }
        let pane = Self {
            dir: TempDir::new().unwrap(),
        };
        copy_into(&pane.dir);
        let (width, height) = (width.to_string(), height.to_string());
        let shell = "env -i PATH=$PATH HOME=/ LANG=C.UTF-8 PS1='$ ' TERM=$TERM sh";
        let started = pane.tmux(&["new-session", "-d", "-x", &width, "-y", &height, shell]);
        assert_eq!(started.status, 0, "{started:?}");
        pane.tmux(&["set-option", "-g", "status", "off"]);
        pane.tmux(&["resize-window", "-x", &width, "-y", &height]);
        pane.wait_for("a prompt", |seen| seen.contains('$'));
        Some(pane)
    }

    fn tmux(&self, arguments: &[&str]) -> Run {
        let mut command = Command::new("tmux");
        command
            .args(["-f", "/dev/null", "-S"])
            .arg(self.dir.path().join("socket"))
            .args(arguments);
        finish(command)
    }

    /// The copy of the command, which every user can execute.
    fn program(&self) -> String {
        self.dir.path().join("introspect").display().to_string()
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"]).stdout
    }

    fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Types a line into the shell.
    fn line(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.press(&["Enter"]);
    }

    /// Waits until the screen is as wanted. The test is killed if that never happens.
    fn wait_for(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let mut shown = 0;
        loop {
            let seen = self.screen();
            if wanted(&seen) {
                return seen;
            }
            shown += 1;
            if shown % 100 == 0 {
                eprintln!("waiting for {what}:\n{seen}");
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Starts the view, and returns its first screen with processes.
    fn start(&self, arguments: &str) -> String {
        self.line(&format!(
            "clear; {} top {arguments}; echo status $?",
            self.program()
        ));
        self.wait_for("processes", |seen| seen.contains("RESIDENT"))
    }

    /// Waits until the view has ended, and returns what is then on the screen.
    fn end(&self, status: &str) -> String {
        self.wait_for(status, |seen| seen.contains(&format!("status {status}\n")))
    }

    /// Returns the modes of the terminal and whether the alternate screen is shown.
    fn modes(&self) -> (String, String) {
        let file = self.dir.path().join("modes");
        let _ = fs::remove_file(&file);
        self.line(&format!(
            "clear; stty -a > {0}.new; mv {0}.new {0}",
            file.display()
        ));
        while !file.exists() {
            thread::sleep(Duration::from_millis(20));
        }
        (fs::read_to_string(file).unwrap(), self.state())
    }

    /// Returns whether the alternate screen is shown, and the cursor.
    fn state(&self) -> String {
        let state = ["display-message", "-p", "#{alternate_on} #{cursor_flag}"];
        self.tmux(&state).stdout.trim().to_owned()
    }

    /// Waits until the view has given the terminal back.
    fn wait_for_shell(&self) {
        while self.state() != "0 1" {
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns the PID of the view.
    fn pid(&self) -> String {
        let shell = self.tmux(&["display-message", "-p", "#{pane_pid}"]).stdout;
        let children = format!("/proc/{0}/task/{0}/children", shell.trim());
        let children = fs::read_to_string(children).unwrap();
        children.split_whitespace().last().unwrap().to_owned()
    }
}

fn kill(signal: &str, pid: &str) {
    let status = Command::new("kill").args([signal, pid]).status().unwrap();
    assert!(status.success());
}

/// Returns whether each line fits, and the screen has titles at its top and keys at its bottom.
fn has_layout(seen: &str, (width, height): (usize, usize)) -> bool {
    let lines: Vec<_> = seen.lines().collect();
    lines.len() == height
        && lines.iter().all(|line| line.chars().count() <= width)
        && lines[0].starts_with("processes")
        && lines[1].contains("PID")
        && lines[1].contains("COMMAND")
        && lines[2].chars().any(|one| one.is_ascii_digit())
        && lines[height - 1].starts_with("? help")
}

#[test]
fn a_screen_of_each_size_is_useful_and_follows_the_terminal() {
    let test = "a_screen_of_each_size_is_useful_and_follows_the_terminal";
    if !is_root_or_skip(test) {
        return;
    }
    let Some(pane) = Pane::new(test, (80, 24)) else {
        return;
    };
    pane.start("");
    for (width, height) in [(80, 24), (200, 60), (40, 12), (80, 24)] {
        let (columns, rows) = (width.to_string(), height.to_string());
        pane.tmux(&["resize-window", "-x", &columns, "-y", &rows]);
        let seen = pane.wait_for("the new size", |seen| has_layout(seen, (width, height)));
        assert_eq!(seen.contains("EXTENTS"), width == 200, "{seen}");
        assert_eq!(seen.contains("SWAP"), width > 40, "{seen}");
    }
    pane.press(&["q"]);
    pane.end("0");
}

#[test]
fn exact_numbers_arrive_and_lists_are_opened() {
    let test = "exact_numbers_arrive_and_lists_are_opened";
    if !is_root_or_skip(test) {
        return;
    }
    let waiting = Waiting::named("cat");
    let pid = waiting.pid();
    let Some(pane) = Pane::new(test, (120, 40)) else {
        return;
    };
    pane.start("");
    pane.press(&["/", &pid.to_string(), "Enter"]);
    pane.wait_for("a row that was read", |seen| {
        let row = seen
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("{pid} ")));
        row.is_some_and(|row| !row.contains(".."))
    });
    pane.press(&["Enter"]);
    let title = format!("mappings of {pid} cat");
    pane.wait_for("mappings", |seen| {
        seen.starts_with(&title) && seen.contains("[heap]")
    });
    pane.press(&["/", "heap", "Enter"]);
    pane.wait_for("the filter", |seen| !seen.contains("libc"));
    pane.press(&["Enter"]);
    let seen = pane.wait_for("regions", |seen| {
        seen.starts_with("regions of ") && seen.contains(" ram")
    });
    // The address that another subcommand prints.
    let row = seen
        .lines()
        .find(|line| line.trim_end().ends_with(" ram"))
        .unwrap();
    let words: Vec<_> = row.split_whitespace().collect();
    let printed = support::succeed(&["physical", &pid.to_string(), words[0]]).stdout;
    assert!(printed.contains(words[2]), "{row}: {printed}");
    pane.press(&["Escape"]);
    pane.wait_for("mappings again", |seen| seen.starts_with(&title));
    pane.press(&["m"]);
    pane.wait_for("the machine", |seen| {
        seen.contains("USES OF") && seen.contains("MAP:")
    });
    pane.press(&["q"]);
    pane.end("0");
}

#[test]
fn a_process_that_is_named_is_shown_first_and_its_end_is_seen() {
    let test = "a_process_that_is_named_is_shown_first_and_its_end_is_seen";
    let waiting = Waiting::named("cat");
    let pid = waiting.pid();
    let Some(pane) = Pane::new(test, (100, 30)) else {
        return;
    };
    pane.start(&format!("{pid} --interval 200ms"));
    let title = format!("mappings of {pid} cat");
    pane.wait_for("its mappings", |seen| {
        seen.starts_with(&title) && seen.contains("[stack]")
    });
    drop(waiting);
    pane.wait_for("its end", |seen| seen.contains("has ended"));
    pane.press(&["q"]);
    pane.end("0");
}

#[test]
fn every_end_restores_the_terminal() {
    let test = "every_end_restores_the_terminal";
    let Some(pane) = Pane::new(test, (80, 24)) else {
        return;
    };
    let before = pane.modes();
    assert_eq!(before.1, "0 1", "no alternate screen, and a cursor");
    let ends: [(&str, &dyn Fn()); 5] = [
        ("0", &|| pane.press(&["q"])),
        ("0", &|| pane.press(&["C-c"])),
        ("143", &|| kill("-TERM", &pane.pid())),
        ("129", &|| kill("-HUP", &pane.pid())),
        ("131", &|| kill("-QUIT", &pane.pid())),
    ];
    for (status, end) in ends {
        pane.start("");
        assert_eq!(pane.state(), "1 0");
        end();
        let seen = pane.end(status);
        assert!(!seen.contains("RESIDENT"), "the screen of before: {seen}");
        assert_eq!(pane.modes(), before, "after status {status}");
    }
}

#[test]
fn the_view_stops_and_goes_on() {
    let test = "the_view_stops_and_goes_on";
    let Some(pane) = Pane::new(test, (80, 24)) else {
        return;
    };
    // Without job control the shell does not notice.
    pane.line("set -m");
    let before = pane.modes();
    let stops: [&dyn Fn(); 2] = [&|| pane.press(&["C-z"]), &|| kill("-TSTP", &pane.pid())];
    for stop in stops {
        pane.start("");
        stop();
        pane.wait_for("the shell", |seen| {
            seen.contains("Stopped") || seen.contains("suspended")
        });
        assert_eq!(pane.modes(), before);
        pane.line("fg");
        pane.wait_for("the view", |seen| {
            seen.contains("RESIDENT") && seen.contains("? help")
        });
        pane.press(&["?"]);
        pane.wait_for("the help", |seen| {
            seen.contains("quit") && seen.contains("Home")
        });
        pane.press(&["q", "q"]);
        pane.wait_for_shell();
        assert_eq!(pane.modes(), before);
    }
}

#[test]
fn without_privileges_own_processes_are_read_and_the_rest_is_said() {
    let test = "without_privileges_own_processes_are_read_and_the_rest_is_said";
    if !is_root_or_skip(test) {
        return;
    }
    let waiting = Waiting::of(NOBODY);
    let pid = waiting.pid();
    let Some(pane) = Pane::new(test, (120, 40)) else {
        return;
    };
    let id = NOBODY;
    pane.line(&format!(
        "clear; setpriv --reuid {id} --regid {id} --clear-groups {} top",
        pane.program()
    ));
    pane.wait_for("what is missing", |seen| {
        seen.contains("without root: only own processes")
    });
    pane.press(&["/", &pid.to_string(), "Enter"]);
    let seen = pane.wait_for("an own process", |seen| {
        let row = seen
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("{pid} ")));
        row.is_some_and(|row| !row.contains(".."))
    });
    let row = seen
        .lines()
        .find(|line| line.trim_start().starts_with(&format!("{pid} ")))
        .unwrap();
    let words: Vec<_> = row.split_whitespace().collect();
    // PID, UID, RESIDENT, PSS, USS, MEMORY, ...: the kernel's sums are known.
    assert!(words[3].ends_with(['K', 'M']) && words[5] == "-", "{row}");
    pane.press(&["Escape", "/", "1", "Enter"]);
    pane.wait_for("processes of others", |seen| seen.contains("denied"));
    pane.press(&["m"]);
    pane.wait_for("counters", |seen| {
        seen.contains("need root") && seen.contains("MemTotal")
    });
    pane.press(&["q"]);
}

#[test]
fn colors_and_characters_are_those_of_the_terminal() {
    let test = "colors_and_characters_are_those_of_the_terminal";
    let Some(pane) = Pane::new(test, (80, 24)) else {
        return;
    };
    let colored = |seen: &str| seen.contains("[48;") || seen.contains("[38;");
    for (environment, has_colors, is_ascii) in [
        ("LANG=C.UTF-8", true, false),
        ("LANG=C.UTF-8 NO_COLOR=1", false, false),
        ("LANG=C", true, true),
    ] {
        pane.line(&format!("clear; {environment} {} top self", pane.program()));
        pane.wait_for("kinds of mappings", |seen| seen.contains("[stack]"));
        // The kind of a mapping has a colour.
        pane.press(&["/", "stack"]);
        pane.tmux(&["resize-window", "-x", "140", "-y", "24"]);
        pane.wait_for("the wide screen", |seen| {
            seen.contains("KIND") && seen.contains("[stack]")
        });
        let seen = pane.tmux(&["capture-pane", "-p", "-e"]).stdout;
        assert_eq!(colored(&seen), has_colors, "{environment}: {seen:?}");
        assert_eq!(
            pane.screen().is_ascii(),
            is_ascii,
            "{environment}: {seen:?}"
        );
        pane.press(&["Escape", "q"]);
        pane.wait_for_shell();
        pane.tmux(&["resize-window", "-x", "80", "-y", "24"]);
    }
}

#[test]
fn without_a_terminal_the_usage_is_wrong() {
    let with = |name: &str, value: &Path| {
        let mut command = introspect();
        command.arg("top").env(name, value);
        finish(command)
    };
    let run = with("TERM", Path::new("xterm"));
    assert_eq!(run.status, 2, "{run:?}");
    assert!(
        run.stderr.contains("needs a terminal for its input"),
        "{run:?}"
    );
    assert!(run.stderr.contains("introspect summary --all"), "{run:?}");
    let test = "without_a_terminal_the_usage_is_wrong";
    let Some(pane) = Pane::new(test, (100, 24)) else {
        return;
    };
    for term in ["dumb", ""] {
        pane.line(&format!(
            "clear; TERM={term} {} top; echo status $?",
            pane.program()
        ));
        let seen = pane.end("2");
        assert!(seen.contains("can move its cursor"), "{seen}");
    }
}
