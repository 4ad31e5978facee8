//! System calls that end when the registers of a thread in them are read: the table of
//! docs/PORTING.md. Each call is made by a target, and goes on or fails with EINTR.

#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

use std::fs;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use process_introspection::Process;
use testkit::memory;
use testkit::target::Target;

/// What becomes of a call.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum End {
    /// It waits on, as if nothing had been.
    GoesOn,
    /// It fails with EINTR.
    Interrupted,
}
use End::{GoesOn, Interrupted};

fn pipe() -> [i32; 2] {
    let mut ends = [0; 2];
    // SAFETY: a live array.
    unsafe { assert_eq!(libc::pipe(ends.as_mut_ptr()), 0) };
    ends
}

fn socket_pair(timeout: bool) -> [i32; 2] {
    let mut ends = [0; 2];
    // SAFETY: a live array, a live structure.
    unsafe {
        let kind = libc::SOCK_STREAM;
        assert_eq!(
            libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()),
            0
        );
        if timeout {
            let time = libc::timeval {
                tv_sec: 1000,
                tv_usec: 0,
            };
            let size = size_of_val(&time) as u32;
            for option in [libc::SO_RCVTIMEO, libc::SO_SNDTIMEO] {
                let at = (&raw const time).cast();
                assert_eq!(
                    libc::setsockopt(ends[0], libc::SOL_SOCKET, option, at, size),
                    0
                );
            }
        }
    }
    ends
}

fn receive(timeout: bool) -> i64 {
    let mut byte = 0u8;
    // SAFETY: a live byte.
    unsafe { libc::recv(socket_pair(timeout)[0], (&raw mut byte).cast(), 1, 0) as i64 }
}

fn send(timeout: bool) -> i64 {
    let ends = socket_pair(timeout);
    let bytes = [0u8; 1 << 16];
    loop {
        // SAFETY: live bytes. The other end reads none.
        let sent = unsafe { libc::send(ends[0], bytes.as_ptr().cast(), bytes.len(), 0) };
        if sent < 0 {
            return sent as i64;
        }
    }
}

fn accept(timeout: bool) -> i64 {
    // SAFETY: live structures of the sizes stated; the address is chosen by the kernel.
    unsafe {
        let socket = libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0);
        let mut address: libc::sockaddr_un = std::mem::zeroed();
        address.sun_family = libc::AF_UNIX as u16;
        let size = size_of::<libc::sa_family_t>() as u32;
        assert_eq!(libc::bind(socket, (&raw const address).cast(), size), 0);
        assert_eq!(libc::listen(socket, 1), 0);
        if timeout {
            let time = libc::timeval {
                tv_sec: 1000,
                tv_usec: 0,
            };
            let (at, size) = ((&raw const time).cast(), size_of_val(&time) as u32);
            libc::setsockopt(socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, at, size);
        }
        libc::accept(socket, std::ptr::null_mut(), std::ptr::null_mut()).into()
    }
}

const LONG: libc::timespec = libc::timespec {
    tv_sec: 1000,
    tv_nsec: 0,
};

fn signal_set() -> libc::sigset_t {
    // SAFETY: live sets.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGUSR1);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        set
    }
}

fn semaphore() -> i32 {
    // SAFETY: takes no memory. The set is removed when its maker is done.
    unsafe { libc::semget(libc::IPC_PRIVATE, 1, 0o600) }
}

fn semaphore_operation(time: Option<&libc::timespec>) -> i64 {
    let set = semaphore();
    let mut operation = libc::sembuf {
        sem_num: 0,
        sem_op: -1,
        sem_flg: 0,
    };
    // SAFETY: live structures.
    let result = unsafe {
        match time {
            None => libc::semop(set, &mut operation, 1),
            Some(time) => {
                libc::syscall(libc::SYS_semtimedop, set, &raw mut operation, 1, time) as i32
            }
        }
    };
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    // SAFETY: our own set; errno is a thread's own.
    unsafe {
        libc::semctl(set, 0, libc::IPC_RMID);
        *libc::__errno_location() = errno;
    }
    result.into()
}

fn futex(time: *const libc::timespec) -> i64 {
    let word = 1u32;
    // SAFETY: a live word, and a live time or none.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            &raw const word,
            libc::FUTEX_WAIT,
            1,
            time,
            0,
            0,
        ) as i64
    }
}

