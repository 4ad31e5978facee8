//! Completions for shells.

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use support::succeed;

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = succeed(&["completions", shell]).stdout;
        assert!(
            script.contains("pagetable") && script.contains("mapping"),
            "{shell}"
        );
    }
}

#[test]
fn completions_offer_files_only_where_files_are_meant() {
    let script = succeed(&["completions", "bash"]).stdout;
    let offered = |option: &str| {
        let mut lines = script.lines();
        let found = lines.any(|line| line.trim() == format!("{option})"));
        assert!(found, "{option}");
        // Up to the end of the case of the option.
        lines
            .take_while(|line| line.trim() != ";;")
            .collect::<String>()
    };
    assert!(!offered("--mapping").contains("compgen -f"));
    assert!(offered("--output").contains("compgen -f"));
    for folder in ["--from", "--procfs"] {
        assert!(offered(folder).contains("plusdirs"), "{folder}");
    }
}

#[test]
fn every_subcommand_that_takes_a_process_has_them_completed() {
    let names = [
        "physical",
        "summary",
        "extents",
        "virtual",
        "resident",
        "pagetable",
        "object",
        "read",
        "report",
        "snapshot",
        "top",
    ];
    for name in names {
        let help = succeed(&[name, "--help"]).stdout;
        assert!(help.contains("[PID]") || help.contains("<PID>"), "{help}");
    }
    for (shell, word) in [
        ("bash", "opts=\"$(_introspect_processes) "),
        ("fish", "__fish_complete_pids"),
        ("zsh", ":_pids'"),
    ] {
        let script = succeed(&["completions", shell]).stdout;
        assert_eq!(script.matches(word).count(), names.len(), "{shell}");
    }
}

#[test]
fn bash_completes_numbers_and_names_of_processes_and_options() {
    let script = succeed(&["completions", "bash"]).stdout;
    let completed = |word: &str| {
        let ask = "source /dev/stdin; COMP_WORDS=(introspect physical \"$1\"); COMP_CWORD=2; \
                   _introspect introspect \"$1\" physical; printf '%s\\n' \"${COMPREPLY[@]}\"";
        let mut bash = Command::new("bash")
            .args(["-c", ask, "bash", word])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash is there");
        let mut input = bash.stdin.take().unwrap();
        input.write_all(script.as_bytes()).unwrap();
        drop(input);
        let output = bash.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let this = std::process::id().to_string();
    assert!(completed(&this).contains(&this));
    assert!(completed("bas").contains(&"bash".to_owned()));
    assert_eq!(completed("--detai"), ["--details"]);
}
