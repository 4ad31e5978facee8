//! Faults at every system call of a walk: the calls are recorded in a run without
//! faults, then each sort of call gets each of its faults at its first, second and last
//! occurrence, and the result of the walk is compared with a table (`expected`). Knows
//! no walk.

mod expected;
mod subject;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt;
use std::fs;
use std::panic::{catch_unwind, AssertUnwindSafe};

use crate::scale::one_case_in;
use crate::tracee::{self, Answer, Call, Decide, Waker};
use expected::{expected, faults_of, Expected};
pub use expected::{Fault, ESRVRFAULT};
pub use subject::Subject;

/// One element of a walk's result.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Facts that must be correct: addresses, sizes, flags.
    pub facts: [u64; 6],
    /// Facts that are unknown of an object that cannot be examined.
    pub kind: u64,
}

/// A walk under test. It runs in a child and must still find its target there.
pub struct Walk<'a> {
    /// Name in messages.
    pub name: &'a str,
    /// Whether it has a runtime, which may allocate and start threads as in Rust
    /// programs: those calls do not belong to the walk.
    pub has_runtime: bool,
    /// Whether its target's first thread has ended.
    pub first_thread_ended: bool,
    /// Whether it reads files that need not be readable: then each fault may also leave out
    /// facts of [`Given::kind`], or be an error that the kernel could have for it.
    pub reads_optional_files: bool,
    /// Returns the result, and the error number, [`UNTOLD`] without one.
    #[allow(clippy::type_complexity)]
    pub run: &'a dyn Fn(&mut Vec<Given>) -> Result<(), i32>,
}

/// The number of an error without one: it matches any error.
pub const UNTOLD: i32 = -1;

/// Numbers of tested cases.
#[derive(Copy, Clone, Debug, Default)]
pub struct Tally {
    /// Sorts of calls, by number and subject.
    pub sorts: usize,
    /// Faults at an occurrence of a sort.
    pub cases: usize,
    /// Cases with the whole list.
    pub lists: usize,
    /// Cases with an error.
    pub errors: usize,
    /// Cases in which the call was not made this time.
    pub not_reached: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cases at {} sorts of calls: {} the list, {} an error, {} not reached",
            self.cases, self.sorts, self.lists, self.errors, self.not_reached
        )
    }
}

/// A call that marks something: of no process's group.
const NOBODY: libc::pid_t = -8;
const BEGIN: u64 = 1;
const END: u64 = 2;
const TELL: u64 = 3;

fn mark(what: u64, one: u64, other: u64, leaked: u64, text: &str) -> libc::c_long {
    let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
    // SAFETY: the kernel looks at the first argument only; the text lives.
    unsafe {
        libc::syscall(
            libc::SYS_getpgid,
            NOBODY,
            what as libc::c_ulong,
            one as libc::c_ulong,
            other as libc::c_ulong,
            leaked as libc::c_ulong,
            text.as_ptr(),
        )
    }
}

/// End of a walk.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Outcome {
    List = 1,
    ListWithoutKinds,
    Nothing,
    Error,
    Different,
    Panic,
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Compares the result with the beginning of the expected one.
fn compare(given: &[Given], clean: &[Given], is_whole: bool) -> Result<Outcome, String> {
    let mut outcome = Outcome::List;
    for (index, given) in given.iter().enumerate() {
        match clean.get(index) {
            Some(clean) if clean.facts == given.facts => {
                if clean.kind != given.kind {
                    outcome = Outcome::ListWithoutKinds;
                }
            }
            other => return Err(format!("{index}: {given:x?}, not {other:x?}")),
        }
    }
    if is_whole && given.is_empty() && !clean.is_empty() {
        return Ok(Outcome::Nothing);
    }
    if is_whole && given.len() != clean.len() {
        return Err(format!("{} given of {}", given.len(), clean.len()));
    }
    Ok(outcome)
}

extern "C" fn on_signal(_: i32) {}

