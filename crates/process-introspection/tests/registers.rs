//! Registers of threads, compared with what a tracer reads and with what the threads have put
//! there; and what a call leaves behind in the thread, in its process and in the caller: nothing.

#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

use std::fs;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use process_introspection::{status_of, Process, Registers, RunState};
use testkit::alone::is_alone;
use testkit::machine::is_root_or_skip;
use testkit::memory;
use testkit::target::Target;

fn gettid() -> u32 {
    // SAFETY: takes no memory.
    unsafe { libc::gettid() as u32 }
}

fn line_of_status(thread: &str, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{thread}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().trim_start_matches(':').trim().to_owned()
}

fn state(pid: u32) -> char {
    line_of_status(&pid.to_string(), "State")
        .chars()
        .next()
        .unwrap()
}

/// Waits for a state of a process, which it then keeps.
fn wait_for_state(pid: u32, expected: char) {
    let until = Instant::now() + Duration::from_secs(20);
    while state(pid) != expected {
        assert!(
            Instant::now() < until,
            "{pid}: {} is not {expected}",
            state(pid)
        );
        std::thread::yield_now();
    }
}

/// Bytes that a thread has in its registers.
const GENERAL: [u64; 3] = [
    0x1111_2222_3333_4444,
    0x5555_6666_7777_8888,
    0x9999_aaaa_bbbb_cccc,
];
const VECTOR: [u64; 2] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];

/// Loops with known registers.
fn spin_with_known_registers() -> ! {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads a live array; never ends.
    unsafe {
        std::arch::asm!(
            "movdqu xmm9, [{vector}]",
            "2: pause",
            "jmp 2b",
            vector = in(reg) VECTOR.as_ptr(),
            in("r12") GENERAL[0],
            in("r13") GENERAL[1],
            in("r14") GENERAL[2],
            options(noreturn),
        )
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads a live array; never ends.
    unsafe {
        std::arch::asm!(
            "ldr q9, [{vector}]",
            "2: yield",
            "b 2b",
            vector = in(reg) VECTOR.as_ptr(),
            in("x20") GENERAL[0],
            in("x21") GENERAL[1],
            in("x22") GENERAL[2],
            options(noreturn),
        )
    }
}

/// Compares with the places in QNX's layout.
fn has_known_values(registers: &Registers) -> bool {
    let word = |bytes: &[u8], at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
    let (general, vector) = if cfg!(target_arch = "x86_64") {
        ([88, 96, 104], 160 + 9 * 16)
    } else {
        ([20 * 8, 21 * 8, 22 * 8], 9 * 16)
    };
    let floating = registers.floating_point.unwrap();
    general.map(|at| word(&registers.general, at)) == GENERAL
        && [0, 8].map(|at| word(&floating, vector + at)) == VECTOR
}

// Declared here: the oldest `libc` that the manifests allow does not have it.
// SAFETY: the declaration of <signal.h>; the safety of a call is argued at the call.
unsafe extern "C" {
    fn sigqueue(pid: libc::pid_t, signal: libc::c_int, value: libc::sigval) -> libc::c_int;
}

#[test]
fn registers_have_the_values_that_the_thread_has_loaded() {
    let target = Target::spawn_reporting(|report| {
        let tid = gettid();
        report.send(&[u64::from(tid)]);
        spin_with_known_registers();
    });
    let process = Process::open(target.pid()).unwrap();
    let thread = process.thread(target.pid());
    let until = Instant::now() + Duration::from_secs(20);
    while !has_known_values(&thread.registers().unwrap()) {
        assert!(Instant::now() < until, "{:x?}", thread.registers());
    }
    for _ in 0..200 {
        let registers = thread.registers().unwrap();
        assert!(has_known_values(&registers), "{registers:x?}");
        let text = process
            .virtual_regions(registers.instruction_pointer()..=registers.instruction_pointer());
        assert!(text.unwrap().next().unwrap().unwrap().protection.execute());
        let stack = registers.stack_pointer();
        assert!(process
            .virtual_regions(stack..=stack)
            .unwrap()
            .next()
            .is_some());
    }
    wait_for_state(target.pid(), 'R');
    assert_eq!(line_of_status(&target.pid().to_string(), "TracerPid"), "0");
}

#[test]
fn threads_of_the_calling_process_can_be_read_the_calling_one_too() {
    let test = "threads_of_the_calling_process_can_be_read_the_calling_one_too";
    if !is_alone(test) {
        return;
    }
    let tid = std::sync::Arc::new(AtomicU32::new(0));
    let told = tid.clone();
    std::thread::spawn(move || {
        told.store(gettid(), Ordering::Relaxed);
        spin_with_known_registers();
    });
    let process = Process::current().unwrap();
    let other = || process.thread(tid.load(Ordering::Relaxed));
    let until = Instant::now() + Duration::from_secs(20);
    while !other()
        .registers()
        .is_ok_and(|registers| has_known_values(&registers))
    {
        assert!(Instant::now() < until);
    }
    let local = 0u64;
    let own = process.thread(gettid()).registers().unwrap();
    let distance = (&raw const local as u64).abs_diff(own.stack_pointer());
    assert!(distance < 1 << 20, "{distance:#x}");
    let all = process.threads().unwrap();
    assert!(all.len() >= 2);
    for thread in all {
        thread.registers().unwrap();
    }
    // A caller whose files, threads and directory nobody has changed.
    assert!(fs::read_dir("/proc/self/fd").unwrap().count() < 10);
}

/// Reads a register set of a thread as a tracer, the test's own way.
fn read_as_tracer(pid: u32, which: i32, set: &mut [u8]) -> usize {
    let pid = pid as i32;
    let mut vector = libc::iovec {
        iov_base: set.as_mut_ptr().cast(),
        iov_len: set.len(),
    };
    // SAFETY: a live vector of live bytes; the requests with numbers take no memory.
    unsafe {
        assert_eq!(libc::ptrace(libc::PTRACE_SEIZE, pid, 0usize, 0usize), 0);
        assert_eq!(libc::ptrace(libc::PTRACE_INTERRUPT, pid, 0usize, 0usize), 0);
        assert_eq!(libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL), pid);
        let read = libc::ptrace(libc::PTRACE_GETREGSET, pid, which as usize, &raw mut vector);
        assert_eq!(read, 0);
        assert_eq!(libc::ptrace(libc::PTRACE_DETACH, pid, 0usize, 0usize), 0);
    }
    vector.iov_len
}

