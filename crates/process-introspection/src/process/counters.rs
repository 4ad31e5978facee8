//! The kernel's own counters of the memory of processes, which cost little and are not exact.
//! Reads no page map and no memory, so that no process can delay the call.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::num::NonZero;
use std::os::unix::ffi::OsStringExt;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use process_introspection_core::error::{CoreError, Errno, Operation};
use process_introspection_core::proc_text::{number, Stat};
use process_introspection_core::{PageSize, Target};

use crate::error::{errno_of_process, Error};
use crate::process::find::pids;
use crate::process::info::{started, ProcessInfo};
use crate::process::mounts::{Mounts, PF_KTHREAD};
use crate::process::{Process, UniquePid};
use crate::text_files::{bytes_of_kib, read_at, read_of};

/// Process with the kernel's counters of its memory, from `stat` and `statm`.
///
/// The counters are estimates: the kernel collects changes on each CPU before it adds them
/// (fs/proc/task_mmu.c `task_statm`, a percpu_counter since Linux 6.2, batches of each thread
/// before that; Linux 6.16 adds up the CPUs), and they count a page whole in each process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessCounters {
    /// PID in the proc that was read.
    pub pid: u32,
    /// Time of the start since boot, as [`ProcessInfo::started`](crate::ProcessInfo::started).
    /// Together with the PID it identifies the process as far as the clock ticks.
    pub started: Duration,
    /// `comm`, as [`ProcessInfo::command`](crate::ProcessInfo::command).
    pub command: OsString,
    /// True for a thread of the kernel, which has no memory of its own.
    pub is_kernel_thread: bool,
    /// Mapped memory in bytes; 0 for a process that has ended and was not yet waited for.
    pub virt: u64,
    /// Resident memory in bytes, without hugetlb and the zero page.
    pub resident: u64,
}

/// Number of processes below which another thread costs more than it helps.
const LEAST_FOR_A_THREAD: usize = 512;

impl ProcessCounters {
    fn parse(pid: u32, stat: &[u8], statm: &[u8], page: u64) -> Option<Self> {
        let fields = Stat::parse(stat)?;
        let name = stat.iter().position(|&byte| byte == b'(')? + 1;
        let name_end = stat.iter().rposition(|&byte| byte == b')')?;
        let mut pages = statm.split(|&byte| byte == b' ').map(number::<u64>);
        let (virt, resident) = (pages.next()??, pages.next()??);
        Some(Self {
            pid,
            started: started(fields.start_time()?),
            command: OsString::from_vec(stat.get(name..name_end)?.to_vec()),
            is_kernel_thread: fields.flags()? & PF_KTHREAD != 0,
            virt: virt * page,
            resident: resident * page,
        })
    }

    /// Returns the unique PID of this process, in the proc that was read, and facts about it.
    ///
    /// # Errors
    /// [`Error::is_gone`] if the process has ended, also if its PID is another's by now.
    pub fn identify(&self, mounts: &Mounts) -> Result<(UniquePid, ProcessInfo), Error> {
        let unique = mounts.unique_pid(self.pid)?;
        let info = mounts.process_info(unique)?;
        // If the PID is this process's now, it was so when the unique PID was read.
        match info.started == self.started {
            true => Ok((unique, info)),
            false => Err(mounts.error(
                CoreError::new(Errno::ESRCH, Operation::FindProcess),
                Some(Target::Pid(self.pid)),
            )),
        }
    }
}

impl Mounts {
    /// Returns the processes that this proc shows to the caller, with the kernel's counters of
    /// their memory, in the order of PIDs. A process that ends meanwhile is left out, and so is
    /// one whose files are hidden (`hidepid`).
    ///
    /// ```
    /// use process_introspection::Mounts;
    ///
    /// let all = Mounts::new().process_counters()?;
    /// let own = all.iter().find(|process| process.pid == std::process::id()).unwrap();
    /// assert!(own.virt >= own.resident && !own.is_kernel_thread);
    /// # Ok::<(), process_introspection::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`all_pids`](crate::all_pids).
    pub fn process_counters(&self) -> Result<Vec<ProcessCounters>, Error> {
        let proc = File::open(self.proc()).map_err(|error| Error::of_open(&error))?;
        let page = PageSize::base().bytes();
        let read = |pid: &u32| {
            let stat = read_at(&proc, &format!("{pid}/stat")).ok()?;
            let statm = read_at(&proc, &format!("{pid}/statm")).ok()?;
            ProcessCounters::parse(*pid, &stat, &statm, page)
        };
        let read_all = |pids: &[u32]| pids.iter().filter_map(read).collect::<Vec<_>>();
        let pids = pids(self)?;
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let together = pids.len().div_ceil(threads).max(LEAST_FOR_A_THREAD);
        let mut parts = pids.chunks(together);
        let first = parts.next().unwrap_or_default();
        Ok(thread::scope(|scope| {
            let others = parts.map(|part| {
                let read_part = move || read_all(part);
                let spawned = thread::Builder::new().spawn_scoped(scope, read_part);
                (part, spawned)
            });
            let others: Vec<_> = others.collect();
            let mut all = read_all(first);
            for (part, spawned) in others {
                // Without another thread this one reads them.
                all.extend(match spawned {
                    Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                    Err(_) => read_all(part),
                });
            }
            all
        }))
    }
}

