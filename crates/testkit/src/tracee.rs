//! A child whose every system call is decided on before it is made: unchanged, shorter,
//! not at all, or with another result. Owns the use of ptrace on each architecture;
//! knows nothing of the meaning of calls.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;

/// A call that a child is about to make.
#[derive(Clone, Debug)]
pub struct Call {
    /// The child.
    pub pid: libc::pid_t,
    /// Its thread, which is stopped meanwhile.
    pub tid: libc::pid_t,
    /// The call's number.
    pub number: libc::c_long,
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// Decision on a call.
#[derive(Copy, Clone, Debug)]
pub enum Answer {
    /// Make the call.
    Make,
    /// Do not make the call, and return this.
    Give(i64),
    /// Make the call, and then return this.
    MakeAndGive(i64),
    /// Make the call, and return less of its result.
    MakeAndGiveLess(Less),
    /// Make the call with at most this as its third argument, a size.
    MakeOfAtMost(u64),
    /// Make the call with this signal pending.
    MakeUnderSignal(i32),
}

/// Reduction of a result.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Less {
    /// Half of it, in whole words of 8.
    Half,
    /// About half of it, an odd number.
    OddHalf,
    /// One less.
    ButOne,
    /// At most this.
    AtMost(i64),
}

impl Less {
    fn of(self, made: i64) -> i64 {
        match self {
            _ if made <= 0 => made,
            Self::Half => ((made / 2 + 7) & !7).min(made),
            Self::OddHalf => ((made / 2) | 1).min(made),
            Self::ButOne => (made - 1).max(1),
            Self::AtMost(most) => made.min(most),
        }
    }
}

impl Call {
    /// Returns the string that an argument points to, as far as it can be read.
    pub fn string(&self, argument: usize) -> OsString {
        let mut bytes = Vec::new();
        let mut word_at = self.arguments[argument];
        while let Some(word) = self.word(word_at) {
            let word = word.to_ne_bytes();
            let end = word.iter().position(|&byte| byte == 0);
            bytes.extend_from_slice(&word[..end.unwrap_or(word.len())]);
            if end.is_some() || bytes.len() > 8192 {
                break;
            }
            word_at += word.len() as u64;
        }
        OsString::from_vec(bytes)
    }

    fn word(&self, at: u64) -> Option<usize> {
        // SAFETY: our stopped child; errno is a thread's own.
        unsafe {
            *libc::__errno_location() = 0;
            let word = libc::ptrace(libc::PTRACE_PEEKDATA, self.tid, at as usize, 0);
            (*libc::__errno_location() == 0).then_some(word as usize)
        }
    }

    /// Returns the file of a descriptor of the child in an argument.
    pub fn descriptor(&self, argument: usize) -> Option<String> {
        let fd = self.arguments[argument] as i32;
        let link = std::fs::read_link(format!("/proc/{}/fd/{fd}", self.tid)).ok()?;
        Some(link.to_string_lossy().into_owned())
    }
}

/// Decides on calls.
pub trait Decide {
    /// Decides on a call.
    fn decide(&mut self, call: &Call) -> Answer;

    /// Returns whether no decision is needed until the child calls [`Waker::wake`]: it runs
    /// without stops, which is much faster.
    fn is_asleep(&self) -> bool {
        false
    }

    /// The child has called [`Waker::wake`].
    fn woken(&mut self) {}
}

impl<F: FnMut(&Call) -> Answer> Decide for F {
    fn decide(&mut self, call: &Call) -> Answer {
        self(call)
    }
}

/// The signal that wakes the tracer, which the child never receives.
const WAKE: i32 = libc::SIGUSR2;

/// Lets the child make the tracer decide again.
#[derive(Debug)]
pub struct Waker {
    pid: libc::c_long,
    tid: libc::c_long,
}

impl Waker {
    /// For the calling thread.
    pub fn new() -> Self {
        // SAFETY: takes no memory.
        unsafe {
            Self {
                pid: libc::syscall(libc::SYS_getpid),
                tid: libc::syscall(libc::SYS_gettid),
            }
        }
    }

    /// Makes one system call, which is not decided on.
    pub fn wake(&self) {
        // SAFETY: takes no memory; the tracer takes the signal.
        unsafe { libc::syscall(libc::SYS_tgkill, self.pid, self.tid, WAKE) };
    }
}

impl Default for Waker {
    fn default() -> Self {
        Self::new()
    }
}

impl Call {
    fn is_to_wake(&self) -> bool {
        self.number == libc::SYS_tgkill && self.arguments[2] as i32 == WAKE
    }
}

