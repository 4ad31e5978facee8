//! Names of metrics, each with its kind, unit, labels and meaning. `docs/METRICS.md` has the same
//! table. Knows no values.

/// Kind of a metric.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Value that rises and falls.
    Gauge,
    /// Sum that only rises while the command runs.
    Counter,
    /// Facts in labels; the value is 1.
    Info,
}

impl Kind {
    /// Returns the end of the names of samples behind that of the family.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Gauge => "",
            Self::Counter => "_total",
            Self::Info => "_info",
        }
    }

    /// Returns the word in OpenMetrics.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Info => "info",
        }
    }
}

/// Label whose name is the property by which processes are grouped: `unit` unless `--by` names
/// another one.
pub(crate) const GROUP: &str = "unit";

/// Metric: series of one name.
#[derive(Debug)]
pub(crate) struct Family {
    /// Name without the suffix of its kind.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Names of the labels, in their order.
    pub(crate) labels: &'static [&'static str],
    /// Meaning, one sentence.
    pub(crate) help: &'static str,
    /// Why there can be no series.
    #[cfg(test)]
    pub(crate) absent: &'static str,
}

impl Family {
    /// Returns the unit, which the name ends with.
    pub(crate) fn unit(&self) -> Option<&'static str> {
        let units = ["bytes", "seconds", "ratio"];
        let is_unit = |unit: &&str| {
            let rest = self.name.strip_suffix(unit);
            rest.is_some_and(|rest| rest.ends_with('_'))
        };
        units.into_iter().find(is_unit)
    }
}

macro_rules! families {
    ($($id:ident: $kind:ident $name:literal $labels:tt, $help:literal, $absent:literal;)*) => {
        $(pub(crate) static $id: Family = Family {
            name: $name,
            kind: Kind::$kind,
            labels: &$labels,
            help: $help,
            #[cfg(test)]
            absent: $absent,
        };)*
        /// All metrics, in the order of output.
        pub(crate) static ALL: &[&Family] = &[$(&$id),*];
    };
}

