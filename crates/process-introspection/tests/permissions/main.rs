//! The permission matrix: every row of the two tables in docs/PRIVILEGES.md, tried
//! with the Rust library and the C library. The tables are in `table`.
//!
//! Needs root, which every situation is entered from.

mod answers;
mod c_calls;
mod confinement;
mod denials;
mod document;
mod processes;
mod table;

use std::collections::BTreeSet;

use process_introspection::Target as Which;
use testkit::machine::is_root_or_skip;
use testkit::memory::{self, page};
use testkit::oracle::Pagemap;
use testkit::target::{Report, Target};

use answers::{Answer, Subject, QUESTIONS};
use c_calls::{c_library, CLibrary};
use c_library::loaded::Record;
use confinement::Step;
use denials::{Denial, DENIALS};
use table::{Line, Situation, Whom, SITUATIONS};

/// What stands in the first word of a process's own page.
fn word_of(whom: Whom) -> u64 {
    let whom = match whom {
        Whom::ItselfByPid => Whom::Itself,
        whom => whom,
    };
    0x5eed_0000_0000 + whom as u64
}

/// What a row is about, with all that is needed to try it.
struct Trial<'a> {
    name: &'a str,
    steps: &'a [Step],
    in_pid_namespace: bool,
    lines: &'a [Line],
    /// The error that a filter gives, if there is one.
    filters: i32,
}

/// What all the processes of a trial have inherited.
struct Inherited {
    page: u64,
    code: u64,
    root: tempfile::TempDir,
    c: Option<CLibrary>,
    records: Vec<Record>,
}

impl Inherited {
    fn mark(&self, whom: Whom) {
        // SAFETY: the page was mapped for this; nobody has a reference to it.
        unsafe { (self.page as *mut u64).write_volatile(word_of(whom)) };
    }

    /// A process that does nothing any more.
    fn target(&self, whom: Whom) -> Target {
        Target::spawn(|| {
            let steps: &[Step] = match whom {
                Whom::Nobodys => &[Step::Nobody(&[])],
                Whom::NobodysNotDumpable => &[Step::Nobody(&[]), Step::NotDumpable],
                _ => &[],
            };
            for step in steps {
                step.make(self.root.path()).expect("a step of a target");
            }
            self.mark(whom);
            Vec::new()
        })
    }
}

/// What was found out about one line's process.
struct Found {
    /// Its PID, as the asker sees it.
    pid: u32,
    /// Whether each error's message said what it should.
    advises: bool,
    rust: [Answer; 6],
    c: [Answer; 6],
}

impl Found {
    const WORDS: usize = 2 + 2 * 6 * Answer::WORDS;

    fn words(&self) -> Vec<u64> {
        let answers = self.rust.iter().chain(&self.c);
        [u64::from(self.pid), u64::from(self.advises)]
            .into_iter()
            .chain(answers.flat_map(|answer| answer.words()))
            .collect()
    }

    fn from_words(words: &[u64]) -> Self {
        let answer = |index| Answer::from_words(&words[2 + index * Answer::WORDS..]);
        Self {
            pid: words[0] as u32,
            advises: words[1] != 0,
            rust: std::array::from_fn(answer),
            c: std::array::from_fn(|index| answer(6 + index)),
        }
    }
}

/// Runs within the asker: enters the situation, asks, reports. The first word
/// is the error with which a step failed, or 0.
fn ask(trial: &Trial<'_>, inherited: &mut Inherited, which: &[Which], report: &Report) {
    inherited.mark(Whom::Itself);
    for step in trial.steps {
        if let Err(error) = step.make(inherited.root.path()) {
            eprintln!("{}: {step:?}: {error}", trial.name);
            report.send(&[error.raw_os_error().unwrap_or(libc::EIO) as u64]);
            return;
        }
    }
    let mut words = vec![0];
    // Children stay until all is compared.
    let mut children = Vec::new();
    for (line, &which) in trial.lines.iter().zip(which) {
        let (which, pid) = match (line.whom, which) {
            (Whom::Child, _) => {
                let child = inherited.target(Whom::Child);
                let pid = child.pid();
                children.push(child);
                (Which::Pid(pid), pid)
            }
            (Whom::ItselfByPid, _) => (Which::Pid(std::process::id()), 0),
            (_, Which::Pid(pid)) => (which, pid),
            _ => (which, 0),
        };
        let subject = Subject {
            which,
            page: inherited.page,
            word: word_of(line.whom),
            code: inherited.code,
        };
        let (rust, advises) = answers::of_rust(&subject, line.says);
        let c = match inherited.c {
            Some(c) => answers::of_c(c, &subject, &mut inherited.records),
            None => answers::NONE_OF_C,
        };
        let found = Found {
            pid,
            advises,
            rust,
            c,
        };
        words.extend(found.words());
    }
    report.send(&words);
    loop {
        // Not a read, which may be denied.
        // SAFETY: takes no memory; ended by the parent.
        unsafe { libc::pause() };
    }
}

