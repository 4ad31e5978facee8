//! The table of system calls of the library: the document contains it, and each of
//! its calls is made. `confined.c` tests that no other is made.

mod programs;

use std::collections::BTreeSet;

use c_library::loaded::{result, Functions, Record};
use c_library::system_calls::{all, for_registers, SystemCall};
use programs::functions;
use testkit::machine::is_root_or_skip;
use testkit::memory::{self, page};
use testkit::target::Target;
use testkit::trace::{self, Calls};
use testkit::varied::Varied;

const END: &str = "<!-- End of the system calls -->\n";

fn table(calls: &[SystemCall]) -> String {
    let mut text = "| system call | with 32-bit words | when |\n|---|---|---|\n".to_owned();
    for call in calls {
        let other = match call.name_of_32_bits {
            same if same == call.name => String::new(),
            other => format!("`{other}`"),
        };
        text += &format!("| `{}` | {other} | {} |\n", call.name, call.when);
    }
    text
}

#[test]
fn the_document_shows_the_tables() {
    let document = include_str!("../../../docs/SAFETY.md");
    for (file, calls) in [("system_calls", all()), ("register_calls", for_registers())] {
        let begin = format!("<!-- The system calls: programs/{file}.h -->\n");
        let (_, behind) = document.split_once(&begin).expect("a beginning");
        let (shown, _) = behind.split_once(END).expect("an end");
        let expected = table(&calls);
        assert!(shown == expected, "docs/SAFETY.md should say:\n{expected}");
    }
}

/// Never touched.
const RESERVED: u64 = 4 << 30;

/// Every function but the cursor's, which make the same calls.
fn call_all(c: &Functions, pid: i64, records: &mut [Record], at: u64, size: u64) {
    let (start, last) = (at as usize, (at + size - 1) as usize);
    let bytes = size_of_val(records);
    for call in [c.virtual_regions, c.physical_regions, c.page_table] {
        // SAFETY: live records of that size in bytes.
        let result = result(unsafe { call(pid, start, last, records.as_mut_ptr(), bytes) });
        assert!(result.is_ok(), "{result:?}");
    }
    // SAFETY: no buffer, of no size.
    let path = unsafe { (c.object_path)(pid, c.object_path as usize, std::ptr::null_mut(), 0) };
    assert!(result(path).is_ok(), "{path}");
    let to = records.as_mut_ptr().cast();
    // SAFETY: more than a byte of live records.
    assert_eq!(unsafe { (c.read_memory)(pid, start, to, 1) }, 1);
    let mut status = [0; 34];
    // SAFETY: no buffer, of no size; and structs as the functions take them.
    let done = unsafe {
        let none = std::ptr::null_mut();
        [
            (c.child_pids)(pid, none, 0) >= 0,
            (c.process_name)(pid, std::ptr::null_mut(), 0) > 0,
            (c.process_info)(pid, &mut status) == 0,
            (c.thread_status)(pid, 1, &mut status) == 0,
        ]
    };
    assert_eq!(done, [true; 4]);
}

/// Memory touched so that no part of it resembles a huge page.
fn dense(size: u64) -> u64 {
    let at = memory::anonymous(size);
    for index in (0..size / page()).rev() {
        memory::touch(at + index * page(), 1, 1);
    }
    at
}

/// Pages that are all mappings of their own.
fn many_mappings(count: u64) -> u64 {
    let at = dense(count * page());
    for index in (0..count).step_by(2) {
        memory::protect(at + index * page(), page(), libc::PROT_READ);
    }
    at
}

/// The system calls of one function.
fn calls_of(prepare: impl FnOnce() -> u64, size: u64, pid: i64) -> Calls {
    let c = functions();
    trace::count(
        || (prepare(), vec![Record::default(); 4].into_boxed_slice()),
        |(at, records)| {
            // On the stack: calls of the allocator are not the library's.
            let mut records: [Record; 4] = records[..].try_into().unwrap();
            call_all(&c, pid, &mut records, *at, size);
        },
    )
}

#[test]
fn each_call_of_the_table_is_made() {
    if !is_root_or_skip("the calls of the table") {
        return;
    }
    // Loaded now, so that all targets have it.
    functions();
    // The tracer's stops count as sleep: a walk takes them for a target that it
    // delays, and rests.
    let long = 16_384 * page();
    let at = dense(long);
    let unique = |target: &Target| {
        // SAFETY: takes no memory.
        unsafe { (functions().unique_pid)(target.pid() as i32) }
    };
    let other = Target::spawn(Vec::new);
    let (without_first_thread, varied) = Varied::spawn_without_first_thread();
    let count = 8000;
    let seen = [
        calls_of(|| at, long, 0),
        calls_of(|| at, long, unique(&other)),
        calls_of(
            || varied.dense,
            page(),
            i64::from(without_first_thread.pid()),
        ),
        // Scanned, with a measured duration.
        calls_of(|| memory::anonymous(RESERVED), RESERVED, 0),
        calls_of(|| many_mappings(count), count * page(), 0),
        calls_of(
            || {
                // SAFETY: takes no memory.
                assert_eq!(unsafe { libc::mlockall(libc::MCL_CURRENT) }, 0);
                at
            },
            page(),
            0,
        ),
    ];
    let made: BTreeSet<i64> = seen.iter().flat_map(|calls| calls.numbers()).collect();
    let own = trace::count(
        || {
            // SAFETY: takes no memory.
            assert_eq!(unsafe { libc::setuid(65534) }, 0);
        },
        |()| {
            let mut word = 0u64;
            // SAFETY: a live, exclusive word.
            let read = unsafe {
                (functions().read_memory)(
                    0,
                    at as usize,
                    (&raw mut word).cast(),
                    size_of_val(&word),
                )
            };
            assert_eq!(result(read), Ok(size_of_val(&word)));
        },
    );
    memory::unmap(at, long);
    let made = &made | &own.numbers().collect();
    // The page size is a constant on these.
    let is_due = |call: &SystemCall| {
        call.name != "msync" || !cfg!(any(target_arch = "x86_64", target_arch = "riscv64"))
    };
    for call in all().iter().filter(|call| is_due(call)) {
        assert!(made.contains(&call.number()), "{} was not made", call.name);
    }
    let known: BTreeSet<i64> = all().iter().map(SystemCall::number).collect();
    assert_eq!(
        made.difference(&known).collect::<Vec<_>>(),
        Vec::<&i64>::new()
    );
}
