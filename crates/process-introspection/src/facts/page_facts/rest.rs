//! List that is mostly empty. Pure.

use std::ops::{Deref, DerefMut};

/// List that takes eight bytes when it is empty: a structure that contains several, and is
/// kept for each of many regions, fits into two cache lines.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::box_collection, reason = "three times as large without")]
pub(crate) struct Rest<T>(Option<Box<Vec<T>>>);

impl<T> Default for Rest<T> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<T> Rest<T> {
    pub(crate) const EMPTY: Self = Self(None);

    pub(crate) fn push(&mut self, item: T) {
        self.0.get_or_insert_default().push(item);
    }
}

impl<T> Deref for Rest<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.0.as_ref().map_or(&[], |items| items)
    }
}

impl<T> DerefMut for Rest<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.0.as_mut().map_or(&mut [], |items| items)
    }
}