/// Runs `child` in a forked child and asks `decide` about each call that it and
/// its threads make. The calling thread must have no other child that ends or
/// stops meanwhile.
///
/// # Errors
/// The end of the child, if it is not the expected one.
pub fn run(child: impl FnOnce(), decider: &mut impl Decide) -> Result<(), &'static str> {
    // SAFETY: the child goes on with what is safe after fork and never returns.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", io::Error::last_os_error());
    if pid == 0 {
        crate::target::close_pipes_but(&[]);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            // SAFETY: takes no memory; the parent goes on with us.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
                libc::raise(libc::SIGSTOP);
            }
            child();
        }));
        // SAFETY: ends this process without running anything of the parent's.
        unsafe { libc::_exit(i32::from(result.is_err())) };
    }
    let child = Child { pid, ended: false };
    child.follow(decider)
}

/// A child, killed and reaped when dropped after a failure.
struct Child {
    pid: libc::pid_t,
    ended: bool,
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.ended {
            // SAFETY: our unreaped child.
            unsafe {
                libc::kill(self.pid, libc::SIGKILL);
                libc::waitpid(self.pid, std::ptr::null_mut(), libc::__WALL);
            }
        }
    }
}

impl Child {
    /// Follows it, and the threads that it starts, from one stop to the next
    /// until it ends.
    fn follow(mut self, decider: &mut impl Decide) -> Result<(), &'static str> {
        // Decision on the call that each thread is making.
        let mut threads = BTreeMap::from([(self.pid, Answer::Make)]);
        loop {
            let (tid, status) = wait_for_one();
            if !libc::WIFSTOPPED(status) {
                if tid != self.pid {
                    threads.remove(&tid);
                    continue;
                }
                self.ended = true;
                return match (libc::WIFEXITED(status), libc::WEXITSTATUS(status)) {
                    (true, 0) => Ok(()),
                    (true, _) => Err("the traced code has failed"),
                    (false, _) => Err("the traced code was killed"),
                };
            }
            let thread = Thread { pid: self.pid, tid };
            let is_new = !threads.contains_key(&tid);
            let answer = threads.entry(tid).or_insert(Answer::Make);
            let signal = libc::WSTOPSIG(status);
            let mut deliver = 0;
            if signal == libc::SIGTRAP | 0x80 {
                match thread.entered() {
                    Some(call) if call.is_to_wake() => {}
                    Some(call) => {
                        *answer = decider.decide(&call);
                        thread.on_entry(*answer);
                    }
                    None => thread.on_exit(std::mem::replace(answer, Answer::Make)),
                }
            } else if signal == libc::SIGSTOP && tid == self.pid {
                let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE;
                // SAFETY: our stopped child; no memory is passed.
                unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, tid, 0, options) };
            } else if signal == WAKE {
                decider.woken();
            } else if !(is_new && signal == libc::SIGSTOP) && status >> 16 == 0 {
                deliver = signal;
            }
            let goes_on = matches!(answer, Answer::Make) && decider.is_asleep();
            let how = match goes_on {
                true => libc::PTRACE_CONT,
                false => libc::PTRACE_SYSCALL,
            };
            // SAFETY: a stopped thread of our child; no memory is passed.
            unsafe { libc::ptrace(how, tid, 0, i64::from(deliver)) };
        }
    }
}

/// Waits for a thread that this thread traces, and returns its status. Children of
/// other threads of this process are left to them.
fn wait_for_one() -> (libc::pid_t, i32) {
    let mut status = 0;
    let which = libc::__WALL | libc::__WNOTHREAD;
    // SAFETY: writes to a live integer.
    let tid = unsafe { libc::waitpid(-1, &mut status, which) };
    assert!(tid > 0, "waitpid: {}", io::Error::last_os_error());
    (tid, status)
}

/// A thread of a child, stopped.
struct Thread {
    pid: libc::pid_t,
    tid: libc::pid_t,
}

impl Thread {
    /// Returns the call that it is about to make; `None` if it has made one.
    fn entered(&self) -> Option<Call> {
        /// `struct ptrace_syscall_info` on entry.
        #[repr(C)]
        #[derive(Default)]
        struct Entry {
            op: u8,
            pad: [u8; 3],
            arch: u32,
            instruction_pointer: u64,
            stack_pointer: u64,
            number: u64,
            arguments: [u64; 6],
        }
        const PTRACE_GET_SYSCALL_INFO: libc::c_uint = 0x420e;
        let mut entry = Entry::default();
        let (size, to) = (size_of::<Entry>(), &raw mut entry);
        // SAFETY: the kernel writes at most `size` bytes to a live struct.
        let written = unsafe { libc::ptrace(PTRACE_GET_SYSCALL_INFO as _, self.tid, size, to) };
        assert!(written > 0, "PTRACE_GET_SYSCALL_INFO (Linux 5.3)");
        const PTRACE_SYSCALL_INFO_ENTRY: u8 = 1;
        (entry.op == PTRACE_SYSCALL_INFO_ENTRY).then_some(Call {
            pid: self.pid,
            tid: self.tid,
            number: entry.number as libc::c_long,
            arguments: entry.arguments,
        })
    }

