//! A container that reads its host's processes: it has its own PID namespace and proc, and
//! the host's proc on another directory.

mod support;

use std::process::Command;

use support::{fail, finish, introspect, number, run, succeed, target, Run, Waiting};
use tempfile::TempDir;
use testkit::machine::is_root_or_skip;
use testkit::memory::page;

/// A directory for the host's proc, mounted only in a separate mount namespace.
struct Container(TempDir);

impl Container {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn host(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    /// Runs the command in it.
    fn run(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Run {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--pid", "--fork"]);
        let set_up =
            "mount --bind /proc \"$1\" && mount -t proc proc /proc && shift && exec \"$@\"";
        command.args(["sh", "-c", set_up, "sh", self.host()]);
        command.arg(introspect().get_program()).args(arguments);
        command.env_remove("HOST_PROC");
        command.envs(environment.iter().copied());
        finish(command)
    }
}

#[test]
fn a_container_sees_the_hosts_processes_by_the_hosts_numbers() {
    if !is_root_or_skip("a container with the host's proc") {
        return;
    }
    let (container, target) = (Container::new(), target());
    let host = container.host();
    let pid = target.pid().to_string();
    let at = |index: usize| target.addresses()[index];
    let range = format!("{:x}+{}", at(0), 16 * page());
    let address = format!("{:x}", at(2));
    // In the container no process has the number by itself, with any subcommand.
    for (subcommand, rest) in [
        ("physical", vec![range.as_str()]),
        (
            "physical",
            vec![range.as_str(), "--details", "--thread-stacks", "--vm-flags"],
        ),
        ("extents", vec![range.as_str()]),
        ("virtual", vec![]),
        ("resident", vec![range.as_str()]),
        ("pagetable", vec![range.as_str()]),
        ("object", vec![address.as_str()]),
        ("read", vec![range.as_str(), "--hex"]),
        ("summary", vec!["--by-mapping"]),
    ] {
        let plain = [&[subcommand, &pid], &rest[..]].concat();
        let named = [&plain[..], &["--procfs", host, "--sysfs", "/sys"]].concat();
        let format: &[&str] = match subcommand {
            "read" => &[],
            _ => &["--format", "json"],
        };
        let (plain, named) = ([&plain[..], format].concat(), [&named[..], format].concat());
        let outside = succeed(&plain);
        let inside = container.run(&[], &named);
        assert_eq!(
            (inside.status, inside.stderr.as_str()),
            (0, ""),
            "{named:?}"
        );
        let same = match subcommand {
            // Pages of its libraries have other owners as well.
            "summary" => inside.stdout.len() > 2 && !outside.stdout.is_empty(),
            "object" => inside.stdout.contains("memfd"),
            _ => inside.stdout == outside.stdout,
        };
        assert!(same, "{named:?}: {inside:?} {outside:?}");
        let unnamed = container.run(&[], &plain);
        assert_eq!(unnamed.status, 1, "{plain:?} {unnamed:?}");
    }
}

#[test]
fn a_containers_own_number_means_the_hosts_process_of_that_number() {
    if !is_root_or_skip("a container with the host's proc") {
        return;
    }
    // In the container, 1 is the command itself. Outside, 1 may not be readable.
    let container = Container::new();
    let arguments = ["virtual", "1", "--format", "jsonl"];
    let outside = run(&arguments);
    let named = [&arguments[..], &["--procfs", container.host()]].concat();
    let inside = container.run(&[], &named);
    assert_eq!(
        (inside.status, &inside.stderr),
        (outside.status, &outside.stderr)
    );
    let program = |run: &Run| {
        let first = run.lines().into_iter().next();
        first.map(|first| (first["path"].clone(), first["ino"].clone()))
    };
    assert_eq!(program(&inside), program(&outside));
    let own = container.run(&[], &arguments);
    assert_ne!(program(&own), program(&outside));
    assert!(program(&own).is_some(), "{own:?}");
    // `self` is the command, whatever its number.
    let this = [
        "virtual",
        "self",
        "--format",
        "jsonl",
        "--procfs",
        container.host(),
    ];
    assert_eq!(program(&container.run(&[], &this)), program(&own));
}

#[test]
fn the_variable_names_the_hosts_proc_and_a_line_reports_it() {
    if !is_root_or_skip("a container with the host's proc") {
        return;
    }
    let container = Container::new();
    let name = format!("in host {}", std::process::id());
    let waiting = Waiting::named(&name);
    let environment = [("HOST_PROC", container.host())];
    let arguments = ["summary", &name, "--format", "jsonl"];
    let inside = container.run(&environment, &arguments);
    assert_eq!(inside.status, 0, "{inside:?}");
    assert_eq!(number(&inside.lines()[0], "pid"), u64::from(waiting.pid()));
    let said = format!(
        "HOST_PROC is set: process numbers are those of {}",
        container.host()
    );
    assert!(inside.stderr.contains(&said), "{inside:?}");
    // The option has priority, and an empty variable has no effect.
    let option = ["virtual", "self", "--procfs", "/proc"];
    let inside = container.run(&environment, &option);
    assert_eq!((inside.status, inside.stderr.as_str()), (0, ""));
    let inside = container.run(&[("HOST_PROC", "")], &["virtual", "self"]);
    assert_eq!((inside.status, inside.stderr.as_str()), (0, ""));
}

#[test]
fn a_container_finds_owners_among_the_hosts_processes() {
    if !is_root_or_skip("owners on a host") {
        return;
    }
    let (container, target) = (Container::new(), target());
    let pid = target.pid().to_string();
    let address = format!("{:x}", target.addresses()[0]);
    let found = succeed(&["physical", &pid, &address, "--format", "jsonl"]);
    let memory = found.lines()[0]["paddr"].as_str().unwrap().to_owned();
    let owner = ["owner", &memory, "--format", "jsonl"];
    let named = [&owner[..], &["--procfs", container.host()]].concat();
    let owners = |run: &Run| {
        let of = |record: &serde_json::Value| {
            (record["record"] == "mapped").then(|| number(record, "pid"))
        };
        run.lines().iter().filter_map(of).collect::<Vec<_>>()
    };
    let inside = container.run(&[], &named);
    assert_eq!(owners(&inside), [u64::from(target.pid())], "{inside:?}");
    assert!(!inside.stderr.contains("namespace"), "{inside:?}");
    let own = container.run(&[], &owner);
    assert!(owners(&own).is_empty(), "{own:?}");
    assert!(own.stderr.contains("namespace"), "{own:?}");
    let all = [
        "summary",
        "--all",
        "--format",
        "jsonl",
        "--procfs",
        container.host(),
    ];
    let all = container.run(&[], &all);
    let pids = all
        .lines()
        .iter()
        .map(|record| number(record, "pid"))
        .collect::<Vec<_>>();
    assert!(pids.contains(&target.pid().into()), "{pids:?}");
}

#[test]
fn a_process_of_the_host_cannot_be_stopped_from_a_container_and_is_left_as_it_is() {
    if !is_root_or_skip("stopping a process of the host") {
        return;
    }
    let (container, waiting) = (Container::new(), Waiting::named("in host"));
    let pid = waiting.pid().to_string();
    let frozen = ["virtual", &pid, "--freeze", "--procfs", container.host()];
    let inside = container.run(&[], &frozen);
    assert_eq!(inside.status, 1, "{inside:?}");
    assert!(inside.stderr.contains("PID namespace"), "{inside:?}");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("State:\tS"), "{status}");
}

#[test]
fn a_directory_without_the_file_system_is_refused_by_its_name() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path().to_str().unwrap();
    for (option, name) in [("--procfs", "proc"), ("--sysfs", "sysfs")] {
        let message = fail(&["virtual", "self", option, dir]);
        let expected =
            format!("introspect: {option} {dir}: no {name} file system is mounted there");
        assert_eq!(message.trim_end(), expected);
    }
    let mut command = introspect();
    command.args(["virtual", "self"]).env("HOST_PROC", dir);
    let run = finish(command);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(
        run.stderr
            .starts_with(&format!("introspect: HOST_PROC {dir}: ")),
        "{run:?}"
    );
}

#[test]
fn other_mounts_are_refused_for_a_program_that_is_started() {
    for subcommand in ["physical", "summary"] {
        let run = run(&[subcommand, "--procfs", "/proc", "--", "true"]);
        assert_eq!(run.status, 2, "{run:?}");
        assert!(run.stderr.contains("--procfs"), "{run:?}");
    }
}