/// Sums over a process's memory that the kernel itself computes, page by page
/// (`/proc/PID/smaps_rollup`, Linux 4.14). In bytes, rounded down to KiB.
///
/// Requires no more than the right to read the process, and no physical address. While the
/// kernel walks, it holds the target's mmap lock, and lets others have it between mappings
/// (fs/proc/task_mmu.c `show_smaps_rollup`, since Linux 5.10).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MemoryRollup {
    /// Resident memory (Rss).
    pub resident: u64,
    /// Proportional set size (Pss).
    pub proportional: u64,
    /// Memory of this process alone (Private_Clean and Private_Dirty).
    pub unique: u64,
    /// Swapped memory (Swap). Unlike [`Usage::swap`](crate::Usage) it includes swapped pages
    /// of shared memory.
    pub swap: u64,
    /// hugetlb (Private_Hugetlb and Shared_Hugetlb).
    pub hugetlb: u64,
}

impl MemoryRollup {
    fn parse(text: &[u8]) -> Option<Self> {
        let sum = |one, other| Some(bytes_of_kib(text, one)? + bytes_of_kib(text, other)?);
        Some(Self {
            resident: bytes_of_kib(text, "Rss")?,
            proportional: bytes_of_kib(text, "Pss")?,
            unique: sum("Private_Clean", "Private_Dirty")?,
            swap: bytes_of_kib(text, "Swap")?,
            hugetlb: sum("Private_Hugetlb", "Shared_Hugetlb")?,
        })
    }
}

impl Process {
    /// Returns the kernel's sums over the process's memory.
    ///
    /// ```
    /// let rollup = process_introspection::Process::current()?.memory_rollup()?;
    /// assert!(rollup.resident >= rollup.proportional && rollup.resident >= rollup.unique);
    /// # Ok::<(), process_introspection::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::is_gone`]; [`Error::is_permission_denied`] without the right to read the
    /// process; [`Error::is_unsupported`] where the kernel does not have the file.
    pub fn memory_rollup(&self) -> Result<MemoryRollup, Error> {
        let failed = |errno| self.error(CoreError::new(errno, Operation::ReadProcess));
        // A process that has ended has the directory no more, or no memory to report.
        let text = match read_of(self.as_core(), "smaps_rollup") {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(failed(Errno::EPERM));
            }
            Err(error) => {
                self.as_core()
                    .check_same_memory()
                    .map_err(|error| self.error(error))?;
                return Err(failed(match error.kind() {
                    io::ErrorKind::NotFound => Errno::ENOSYS,
                    _ => errno_of_process(&error),
                }));
            }
        };
        MemoryRollup::parse(&text).ok_or_else(|| failed(Errno::EIO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_have_the_fields_of_the_texts_whatever_the_name_is() {
        let stat = b"7 (a) b (c\n) S 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4711 9 8 7\n";
        let found = ProcessCounters::parse(7, stat, b"100 20 10 1 0 30 0\n", 4096).unwrap();
        assert_eq!(found.command, "a) b (c\n");
        assert_eq!((found.virt, found.resident), (100 << 12, 20 << 12));
        assert_eq!(found.started, Duration::from_millis(47110));
        assert!(!found.is_kernel_thread);
        assert_eq!(ProcessCounters::parse(7, stat, b"", 4096), None);
        assert_eq!(ProcessCounters::parse(7, b"7 (a) S", b"1 1 1", 4096), None);
    }

    #[test]
    fn a_rollup_is_whole_or_not_there() {
        let text = "00400000-7ffe0000 ---p 00000000 00:00 0 [rollup]\n\
            Rss:                1000 kB\nPss:                 300 kB\nPss_Dirty: 1 kB\n\
            Private_Clean:        10 kB\nPrivate_Dirty:        20 kB\n\
            Shared_Hugetlb:     2048 kB\nPrivate_Hugetlb:       0 kB\n\
            Swap:                  4 kB\nSwapPss:               2 kB\n";
        let found = MemoryRollup::parse(text.as_bytes()).unwrap();
        let expected = MemoryRollup {
            resident: 1000 << 10,
            proportional: 300 << 10,
            unique: 30 << 10,
            swap: 4 << 10,
            hugetlb: 2 << 20,
        };
        assert_eq!(found, expected);
        let cut = &text.as_bytes()[..text.len() - 30];
        assert_eq!(MemoryRollup::parse(cut), None);
    }

    #[test]
    fn a_process_whose_pid_is_used_again_is_gone() {
        let mounts = Mounts::new();
        let all = mounts.process_counters().unwrap();
        let own = all.into_iter().find(|one| one.pid == std::process::id());
        let own = own.unwrap();
        let (unique, info) = own.identify(&mounts).unwrap();
        assert_eq!((unique.pid(), &info.command), (own.pid, &own.command));
        let before = ProcessCounters {
            started: own.started - Duration::from_millis(10),
            ..own
        };
        assert!(before.identify(&mounts).unwrap_err().is_gone());
    }
}
