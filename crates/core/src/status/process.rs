//! Status of a process: identities, times, signals, numbers of what it has. Knows no
//! threads.

use core::ops::ControlFlow;
use core::time::Duration;

use super::{
    each_line, failed, if_permitted, read_stat, since_epoch, ticks, RunState, Scheduling,
    SignalSet, CUT, PF_EXITING, PF_FORKNOEXEC, PF_KTHREAD, STAT,
};
use crate::addr::VirtAddr;
use crate::descriptor::BorrowedFd;
use crate::error::Result;
use crate::proc_text::{number, number_of_base};
use crate::process::{
    each_entry, Access, ProcessDirectory, ProcessHandle, ProgramHeaders, WordSize,
};
use crate::sys;
use crate::vma::VmaCursor;

/// Identities of a process: real, effective and saved, in the caller's user namespace.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Identities {
    /// Real ID.
    pub real: u32,
    /// Effective ID.
    pub effective: u32,
    /// Saved ID.
    pub saved: u32,
}

/// Status of a process, each fact as it was when its file was read.
#[derive(Copy, Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ProcessStatus {
    /// PID, in the caller's namespace, or that of the `/proc` that was used.
    pub pid: u32,
    /// PID of the parent; 0 if it has none there.
    pub parent: u32,
    /// Process group; 0 outside of the namespace.
    pub process_group: u32,
    /// Session; 0 outside of the namespace.
    pub session: u32,
    /// State of the first thread. [`RunState::Ended`] with living threads if only that has
    /// ended; without, the process is a zombie.
    pub state: RunState,
    /// Number of living threads.
    pub threads: u32,
    /// True for a thread of the kernel, which has no memory of its own, nor a program.
    pub is_kernel_thread: bool,
    /// True if the process has executed no program since it was forked.
    pub has_not_executed: bool,
    /// True if the process is ending.
    pub is_ending: bool,
    /// True if a core dump of the process is being written (Linux 4.15).
    pub is_dumping_core: bool,
    /// True if its addresses are random (`personality`). `None` without the right to attach
    /// to the process with ptrace, and of threads of the kernel.
    pub has_random_addresses: Option<bool>,
    /// Word size of its program; `None` without a program, and without the right to read
    /// the process.
    pub word_size: Option<WordSize>,
    /// File mode creation mask (Linux 4.7); `None` for zombies.
    pub umask: Option<u32>,
    /// Address of its program's ELF header; `None` where it is not mapped, and without the
    /// right to read the process.
    pub base_address: Option<VirtAddr>,
    /// Address of the number of arguments on the first stack, below the arguments and the
    /// environment; `None` without the right to read the process.
    pub initial_stack: Option<VirtAddr>,
    /// User IDs.
    pub users: Identities,
    /// Group IDs.
    pub groups: Identities,
    /// Ignored signals.
    pub ignored_signals: SignalSet,
    /// Signals that wait for the process, not for one of its threads.
    pub pending_signals: SignalSet,
    /// Number of open file descriptors, without those of this call; `None` without the
    /// right to read the process.
    pub descriptors: Option<u32>,
    /// Number of POSIX timers; `None` if the kernel does not list them
    /// (`CONFIG_CHECKPOINT_RESTORE`).
    pub timers: Option<u32>,
    /// Time of the start since boot, suspended time included, exact to 10 ms.
    pub started: Duration,
    /// Time of the start since the Epoch; `None` where the clock cannot be read. Equal in all
    /// calls of one process, unless the clock was set.
    pub started_since_epoch: Option<Duration>,
    /// CPU time in user mode, exact to 10 ms.
    pub user_time: Duration,
    /// CPU time in the kernel, exact to 10 ms.
    pub system_time: Duration,
    /// CPU time in user mode of children that were waited for.
    pub children_user_time: Duration,
    /// CPU time in the kernel of children that were waited for.
    pub children_system_time: Duration,
    /// Scheduling of the first thread.
    pub scheduling: Scheduling,
    /// Private memory in bytes: anonymous memory, resident or in swap (`RssAnon` and
    /// `VmSwap`, Linux 4.5); `None` for kernel threads and zombies.
    pub private_memory: Option<u64>,
}

impl ProcessStatus {
    /// Returns whether the process has ended and was not yet waited for.
    pub fn is_zombie(&self) -> bool {
        self.state == RunState::Ended && self.threads == 0
    }

    /// Reads the status of a process. What needs a right that the caller lacks is `None`.
    ///
    /// # Errors
    /// ESRCH if the process was reaped; EPERM if it is hidden.
    pub fn read(process: &ProcessDirectory) -> Result<Self> {
        let mut status = Self::from_stat(process)?;
        status.read_lines(process)?;
        status.read_counts(process)?;
        status.read_memory(process)?;
        process.check_exists()?;
        Ok(status)
    }

