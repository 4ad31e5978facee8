//! Threads of a forked child. Rust's own keep a list of all under a lock
//! (`thread_info` of std's `stack_overflow`, seen in Rust 1.95), which another
//! thread of the parent can hold when the child is forked: the child's threads
//! then wait forever (5 of some hundred children of a parent that starts threads
//! all the time; with these none of 4,000).

use std::ffi::c_void;

type Run = Box<dyn FnOnce() + Send>;

/// Starts a detached thread of the C library. A panic in it ends the process.
///
/// # Panics
/// If no further thread can be created.
pub fn start(run: impl FnOnce() + Send + 'static) {
    let run: Box<Run> = Box::new(Box::new(run));
    let mut thread = 0;
    // SAFETY: `main` takes the box back, once; without attributes the defaults
    // are taken, and the thread is not used but to let go of it.
    unsafe {
        let run = Box::into_raw(run).cast::<c_void>();
        let result = libc::pthread_create(&mut thread, std::ptr::null(), main, run);
        assert_eq!(result, 0, "pthread_create");
        libc::pthread_detach(thread);
    }
}

extern "C" fn main(run: *mut c_void) -> *mut c_void {
    // SAFETY: made by `start` for this thread alone.
    let run = unsafe { Box::from_raw(run.cast::<Run>()) };
    run();
    std::ptr::null_mut()
}
