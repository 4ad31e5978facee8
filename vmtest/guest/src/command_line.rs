//! What the kernel's command line asks this guest for.

use std::fs;
use std::time::Duration;

/// The words after `vmtest.`, once it is known that this is a guest.
pub(crate) struct Words(Vec<String>);

impl Words {
    /// `None` unless the kernel was started with `vmtest.guest`.
    pub(crate) fn of_a_guest() -> Option<Self> {
        let line = fs::read_to_string("/proc/cmdline").ok()?;
        let words = line.split_ascii_whitespace();
        let ours = words.filter_map(|word| word.strip_prefix("vmtest."));
        let words = Self(ours.map(str::to_owned).collect());
        words.has("guest").then_some(words)
    }

    /// Whether a word stands there alone.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|word| word == name)
    }

    /// What stands behind `name=`.
    pub(crate) fn value(&self, name: &'static str) -> Option<&str> {
        self.values(name).next()
    }

    /// What stands behind each `name=`.
    pub(crate) fn values(&self, name: &'static str) -> impl Iterator<Item = &str> {
        let words = self.0.iter();
        words.filter_map(move |word| word.strip_prefix(name)?.strip_prefix('='))
    }

    /// How long one test program may take.
    pub(crate) fn limit(&self) -> Duration {
        let seconds = self.value("limit").and_then(|value| value.parse().ok());
        Duration::from_secs(seconds.unwrap_or(300))
    }
}
