//! Records of frames by who pays for them, or by where they are.

use std::collections::BTreeMap;

use process_introspection::{Cgroup, FrameUse, MemoryBalance, UseTotals};

use crate::field::{record, Fields};
use crate::name::{Name, NameBuf};
use crate::record::Record;
use crate::table::Row;

/// Returns who can have frames.
pub(crate) fn holders() -> Vec<&'static str> {
    vec![
        "cgroup",
        "unit",
        "container",
        "node",
        "zone",
        "kernel",
        "free",
        "none",
    ]
}

record! {
    /// Frames of one payer, node or zone, by their uses.
    pub struct FrameGroupRecord {
        /// Kind of group. Frames for which no cgroup pays are kernel, free, or none: memory
        /// that belongs to no group.
        pub group: &'static str = one_of(holders).text(8, "GROUP", 9),
        /// Name: path of the cgroup, unit, id of the container, or name of the zone.
        pub name: NameBuf = text(9, "NAME", 0).null(
            "if it has no name: memory of cgroups without a unit or a container, and of \
             cgroups that this caller's mount does not have",
        ),
        /// NUMA node.
        pub node: Option<u32> = null("if the group is no node and no zone of one"),
        /// Bytes of all its frames.
        pub bytes: u64 = bytes().rough(0, "MEMORY", 6),
        /// Bytes of anonymous memory, with the swap cache.
        pub anonymous: u64 = bytes().rough(1, "ANON", 5),
        /// Bytes of shared memory and tmpfs.
        pub shmem: u64 = bytes().rough(2, "SHMEM", 5),
        /// Bytes of the page cache.
        pub page_cache: u64 = bytes().rough(3, "CACHE", 5),
        /// Bytes of hugetlb pages.
        pub hugetlb: u64 = bytes().rough(4, "HUGETLB", 7),
        /// Bytes of page tables.
        pub page_table: u64 = bytes().rough(5, "PTABLE", 6),
        /// Bytes of the kernel's other memory: slabs, reserved, unflagged, offline, poisoned.
        pub kernel: u64 = bytes().rough(6, "KERNEL", 6),
        /// Bytes of free memory.
        pub free: u64 = bytes().rough(7, "FREE", 5),
    }
}

impl FrameGroupRecord {
    fn new(group: &'static str, name: &[u8], uses: &UseTotals, page: u64) -> Self {
        let of = |wanted: &[FrameUse]| wanted.iter().map(|&one| uses[one]).sum::<u64>() * page;
        let mut record = Self {
            group,
            name: NameBuf(name.to_vec()),
            node: None,
            bytes: uses.frames() * page,
            anonymous: of(&[FrameUse::Anonymous, FrameUse::SwapCache]),
            shmem: of(&[FrameUse::Shmem]),
            page_cache: of(&[FrameUse::PageCacheMapped, FrameUse::PageCacheUnmapped]),
            hugetlb: of(&[FrameUse::HugetlbMapped, FrameUse::HugetlbUnmapped]),
            page_table: of(&[FrameUse::PageTable]),
            kernel: 0,
            free: of(&[FrameUse::Free]),
        };
        record.kernel = record.bytes
            - record.anonymous
            - record.shmem
            - record.page_cache
            - record.hugetlb
            - record.page_table
            - record.free;
        record
    }
}

impl Record for FrameGroupRecord {
    fn row(&self, row: &mut Row<'_>) {
        self.visit(row);
        if let Some(node) = self.node {
            let zone = Name(&self.name.0).printable();
            row.set("NAME", format!("{node} {zone}"));
        }
    }
}

/// Groups by which frames are listed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum FrameGrouping {
    /// Cgroup that pays.
    Cgroup,
    /// systemd unit of the cgroup that pays.
    Unit,
    /// Container of the cgroup that pays.
    Container,
    /// NUMA node.
    Node,
    /// Zone.
    Zone,
}

/// Returns the frames for which no cgroup pays, divided into the kernel's, free ones and
/// others.
pub(crate) fn without_payer(unpaid: &UseTotals) -> [(&'static str, UseTotals); 3] {
    let part = |is_wanted: fn(FrameUse) -> bool| unpaid.only(is_wanted);
    [
        ("kernel", part(|one| one.is_movable() != Some(true))),
        ("free", part(|one| one == FrameUse::Free)),
        (
            "none",
            part(|one| one.is_movable() == Some(true) && one != FrameUse::Free),
        ),
    ]
}

impl FrameGroupRecord {
    /// Returns the frames of each group, most first, zones and nodes by their number; `None` if
    /// groups are cgroups and the kernel has none. `cgroup` returns the cgroup of an inode
    /// number.
    pub fn all(
        balance: &MemoryBalance,
        grouping: FrameGrouping,
        cgroup: impl Fn(u64) -> Option<Cgroup>,
    ) -> Option<Vec<Self>> {
        let census = balance.census();
        let page = census.page_size().bytes();
        let group = match grouping {
            FrameGrouping::Cgroup => "cgroup",
            FrameGrouping::Unit => "unit",
            FrameGrouping::Container => "container",
            FrameGrouping::Node => return Some(Self::nodes(balance)),
            FrameGrouping::Zone => {
                let zones = census.zones().iter().map(|zone| {
                    let name = zone.zone.as_deref().unwrap_or_default();
                    let record = Self::new("zone", name.as_bytes(), &zone.uses, page);
                    Self {
                        node: zone.node,
                        ..record
                    }
                });
                return Some(zones.collect());
            }
        };
        let mut groups = BTreeMap::<Vec<u8>, UseTotals>::new();
        for payer in census.payers()? {
            let name = cgroup(payer.inode).and_then(|cgroup| match grouping {
                FrameGrouping::Unit => cgroup.unit.map(String::into_bytes),
                FrameGrouping::Container => cgroup.container.map(String::into_bytes),
                _ => Some(cgroup.path.into_encoded_bytes()),
            });
            *groups.entry(name.unwrap_or_default()).or_default() += &payer.uses;
        }
        let groups = groups.iter();
        let groups = groups.map(|(name, uses)| Self::new(group, name, uses, page));
        let others = without_payer(&census.unpaid()?);
        let others = others.map(|(group, uses)| Self::new(group, b"", &uses, page));
        let mut all: Vec<_> = groups
            .chain(others)
            .filter(|group| group.bytes > 0)
            .collect();
        all.sort_by_key(|group| std::cmp::Reverse(group.bytes));
        Some(all)
    }

    fn nodes(balance: &MemoryBalance) -> Vec<Self> {
        let census = balance.census();
        let mut nodes = BTreeMap::<Option<u32>, UseTotals>::new();
        for zone in census.zones() {
            *nodes.entry(zone.node).or_default() += &zone.uses;
        }
        let page = census.page_size().bytes();
        let nodes = nodes.into_iter();
        let nodes = nodes.map(|(node, uses)| Self {
            node,
            ..Self::new("node", b"", &uses, page)
        });
        nodes.collect()
    }
}