    // Each step has a function of its own, so that their buffers are not added up.

    #[inline(never)]
    fn from_stat(process: &ProcessDirectory) -> Result<Self> {
        let mut text = [0; STAT];
        let stat = read_stat(process.borrow(), &mut text)?;
        let fields = || {
            let flags = stat.flags()?;
            let state = RunState::of(stat.state()?);
            let threads: u32 = stat.number(20)?;
            let started = ticks(&stat, 22)?;
            let group = |field| Some(u32::try_from(stat.number::<i32>(field)?).unwrap_or(0));
            Some(Self {
                pid: process.pid(),
                parent: stat.parent()?,
                process_group: group(5)?,
                session: group(6)?,
                state,
                // The first thread is counted until the process is reaped.
                threads: threads.saturating_sub(u32::from(state == RunState::Ended)),
                is_kernel_thread: flags & PF_KTHREAD != 0,
                has_not_executed: flags & PF_FORKNOEXEC != 0,
                is_ending: flags & PF_EXITING != 0 && threads <= 1,
                is_dumping_core: false,
                has_random_addresses: None,
                word_size: None,
                umask: None,
                base_address: None,
                initial_stack: None,
                users: Identities::default(),
                groups: Identities::default(),
                ignored_signals: SignalSet::default(),
                pending_signals: SignalSet::default(),
                descriptors: None,
                timers: None,
                started,
                started_since_epoch: None,
                user_time: ticks(&stat, 14)?,
                system_time: ticks(&stat, 15)?,
                children_user_time: ticks(&stat, 16)?,
                children_system_time: ticks(&stat, 17)?,
                scheduling: Scheduling::of(&stat)?,
                private_memory: None,
            })
        };
        fields().ok_or(CUT)
    }

    #[inline(never)]
    fn read_lines(&mut self, process: &ProcessDirectory) -> Result<()> {
        let (mut users, mut groups) = (None, None);
        let (mut ignored, mut pending) = (None, None);
        let (mut anonymous, mut swapped) = (None, None);
        each_line(process.borrow(), b"status\0", |name, value| match name {
            b"Umask" => self.umask = number_of_base(value, 8).map(|mask| mask as u32),
            b"Uid" => users = identities(value),
            b"Gid" => groups = identities(value),
            b"CoreDumping" => self.is_dumping_core = value == b"1",
            b"SigIgn" => ignored = SignalSet::of(value),
            b"ShdPnd" => pending = SignalSet::of(value),
            b"RssAnon" => anonymous = kilobytes(value),
            b"VmSwap" => swapped = kilobytes(value),
            _ => {}
        })?;
        self.users = users.ok_or(CUT)?;
        self.groups = groups.ok_or(CUT)?;
        self.ignored_signals = ignored.ok_or(CUT)?;
        self.pending_signals = pending.ok_or(CUT)?;
        // Kernels without swap have no line for it.
        self.private_memory = anonymous.map(|anonymous| anonymous + swapped.unwrap_or(0));
        self.started_since_epoch = since_epoch(self.started);
        Ok(())
    }

    #[inline(never)]
    fn read_counts(&mut self, process: &ProcessDirectory) -> Result<()> {
        self.descriptors = if_permitted(descriptors(process))?;
        let mut timers = 0;
        let read = each_line(process.borrow(), b"timers\0", |name, _| {
            timers += u32::from(name == b"ID");
        });
        self.timers = if_permitted(read)?.map(|()| timers);
        if !self.is_kernel_thread {
            let personality = if_permitted(read_personality(process.borrow()))?.flatten();
            self.has_random_addresses = personality.map(|bits| bits & ADDR_NO_RANDOMIZE == 0);
        }
        Ok(())
    }

    #[inline(never)]
    fn read_memory(&mut self, process: &ProcessDirectory) -> Result<()> {
        let opened = ProcessHandle::from_proc_dir(process.reopen()?, Access::Layout);
        let Some(handle) = if_permitted(opened)?.filter(ProcessHandle::has_memory) else {
            return Ok(());
        };
        let headers = if_permitted(ProgramHeaders::read(&handle))?.flatten();
        let base = match headers {
            Some(headers) => if_permitted(base_address(&handle, &headers))?.flatten(),
            None => None,
        };
        let stack = if_permitted(initial_stack(&handle))?.flatten();
        // An exec in between would pair the facts of two memories.
        if if_permitted(handle.check_same_memory())?.is_some() {
            self.word_size = headers.map(|headers| headers.word_size);
            self.base_address = base;
            self.initial_stack = stack;
        }
        Ok(())
    }
}

