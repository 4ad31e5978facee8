//! The second table: in which situation the status of a process, its private facts, its
//! name and the registers of its first thread may be read. The tests hold it,
//! docs/PRIVILEGES.md shows it.

use process_introspection::{program_of, status_of, Error, Target as Which};
use process_introspection_core::process::ProcessDirectory;
use process_introspection_core::registers;
use testkit::machine::is_root_or_skip;
use testkit::target::Target;

use crate::confinement::{Step, DAC_READ_SEARCH, SYS_ADMIN, SYS_PTRACE};
use crate::table::yama_scope;
use crate::table::Expected::{self, Error as Fails, Given, Since, UnlessYama};
use crate::table::Whom::{self, Itself, Nobodys, NobodysNotDumpable, Roots};

const EPERM: Expected = Fails(libc::EPERM);
const QUESTIONS: [&str; 4] = ["status", "its private facts", "name", "registers"];
type Answers = [Expected; QUESTIONS.len()];

const ALL: Answers = [Given; 4];
const STATUS: Answers = [Given, EPERM, EPERM, EPERM];
const NOTHING: Answers = [EPERM; 4];
/// The tracer of registers is no ancestor of the target.
const UNLESS_YAMA: Answers = [Given, Given, Given, UnlessYama];

/// Words, steps, and the answers about each process.
type Row = (&'static str, &'static [Step], &'static [(Whom, Answers)]);

const ROWS: &[Row] = &[
    (
        "root",
        &[],
        &[
            (Itself, ALL),
            (Roots, ALL),
            (Nobodys, ALL),
            (NobodysNotDumpable, ALL),
        ],
    ),
    (
        "root without capabilities",
        &[Step::Keep(&[])],
        &[(Itself, ALL), (Roots, STATUS)],
    ),
    (
        "nobody, no capability",
        &[Step::Nobody(&[])],
        &[
            (Itself, ALL),
            (Nobodys, UNLESS_YAMA),
            (NobodysNotDumpable, STATUS),
            (Roots, STATUS),
        ],
    ),
    (
        "nobody, no capability, not dumpable",
        &[Step::Nobody(&[]), Step::NotDumpable],
        &[
            (Itself, [Given, Given, Given, EPERM]),
            // As in the first table.
            (Roots, [Since(5, 14), EPERM, EPERM, EPERM]),
        ],
    ),
    (
        "nobody with SYS_ADMIN",
        &[Step::Nobody(&[SYS_ADMIN])],
        &[(Nobodys, UNLESS_YAMA), (Roots, STATUS)],
    ),
    (
        "nobody with DAC_READ_SEARCH",
        &[Step::Nobody(&[DAC_READ_SEARCH])],
        &[(NobodysNotDumpable, STATUS), (Roots, STATUS)],
    ),
    (
        "nobody with SYS_PTRACE",
        &[Step::Nobody(&[SYS_PTRACE])],
        &[
            (Nobodys, ALL),
            (NobodysNotDumpable, [Given, EPERM, Given, Given]),
            (Roots, [Given, EPERM, Given, Given]),
        ],
    ),
    (
        "nobody with SYS_PTRACE and DAC_READ_SEARCH",
        &[Step::Nobody(&[SYS_PTRACE, DAC_READ_SEARCH])],
        &[(NobodysNotDumpable, ALL), (Roots, ALL)],
    ),
    (
        "nobody, no capability, `/proc` with hidepid=1",
        &[Step::MountProc(c"hidepid=1"), Step::Nobody(&[])],
        &[(Itself, ALL), (Roots, NOTHING)],
    ),
    (
        "nobody, no capability, `/proc` with hidepid=2",
        &[Step::MountProc(c"hidepid=2"), Step::Nobody(&[])],
        &[(Itself, ALL), (Roots, NOTHING)],
    ),
    (
        "root, `/proc` with hidepid=2",
        &[Step::MountProc(c"hidepid=2")],
        &[(Itself, ALL), (Roots, ALL)],
    ),
];

/// Answer about registers of a processor whose registers cannot be read.
const UNSUPPORTED: u64 = u64::MAX;

/// Returns 0 for each question that is answered, else the error number.
fn answers(pid: u32) -> [u64; QUESTIONS.len()] {
    let number = |result: Result<(), i32>| result.err().unwrap_or(0) as u64;
    let of_error = |error: Error| error.errno();
    let which = match pid {
        0 => Which::Caller,
        pid => Which::Pid(pid),
    };
    let status = status_of(which);
    let private = match &status {
        Ok(status) if status.initial_stack.is_some() => Ok(()),
        _ => Err(libc::EPERM),
    };
    let tid = if pid == 0 { std::process::id() } else { pid };
    let registers = ProcessDirectory::open(which)
        .and_then(|directory| registers::read(&directory, tid).map(drop))
        .map_err(|error| i32::from(error.errno().raw()));
    [
        number(status.map(drop).map_err(of_error)),
        number(private),
        number(program_of(which).map(drop).map_err(of_error)),
        match registers {
            Err(libc::EOPNOTSUPP) => UNSUPPORTED,
            other => number(other),
        },
    ]
}

fn target(whom: Whom, root: &std::path::Path) -> Target {
    Target::spawn(|| {
        let steps: &[Step] = match whom {
            Nobodys => &[Step::Nobody(&[])],
            NobodysNotDumpable => &[Step::Nobody(&[]), Step::NotDumpable],
            _ => &[],
        };
        for step in steps {
            step.make(root).expect("a step of a target");
        }
        Vec::new()
    })
}

#[test]
fn the_status_of_a_process_and_registers_need_what_the_table_says() {
    if !is_root_or_skip("the table of processes") {
        return;
    }
    let root = tempfile::tempdir().expect("a directory");
    for &(words, steps, lines) in ROWS {
        let targets: Vec<Option<Target>> = lines
            .iter()
            .map(|&(whom, _)| (whom != Itself).then(|| target(whom, root.path())))
            .collect();
        let asker = Target::spawn(|| {
            for step in steps {
                step.make(root.path()).expect("a step");
            }
            let pid = |target: &Option<Target>| target.as_ref().map_or(0, Target::pid);
            targets
                .iter()
                .flat_map(|target| answers(pid(target)))
                .collect()
        });
        let found = asker.addresses().chunks_exact(QUESTIONS.len());
        for (&(whom, expected), found) in lines.iter().zip(found) {
            for ((question, expected), &found) in QUESTIONS.iter().zip(expected).zip(found) {
                let what = format!("{words}, asking about {}: {question}", whom.words());
                if found == UNSUPPORTED {
                    eprintln!("SKIPPED {what}");
                    continue;
                }
                let found = match found {
                    0 => Ok(()),
                    errno => Err(errno as i32),
                };
                assert_eq!(found, expected.now(0), "{what}");
            }
        }
    }
}

#[test]
fn under_yama_registers_of_another_process_are_refused_and_ones_own_are_read() {
    if !is_root_or_skip("registers under Yama") {
        return;
    }
    if yama_scope() != 1 {
        println!("skipped: needs kernel.yama.ptrace_scope = 1");
        return;
    }
    let root = tempfile::tempdir().expect("a directory");
    let nobodys = target(Nobodys, root.path());
    let asker = Target::spawn(|| {
        Step::Nobody(&[]).make(root.path()).expect("a step");
        [0, nobodys.pid()].into_iter().flat_map(answers).collect()
    });
    let registers: Vec<u64> = asker
        .addresses()
        .iter()
        .skip(3)
        .step_by(4)
        .copied()
        .collect();
    assert_eq!(registers, [0, libc::EPERM as u64]);
}

#[test]
fn the_document_shows_the_table_of_processes() {
    let mut table = format!("| situation | target | {} |\n", QUESTIONS.join(" | "));
    table += &format!("|{}\n", "---|".repeat(2 + QUESTIONS.len()));
    for (words, _, lines) in ROWS {
        let mut words = *words;
        for (whom, expected) in *lines {
            let answers = expected.map(Expected::words).join(" | ");
            table += &format!("| {words} | {} | {answers} |\n", whom.words());
            words = "";
        }
    }
    let document = include_str!("../../../../docs/PRIVILEGES.md");
    let begin = "<!-- Processes and threads: tests/permissions -->\n";
    let (_, shown) = document.split_once(begin).expect("a beginning");
    let (shown, _) = shown
        .split_once("<!-- End of processes and threads -->\n")
        .expect("an end");
    assert!(shown == table, "docs/PRIVILEGES.md should say:\n{table}");
}
