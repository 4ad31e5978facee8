//! Words for this guest on the kernel's command line.

use std::fs;

/// Words of a guest without their prefix `vmtest.`.
pub(crate) struct Words(Vec<String>);

impl Words {
    /// Reads the command line; `None` without the word `vmtest.guest`.
    pub(crate) fn of_a_guest() -> Option<Self> {
        let line = fs::read_to_string("/proc/cmdline").ok()?;
        let words = line.split_ascii_whitespace();
        let ours = words.filter_map(|word| word.strip_prefix("vmtest."));
        let words = Self(ours.map(str::to_owned).collect());
        words.has("guest").then_some(words)
    }

    /// Whether there is this word without a value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|word| word == name)
    }

    /// Returns the value of the first `name=`.
    pub(crate) fn value(&self, name: &'static str) -> Option<&str> {
        self.values(name).next()
    }

    /// Returns the values of each `name=`.
    pub(crate) fn values(&self, name: &'static str) -> impl Iterator<Item = &str> {
        let words = self.0.iter();
        words.filter_map(move |word| word.strip_prefix(name)?.strip_prefix('='))
    }
}