/// The kernel's order of x86-64's registers, by their offsets in QNX's layout (-1: none).
#[cfg(target_arch = "x86_64")]
const KERNEL_ORDER: [i32; 27] = [
    112, 104, 96, 88, 64, 56, 80, 24, 40, 32, 48, 72, 16, 8, 0, -1, 120, 128, 136, 144, 152, -1,
    -1, -1, -1, -1, -1,
];

#[test]
fn registers_of_a_stopped_thread_are_those_that_a_tracer_reads_and_it_stays_stopped() {
    let target = Target::spawn(Vec::new);
    target.stop();
    let process = Process::open(target.pid()).unwrap();
    let first = process.thread(target.pid()).registers().unwrap();
    for _ in 0..50 {
        assert_eq!(process.thread(target.pid()).registers().unwrap(), first);
        // It stops again on its own.
        wait_for_state(target.pid(), 'T');
    }
    let mut floating = [0; 600];
    let len = read_as_tracer(target.pid(), libc::NT_PRFPREG, &mut floating);
    let ours = first.floating_point.unwrap();
    assert!(len >= ours.len());
    assert_eq!(ours, floating[..ours.len()]);
    let mut general = [0; 600];
    let len = read_as_tracer(target.pid(), libc::NT_PRSTATUS, &mut general);
    #[cfg(target_arch = "aarch64")]
    assert_eq!(first.general, general[..len]);
    #[cfg(target_arch = "x86_64")]
    {
        assert_eq!(len, KERNEL_ORDER.len() * 8);
        for (theirs, at) in general[..len].chunks_exact(8).zip(KERNEL_ORDER) {
            if let Ok(at) = usize::try_from(at) {
                assert_eq!(first.general[at..at + 8], *theirs, "{at}");
            }
        }
    }
    wait_for_state(target.pid(), 'T');
    // No second report of the stop: the parent's wait sees the one that it has not taken.
    target.go_on();
    wait_for_state(target.pid(), 'S');
}

#[test]
fn a_traced_thread_is_busy_and_stays_as_it_is() {
    let target = Target::spawn(Vec::new);
    let pid = target.pid() as i32;
    // SAFETY: takes no memory.
    unsafe { assert_eq!(libc::ptrace(libc::PTRACE_SEIZE, pid, 0usize, 0usize), 0) };
    let process = Process::open(target.pid()).unwrap();
    let thread = process.thread(target.pid());
    assert_eq!(thread.registers().unwrap_err().errno(), libc::EBUSY);
    assert!(thread.status().unwrap().unwrap().is_traced);
    assert_eq!(state(target.pid()), 'S');
    // SAFETY: takes no memory.
    unsafe {
        assert_eq!(libc::ptrace(libc::PTRACE_INTERRUPT, pid, 0usize, 0usize), 0);
        assert_eq!(libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL), pid);
    }
    assert_eq!(thread.registers().unwrap_err().errno(), libc::EBUSY);
    assert_eq!(thread.status().unwrap().unwrap().state, RunState::Traced);
    // SAFETY: takes no memory.
    unsafe { assert_eq!(libc::ptrace(libc::PTRACE_DETACH, pid, 0usize, 0usize), 0) };
    assert!(thread.registers().is_ok());
}

