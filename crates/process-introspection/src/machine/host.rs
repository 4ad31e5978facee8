//! Facts about the machine and its kernel that a record of its memory has to name: which
//! machine and which boot it was, how much memory there is, and the settings that determine
//! how the kernel places and moves pages.

use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use process_introspection_core::PageSize;
use rustix::system::uname;

use crate::machine::huge_pages::HugePageSettings;
use crate::process::mounts::Mounts;

/// Facts about the machine. What this kernel does not have, or this caller cannot read, is
/// `None`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Host {
    /// Identifier of this boot, a UUID as text (`kernel/random/boot_id` of proc).
    pub boot_id: Option<String>,
    /// Name of the machine in this caller's UTS namespace.
    pub name: Option<String>,
    /// Release of the kernel, such as `6.12.41-amd64`.
    pub kernel: Option<String>,
    /// Architecture of the kernel, such as `x86_64` (uname(2)).
    pub architecture: String,
    /// Base page size.
    pub page_size: PageSize,
    /// Memory that the kernel manages, in bytes (`MemTotal` of meminfo).
    pub memory_total: Option<u64>,
    /// Number of online NUMA nodes; `None` on a kernel without NUMA.
    pub nodes: Option<u32>,
    /// Settings of huge pages, among them THP's `enabled` and `defrag`.
    pub huge_pages: HugePageSettings,
    /// Whether the kernel prevents the mixing of movable and other pages in a block
    /// (`vm.defrag_mode`, Linux 6.15).
    pub defrag_mode: Option<bool>,
    /// Preference of swap to dropping files, 0 to 200 (`vm.swappiness`).
    pub swappiness: Option<u32>,
    /// Mode of NUMA balancing, bits of include/linux/sched/sysctl.h
    /// (`kernel.numa_balancing`).
    pub numa_balancing: Option<u32>,
    /// Time that tasks have lost to a lack of memory (PSI, Linux 4.20).
    pub memory_pressure: Option<MemoryPressure>,
    /// Time since boot, suspended time included, exact to 10 ms.
    pub uptime: Option<Duration>,
    /// Time of the boot, exact to a second. It changes when the clock is set.
    pub boot_time: Option<SystemTime>,
}

/// Memory pressure (Documentation/accounting/psi.rst).
#[derive(Copy, Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MemoryPressure {
    /// Time in which at least one task waited for memory.
    pub some: Pressure,
    /// Time in which all tasks waited for memory.
    pub full: Pressure,
}

/// Share of time that was lost.
#[derive(Copy, Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Pressure {
    /// Average of the last 10 seconds, in per cent.
    pub avg10: f64,
    /// Average of the last 60 seconds, in per cent.
    pub avg60: f64,
    /// Average of the last 300 seconds, in per cent.
    pub avg300: f64,
    /// Lost time since boot, in steps of a microsecond.
    pub total: Duration,
}

impl Host {
    /// Reads the facts.
    ///
    /// ```
    /// use process_introspection::Host;
    ///
    /// let host = Host::read();
    /// println!("{:?}, Linux {:?} on {}", host.name, host.kernel, host.architecture);
    /// ```
    pub fn read() -> Self {
        Self::read_in(&Mounts::new())
    }

    /// Reads the facts from other mounts of proc and sysfs. Namespaces are nevertheless
    /// this caller's: the name is that of its UTS namespace, and times are those of its
    /// time namespace.
    pub fn read_in(mounts: &Mounts) -> Self {
        let (proc, sys) = (mounts.proc(), mounts.sys());
        let page_size = PageSize::base();
        let total = value::<u64>(&proc.join("meminfo"), "MemTotal:");
        let boot = value::<u64>(&proc.join("stat"), "btime");
        let uptime = text(&proc.join("uptime"));
        let nodes = text(&sys.join("devices/system/node/online"));
        let pressure = text(&proc.join("pressure/memory"));
        let setting = |name: &str| text(&proc.join("sys").join(name));
        Self {
            boot_id: setting("kernel/random/boot_id"),
            name: setting("kernel/hostname"),
            kernel: setting("kernel/osrelease"),
            architecture: uname().machine().to_string_lossy().into_owned(),
            page_size,
            memory_total: total.and_then(|kib| kib.checked_mul(1024)),
            nodes: nodes.and_then(|text| count_of(&text)),
            huge_pages: HugePageSettings::read_in(mounts, page_size.pmd().bytes()),
            defrag_mode: setting("vm/defrag_mode").and_then(|text| switch(&text)),
            swappiness: setting("vm/swappiness").and_then(|text| text.parse().ok()),
            numa_balancing: setting("kernel/numa_balancing").and_then(|text| text.parse().ok()),
            memory_pressure: pressure.and_then(|text| MemoryPressure::parse(&text)),
            uptime: uptime.and_then(|text| seconds(text.split(' ').next()?)),
            boot_time: boot.and_then(|seconds| {
                SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
            }),
        }
    }
}

