//! State of standard output at the start of the process. Rust's runtime opens
//! `/dev/null` in place of a closed descriptor before `main`, so that every write seems
//! to succeed (`library/std/src/sys/pal/unix/mod.rs`, 1.85).

use std::sync::atomic::{AtomicBool, Ordering};

static IS_CLOSED: AtomicBool = AtomicBool::new(false);

extern "C" fn note() {
    let standard_output = rustix::stdio::stdout();
    let is_closed = rustix::io::fcntl_getfd(standard_output).is_err();
    IS_CLOSED.store(is_closed, Ordering::Relaxed);
}

// SAFETY: the loader calls each pointer in this section once, in the C calling
// convention, before `main`; additional arguments are ignored. `note` makes one system
// call and stores to a static: it needs nothing that the runtime initializes later, and
// cannot panic.
#[allow(unsafe_code)]
#[used]
#[link_section = ".init_array"]
static NOTE: extern "C" fn() = note;

/// Returns whether the process was started with standard output closed.
pub(crate) fn standard_output_is_closed() -> bool {
    IS_CLOSED.load(Ordering::Relaxed)
}