/// Place of the number of received signals, in memory that both processes have.
static RECEIVED: AtomicU64 = AtomicU64::new(0);

fn received() -> &'static AtomicU64 {
    // SAFETY: shared memory that is mapped until the program ends, aligned and only used so.
    unsafe { &*(RECEIVED.load(Ordering::Relaxed) as *const AtomicU64) }
}

extern "C" fn count_signal(_: i32) {
    received().fetch_add(1, Ordering::Relaxed);
}

/// Each of many queued signals is delivered, whether the thread is stopped at its delivery or
/// not, and none twice. Signals arrive so fast that some do between the two requests of the
/// tracer: without its care for them, some are lost in every run.
#[test]
fn no_signal_is_lost_or_repeated() {
    let shared = memory::map(memory::page(), libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1);
    RECEIVED.store(shared, Ordering::Relaxed);
    let target = Target::spawn_reporting(|report| {
        // SAFETY: a handler that only counts.
        unsafe {
            libc::signal(
                libc::SIGRTMIN(),
                count_signal as extern "C" fn(i32) as usize,
            );
        }
        report.send(&[]);
        loop {
            std::hint::spin_loop();
        }
    });
    let pid = target.pid() as i32;
    let is_enough = std::sync::Arc::new(AtomicU32::new(0));
    let stop = is_enough.clone();
    let sender = std::thread::spawn(move || {
        let mut sent = 0;
        while stop.load(Ordering::Relaxed) == 0 {
            // The queue can be full, of which `kill` would say nothing.
            let value = libc::sigval {
                sival_ptr: std::ptr::null_mut(),
            };
            // SAFETY: a signal to our own child.
            sent += u64::from(unsafe { sigqueue(pid, libc::SIGRTMIN(), value) } == 0);
        }
        sent
    });
    let process = Process::open(target.pid()).unwrap();
    let until = Instant::now() + Duration::from_millis(1500);
    let mut reads = 0;
    while Instant::now() < until {
        process.thread(target.pid()).registers().unwrap();
        reads += 1;
    }
    is_enough.store(1, Ordering::Relaxed);
    let sent = sender.join().unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while received().load(Ordering::Relaxed) < sent && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(
        received().load(Ordering::Relaxed),
        sent,
        "after {reads} reads"
    );
    println!("{sent} signals, {reads} reads");
    assert!(reads > 0 && sent > 0);
}

static CHILD_SIGNALS: AtomicU32 = AtomicU32::new(0);

extern "C" fn count_child(_: i32) {
    CHILD_SIGNALS.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn the_caller_notices_neither_the_stop_nor_the_child_that_reads() {
    let test = "the_caller_notices_neither_the_stop_nor_the_child_that_reads";
    if !is_alone(test) {
        return;
    }
    let target = Target::spawn(Vec::new);
    let process = Process::open(target.pid()).unwrap();
    let waiting = std::thread::spawn({
        let pid = target.pid() as i32;
        move || loop {
            let mut status = 0;
            // SAFETY: a live integer.
            let waited = unsafe { libc::waitpid(-1, &mut status, libc::WUNTRACED) };
            if waited == pid {
                return status;
            }
            assert!(waited == -1, "{waited} {status:#x}");
        }
    });
    // SAFETY: a handler that only counts.
    unsafe { libc::signal(libc::SIGCHLD, count_child as extern "C" fn(i32) as usize) };
    for _ in 0..500 {
        process.thread(target.pid()).registers().unwrap();
    }
    assert_eq!(CHILD_SIGNALS.load(Ordering::Relaxed), 0);
    assert!(!waiting.is_finished());
    // SAFETY: our child.
    unsafe { libc::kill(target.pid() as i32, libc::SIGKILL) };
    assert!(libc::WIFSIGNALED(waiting.join().unwrap()));
    std::mem::forget(target);
}

#[test]
fn a_thread_that_cannot_stop_is_given_up_and_goes_on_as_if_nothing_had_been() {
    // A parent in vfork, until its child ends.
    let mut target = Target::spawn_then(
        || {
            let mut pipe = [0; 2];
            // SAFETY: a live array.
            unsafe { assert_eq!(libc::pipe(pipe.as_mut_ptr()), 0) };
            vec![pipe[0] as u64, pipe[1] as u64]
        },
        || {
            // SAFETY: as vfork: the child has no memory of its own, sleeps, and ends; raw system
            // calls only. Its parent continues behind the call.
            unsafe {
                let flags = libc::CLONE_VFORK;
                let child = libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0);
                if child == 0 {
                    let time = libc::timespec {
                        tv_sec: 2,
                        tv_nsec: 500_000_000,
                    };
                    libc::syscall(libc::SYS_nanosleep, &raw const time, 0);
                    libc::syscall(libc::SYS_exit_group, 0);
                }
                let mut status = 0;
                let waited = libc::waitpid(child as i32, &mut status, libc::__WALL);
                libc::_exit(if i64::from(waited) == child as i64 && status == 0 {
                    7
                } else {
                    8
                });
            }
        },
    );
    target.release();
    wait_for_state(target.pid(), 'D');
    let process = Process::open(target.pid()).unwrap();
    let begin = Instant::now();
    let error = process.thread(target.pid()).registers().unwrap_err();
    assert_eq!(error.errno(), libc::ETIMEDOUT, "{error}");
    assert!(begin.elapsed() < Duration::from_secs(2));
    assert_eq!(line_of_status(&target.pid().to_string(), "TracerPid"), "0");
    let mut status = 0;
    // SAFETY: our child; a live integer.
    unsafe {
        assert_eq!(
            libc::waitpid(target.pid() as i32, &mut status, libc::WUNTRACED),
            target.pid() as i32
        )
    };
    std::mem::forget(target);
    assert!(
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7,
        "{status:#x}"
    );
}