/// Returns the identifier of this installation, 32 hexadecimal digits
/// (machine-id(5): `/etc/machine-id`, of this caller's own root). It is confidential: what
/// leaves the machine must contain a keyed hash of it only.
pub fn machine_id() -> Option<String> {
    let id = text(Path::new("/etc/machine-id"))?;
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then_some(id)
}

impl MemoryPressure {
    /// Parses `/proc/pressure/memory`.
    fn parse(text: &str) -> Option<Self> {
        let line = |name| text.lines().find_map(|line| line.strip_prefix(name));
        Some(Self {
            some: Pressure::parse(line("some ")?)?,
            full: Pressure::parse(line("full ")?)?,
        })
    }
}

impl Pressure {
    fn parse(line: &str) -> Option<Self> {
        let field = |name: &str| line.split(' ').find_map(|field| field.strip_prefix(name));
        let average = |name| field(name)?.parse().ok();
        Some(Self {
            avg10: average("avg10=")?,
            avg60: average("avg60=")?,
            avg300: average("avg300=")?,
            total: Duration::from_micros(field("total=")?.parse().ok()?),
        })
    }
}

/// Returns the contents of a file of one line; `None` if it cannot be read or is empty.
fn text(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim_end();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Returns the number behind a name at the start of a line.
fn value<T: FromStr>(path: &Path, name: &str) -> Option<T> {
    let text = text(path)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_ascii_whitespace().next()?.parse().ok()
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

/// Parses seconds with hundredths.
fn seconds(text: &str) -> Option<Duration> {
    let (whole, hundredths) = text.split_once('.')?;
    let (whole, hundredths) = (whole.parse().ok()?, hundredths.parse::<u64>().ok()?);
    Duration::from_secs(whole).checked_add(Duration::from_millis(hundredths * 10))
}

/// Returns how many numbers a list such as `0-1,4` contains.
fn count_of(list: &str) -> Option<u32> {
    list.split(',').try_fold(0u32, |sum, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_numbers_are_counted() {
        for (list, count) in [
            ("0", Some(1)),
            ("0-3", Some(4)),
            ("0-1,4,6-7", Some(5)),
            ("", None),
            ("3-1", None),
            ("a", None),
            ("0-4294967295", None),
        ] {
            assert_eq!(count_of(list), count, "{list}");
        }
    }

    #[test]
    fn pressure_has_averages_and_a_total() {
        let some = "some avg10=0.05 avg60=12.45 avg300=0.17 total=1147038";
        let full = "full avg10=0.01 avg60=0.10 avg300=0.03 total=398931\n";
        let pressure = MemoryPressure::parse(&format!("{some}\n{full}")).unwrap();
        assert_eq!(pressure.some.avg60, 12.45);
        assert_eq!(pressure.some.total, Duration::from_micros(1_147_038));
        assert_eq!(pressure.full.avg10, 0.01);
        assert_eq!(pressure.full.avg300, 0.03);
        assert_eq!(MemoryPressure::parse(some), None);
        assert_eq!(MemoryPressure::parse("some avg10=x\nfull avg10=1\n"), None);
    }

    #[test]
    fn an_uptime_has_hundredths() {
        assert_eq!(seconds("1702.05"), Some(Duration::from_millis(1_702_050)));
        assert_eq!(seconds("1702"), None);
    }
}