/// Runs in the child: walks on request, and reports the end.
fn walk_and_tell(walk: &Walk<'_>) {
    // SAFETY: a handler that does nothing, in a process of our own.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as extern "C" fn(i32) as usize;
        libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut());
    }
    let waker = Waker::new();
    let mut clean = Vec::new();
    let mut given = Vec::new();
    let run = |given: &mut Vec<Given>| {
        given.clear();
        (walk.run)(given)
    };
    // Twice: caches are filled, and memory is allocated.
    for _ in 0..2 {
        run(&mut given).unwrap_or_else(|errno| panic!("{}: error {errno}", walk.name));
    }
    clean.clone_from(&given);
    assert!(!clean.is_empty(), "{} gives nothing", walk.name);
    loop {
        // SAFETY: takes no memory. A walk that hangs is ended.
        unsafe { libc::alarm(60) };
        let before = open_files();
        if mark(BEGIN, 0, 0, 0, "") != 0 {
            return;
        }
        let result = catch_unwind(AssertUnwindSafe(|| run(&mut given)));
        waker.wake();
        mark(END, 0, 0, 0, "");
        let leaked = open_files().abs_diff(before) as u64;
        let is_whole = matches!(result, Ok(Ok(())));
        let mut compared = compare(&given, &clean, is_whole);
        if compared.is_err() {
            // The target may have changed: the kernel moves pages at any time.
            let ours = given.clone();
            run(&mut given).expect("a walk without faults");
            clean.clone_from(&given);
            compared = compare(&ours, &clean, is_whole);
        }
        let (outcome, errno, text) = match (result, compared) {
            (Err(_), _) => (Outcome::Panic, 0, String::new()),
            (_, Err(text)) => (Outcome::Different, 0, text),
            (Ok(Err(errno)), _) => (Outcome::Error, errno, String::new()),
            (Ok(Ok(())), Ok(outcome)) => (outcome, 0, String::new()),
        };
        mark(TELL, outcome as u64, errno as u64, leaked, &text);
    }
}

/// One fault at one occurrence of a sort of call.
#[derive(Clone, Debug)]
struct Case {
    number: libc::c_long,
    subject: Subject,
    occurrence: usize,
    fault: Fault,
}

/// State of the parent.
struct Trial {
    has_runtime: bool,
    first_thread_ended: bool,
    reads_optional_files: bool,
    /// Number of calls in the run without faults, and the largest third argument.
    recorded: BTreeMap<(libc::c_long, Subject), (usize, u64)>,
    cases: Vec<Case>,
    current: Option<usize>,
    walking: bool,
    /// Number of calls of the current case's sort.
    seen: usize,
    reached: bool,
    tally: Tally,
    wrong: Vec<String>,
}

impl Decide for Trial {
    /// Whether the fault is done.
    fn is_asleep(&self) -> bool {
        self.walking && self.reached
    }

    fn woken(&mut self) {
        self.walking = false;
    }

    fn decide(&mut self, call: &Call) -> Answer {
        if call.number == libc::SYS_getpgid && call.arguments[0] as libc::pid_t == NOBODY {
            return self.marked(call);
        }
        if !self.walking || (self.has_runtime && is_of_the_runtime(call.number)) {
            return Answer::Make;
        }
        let Some(current) = self.current else {
            let sort = (call.number, subject::of(call));
            let (count, size) = self.recorded.entry(sort).or_default();
            *count += 1;
            *size = (*size).max(call.arguments[2]);
            return Answer::Make;
        };
        let case = &self.cases[current];
        if self.reached || call.number != case.number || subject::of(call) != case.subject {
            return Answer::Make;
        }
        self.seen += 1;
        if self.seen <= case.occurrence {
            return Answer::Make;
        }
        self.reached = true;
        case.fault.answer()
    }
}

impl Trial {
    fn marked(&mut self, call: &Call) -> Answer {
        match call.arguments[1] {
            BEGIN => {
                let done = self.current.is_some_and(|at| at >= self.cases.len());
                (self.walking, self.seen, self.reached) = (!done, 0, false);
                return Answer::Give(i64::from(done));
            }
            END => {}
            _ => {
                self.told(call);
                match &mut self.current {
                    Some(current) => *current += 1,
                    None => {
                        self.plan();
                        self.current = Some(0);
                    }
                }
            }
        }
        Answer::Make
    }

    /// Returns every fault of every sort of call at its first, second and last
    /// occurrence, reduced to the time of the machine.
    fn plan(&mut self) {
        self.tally.sorts = self.recorded.len();
        for (&(number, subject), &(count, size)) in &self.recorded {
            let mut occurrences = vec![0, 1, count - 1];
            occurrences.retain(|&occurrence| occurrence < count);
            occurrences.sort_unstable();
            occurrences.dedup();
            for occurrence in occurrences {
                for fault in faults_of(number, subject, size) {
                    self.cases.push(Case {
                        number,
                        subject,
                        occurrence,
                        fault,
                    });
                }
            }
        }
        let cases = std::mem::take(&mut self.cases);
        self.cases = cases.into_iter().step_by(one_case_in()).collect();
    }

