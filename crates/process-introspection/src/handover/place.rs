//! Place of a task in work: where the parts of its output go. This module must not know
//! what the parts are.

use std::ops::ControlFlow;
use std::sync::PoisonError;

use super::{Handover, Slot, State, Task};
use crate::handover::heartbeat::{Heartbeat, HeartbeatWatch};

/// Tasks that hand over parts of their output.
pub(crate) trait InParts: Task {
    /// Returns the place behind this one, before that of any other task.
    fn following(key: Self::Key) -> Self::Key;
}

/// Place of a task that a thread works on.
pub(crate) struct Place<'h, 'a, T: Task> {
    key: T::Key,
    handover: &'h Handover<'a, T>,
    heartbeat: Option<&'h Heartbeat>,
}

impl<'h, 'a, T: Task> Place<'h, 'a, T> {
    pub(super) fn of(
        task: &T,
        handover: &'h Handover<'a, T>,
        heartbeat: Option<&'h Heartbeat>,
    ) -> Self {
        Self {
            key: task.key(),
            handover,
            heartbeat,
        }
    }

    /// Returns the place behind the parts that were handed over.
    pub(super) fn key(&self) -> T::Key {
        self.key
    }

    /// Breaks if nobody takes the output: the task was abandoned, or all have ended.
    pub(crate) fn check(&self) -> ControlFlow<()> {
        self.check_in(&self.handover.lock())
    }

    fn check_in(&self, state: &State<'_, T>) -> ControlFlow<()> {
        match state.slots.get(&self.key) {
            Some(Slot::Taken(_)) if !state.stopped => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }
}

impl<T: InParts> Place<'_, '_, T> {
    /// Hands over a part, and waits until there is room for another one. Waiting is no
    /// silence. Breaks as [`Self::check`]; the part is dropped
    /// then.
    pub(crate) fn give(&mut self, part: T::Output) -> ControlFlow<()> {
        let mut state = self.handover.lock();
        self.check_in(&state)?;
        state.done(self.key, part);
        self.key = T::following(self.key);
        state.slots.insert(self.key, Slot::Taken(None));
        self.handover.changed(&mut state);
        while !state.has_room_for_part(self.key) {
            if state.stopped {
                return ControlFlow::Break(());
            }
            state.parts_wait = true;
            let waited = self.handover.for_parts.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        let watch = self.heartbeat.map(HeartbeatWatch::new);
        state.slots.insert(self.key, Slot::Taken(watch));
        ControlFlow::Continue(())
    }
}