/// The physical address of the page as a privileged reader outside sees it.
fn address_from_outside(pid: u32, page: u64) -> u64 {
    const FRAME: u64 = (1 << 55) - 1;
    (Pagemap::open(pid).entry(page) & FRAME) * memory::page()
}

fn compare(trial: &Trial<'_>, line: &Line, found: &Found, pid: u32, page: u64) {
    let who = format!("{}, asking about {}", trial.name, line.whom.words());
    let expected_of_c = line.c.unwrap_or(line.answers);
    for (interface, answers, expected) in [
        ("Rust", found.rust, line.answers),
        ("C", found.c, expected_of_c),
    ] {
        for ((question, answer), expected) in QUESTIONS.iter().zip(answers).zip(expected) {
            let what = format!("{who}, {interface}: {question}");
            let Some(outcome) = answer.outcome(&what) else {
                continue;
            };
            assert_eq!(outcome, expected.now(trial.filters), "{what}");
            if answer.address != 0 {
                assert_eq!(answer.address, address_from_outside(pid, page), "{what}");
            } else {
                let tells_one = matches!(*question, "physical" | "page table");
                assert!(outcome.is_err() || !tells_one, "{what}: no address");
            }
        }
    }
    assert!(
        found.advises,
        "{who}: an error's message lacks {:?}",
        line.says
    );
}

fn run(trial: &Trial<'_>) {
    answers::program_name();
    let mut inherited = Inherited {
        page: memory::anonymous(page()),
        code: run as fn(&_) as usize as u64,
        root: tempfile::tempdir().expect("a directory"),
        c: c_library(),
        records: vec![Record::default(); 1 << 14],
    };
    let is_inside = |line: &Line| line.whom == Whom::Inside;
    let target = |line: &Line| match line.whom {
        Whom::Itself | Whom::ItselfByPid | Whom::Child => None,
        whom => Some(inherited.target(whom)),
    };
    let outside = |line: &Line| if is_inside(line) { None } else { target(line) };
    let mut targets: Vec<Option<Target>> = trial.lines.iter().map(outside).collect();
    if trial.in_pid_namespace {
        // SAFETY: takes no memory; concerns only what this thread forks.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWPID) }, 0);
        for (line, slot) in trial.lines.iter().zip(&mut targets) {
            if is_inside(line) {
                *slot = target(line);
            }
        }
    }
    let which: Vec<Which> = trial
        .lines
        .iter()
        .zip(&targets)
        .map(|(line, target)| match (line.whom, target) {
            // The first of its namespace.
            (Whom::Inside, _) => Which::Pid(1),
            (Whom::RootsUnique, Some(target)) => answers::unique(target.pid()),
            (_, Some(target)) => Which::Pid(target.pid()),
            (_, None) => Which::Caller,
        })
        .collect();
    let asker = Target::spawn_reporting(|report| ask(trial, &mut inherited, &which, &report));
    let (failed, words) = asker.addresses().split_first().expect("a report");
    if *failed != 0 {
        let error = std::io::Error::from_raw_os_error(*failed as i32);
        let lacks_namespaces = trial
            .steps
            .iter()
            .any(|step| matches!(step, Step::UserNamespace));
        assert!(lacks_namespaces, "{}: {error}", trial.name);
        eprintln!("SKIPPED {}: no user namespace: {error}", trial.name);
        return;
    }
    let found = words.chunks_exact(Found::WORDS).map(Found::from_words);
    assert_eq!(found.len(), trial.lines.len());
    for ((line, found), target) in trial.lines.iter().zip(found).zip(&targets) {
        let pid = match (line.whom, target) {
            (Whom::Child, _) => found.pid,
            (_, Some(target)) => target.pid(),
            (_, None) => asker.pid(),
        };
        compare(trial, line, &found, pid, inherited.page);
    }
    memory::unmap(inherited.page, page());
}

