//! Order in which processes are read. Pure; must not know how they are read.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::top::model::{Counted, Key, Time};

/// Facts on which the order depends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order<'a> {
    pub(super) processes: &'a [Counted],
    /// Processes on the screen, from the top.
    pub(super) visible: &'a [Key],
    /// Processes that a sum of groups still lacks; `None` if no sum is being made.
    pub(super) lacking: Option<&'a HashSet<Key>>,
    /// Times at which processes were read, or an attempt failed.
    pub(super) tried: &'a HashMap<Key, Time>,
    /// Age from which a process is read again.
    pub(super) interval: Duration,
}

impl Order<'_> {
    /// Returns the process to read next: those that a sum lacks, the largest first; then, in
    /// turns, one on the screen and another one. Of each, processes that were never read are
    /// first: on the screen from the top, others by size. `None` if all were read lately.
    pub(super) fn next(&self, now: Time, is_turn_of_visible: bool) -> Option<Key> {
        if let Some(lacking) = self.lacking {
            let lacking = |one: &&Counted| lacking.contains(&one.key);
            let largest = self.processes.iter().filter(lacking);
            if let Some(one) = largest.max_by_key(|one| (one.resident, Reverse(one.key))) {
                return Some(one.key);
            }
        }
        let (visible, other) = (self.next_visible(now), self.next_other(now));
        match is_turn_of_visible {
            true => visible.or(other),
            false => other.or(visible),
        }
    }

    fn next_visible(&self, now: Time) -> Option<Key> {
        let new = |key: &&Key| !self.tried.contains_key(key);
        if let Some(first) = self.visible.iter().find(new) {
            return Some(*first);
        }
        let due = self.visible.iter().filter(|&&key| self.is_due(key, now));
        due.min_by_key(|key| self.tried.get(key)).copied()
    }

    fn next_other(&self, now: Time) -> Option<Key> {
        let mut others = self.processes.iter();
        let new = others
            .clone()
            .filter(|one| !self.tried.contains_key(&one.key));
        if let Some(one) = new.max_by_key(|one| (one.resident, Reverse(one.key))) {
            return Some(one.key);
        }
        let due = others.by_ref().filter(|one| self.is_due(one.key, now));
        due.map(|one| one.key).min_by_key(|key| self.tried.get(key))
    }

    fn is_due(&self, key: Key, now: Time) -> bool {
        let tried = self.tried.get(&key);
        tried.is_none_or(|&at| now.saturating_sub(at) >= self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(pid: u32) -> Key {
        Key {
            pid,
            started: Duration::ZERO,
        }
    }

    #[test]
    fn new_processes_come_by_size_and_those_on_the_screen_in_turn() {
        let sizes = [(1, 10), (2, 30), (3, 20), (4, 5)];
        let processes = sizes.map(|(pid, resident)| Counted {
            key: key(pid),
            command: Vec::new(),
            virt: 0,
            resident,
        });
        let visible = [key(4), key(1)];
        let mut tried = HashMap::new();
        let mut seen = Vec::new();
        for step in 0..6 {
            let order = Order {
                processes: &processes,
                visible: &visible,
                lacking: None,
                tried: &tried,
                interval: Duration::from_secs(60),
            };
            let now = Duration::from_secs(step);
            let Some(next) = order.next(now, step % 2 == 0) else {
                break;
            };
            seen.push(next.pid);
            tried.insert(next, now);
        }
        assert_eq!(seen, [4, 2, 1, 3], "each once, as all are young");
        let lacking = HashSet::from([key(1), key(3)]);
        let order = Order {
            processes: &processes,
            visible: &visible,
            lacking: Some(&lacking),
            tried: &tried,
            interval: Duration::from_secs(60),
        };
        let late = Duration::from_secs(100);
        assert_eq!(order.next(late, true), Some(key(3)), "a sum lacks it");
        let order = Order {
            lacking: None,
            ..order
        };
        assert_eq!(
            order.next(late, true),
            Some(key(4)),
            "the oldest on the screen"
        );
        assert_eq!(order.next(late, false), Some(key(4)), "the oldest of all");
        let mut later = tried.clone();
        later.insert(key(4), late);
        let order = Order {
            tried: &later,
            ..order
        };
        assert_eq!(order.next(late, true), Some(key(1)));
        assert_eq!(order.next(late, false), Some(key(2)));
    }
}