#[test]
fn what_is_no_living_thread_of_the_process_is_gone() {
    let target = Target::spawn(Vec::new);
    let process = Process::open(target.pid()).unwrap();
    for tid in [0, 1, u32::MAX, gettid()] {
        let error = process.thread(tid).registers().unwrap_err();
        assert!(error.is_gone(), "{tid}: {error}");
    }
    target.kill();
    assert!(process
        .thread(target.pid())
        .registers()
        .unwrap_err()
        .is_gone());
    if let Ok(kernel_thread) = Process::open(2) {
        let error = kernel_thread.thread(2).registers().unwrap_err();
        assert!(error.is_permission_denied(), "{error}");
    }
}

#[test]
fn without_the_right_to_attach_registers_are_refused() {
    if !is_root_or_skip("without_the_right_to_attach_registers_are_refused") {
        return;
    }
    let target = Target::spawn(Vec::new);
    let process = Process::open(target.pid()).unwrap();
    let reader = Target::spawn(|| {
        // SAFETY: takes no memory.
        unsafe { assert_eq!(libc::setuid(65534), 0) };
        let error = process.thread(target.pid()).registers().unwrap_err();
        // Of its own, which is not dumpable, too.
        let own = Process::current().unwrap();
        let own = own.thread(gettid()).registers();
        vec![
            u64::from(error.is_permission_denied()),
            u64::from(own.is_err_and(|error| error.is_permission_denied())),
        ]
    });
    assert_eq!(reader.addresses(), [1, 1]);
}

/// Killed and reaped when dropped.
#[cfg(target_arch = "x86_64")]
struct Killed(std::process::Child);

#[cfg(target_arch = "x86_64")]
impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A static program of 32 bits that waits for ever: an ELF header, a program header, code.
#[cfg(target_arch = "x86_64")]
fn program_of_32_bits() -> Vec<u8> {
    // mov eax, 29 (pause); int 0x80; jmp back
    let code = [0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7];
    let base = 0x0804_8000u32;
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([2u16, 3].iter().flat_map(|half| half.to_le_bytes()));
    file.extend(
        [1u32, base + 84, 52, 0, 0]
            .iter()
            .flat_map(|word| word.to_le_bytes()),
    );
    file.extend(
        [52u16, 32, 1, 0, 0, 0]
            .iter()
            .flat_map(|half| half.to_le_bytes()),
    );
    let size = 84 + code.len() as u32;
    file.extend(
        [1, 0, base, base, size, size, 5, 4096]
            .iter()
            .flat_map(|word: &u32| word.to_le_bytes()),
    );
    file.extend(code);
    file
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_program_of_another_word_size_has_no_registers_but_a_status() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("program");
    fs::write(&path, program_of_32_bits()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let Ok(child) = std::process::Command::new(&path).spawn() else {
        eprintln!("SKIPPED a program of 32 bits: this kernel executes none");
        return;
    };
    let child = Killed(child);
    let child = &child.0;
    wait_for_state(child.id(), 'S');
    let process = Process::open(child.id()).unwrap();
    let thread = process.thread(child.id());
    assert_eq!(thread.registers().unwrap_err().errno(), libc::EOPNOTSUPP);
    wait_for_state(child.id(), 'S');
    let status = thread.status().unwrap().unwrap();
    // Its numbers are not those of this program: 29 is another call here.
    assert_eq!(status.suspension.unwrap().system_call.unwrap().number, 29);
    assert_eq!(status.wait, None);
    let status = status_of(child.id()).unwrap();
    assert_eq!(
        status.word_size,
        Some(process_introspection::WordSize::Bits32)
    );
    assert_eq!(status.base_address.unwrap().as_u64(), 0x0804_8000);
}