/// In a thread of its own: a new PID namespace is one for all that its creator
/// forks from then on.
fn try_out(trial: &Trial<'_>) {
    if !is_root_or_skip(trial.name) {
        return;
    }
    std::thread::scope(|scope| {
        let result = scope.spawn(|| run(trial)).join();
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
}

fn situation(name: &str) {
    let found = SITUATIONS.iter().find(|situation| situation.name == name);
    let situation: &Situation = found.expect("a row of the table");
    try_out(&Trial {
        name,
        steps: situation.steps,
        in_pid_namespace: situation.in_pid_namespace,
        lines: situation.lines,
        filters: 0,
    });
}

fn denial(name: &str) {
    let found = DENIALS.iter().find(|denial| denial.name == name);
    let denial: &Denial = found.expect("a row of the table");
    for filters in [libc::EPERM, libc::ENOSYS] {
        try_out(&Trial {
            name,
            steps: &[Step::Deny(denial.calls, filters)],
            in_pid_namespace: false,
            lines: denial.lines,
            filters,
        });
    }
}

/// What the C library calls, the Rust library does too.
#[test]
fn every_system_call_of_a_walk_has_a_row() {
    let test = "every system call of a walk";
    let Some(c) = is_root_or_skip(test).then(c_library).flatten() else {
        return;
    };
    answers::program_name();
    let at = memory::anonymous(page());
    let target = Target::spawn(|| {
        memory::touch(at, 1, 1);
        Vec::new()
    });
    let subject = |which| Subject {
        which,
        page: at,
        word: 0,
        code: run as fn(&_) as usize as u64,
    };
    let (own, other) = (
        subject(Which::Caller),
        subject(answers::unique(target.pid())),
    );
    let calls = testkit::trace::count(
        || vec![Record::default(); 1 << 14].into_boxed_slice(),
        |records| {
            let mut records = records.clone();
            answers::of_c(c, &own, &mut records);
            answers::of_c(c, &other, &mut records);
        },
    );
    memory::unmap(at, page());
    // What the allocator of this test asks for more memory with.
    let allocator = [libc::SYS_brk, libc::SYS_mprotect];
    let rows = DENIALS.iter().flat_map(|denial| denial.calls);
    let rows: BTreeSet<libc::c_long> = rows.copied().collect();
    let table = c_library::system_calls::all();
    let table = table.iter().map(|call| call.number() as libc::c_long);
    // The names of programs and lists of processes, which are no walks, have it alone.
    let table = table.filter(|&number| number != libc::SYS_readlinkat);
    assert_eq!(rows, table.collect(), "the table of the C library");
    let known: Vec<libc::c_long> = rows.iter().chain(&allocator).copied().collect();
    let is_unknown = |number: &libc::c_long| !known.contains(number);
    let without: Vec<libc::c_long> = calls.numbers().filter(is_unknown).collect();
    assert_eq!(without, []);
    assert!(calls.of(libc::SYS_openat) > 0 && calls.of(libc::SYS_pidfd_open) == 5);
}

/// One test for each row, and one that no row is forgotten.
macro_rules! rows {
    ($situation:ident: $($row:ident),* $(,)?; $denial:ident: $($denied:ident),* $(,)?) => {
        $(
            #[test]
            fn $row() {
                $situation(stringify!($row));
            }
        )*
        $(
            #[test]
            fn $denied() {
                $denial(stringify!($denied));
            }
        )*

        #[test]
        fn every_row_is_a_test() {
            let situations: Vec<&str> = SITUATIONS.iter().map(|row| row.name).collect();
            assert_eq!(situations, [$(stringify!($row)),*]);
            let denials: Vec<&str> = DENIALS.iter().map(|row| row.name).collect();
            assert_eq!(denials, [$(stringify!($denied)),*]);
        }
    };
}

rows! {
    situation:
        root,
        root_without_new_privileges,
        root_without_capabilities,
        another_user,
        another_user_without_new_privileges,
        sys_admin_alone,
        sys_ptrace_alone,
        dac_read_search_alone,
        perfmon_alone,
        perfmon_and_dac_read_search,
        sys_ptrace_and_dac_read_search,
        sys_admin_and_sys_ptrace,
        all_three_capabilities,
        not_dumpable,
        file_capabilities_without_dac_read_search,
        file_capabilities,
        file_capabilities_without_sys_ptrace,
        user_namespace,
        hidepid_1,
        hidepid_2,
        hidepid_2_as_root,
        pid_namespace_with_its_proc,
        pid_namespace_with_the_outer_proc,
        proc_of_another_pid_namespace,
        no_proc,
        chroot_without_proc,
        chroot_with_proc;
    denial:
        denied_openat,
        denied_close,
        denied_pread64,
        denied_ioctl,
        denied_ioctl_and_read,
        denied_pidfd_open,
        denied_pidfd_send_signal,
        denied_process_vm_readv,
        denied_fstatfs,
        denied_statx,
        denied_getdents64,
        denied_clock_gettime,
        denied_getrusage_and_clock_nanosleep,
        denied_getpid_and_gettid,
        denied_mmap_and_munmap,
        denied_msync,
        denied_rt_sigprocmask,
}