/// Returns whether a process executes a program: it is no thread of the kernel, and not all
/// of its threads have ended.
#[inline(never)]
pub(crate) fn has_program(process: &ProcessDirectory) -> Result<bool> {
    // The first 20 fields.
    let mut text = [0; 384];
    let stat = read_stat(process.borrow(), &mut text)?;
    let flags = stat.flags().ok_or(CUT)?;
    let has_ended = RunState::of(stat.state().ok_or(CUT)?) == RunState::Ended;
    let threads: u32 = stat.number(20).ok_or(CUT)?;
    Ok(flags & PF_KTHREAD == 0 && (!has_ended || threads > 1))
}

/// `ADDR_NO_RANDOMIZE`, include/uapi/linux/personality.h.
const ADDR_NO_RANDOMIZE: u64 = 0x4_0000;

/// Parses the first three of four numbers: real, effective, saved.
fn identities(value: &[u8]) -> Option<Identities> {
    let mut numbers = value.split(|&byte| byte == b'\t').map(number);
    let mut next = || numbers.next().flatten();
    Some(Identities {
        real: next()?,
        effective: next()?,
        saved: next()?,
    })
}

/// Parses a size such as `1234 kB`, to bytes.
fn kilobytes(value: &[u8]) -> Option<u64> {
    number::<u64>(value.strip_suffix(b" kB")?)?.checked_mul(1024)
}

/// Counts open descriptors: by the size of the directory, which is their number since Linux
/// 6.2 (fs/proc/fd.c, `proc_fd_getattr`) and 0 before, else one by one.
#[inline(never)]
fn descriptors(process: &ProcessDirectory) -> Result<u32> {
    let own = process.is_callers();
    // The directory is opened also where its size suffices: that shows the right to do so.
    let files = super::open_directory(process.borrow(), b"fd\0")?;
    let size = sys::size_of_file(process.borrow(), b"fd\0").map_err(failed)?;
    let mut count = size;
    if size == 0 {
        let passed = each_entry(files.borrow(), &mut [0; 512], |name| {
            count += u64::from(name.first().is_some_and(u8::is_ascii_digit));
            ControlFlow::<()>::Continue(())
        });
        passed.map_err(failed)?;
    }
    // This call has open the directory of the process and that of its descriptors.
    let held = if own { 2 } else { 0 };
    Ok(u32::try_from(count.saturating_sub(held)).unwrap_or(u32::MAX))
}

fn read_personality(dir: BorrowedFd<'_>) -> Result<Option<u64>> {
    let file = super::open(dir, b"personality\0")?;
    let mut text = [0; 32];
    let len = sys::pread(file.borrow(), &mut text, 0).map_err(failed)?;
    let digits = text[..len].strip_suffix(b"\n");
    Ok(digits.and_then(|digits| number_of_base(digits, 16)))
}

/// Returns the address of the program's ELF header: that of its program headers, by the
/// auxiliary vector, less their usual offset in the file, if a mapping of the beginning of
/// a file starts there.
#[inline(never)]
fn base_address(process: &ProcessHandle, headers: &ProgramHeaders) -> Result<Option<VirtAddr>> {
    let Some(start) = headers.address.checked_sub(headers.word_size.file_header()) else {
        return Ok(None);
    };
    let vma = VmaCursor::new([0u8; 0]).next_from(process, start)?;
    let begins = vma
        .filter(|vma| vma.range.start().as_u64() == start && vma.offset == 0 && vma.has_object());
    Ok(begins.map(|_| VirtAddr::new(start)))
}

/// Reads field 28, which the kernel shows to callers who may read the process
/// (fs/proc/array.c, `do_task_stat`), of a thread that has memory.
#[inline(never)]
fn initial_stack(process: &ProcessHandle) -> Result<Option<VirtAddr>> {
    let mut text = [0; STAT];
    let stat = read_stat(process.directory(), &mut text)?;
    let address: u64 = stat.number(28).ok_or(CUT)?;
    Ok((address != 0).then(|| VirtAddr::new(address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_status_are_parsed() {
        let ids = identities(b"1\t2\t3\t4").unwrap();
        assert_eq!((ids.real, ids.effective, ids.saved), (1, 2, 3));
        assert_eq!(identities(b"1\t2"), None);
        assert_eq!(kilobytes(b"12 kB"), Some(12 << 10));
        assert_eq!(kilobytes(b"12"), None);
    }
}
