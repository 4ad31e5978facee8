//! Record of the machine's transparent huge pages: khugepaged, sizes, and events since boot.

use process_introspection::{HugePageActivity, HugePageSize};

use crate::field::record;
use crate::number::rough;

record! {
    /// Settings and statistics of transparent huge pages of the machine.
    pub struct ThpRecord: Readable {
        /// Settings and statistics of khugepaged, which makes huge pages of small ones.
        pub khugepaged: KhugepagedRecord,
        /// Sizes that the kernel has, in ascending order (Linux 6.8).
        pub sizes: Vec<ThpSizeRecord>,
        /// Counters of /proc/vmstat whose names begin with thp_.
        pub events: Vec<CounterRecord>,
    }
}

record! {
    /// Settings and statistics of khugepaged.
    #[derive(Copy)]
    pub struct KhugepagedRecord: Readable {
        /// Whether it reclaims and compacts memory to allocate huge pages.
        pub defrag: Option<bool> = null("if it is unknown"),
        /// Number of pages that it examines at a time.
        pub pages_to_scan: Option<u64> = pages().null("if it is unknown"),
        /// Pause between two times, in milliseconds.
        pub scan_sleep_ms: Option<u64> = null("if it is unknown"),
        /// Pause after an allocation failed, in milliseconds.
        pub alloc_sleep_ms: Option<u64> = null("if it is unknown"),
        /// Number of huge pages that it made since boot.
        pub pages_collapsed: Option<u64> = null("if it is unknown"),
        /// Number of times that it examined all memory.
        pub full_scans: Option<u64> = null("if it is unknown"),
    }
}

record! {
    /// One size of transparent huge pages: hugepages-SIZEkB.
    pub struct ThpSizeRecord: Readable {
        /// Size.
        pub size: u64 = bytes(),
        /// Selected word of enabled; inherit is the setting of all sizes.
        pub enabled: Option<String> = null("if it is unknown"),
        /// Selected word of shmem_enabled.
        pub shmem_enabled: Option<String> = null("before Linux 6.11, or if it is unknown"),
        /// Files of stats (Linux 6.10) with their numbers.
        pub statistics: Vec<CounterRecord>,
    }
}

record! {
    /// Counter of the kernel.
    pub struct CounterRecord: Readable {
        /// Name that the kernel has for it.
        pub name: String,
        /// Number of events since boot, or of pages that exist now (nr_).
        pub count: u64,
    }
}

impl From<&HugePageActivity> for ThpRecord {
    fn from(activity: &HugePageActivity) -> Self {
        let khugepaged = &activity.khugepaged;
        Self {
            khugepaged: KhugepagedRecord {
                defrag: khugepaged.defrag,
                pages_to_scan: khugepaged.pages_to_scan,
                scan_sleep_ms: khugepaged.scan_sleep_ms,
                alloc_sleep_ms: khugepaged.alloc_sleep_ms,
                pages_collapsed: khugepaged.pages_collapsed,
                full_scans: khugepaged.full_scans,
            },
            sizes: activity.sizes.iter().map(ThpSizeRecord::from).collect(),
            events: counters(&activity.events),
        }
    }
}

impl From<&HugePageSize> for ThpSizeRecord {
    fn from(size: &HugePageSize) -> Self {
        Self {
            size: size.size,
            enabled: size.enabled.clone(),
            shmem_enabled: size.shmem_enabled.clone(),
            statistics: counters(&size.statistics),
        }
    }
}

fn counters(counters: &[(String, u64)]) -> Vec<CounterRecord> {
    let record = |(name, count): &(String, u64)| CounterRecord {
        name: name.clone(),
        count: *count,
    };
    counters.iter().map(record).collect()
}

impl KhugepagedRecord {
    /// Returns the known numbers by the names of their fields.
    pub(crate) fn numbers(&self) -> Vec<(&'static str, u64)> {
        let numbers = [
            ("defrag", self.defrag.map(u64::from)),
            ("pages_to_scan", self.pages_to_scan),
            ("scan_sleep_ms", self.scan_sleep_ms),
            ("alloc_sleep_ms", self.alloc_sleep_ms),
            ("pages_collapsed", self.pages_collapsed),
            ("full_scans", self.full_scans),
        ];
        let known = numbers.into_iter();
        known
            .filter_map(|(name, number)| Some((name, number?)))
            .collect()
    }
}

impl ThpRecord {
    /// Returns the settings that matter, for a line below the reasons; empty if none is
    /// known. Sizes that are never used are left out.
    pub(crate) fn settings(&self) -> String {
        let khugepaged = &self.khugepaged;
        let known = [
            ("defrag", khugepaged.defrag.map(u64::from)),
            ("pages_to_scan", khugepaged.pages_to_scan),
            ("scan_sleep_millisecs", khugepaged.scan_sleep_ms),
        ];
        let known = known.into_iter();
        let known = known.filter_map(|(name, number)| Some(format!(" {name}={}", number?)));
        let known: String = known.collect();
        let mut parts = Vec::new();
        if !known.is_empty() {
            parts.push(format!("khugepaged:{known}"));
        }
        let setting = |size: &ThpSizeRecord| {
            let word = |word: &Option<String>| word.clone().filter(|word| word != "never");
            let of_anonymous = word(&size.enabled);
            let of_shared = word(&size.shmem_enabled).map(|word| format!("shmem:{word}"));
            let both: Vec<_> = of_anonymous.into_iter().chain(of_shared).collect();
            (!both.is_empty()).then(|| format!("{}={}", rough(size.size), both.join(",")))
        };
        let sizes: Vec<_> = self.sizes.iter().filter_map(setting).collect();
        match (self.sizes.is_empty(), sizes.is_empty()) {
            (true, _) => {}
            (false, true) => parts.push("sizes: none".to_owned()),
            (false, false) => parts.push(format!("sizes: {}", sizes.join(" "))),
        }
        parts.join("; ")
    }
}
