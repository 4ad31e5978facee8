//! Targets and their addresses: the fuzzer itself, a child with the same memory, and
//! processes that have ended. Knows no call.

use std::sync::OnceLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use testkit::memory::{self, page};
use testkit::target::Target;

use crate::ffi::introspection_getpid64;

/// A target.
#[derive(Arbitrary, Copy, Clone, Debug, PartialEq)]
pub(crate) enum Who {
    Zero,
    OwnPid,
    OwnUniquePid,
    Child,
    ChildUniquePid,
    /// A process that has ended, but was not waited for.
    Zombie,
    /// A process that has ended and was waited for.
    GoneUniquePid,
    /// Any number, except those of other processes of this machine.
    Number(i64),
}

/// Facts of a target.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) enum Life {
    Alive,
    WithoutMemory,
    Gone,
}

/// Addresses.
#[derive(Arbitrary, Copy, Clone, Debug)]
pub(crate) enum Span {
    /// In memory of every kind that does not change; in bytes.
    Still(u16, u16),
    /// The same, pages only.
    StillPages(u8, u8),
    /// Around huge pages that do not change.
    Huge(u32, u32),
    /// Everything.
    Whole,
    /// A length from one address.
    From(u64, u32),
    /// Any two, in any order.
    Any(u64, u64),
}

/// Number of pages of the memory that does not change.
const STILL_PAGES: u64 = 64;
const HUGE: u64 = 4 << 20;

pub(crate) struct Subject {
    still: u64,
    huge: u64,
    child: Target,
    zombie: Target,
    own_unique: i64,
    child_unique: i64,
    gone_unique: i64,
    capabilities: Option<[CapabilityData; 2]>,
}

impl Subject {
    /// Returns the only one, made at first use.
    pub(crate) fn of_this_run() -> &'static Self {
        static SUBJECT: OnceLock<Subject> = OnceLock::new();
        SUBJECT.get_or_init(|| {
            let (still, huge) = (still_memory(), huge_memory());
            let (child, zombie) = (Target::spawn(Vec::new), Target::spawn(Vec::new));
            zombie.kill();
            let gone = Target::spawn(Vec::new);
            // SAFETY: the function stays, and does what is allowed at exit.
            unsafe { libc::atexit(end_children) };
            let unique = |target: &Target| introspection_getpid64(target.pid() as i32);
            Self {
                still,
                huge,
                own_unique: introspection_getpid64(0),
                child_unique: unique(&child),
                gone_unique: unique(&gone),
                capabilities: capabilities().filter(|sets| sets[0].effective & SYS_ADMIN != 0),
                child,
                zombie,
            }
        })
    }

    /// Returns the number for the C interface, and its expected result.
    pub(crate) fn pid64(&self, who: Who) -> (i64, Life) {
        let own = i64::from(std::process::id());
        match who {
            Who::Zero => (0, Life::Alive),
            Who::OwnPid => (own, Life::Alive),
            Who::OwnUniquePid => (self.own_unique, Life::Alive),
            Who::Child => (self.child.pid().into(), Life::Alive),
            Who::ChildUniquePid => (self.child_unique, Life::Alive),
            Who::Zombie => (self.zombie.pid().into(), Life::WithoutMemory),
            Who::GoneUniquePid => (self.gone_unique, Life::Gone),
            Who::Number(0) => (0, Life::Alive),
            // An unused mark or a negative sign stands for a process that is gone.
            Who::Number(number) if number >> 32 == 0 => (number | 1 << 62, Life::Gone),
            Who::Number(number) if [self.own_unique, self.child_unique].contains(&number) => {
                (number, Life::Alive)
            }
            Who::Number(number) => (number, Life::Gone),
        }
    }

    /// Returns the two bounds, both inclusive, and whether the memory between them cannot
    /// change during a call.
    pub(crate) fn bounds(&self, span: Span) -> (usize, usize, bool) {
        // Begins and ends up to two pages outside the memory.
        let within = |base: u64, size: u64, at: u64, len: u64| {
            let start = base - 2 * page() + at % (size + 4 * page());
            let len = len % (size + 2 * page());
            (
                start,
                start + len,
                start >= base && start + len < base + size,
            )
        };
        let (start, last, is_still) = match span {
            Span::Still(at, len) => within(self.still, STILL_PAGES * page(), at.into(), len.into()),
            Span::StillPages(at, len) => {
                let (at, len) = (u64::from(at) * page(), u64::from(len) * page());
                within(self.still, STILL_PAGES * page(), at, len.saturating_sub(1))
            }
            Span::Huge(at, len) => within(self.huge, HUGE, at.into(), len.into()),
            Span::Whole => (0, u64::MAX, false),
            Span::From(start, len) => (start, start.saturating_add(len.into()), false),
            Span::Any(start, last) => (start, last, false),
        };
        (start as usize, last as usize, is_still)
    }

    /// Drops the privilege to see frame numbers; false if there is none.
    pub(crate) fn hide_frames(&self) -> bool {
        self.capabilities.is_some_and(|mut sets| {
            sets[0].effective &= !SYS_ADMIN;
            set_capabilities(&sets);
            true
        })
    }

    /// Restores the privilege.
    pub(crate) fn show_frames(&self) {
        if let Some(sets) = &self.capabilities {
            set_capabilities(sets);
        }
    }

    /// Whether this process may see frame numbers at all.
    pub(crate) fn is_privileged(&self) -> bool {
        self.capabilities.is_some()
    }
}

