//! Test: every combination of up to three options of a subcommand either has an effect
//! or is wrong usage; no option is accepted and ignored. A new option fails until it is
//! listed.

use std::collections::BTreeSet;

use clap::{CommandFactory, Parser};

use super::CommandLine;

/// Words after the options of a subcommand.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Form {
    /// Processes or addresses.
    Named(&'static [&'static str]),
    /// A program to start.
    Program,
    /// None.
    Bare,
}

impl Form {
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Named(words) => words,
            Self::Program => &["--", "true"],
            Self::Bare => &[],
        }
    }
}

struct Subcommand {
    name: &'static str,
    forms: &'static [Form],
    /// Long names.
    options: &'static str,
    /// Returns whether these options are wrong usage with this form.
    is_wrong: fn(Form, &Given) -> bool,
}

/// The options of one command line.
struct Given(BTreeSet<&'static str>);

impl Given {
    fn has(&self, option: &str) -> bool {
        self.0.contains(option)
    }

    fn count(&self, options: &[&str]) -> usize {
        options.iter().filter(|option| self.has(option)).count()
    }
}

/// Returns whether options of `physical` and `summary` about a program are wrong usage.
fn is_wrong_for_program(form: Form, given: &Given) -> bool {
    let moments = given.count(&["at-exit", "after", "on"]);
    match form {
        Form::Program => {
            let runs_on = given.has("after") || given.has("on");
            let has_mounts = given.count(&["procfs", "sysfs"]) > 0;
            moments > 1 || given.has("freeze") && !runs_on || has_mounts
        }
        _ => moments > 0,
    }
}

/// Returns whether options of `physical`, `virtual` and `resident` are wrong usage about one
/// process or several.
fn is_wrong_for_processes(form: Form, given: &Given) -> bool {
    let all = given.has("all");
    let names_others = match form {
        Form::Bare => !all,
        // With --all a range, without it a name.
        RANGE => false,
        _ => all,
    };
    let is_one = form == Form::Program || matches!(form, Form::Named(["1", ..]));
    let is_several = all || form == SEVERAL;
    names_others || given.has("deadline") && is_one && !all || given.has("freeze") && is_several
}

/// Returns whether options are wrong usage about a snapshot; `is_live` if there are others
/// that need the process.
fn is_wrong_for_snapshot(given: &Given, is_live: bool) -> bool {
    let is_live = is_live || given.count(&["stats", "freeze", "procfs", "sysfs"]) > 0;
    match given.has("from") {
        true => is_live,
        false => given.has("host"),
    }
}

/// Returns a value for an option that takes one.
fn value(subcommand: &str, option: &str) -> Option<&'static str> {
    Some(match option {
        "sort" if subcommand == "machine" => "bytes",
        "sort" if ["snapshots", "files"].contains(&subcommand) => "size",
        "sort" => "pid",
        "by" if subcommand == "machine" => "zone",
        "format" if subcommand == "metrics" => "openmetrics",
        "listen" => "127.0.0.1:0",
        "format" => "json",
        "output" | "from-log" | "redact-key" => "file",
        "mapping" | "host" => "name",
        "from" | "against" => "lake",
        "pid" => "1",
        "procfs" => "/proc",
        "sysfs" => "/sys",
        "threads" | "keep" | "count" | "top" => "2",
        "every" | "older-than" | "after" | "deadline" | "interval" => "2s",
        "on" => "USR1",
        "budget" => "2%",
        "by" => "user",
        "align" => "2M",
        _ => return None,
    })
}

const PAGE: Form = Form::Named(&["1", "1000"]);
const SEVERAL: Form = Form::Named(&["1,2"]);
const RANGE: Form = Form::Named(&["1000-2000"]);