/// A call's name, what becomes of it, and the call, which waits for ever.
type Call = (&'static str, End, fn() -> i64);

const CALLS: &[Call] = &[
    // SAFETY: live arguments of the types that the calls take.
    ("`epoll_wait`", Interrupted, || unsafe {
        let mut event = std::mem::zeroed();
        libc::epoll_wait(libc::epoll_create1(0), &mut event, 1, -1).into()
    }),
    // SAFETY: live arguments of the types that the calls take.
    ("`epoll_wait` with a timeout", Interrupted, || unsafe {
        let mut event = std::mem::zeroed();
        libc::epoll_wait(libc::epoll_create1(0), &mut event, 1, 1_000_000).into()
    }),
    // SAFETY: live arguments of the types that the calls take.
    ("`sigwaitinfo`", Interrupted, || unsafe {
        libc::sigwaitinfo(&signal_set(), std::ptr::null_mut()).into()
    }),
    // SAFETY: live arguments of the types that the calls take.
    ("`sigtimedwait`", Interrupted, || unsafe {
        libc::sigtimedwait(&signal_set(), std::ptr::null_mut(), &LONG).into()
    }),
    ("`semop`", Interrupted, || semaphore_operation(None)),
    ("`semtimedop`", Interrupted, || {
        semaphore_operation(Some(&LONG))
    }),
    // SAFETY: live arguments of the types that the calls take.
    ("`io_getevents`", Interrupted, || unsafe {
        let mut context = 0usize;
        let mut events = [0u64; 4];
        libc::syscall(libc::SYS_io_setup, 1, &raw mut context);
        let to = events.as_mut_ptr();
        libc::syscall(libc::SYS_io_getevents, context, 1, 1, to, 0) as i64
    }),
    ("`recv` with `SO_RCVTIMEO`", Interrupted, || receive(true)),
    ("`send` with `SO_SNDTIMEO`", Interrupted, || send(true)),
    ("`accept` with `SO_RCVTIMEO`", Interrupted, || accept(true)),
    ("`recv`", GoesOn, || receive(false)),
    ("`send`", GoesOn, || send(false)),
    ("`accept`", GoesOn, || accept(false)),
    // SAFETY: live arguments of the types that the calls take.
    ("`read` of a pipe", GoesOn, || unsafe {
        let mut byte = 0u8;
        libc::read(pipe()[0], (&raw mut byte).cast(), 1) as i64
    }),
    // SAFETY: live arguments of the types that the calls take.
    ("`read` of inotify", GoesOn, || unsafe {
        let mut event = [0u8; 4096];
        libc::read(libc::inotify_init(), event.as_mut_ptr().cast(), event.len()) as i64
    }),
    // SAFETY: live arguments of the types that the calls take.
    ("`nanosleep`", GoesOn, || unsafe {
        libc::nanosleep(&LONG, std::ptr::null_mut()).into()
    }),
    // SAFETY: live arguments of the types that the calls take.
    ("`clock_nanosleep`", GoesOn, || unsafe {
        let mut now = std::mem::zeroed::<libc::timespec>();
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now);
        now.tv_sec += 1000;
        let flags = libc::TIMER_ABSTIME;
        let result =
            libc::clock_nanosleep(libc::CLOCK_MONOTONIC, flags, &now, std::ptr::null_mut());
        *libc::__errno_location() = result;
        -1
    }),
    // SAFETY: live arguments of the types that the calls take.
    ("`poll`", GoesOn, || unsafe {
        libc::poll(std::ptr::null_mut(), 0, -1).into()
    }),
    // SAFETY: live arguments of the types that the calls take.
    ("`poll` with a timeout", GoesOn, || unsafe {
        libc::poll(std::ptr::null_mut(), 0, 1_000_000).into()
    }),
    // SAFETY: live arguments of the types that the calls take.
    ("`select`", GoesOn, || unsafe {
        let none = std::ptr::null_mut();
        libc::select(0, none, none, none, std::ptr::null_mut()).into()
    }),
    // SAFETY: live arguments of the types that the calls take.
    ("`pause`", GoesOn, || unsafe { libc::pause().into() }),
    // SAFETY: live arguments of the types that the calls take.
    ("`sigsuspend`", GoesOn, || unsafe {
        libc::sigsuspend(&signal_set()).into()
    }),
    (
        "`futex` (locks, conditions, semaphores, joins)",
        GoesOn,
        || futex(std::ptr::null()),
    ),
    ("`futex` with a timeout", GoesOn, || futex(&LONG)),
    // SAFETY: live arguments of the types that the calls take.
    ("`msgrcv`", GoesOn, || unsafe {
        // In a namespace of its own, whose end removes the queue.
        if libc::unshare(libc::CLONE_NEWIPC) != 0 {
            *libc::__errno_location() = libc::ENOSYS;
            return -1;
        }
        let queue = libc::msgget(libc::IPC_PRIVATE, 0o600);
        let mut message = [0u64; 4];
        libc::msgrcv(queue, message.as_mut_ptr().cast(), 8, 0, 0) as i64
    }),
    // SAFETY: live arguments of the types that the calls take.
    ("`waitpid`", GoesOn, || unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            loop {
                libc::pause();
            }
        }
        libc::waitpid(child, std::ptr::null_mut(), 0).into()
    }),
    // SAFETY: live arguments of the types that the calls take.
    ("`open` of a FIFO", GoesOn, || unsafe {
        let name = format!("/tmp/introspection-fifo-{}\0", libc::getpid());
        libc::mkfifo(name.as_ptr().cast(), 0o600);
        // A second name is not needed: a waiting open keeps it.
        let file = libc::open(name.as_ptr().cast(), libc::O_RDONLY);
        file.into()
    }),
    // SAFETY: live arguments of the types that the calls take.
    ("`flock`", GoesOn, || unsafe {
        let mut name = *b"/tmp/introspection-lock-XXXXXX\0";
        let first = libc::mkstemp(name.as_mut_ptr().cast());
        let second = libc::open(name.as_ptr().cast(), libc::O_RDWR);
        libc::unlink(name.as_ptr().cast());
        libc::flock(first, libc::LOCK_EX);
        libc::flock(second, libc::LOCK_EX).into()
    }),
    // SAFETY: live arguments of the types that the calls take.
    ("`mq_receive`", GoesOn, || unsafe {
        let name = format!("/introspection-{}\0", libc::getpid());
        let flags = libc::O_RDWR | libc::O_CREAT;
        let none = std::ptr::null_mut::<libc::mq_attr>();
        let queue = libc::mq_open(name.as_ptr().cast(), flags, 0o600, none);
        libc::mq_unlink(name.as_ptr().cast());
        let mut message = [0u8; 8192];
        let to = message.as_mut_ptr().cast();
        libc::mq_receive(queue, to, message.len(), std::ptr::null_mut()) as i64
    }),
];

