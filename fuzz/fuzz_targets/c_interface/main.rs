//! Calls of the C interface with any arguments and buffers: bad numbers, bad ranges,
//! memory that is missing or cannot be written. Each returns the correct result or a
//! documented error; nothing but the buffer is written, no descriptor stays open, and
//! errno does not change. Cursors, opened, moved, used after their end, closed twice,
//! return the records of the arrays.
#![no_main]

mod buffer;
mod calls;
mod cursors;
mod ffi;
mod subject;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

use calls::Call;
use cursors::{Cursors, Step};
use subject::Subject;

#[derive(Arbitrary, Debug)]
struct Input {
    /// Whether frame numbers are hidden from the caller.
    unprivileged: bool,
    actions: Vec<Action>,
}

#[derive(Arbitrary, Debug)]
enum Action {
    Call(Call),
    Step(Step),
}

/// Maximum number of calls; more find nothing new, and one takes up to milliseconds.
const MOST_ACTIONS: usize = 12;

fuzz_target!(|input: Input| {
    let subject = Subject::of_this_run();
    let hidden = input.unprivileged && subject.hide_frames();
    let descriptor = calls::lowest_free_descriptor();
    let mut cursors = Cursors::new();
    for action in input.actions.iter().take(MOST_ACTIONS) {
        match action {
            Action::Call(call) => call.check(subject, hidden),
            Action::Step(step) => cursors.check(step, subject, hidden),
        }
    }
    drop(cursors);
    assert_eq!(
        calls::lowest_free_descriptor(),
        descriptor,
        "a descriptor stays open"
    );
    if hidden {
        subject.show_frames();
    }
});