families! {
    MEMORY: Gauge "introspect_memory_bytes" ["use", "node"],
        "Memory by use, each frame of RAM once.",
        "without the kernel's files on page frames, which are root's";
    PRESENT: Gauge "introspect_memory_present_bytes" ["node"],
        "Memory that exists (present pages of zoneinfo).",
        "";
    COUNTER: Gauge "introspect_memory_meminfo_bytes" ["counter"],
        "Counter of the kernel for uses of memory, or sum of counters (meminfo, zoneinfo).",
        "if this kernel does not have the counter";
    COUNTED: Gauge "introspect_memory_counted_bytes" ["counter"],
        "Frames of the uses that a counter of the kernel counts, to compare with its value.",
        "as introspect_memory_bytes";
    UNFLAGGED: Gauge "introspect_memory_unflagged_bytes" ["part"],
        "Parts of the uses kernel and unflagged, by counters of the kernel.",
        "as introspect_memory_bytes";
    UNEXPLAINED: Gauge "introspect_memory_unexplained_bytes" [],
        "Memory of the uses kernel and unflagged that no counter explains; less than 0 if counters changed during the walk.",
        "as introspect_memory_bytes";
    UNUSABLE: Gauge "introspect_unusable_free_space_ratio" ["node", "zone", "order"],
        "Part of the free memory of a zone in blocks smaller than an order.",
        "";
    FRAGMENTATION: Gauge "introspect_fragmentation_index_ratio" ["node", "zone", "order"],
        "Fragmentation index of a zone: -1 if a block of the order is free, else towards 0 for lack of memory, towards 1 for fragmentation.",
        "";
    FREE_CONTIGUITY: Gauge "introspect_free_contiguity_ratio" ["size"],
        "Part of all free memory in aligned free blocks of a size in bytes.",
        "as introspect_memory_bytes, and if no memory is free";
    UNMOVABLE: Gauge "introspect_unmovable_blocks_ratio" ["size"],
        "Part of the aligned blocks of a size in bytes with a frame that the kernel cannot move, as far as flags show it.",
        "as introspect_memory_bytes, and without a block of the size";
    UNKNOWN_BLOCKS: Gauge "introspect_unknown_blocks_ratio" ["size"],
        "Part of the aligned blocks of a size in bytes that may have such a frame: flags do not show it.",
        "as introspect_unmovable_blocks_ratio";
    COVERAGE: Gauge "introspect_huge_page_coverage_ratio" ["kind"],
        "Memory that huge page-table entries map / resident memory of all processes, hugetlb included, by kind of mapping, and of all.",
        "before Linux 6.7, and for kinds without resident memory";
    MAPPED: Gauge "introspect_mapped_memory_bytes" ["kind"],
        "Resident memory of all processes, hugetlb included, by kind of mapping: a page counts in each process.",
        "";
    HUGE_MAPPED: Gauge "introspect_huge_mapped_memory_bytes" ["kind"],
        "Part of introspect_mapped_memory_bytes that huge page-table entries map.",
        "before Linux 6.7";
    PROCESSES: Gauge "introspect_processes" ["result"],
        "Processes of the last walk: read, or why not (denied, silent, failed); those that ended meanwhile, and those that proc hides.",
        "";
    GROUPS: Gauge "introspect_groups" [],
        "Groups of processes, those in group other included.",
        "";
    GROUP_MEMORY: Gauge "introspect_group_memory_bytes" ["unit"],
        "Memory that only the processes of a group map, each page once, hugetlb included.",
        "if it is unknown, even for one page: without root's files on page frames, or where the kernel exports no exact mapcounts";
    GROUP_SHARED: Gauge "introspect_group_shared_memory_bytes" ["unit"],
        "Memory that a group and others map, each page once in each group.",
        "as introspect_group_memory_bytes";
    GROUP_PROPORTIONAL: Gauge "introspect_group_proportional_memory_bytes" ["unit"],
        "Sum of the proportional set sizes (PSS) of a group, without hugetlb; groups add up.",
        "without root's files on page frames";
    GROUP_RESIDENT: Gauge "introspect_group_resident_memory_bytes" ["unit"],
        "Sum of the resident set sizes (RSS) of a group, without hugetlb: a page counts in each process.",
        "";
    GROUP_SWAP: Gauge "introspect_group_swap_bytes" ["unit"],
        "Swap of a group, by page-table entries: a place counts in each process.",
        "";
    GROUP_PROCESSES: Gauge "introspect_group_processes" ["unit"],
        "Processes of a group that were read.",
        "";
    LOCK: Counter "introspect_target_lock_seconds" [],
        "Duration of the system calls by which this command held the mmap lock of processes, an upper bound of the time.",
        "";
    LOCK_CALLS: Counter "introspect_target_lock_calls" [],
        "System calls by which this command held the mmap lock of processes.",
        "";
    CPU: Counter "introspect_cpu_seconds" [],
        "CPU time of this command.",
        "";
    BUDGET: Gauge "introspect_budget_ratio" [],
        "Part of one CPU that the walks of this command may use.",
        "without --listen";
    WALKS: Counter "introspect_walks" ["part"],
        "Walks that came to their end: of all frames, and of all processes.",
        "";
    FAILURES: Counter "introspect_walk_failures" ["part"],
        "Walks that failed.",
        "";
    WALK_END: Gauge "introspect_walk_end_timestamp_seconds" ["part"],
        "End of the last walk, from which the values are, in Unix time.",
        "before the first walk has ended";
    WALK_DURATION: Gauge "introspect_walk_duration_seconds" ["part"],
        "Time that the last walk took, rests for its budget included.",
        "before the first walk has ended";
    WALK_CPU: Gauge "introspect_walk_cpu_seconds" ["part"],
        "CPU time that the last walk took.",
        "before the first walk has ended";
    WALK_LOCK: Gauge "introspect_walk_target_lock_seconds" ["part"],
        "Part of introspect_target_lock_seconds_total of the last walk.",
        "before the first walk has ended";
    START: Gauge "introspect_start_time_seconds" [],
        "Start of this command, from which it counts, in Unix time.",
        "";
    BUILD: Info "introspect_build" ["version"],
        "Version of the command.",
        "";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PAGE: &str = include_str!("../../../../docs/METRICS.md");
    const DASHBOARD: &str = include_str!("../../../../dashboards/grafana.json");
    const RULES: &str = include_str!("../../../../dashboards/rules.yml");
    const RULE_TESTS: &str = include_str!("../../../../dashboards/rules_test.yml");

    fn sample_names() -> BTreeSet<String> {
        let name = |family: &&Family| format!("{}{}", family.name, family.kind.suffix());
        ALL.iter().map(name).collect()
    }

    #[test]
    fn the_table_in_the_documents_is_that_of_the_command() {
        let row = |family: &&Family| {
            let kind = match family.kind {
                Kind::Info => "gauge",
                kind => kind.word(),
            };
            format!(
                "| `{}{}` | {kind} | {} | {} | {} |\n",
                family.name,
                family.kind.suffix(),
                family.labels.join(", "),
                family.help.trim_end_matches('.'),
                family.absent
            )
        };
        let table: String = ALL.iter().map(row).collect();
        assert!(PAGE.contains(&table), "docs/METRICS.md lacks:\n{table}");
    }

    /// Returns the words of a text that are names of metrics.
    fn names_in(text: &str) -> BTreeSet<&str> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let words = text.split(|c| !is_part(c));
        words
            .filter(|word| word.starts_with("introspect_") || word.contains(":introspect_"))
            .collect()
    }

    #[test]
    fn dashboard_and_rules_query_metrics_that_exist() {
        let recorded = RULES
            .lines()
            .filter_map(|line| line.trim().strip_prefix("- record: "));
        let mut known = sample_names();
        known.extend(recorded.map(str::to_owned));
        for (text, least) in [(DASHBOARD, 15), (RULES, 8), (RULE_TESTS, 8)] {
            let names = names_in(text);
            assert!(names.len() >= least, "{names:?}");
            for name in names {
                assert!(known.contains(name), "no metric {name}");
            }
        }
    }

    #[test]
    fn names_are_unique_and_end_as_their_kind_requires() {
        assert_eq!(sample_names().len(), ALL.len());
        for family in ALL {
            let name = family.name;
            assert!(name.starts_with("introspect_"), "{name}");
            for end in ["_total", "_info", "_count", "_sum", "_bucket", "_created"] {
                assert!(!name.ends_with(end), "{name}");
            }
            assert!(family.help.ends_with('.'), "{name}");
            assert!(!family.help.contains(['|', '\\', '\n', '"']), "{name}");
        }
    }
}