/// The place of the call's result in memory that both processes have: 0 while it waits.
fn result_at(at: u64) -> &'static AtomicI64 {
    // SAFETY: shared memory that is mapped until the program ends, aligned and only used so.
    unsafe { &*(at as *const AtomicI64) }
}

fn wait_in_kernel(pid: u32) {
    let until = Instant::now() + Duration::from_secs(10);
    let mut same = 0;
    // In the same call at several looks: its preparations are over.
    let mut before = String::new();
    while same < 10 {
        assert!(Instant::now() < until, "{before}");
        let now = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
        same = if now == before && !now.starts_with("running") {
            same + 1
        } else {
            0
        };
        before = now;
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn end_of(call: fn() -> i64) -> Result<End, i64> {
    let shared = memory::map(memory::page(), libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1);
    let result = result_at(shared);
    result.store(0, Ordering::SeqCst);
    let mut target = Target::spawn_then(Vec::new, || {
        let value = call();
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        let end = if value < 0 {
            -i64::from(errno)
        } else {
            value + 1
        };
        result_at(shared).store(end, Ordering::SeqCst);
        loop {
            // SAFETY: takes no memory.
            unsafe { libc::pause() };
        }
    });
    target.release();
    std::thread::sleep(Duration::from_millis(5));
    wait_in_kernel(target.pid());
    let before = result.load(Ordering::SeqCst);
    if before != 0 {
        // This kernel lacks what the call needs.
        return Err(before);
    }
    let process = Process::open(target.pid()).unwrap();
    for _ in 0..3 {
        process.thread(target.pid()).registers().unwrap();
        wait_in_kernel(target.pid());
    }
    let fifo = format!("/tmp/introspection-fifo-{}", target.pid());
    let _ = fs::remove_file(fifo);
    let end = match result.load(Ordering::SeqCst) {
        0 => Ok(GoesOn),
        end if end == -i64::from(libc::EINTR) => Ok(Interrupted),
        other => Err(other),
    };
    memory::unmap(shared, memory::page());
    end
}

#[test]
fn calls_end_as_the_document_says() {
    let mut wrong = Vec::new();
    for &(name, expected, call) in CALLS {
        match end_of(call) {
            Ok(end) if end == expected => {}
            Err(error) if error == -i64::from(libc::ENOSYS) => eprintln!("SKIPPED {name}"),
            end => wrong.push((name, end, expected)),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_document_has_the_calls() {
    let document = include_str!("../../../docs/PORTING.md");
    let (_, table) = document
        .split_once("<!-- Interrupted calls -->\n")
        .expect("a beginning");
    let (table, _) = table
        .split_once("<!-- End of interrupted calls -->\n")
        .expect("an end");
    let names = |end| {
        let calls = CALLS.iter().filter(|call| call.1 == end);
        calls.map(|call| call.0).collect::<Vec<_>>().join(", ")
    };
    let expected = format!(
        "| in the thread | calls |\n|---|---|\n| fail with `EINTR` | {} |\n| go on | {} |\n",
        names(Interrupted),
        names(GoesOn),
    );
    assert!(table == expected, "docs/PORTING.md should say:\n{expected}");
}