const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "physical",
        forms: &[
            Form::Named(&["1"]),
            PAGE,
            SEVERAL,
            RANGE,
            Form::Program,
            Form::Bare,
        ],
        options: "stats from host all deadline mapping freeze backed vm-flags thread-stacks threads details fold \
            no-fold format output procfs sysfs at-exit after on",
        is_wrong: |form, given| {
            // In JSON no records are joined.
            let not_folded = given.count(&["no-fold", "details", "format"]) > 0;
            let is_live =
                form == Form::Program
                    || given.count(&["vm-flags", "thread-stacks", "threads", "deadline"]) > 0;
            is_wrong_for_processes(form, given) || given.has("fold") && not_folded
                || is_wrong_for_program(form, given)
                || is_wrong_for_snapshot(given, is_live)
        },
    },
    Subcommand {
        name: "summary",
        forms: &[
            Form::Named(&["1"]),
            Form::Named(&["1", "2"]),
            Form::Program,
            Form::Bare,
        ],
        options: "stats from host all deadline by-mapping by contiguity sort top mapping freeze vm-flags \
            format output procfs sysfs at-exit after on",
        is_wrong: |form, given| {
            let of_processes = given.count(&["by-mapping", "mapping", "freeze", "vm-flags"]) > 0;
            let lists = given.count(&["by-mapping", "by", "contiguity"]);
            let by_mapping = lists > 0 && given.has("vm-flags") || lists > 1;
            let all = match form {
                Form::Bare => !given.has("all") || of_processes,
                _ => given.has("all"),
            };
            let waits = given.has("deadline") && !given.has("all");
            let of_program = form == Form::Program && given.has("by");
            let is_live = form == Form::Program || given.count(&["vm-flags", "deadline", "by"]) > 0;
            let of_part = given.has("from")
                && given.has("mapping")
                && given.count(&["by-mapping", "contiguity"]) == 0;
            let is_one = form == Form::Program || form == Form::Named(&["1"]);
            let sorts = given.count(&["sort", "top"]) > 0;
            let of_no_list = sorts && is_one && lists == 0;
            // Groups have no pid.
            let of_no_column = given.has("sort") && given.has("by");
            let several = form == Form::Named(&["1", "2"]);
            let of_metrics = given.has("contiguity")
                && (sorts || several && given.has("freeze"));
            all || waits
                || of_program
                || of_no_column
                || of_no_list
                || by_mapping
                || of_metrics
                || of_part
                || is_wrong_for_program(form, given)
                || is_wrong_for_snapshot(given, is_live)
        },
    },
    Subcommand {
        name: "snapshot",
        forms: &[Form::Named(&["1"]), Form::Bare],
        options: "stats all frames output details every count redact redact-key deadline freeze procfs \
            sysfs",
        is_wrong: |form, given| {
            let is_named = form != Form::Bare;
            let is_nothing = !is_named && given.count(&["all", "frames"]) == 0;
            let of_processes = given.count(&["stats", "details", "deadline", "freeze"]);
            is_nothing
                || is_named && given.has("all")
                || !is_named && !given.has("all") && of_processes > 0
                || !given.has("output")
                || given.has("all") && given.has("freeze")
                || given.has("count") && !given.has("every")
                || given.has("redact-key") && !given.has("redact")
        },
    },
    Subcommand {
        name: "snapshots",
        forms: &[Form::Named(&["lake"])],
        options: "host sort top format output",
        is_wrong: |_, _| false,
    },
    Subcommand {
        name: "diff",
        forms: &[Form::Named(&["1"]), Form::Named(&["lake", "lake"])],
        options: "stats every count pid frames host exit-code format output procfs sysfs",
        is_wrong: |form, given| {
            let of_snapshots = given.count(&["pid", "frames", "host"]) > 0;
            let of_process = given.count(&["stats", "every", "count", "procfs", "sysfs"]) > 0;
            match form {
                Form::Named([_]) => !given.has("every") || of_snapshots,
                _ => of_process || given.has("pid") && given.has("frames"),
            }
        },
    },
    Subcommand {
        name: "prune",
        forms: &[Form::Named(&["lake"])],
        options: "keep older-than dry-run",
        is_wrong: |_, given| given.count(&["keep", "older-than"]) != 1,
    },
    Subcommand {
        name: "extents",
        forms: &[PAGE],
        options: "stats from host mapping freeze contiguous align format output procfs sysfs",
        is_wrong: |_, given| is_wrong_for_snapshot(given, false),
    },
    Subcommand {
        name: "virtual",
        forms: &[Form::Named(&["1"]), PAGE, SEVERAL, RANGE, Form::Bare],
        options: "stats from host all deadline mapping freeze thread-stacks format output procfs sysfs",
        is_wrong: |form, given| {
            let is_live = given.count(&["thread-stacks", "deadline"]) > 0;
            is_wrong_for_processes(form, given) || is_wrong_for_snapshot(given, is_live)
        },
    },
    Subcommand {
        name: "resident",
        forms: &[Form::Named(&["1"]), PAGE, SEVERAL, RANGE, Form::Bare],
        options: "stats from host all deadline mapping freeze backed format output procfs sysfs",
        is_wrong: |form, given| {
            is_wrong_for_processes(form, given)
                || is_wrong_for_snapshot(given, given.has("deadline"))
        },
    },
    Subcommand {
        name: "pagetable",
        forms: &[PAGE],
        options: "stats mapping freeze backed details format output procfs sysfs",
        is_wrong: |_, _| false,
    },
    Subcommand {
        name: "object",
        forms: &[PAGE],
        options: "format output procfs sysfs",
        is_wrong: |_, _| false,
    },
    Subcommand {
        name: "frame",
        forms: &[Form::Named(&["1000"])],
        options: "from host format output procfs sysfs",
        is_wrong: |_, given| is_wrong_for_snapshot(given, false),
    },
    Subcommand {
        name: "owner",
        forms: &[Form::Named(&["1000"]), Form::Bare],
        options: "stats from host from-log kmsg watch interval unread by-process sort top threads \
            deadline format output procfs sysfs",
        is_wrong: |form, given| {
            let is_nothing = form == Form::Bare && given.count(&["from-log", "kmsg"]) == 0;
            let is_live = given.count(&["watch", "threads", "deadline"]) > 0;
            let sorts = given.count(&["sort", "top"]) > 0;
            is_nothing
                || sorts && !given.has("by-process")
                || given.has("watch") && given.has("by-process")
                || given.has("interval") && !given.has("watch")
                || is_wrong_for_snapshot(given, is_live)
        },
    },
    Subcommand {
        name: "machine",
        forms: &[Form::Bare],
        options: "by contiguity sort top from host format output procfs sysfs",
        is_wrong: |_, given| {
            given.count(&["sort", "top"]) > 0 && !given.has("by")
                || given.count(&["by", "contiguity"]) == 2
                || is_wrong_for_snapshot(given, false)
        },
    },
    Subcommand {
        name: "top",
        forms: &[Form::Named(&["1"]), Form::Bare],
        options: "by interval budget procfs sysfs",
        is_wrong: |_, _| false,
    },
    Subcommand {
        name: "metrics",
        forms: &[Form::Bare],
        options: "listen by top interval budget deadline format output procfs sysfs",
        is_wrong: |_, given| match given.has("listen") {
            true => given.count(&["format", "output"]) > 0,
            false => given.count(&["interval", "budget"]) > 0,
        },
    },
    Subcommand {
        name: "files",
        forms: &[Form::Bare],
        options: "all deadline sort top procfs format output",
        is_wrong: |_, given| given.has("all") && given.has("top"),
    },
    Subcommand {
        name: "report",
        forms: &[Form::Named(&["1"]), Form::Named(&["1", "2"]), Form::Bare],
        options: "stats all machine against deadline from host output procfs sysfs",
        is_wrong: |form, given| {
            let named = usize::from(form != Form::Bare);
            let selected = named + given.count(&["all", "machine"]);
            let of_processes = given.count(&["stats", "deadline"]) > 0;
            selected > 1
                || selected == 0 && !given.has("from")
                || given.has("machine") && of_processes
                || given.has("against") && !given.has("from")
                || is_wrong_for_snapshot(given, given.has("deadline"))
        },
    },
    Subcommand {
        name: "read",
        forms: &[PAGE],
        options: "mapping freeze hex raw output procfs sysfs",
        is_wrong: |_, given| given.has("hex") && given.has("raw"),
    },
    Subcommand {
        name: "completions",
        forms: &[Form::Named(&["bash"])],
        options: "",
        is_wrong: |_, _| false,
    },
    Subcommand {
        name: "man",
        forms: &[Form::Named(&["dir"])],
        options: "",
        is_wrong: |_, _| false,
    },
];