/// Kills the children at exit, because statics are not dropped. (A finding ends the
/// fuzzer without this; then the children end by themselves.)
extern "C" fn end_children() {
    let subject = Subject::of_this_run();
    for target in [&subject.child, &subject.zombie] {
        target.kill();
        // SAFETY: our child, just killed; no status is wanted.
        unsafe { libc::waitpid(target.pid() as i32, std::ptr::null_mut(), 0) };
    }
}

/// Adjacent memory of every kind, with gaps, by page numbers:
fn still_memory() -> u64 {
    let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let at = memory::try_map(STILL_PAGES * page(), libc::PROT_NONE, private, -1, 0);
    let base = at.expect("still memory");
    let file = memory::memfd(16 * page());
    let map = |first: u64, pages: u64, protection: i32, flags: i32, fd: i32, offset: u64| {
        let (at, size) = (base + first * page(), pages * page());
        let flags = flags | libc::MAP_FIXED;
        let to = at as *mut libc::c_void;
        let offset = (offset * page()) as libc::off_t;
        // SAFETY: within the mapping just made for this.
        let mapped = unsafe { libc::mmap(to, size as usize, protection, flags, fd, offset) };
        assert_eq!(mapped as u64, at, "{}", std::io::Error::last_os_error());
        memory::advise(at, size, libc::MADV_NOHUGEPAGE);
        at
    };
    let writable = libc::PROT_READ | libc::PROT_WRITE;
    // 0-7: touched. 8-15: every other page touched. 16-19: the zero page.
    memory::touch(map(0, 8, writable, private, -1, 0), 8, 1);
    memory::touch(map(8, 8, writable, private, -1, 0), 4, 2);
    memory::read(map(16, 4, libc::PROT_READ, private, -1, 0), 4);
    // 20-23: nothing mapped. 24-31: shared, half of it touched.
    memory::unmap(base + 20 * page(), 4 * page());
    memory::touch(map(24, 8, writable, libc::MAP_SHARED, file, 0), 4, 1);
    // 32-39: a private mapping of the same file; read, then partly written.
    let copies = map(32, 8, writable, libc::MAP_PRIVATE, file, 2);
    memory::read(copies, 6);
    memory::touch(copies, 2, 2);
    // 40-43: no access. 44-51: touched, with a guard region where the kernel has
    // them. 52-63: nothing mapped, then one page.
    let guarded = map(44, 8, writable, private, -1, 0);
    memory::touch(guarded, 8, 1);
    memory::advise(guarded + 2 * page(), 2 * page(), memory::MADV_GUARD_INSTALL);
    memory::unmap(base + 52 * page(), 11 * page());
    memory::touch(map(63, 1, writable, private, -1, 0), 1, 1);
    base
}

/// A huge page, where the kernel has one, and one never touched.
fn huge_memory() -> u64 {
    let at = memory::aligned(HUGE, HUGE);
    memory::advise(at, HUGE, libc::MADV_HUGEPAGE);
    memory::touch(at, 1, 1);
    at
}

/// `struct __user_cap_data_struct`.
#[derive(Copy, Clone, Default)]
#[repr(C)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

/// `_LINUX_CAPABILITY_VERSION_3`.
const CAPABILITY_VERSION: u32 = 0x2008_0522;
const SYS_ADMIN: u32 = 1 << 21;

fn capabilities() -> Option<[CapabilityData; 2]> {
    let mut header = CapabilityHeader {
        version: CAPABILITY_VERSION,
        pid: 0,
    };
    let mut sets = [CapabilityData::default(); 2];
    // SAFETY: live structs of the kernel's layout for this version.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, &raw mut sets) };
    (result == 0).then_some(sets)
}

fn set_capabilities(sets: &[CapabilityData; 2]) {
    let mut header = CapabilityHeader {
        version: CAPABILITY_VERSION,
        pid: 0,
    };
    // SAFETY: live structs of the kernel's layout for this version.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, sets) };
    assert_eq!(result, 0, "capset: {}", std::io::Error::last_os_error());
}