    fn told(&mut self, call: &Call) {
        let [_, _, outcome, errno, leaked, _] = call.arguments;
        let (outcome, errno) = (outcome, errno as i32);
        let is = |other: Outcome| outcome == other as u64;
        let allowed = match self.current.map(|at| &self.cases[at]) {
            Some(case) if self.reached => expected(case.number, case.subject, case.fault),
            _ => Expected {
                list: true,
                ..Expected::default()
            },
        };
        let allowed = match self.current.map(|at| &self.cases[at]) {
            Some(case) if self.reached && self.reads_optional_files => {
                allowed.or_less(case.number, case.fault)
            }
            _ => allowed,
        };
        let right = (is(Outcome::List) && allowed.list)
            || (is(Outcome::ListWithoutKinds) && allowed.list_without_kinds)
            || (is(Outcome::Nothing) && allowed.nothing && self.first_thread_ended)
            || (is(Outcome::Error)
                && (allowed.errors.contains(&errno)
                    || (errno == UNTOLD && !allowed.errors.is_empty())));
        if self.current.is_some() {
            self.tally.cases += 1;
            match (self.reached, is(Outcome::Error)) {
                (false, _) => self.tally.not_reached += 1,
                (true, true) => self.tally.errors += 1,
                (true, false) => self.tally.lists += 1,
            }
        }
        if !right || leaked != 0 {
            let how = match outcome {
                1 => "the list".to_owned(),
                2 => "the list without kinds".to_owned(),
                3 => "nothing".to_owned(),
                4 => format!("error {errno}"),
                5 => "something else".to_owned(),
                _ => "a panic".to_owned(),
            };
            let text = call.string(5).to_string_lossy().into_owned();
            self.wrong.push(format!(
                "{}: {how} {text}, {leaked} descriptors left; expected {allowed:?}",
                self.case_name()
            ));
        }
    }

    fn case_name(&self) -> String {
        match self.current.and_then(|at| self.cases.get(at)) {
            None => "without a fault".to_owned(),
            Some(case) => format!(
                "{:?} at call {} about {:?}, occurrence {}",
                case.fault, case.number, case.subject, case.occurrence
            ),
        }
    }
}

/// Returns whether it is a call of an allocator or for threads. A signal mask is
/// relevant only for a C caller's buffer.
fn is_of_the_runtime(number: libc::c_long) -> bool {
    matches!(
        number,
        libc::SYS_clone
            | libc::SYS_clone3
            | libc::SYS_exit
            | libc::SYS_futex
            | libc::SYS_prctl
            | libc::SYS_rseq
            | libc::SYS_rt_sigprocmask
            | libc::SYS_sched_getaffinity
            | libc::SYS_sched_yield
            | libc::SYS_set_robust_list
            | libc::SYS_sigaltstack
            | libc::SYS_brk
            | libc::SYS_mmap
            | libc::SYS_munmap
            | libc::SYS_mremap
            | libc::SYS_madvise
            | libc::SYS_mprotect
    )
}

/// Tests every fault at every sort of call of the walk, and prints their number.
/// Panics if one has a wrong result.
pub fn try_all(walk: &Walk<'_>) -> Tally {
    let mut trial = Trial {
        has_runtime: walk.has_runtime,
        first_thread_ended: walk.first_thread_ended,
        reads_optional_files: walk.reads_optional_files,
        recorded: BTreeMap::new(),
        cases: Vec::new(),
        current: None,
        walking: false,
        seen: 0,
        reached: false,
        tally: Tally::default(),
        wrong: Vec::new(),
    };
    let ended = tracee::run(|| walk_and_tell(walk), &mut trial);
    if let Err(how) = ended {
        let last = trial.case_name();
        trial.wrong.push(format!("{how}, at the latest at: {last}"));
    }
    println!("{}: {}", walk.name, trial.tally);
    assert!(
        trial.wrong.is_empty(),
        "{}: {} wrong\n{}",
        walk.name,
        trial.wrong.len(),
        trial.wrong.join("\n")
    );
    let tally = trial.tally;
    assert!(
        tally.cases > 0 && tally.cases == trial.cases.len(),
        "{tally}"
    );
    assert!(tally.not_reached * 4 < tally.cases, "{tally}");
    trial.tally
}
