//! What programs have used of the processors, as the kernel counts it. Knows
//! nothing of guests.

use std::fs;
use std::time::Duration;

/// A child that has ended and that nobody has waited for yet: its processor
/// time. `None` while it runs.
pub(super) fn of_ended(child: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{child}/stat")).ok()?;
    has_ended(&stat).then(|| ticks(&stat, OWN))?
}

/// The processor time of all children that were waited for, theirs included.
pub(super) fn of_children() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    ticks(&stat, CHILDREN).unwrap_or_default()
}

/// Where the two times stand behind the name (proc_pid_stat(5)), in the
/// hundredths of seconds that Linux shows everywhere.
const OWN: usize = 11;
const CHILDREN: usize = 13;

fn fields(stat: &str) -> impl Iterator<Item = &str> {
    let behind_name = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    behind_name.split_ascii_whitespace()
}

fn has_ended(stat: &str) -> bool {
    fields(stat).next() == Some("Z")
}

fn ticks(stat: &str, from: usize) -> Option<Duration> {
    let mut times = fields(stat).skip(from);
    let mut next = || times.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((next()? + next()?) * 10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::Instant;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) Z (b) Z 1 7 7 0 -1 4 1 0 0 0 150 25 300 4000 20 0 1 0 9 0 0";
        assert!(has_ended(stat));
        assert_eq!(ticks(stat, OWN), Some(Duration::from_millis(1750)));
        assert_eq!(ticks(stat, CHILDREN), Some(Duration::from_secs(43)));
        assert!(!has_ended(&stat.replace(") Z 1", ") S 1")));
    }

    #[test]
    fn an_ended_child_has_times_until_it_is_waited_for_and_then_they_are_ours() {
        let mut child = Command::new("sh")
            .args(["-c", "while :; do set -- $(ulimit -t); done"])
            .env("PATH", "/bin:/usr/bin")
            .spawn()
            .expect("a shell");
        let running = of_ended(child.id());
        std::thread::sleep(Duration::from_millis(300));
        child.kill().expect("a running child");
        let until = Instant::now() + Duration::from_secs(60);
        let used = loop {
            match of_ended(child.id()) {
                Some(used) => break used,
                None => assert!(Instant::now() < until, "it does not end"),
            }
        };
        let before = of_children();
        child.wait().expect("a child");
        assert_eq!(running, None);
        assert!(of_children() >= before + used);
        assert_eq!(of_ended(child.id()), None);
    }
}