/// Returns the sets of up to three options.
fn combinations(options: &'static str) -> Vec<BTreeSet<&'static str>> {
    let mut sets = BTreeSet::from([BTreeSet::new()]);
    for _ in 0..3 {
        let with_another = |set: &BTreeSet<&'static str>| {
            let set = set.clone();
            options
                .split_whitespace()
                .map(move |option| set.iter().copied().chain([option]).collect())
        };
        let larger: Vec<_> = sets.iter().flat_map(with_another).collect();
        sets.extend(larger);
    }
    sets.into_iter().collect()
}

#[test]
fn no_option_is_accepted_and_ignored() {
    let mut wrong = 0;
    for subcommand in SUBCOMMANDS {
        for &form in subcommand.forms {
            for given in combinations(subcommand.options) {
                let mut words = vec!["introspect".to_owned(), subcommand.name.to_owned()];
                for option in &given {
                    words.push(format!("--{option}"));
                    words.extend(value(subcommand.name, option).map(str::to_owned));
                }
                words.extend(form.words().iter().map(|&word| word.to_owned()));
                let parsed = CommandLine::try_parse_from(&words);
                let taken = parsed.and_then(|arguments| arguments.command.check());
                let given = Given(given);
                let is_wrong = (subcommand.is_wrong)(form, &given);
                assert_eq!(taken.is_err(), is_wrong, "{words:?}: {taken:?}");
                wrong += usize::from(is_wrong);
            }
        }
    }
    assert!(wrong > 100, "{wrong}");
}

#[test]
fn every_option_is_listed_with_what_it_has_an_effect_on() {
    let command = CommandLine::command();
    let names: BTreeSet<_> = SUBCOMMANDS.iter().map(|listed| listed.name).collect();
    for subcommand in command.get_subcommands() {
        assert!(names.contains(subcommand.get_name()), "{subcommand}");
    }
    for listed in SUBCOMMANDS {
        let subcommand = command.find_subcommand(listed.name).unwrap();
        let options: BTreeSet<_> = subcommand
            .get_arguments()
            .filter_map(clap::Arg::get_long)
            .collect();
        let all: BTreeSet<_> = listed.options.split_whitespace().collect();
        assert_eq!(options, all, "{}", listed.name);
    }
}
