//! What lists of summaries have in common: their order, and what they lack. Must not know
//! where summaries come from.

use process_introspection_export::{SummaryRecord, UsageRecord};

/// Rank of memory in lists: by PSS and hugetlb, then by other sizes.
pub(crate) type Rank = (Option<u64>, u64, u64);

/// Returns the rank of memory in lists.
pub(crate) fn rank(usage: &UsageRecord) -> Rank {
    let mapped = usage.resident + usage.hugetlb;
    (usage.pss.map(|pss| pss + usage.hugetlb), mapped, usage.virt)
}

/// Returns what a summary lacks, and why.
pub(crate) fn missing(summary: &SummaryRecord) -> Vec<String> {
    let mut missing = Vec::new();
    if summary.total.zero.is_none() {
        missing.push(
            "addresses need CAP_SYS_ADMIN: without it no PSS, USS, page sizes, extents, nodes, \
             and the zero page counts as resident"
                .to_owned(),
        );
    } else if summary.total.pss.is_none() {
        missing.push(
            "the kernel's files on page frames are root's: without them no PSS, USS, page sizes"
                .to_owned(),
        );
    }
    if summary.huge_pages.is_none() {
        missing.push("this kernel does not report huge pages (Linux 6.7 does)".to_owned());
    }
    missing
}