    fn on_entry(&self, answer: Answer) {
        match answer {
            Answer::Give(_) => self.skip(),
            Answer::MakeOfAtMost(most) => {
                let mut registers = Registers::of(self.tid);
                let size = &mut registers.words[register::THIRD_ARGUMENT];
                *size = (*size).min(most as usize);
                registers.put(self.tid);
            }
            Answer::MakeUnderSignal(signal) => {
                // SAFETY: our stopped child; takes no memory.
                unsafe { libc::syscall(libc::SYS_tgkill, self.pid, self.tid, signal) };
            }
            Answer::Make | Answer::MakeAndGive(_) | Answer::MakeAndGiveLess(_) => {}
        }
    }

    fn on_exit(&self, answer: Answer) {
        let result = |given: &mut dyn FnMut(i64) -> i64| {
            let mut registers = Registers::of(self.tid);
            let result = &mut registers.words[register::RESULT];
            *result = given(*result as isize as i64) as usize;
            registers.put(self.tid);
        };
        match answer {
            Answer::Give(value) | Answer::MakeAndGive(value) => result(&mut |_| value),
            Answer::MakeAndGiveLess(less) => result(&mut |made| less.of(made)),
            Answer::Make | Answer::MakeOfAtMost(_) | Answer::MakeUnderSignal(_) => {}
        }
    }

    /// Makes the call one that does not exist.
    #[cfg(not(target_arch = "aarch64"))]
    fn skip(&self) {
        let mut registers = Registers::of(self.tid);
        registers.words[register::NUMBER] = usize::MAX;
        registers.put(self.tid);
    }

    #[cfg(target_arch = "aarch64")]
    fn skip(&self) {
        const NT_ARM_SYSTEM_CALL: usize = 0x404;
        let mut none = -1i32;
        let mut vector = libc::iovec {
            iov_base: (&raw mut none).cast(),
            iov_len: size_of::<i32>(),
        };
        let which = NT_ARM_SYSTEM_CALL;
        // SAFETY: our stopped child; the kernel reads a live integer.
        let put = unsafe { libc::ptrace(libc::PTRACE_SETREGSET, self.tid, which, &raw mut vector) };
        assert_eq!(put, 0, "PTRACE_SETREGSET");
    }
}

/// Places of a call's parts in the general registers (`NT_PRSTATUS`: the kernel's
/// `struct user_regs_struct` or `user_pt_regs`).
#[cfg(target_arch = "x86_64")]
mod register {
    pub(super) const NUMBER: usize = 15; // orig_rax
    pub(super) const RESULT: usize = 10; // rax
    pub(super) const THIRD_ARGUMENT: usize = 12; // rdx
}
#[cfg(target_arch = "x86")]
mod register {
    pub(super) const NUMBER: usize = 11; // orig_eax
    pub(super) const RESULT: usize = 6; // eax
    pub(super) const THIRD_ARGUMENT: usize = 2; // edx
}
#[cfg(target_arch = "aarch64")]
mod register {
    pub(super) const RESULT: usize = 0; // x0
    pub(super) const THIRD_ARGUMENT: usize = 2; // x2
}
#[cfg(target_arch = "riscv64")]
mod register {
    pub(super) const NUMBER: usize = 17; // a7
    pub(super) const RESULT: usize = 10; // a0
    pub(super) const THIRD_ARGUMENT: usize = 12; // a2
}

/// The general registers, as words.
struct Registers {
    words: [usize; 48],
    size: usize,
}

const NT_PRSTATUS: usize = 1;

impl Registers {
    fn of(pid: libc::pid_t) -> Self {
        let mut this = Self {
            words: [0; 48],
            size: size_of::<[usize; 48]>(),
        };
        let mut vector = this.vector();
        // SAFETY: our stopped child; the kernel writes at most `iov_len` bytes to a live array.
        let got =
            unsafe { libc::ptrace(libc::PTRACE_GETREGSET, pid, NT_PRSTATUS, &raw mut vector) };
        assert_eq!(got, 0, "PTRACE_GETREGSET: {}", io::Error::last_os_error());
        this.size = vector.iov_len;
        this
    }

    fn put(&mut self, pid: libc::pid_t) {
        let mut vector = self.vector();
        // SAFETY: our stopped child; the kernel reads as many bytes as it gave.
        let put =
            unsafe { libc::ptrace(libc::PTRACE_SETREGSET, pid, NT_PRSTATUS, &raw mut vector) };
        assert_eq!(put, 0, "PTRACE_SETREGSET: {}", io::Error::last_os_error());
    }

    fn vector(&mut self) -> libc::iovec {
        libc::iovec {
            iov_base: self.words.as_mut_ptr().cast(),
            iov_len: self.size,
        }
    }
}
