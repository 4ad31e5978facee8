//! Records of the machine's memory: uses beside counters, payers, nodes, free memory, blocks.

use std::collections::BTreeMap;

use process_introspection::{
    BlockCensus, Cgroup, FrameState, FrameUse, MemoryBalance, MemoryCounter, UnflaggedPart,
};

use crate::delimited::Lines;
use crate::field::{record, Fields};
use crate::frame_group::{holders, without_payer};
use crate::name::{Name, NameBuf};
use crate::number::Real;
use crate::record::{Layout, Record};
use crate::value::Text;
use crate::words::frame_uses;

/// Returns the names of parts of unflagged memory.
fn unflagged_parts() -> Vec<&'static str> {
    UnflaggedPart::ALL.map(UnflaggedPart::name).to_vec()
}

record! {
    /// Memory of one use, beside the counter of the kernel.
    #[derive(Copy)]
    pub struct FrameUseRecord {
        /// Use of the frames.
        pub r#use: &'static str = named("use").one_of(frame_uses).text(0, "USE", 19),
        /// Bytes of its frames.
        pub bytes: u64 = bytes().rough(1, "MEMORY", 6),
        /// Counter of the kernel, or sum of counters: lines of meminfo, zoneinfo.
        pub counter: Option<&'static str> = text(8, "COUNTER", 0)
            .null("if the kernel counts no such memory"),
        /// Value of the counter before the frames were read.
        pub counter_bytes: Option<u64> = bytes().rough(7, "COUNTS", 6)
            .null("if this kernel does not have the counter"),
        /// Value of the counter after the frames were read.
        pub counter_after: Option<u64> = bytes().null("as for counter_bytes"),
        /// Bytes of all uses that the counter counts: to compare with its values.
        pub counted: Option<u64> = bytes().null("as for counter_bytes"),
        /// Bytes on the lists of memory in use.
        pub active: u64 = bytes().rough(2, "ACTIVE", 6),
        /// Bytes on the lists that reclaim looks at first.
        pub inactive: u64 = bytes().rough(3, "INACT", 6),
        /// Bytes that reclaim leaves alone.
        pub unevictable: u64 = bytes().rough(4, "UNEVICT", 7),
        /// Bytes that were changed since they were written to a file or to swap.
        pub dirty: u64 = bytes().rough(5, "DIRTY", 5),
        /// Bytes that are being written.
        pub writeback: u64 = bytes().rough(6, "WRITEB", 6),
    }
}

impl Record for FrameUseRecord {}

record! {
    /// Part of the memory whose use no flag shows, by a counter of the kernel.
    #[derive(Copy)]
    pub struct UnflaggedRecord {
        /// Part.
        pub part: &'static str = one_of(unflagged_parts),
        /// Bytes.
        pub bytes: u64 = bytes(),
    }
}

record! {
    /// Who pays for frames.
    pub struct PayerRecord {
        /// Kind of payer: a cgroup; otherwise kernel, free, or none.
        pub payer: &'static str = one_of(holders),
        /// Path of the cgroup.
        pub cgroup: NameBuf = null("if it is no cgroup, or not known in this caller's mount"),
        /// systemd unit of the cgroup.
        pub unit: Option<String> = null("if it has none"),
        /// Container of the cgroup.
        pub container: Option<String> = null("if it has none"),
        /// Bytes.
        pub bytes: u64 = bytes(),
    }
}

record! {
    /// Memory of a NUMA node.
    #[derive(Copy)]
    pub struct MachineNodeRecord {
        /// NUMA node.
        pub node: u32,
        /// Bytes that exist.
        pub present: u64 = bytes(),
        /// Bytes that the page allocator has.
        pub managed: u64 = bytes(),
        /// Free bytes, without those in the lists of CPUs.
        pub free: u64 = bytes(),
    }
}

record! {
    /// Memory of a zone.
    pub struct ZoneRecord {
        /// NUMA node.
        pub node: u32,
        /// Name of the zone.
        pub zone: String,
        /// Bytes that exist.
        pub present: u64 = bytes(),
        /// Bytes that the page allocator has.
        pub managed: u64 = bytes(),
        /// Free bytes, without those in the lists of CPUs.
        pub free: u64 = bytes(),
        /// Free bytes in the lists of CPUs.
        pub per_cpu: u64 = bytes(),
    }
}

record! {
    /// Free blocks of one order in a zone.
    pub struct FreeRecord {
        /// NUMA node.
        pub node: u32,
        /// Name of the zone.
        pub zone: String,
        /// Order: a block has 2^order base pages.
        pub page_order: u32,
        /// Size of a block in bytes.
        pub size: u64 = bytes(),
        /// Number of free blocks.
        pub blocks: u64,
    }
}

record! {
    /// Blocks that frames of one use keep from being free.
    #[derive(Copy)]
    pub struct BlockUseRecord {
        /// Use of the frames.
        pub r#use: &'static str = named("use").one_of(frame_uses),
        /// Number of blocks with such a frame.
        pub blocks: u64,
        /// Number of unmovable blocks with no unmovable frame of another use.
        pub prevented: u64,
    }
}

record! {
    /// Aligned blocks of one size that consist wholly of RAM of one zone.
    pub struct BlockRecord {
        /// Size of a block in bytes.
        pub size: u64 = bytes(),
        /// Number of blocks.
        pub blocks: u64,
        /// Number of blocks that are free as a whole.
        pub free: u64,
        /// Part of all free memory that is in such blocks, 0 to 1.
        pub free_share: Option<Real> = null("if no memory is free"),
        /// Number of blocks with a frame that the kernel cannot move. An approximation: flags do
        /// not show which pages are pinned.
        pub unmovable: u64,
        /// Number of other blocks with an unflagged frame, which can be free in a list of a CPU,
        /// not initialized yet, or the kernel's: whether they can be freed is unknown.
        pub unflagged: u64,
        /// Uses of their frames.
        pub uses: Vec<BlockUseRecord>,
    }
}

impl BlockRecord {
    fn new(block: &BlockCensus, free: u64) -> Self {
        let uses = FrameUse::ALL.into_iter();
        let uses = uses.map(|frame_use| BlockUseRecord {
            r#use: frame_use.name(),
            blocks: block.containing(frame_use),
            prevented: block.prevented_by(frame_use),
        });
        Self {
            size: block.size,
            blocks: block.blocks,
            free: block.free,
            free_share: Real::ratio(block.free * block.size, free),
            unmovable: block.unmovable,
            unflagged: block.unflagged,
            uses: uses.filter(|one| one.blocks > 0).collect(),
        }
    }
}

record! {
    /// Memory of the machine: each frame in one use and with one payer.
    pub struct MachineRecord {
        /// Bytes that exist (present pages of zoneinfo).
        pub present: u64 = bytes(),
        /// Bytes of all frames that were counted.
        pub counted: u64 = bytes(),
        /// Bytes that the kernel manages (MemTotal of meminfo).
        pub mem_total: Option<u64> = bytes().null("if it is unknown"),
        /// Memory by use, without uses that have none.
        pub uses: Vec<FrameUseRecord>,
        /// Memory of the uses kernel and unflagged, by counters.
        pub unflagged: Vec<UnflaggedRecord>,
        /// Bytes of the uses kernel and unflagged that no counter explains. Counters are of
        /// other moments than frames, so it can be less than 0.
        pub unexplained: Real = bytes(),
        /// Memory by payer, most first.
        pub payers: Option<Vec<PayerRecord>> = null("if the kernel has no memory cgroups"),
        /// NUMA nodes.
        pub nodes: Vec<MachineNodeRecord>,
        /// Zones with memory.
        pub zones: Vec<ZoneRecord>,
        /// Free memory by size of block, without sizes of which there are none.
        pub free: Vec<FreeRecord>,
        /// Aligned blocks, and what keeps them from being free.
        pub contiguity: Vec<BlockRecord>,
    }
}

record! {
    /// Line of the machine's memory in CSV: one number, or one group of numbers.
    pub(crate) struct MachineLine<'a> {
        /// Group of numbers.
        pub(crate) group: &'a str,
        /// Item of the group.
        pub(crate) item: Name<'a> = null("in groups without items"),
        /// NUMA node.
        pub(crate) node: Option<u32> = null("in groups without nodes"),
        /// Name of the zone.
        pub(crate) zone: Option<Text<'a>> = null("in groups without zones"),
        /// Size in bytes.
        pub(crate) size: Option<u64> = bytes().null("in groups without a size"),
        /// Number.
        pub(crate) count: Option<u64> = null("in groups without a number"),
        /// Amount in bytes.
        pub(crate) bytes: Option<Real> = bytes().null("in groups without an amount"),
        /// Value of the counter before the frames were read.
        pub(crate) counter_bytes: Option<u64> = bytes().null("without a counter"),
    }
}

impl MachineRecord {
    /// Returns the record of a balance. `cgroup` returns the cgroup of an inode number.
    pub fn new(balance: &MemoryBalance, cgroup: impl Fn(u64) -> Option<Cgroup>) -> Self {
        let (census, counters) = (balance.census(), balance.counters());
        let page = census.page_size().bytes();
        let total = census.total();
        let unflagged = balance.unflagged().into_iter();
        let zones = counters.zones().iter();
        let mut nodes = BTreeMap::<u32, MachineNodeRecord>::new();
        for zone in zones.clone() {
            let node = nodes.entry(zone.node).or_insert(MachineNodeRecord {
                node: zone.node,
                present: 0,
                managed: 0,
                free: 0,
            });
            node.present += zone.present * page;
            node.managed += zone.managed * page;
            node.free += zone.free * page;
        }
        let free = counters.free_blocks().iter().flat_map(|zone| {
            let orders = (0u32..).zip(&zone.counts);
            let orders = orders.filter(|&(_, &blocks)| blocks > 0);
            orders.map(move |(order, &blocks)| FreeRecord {
                node: zone.node,
                zone: zone.zone.clone(),
                page_order: order,
                size: page << order,
                blocks,
            })
        });
        let blocks = census.blocks().iter();
        Self {
            present: balance.present(),
            counted: total.frames() * page,
            mem_total: counters.get(MemoryCounter::MemTotal),
            uses: Self::uses(balance),
            unflagged: unflagged
                .map(|(part, bytes)| UnflaggedRecord {
                    part: part.name(),
                    bytes,
                })
                .collect(),
            unexplained: balance.unexplained().into(),
            payers: Self::payers(balance, cgroup),
            nodes: nodes.into_values().collect(),
            zones: zones
                .map(|zone| ZoneRecord {
                    node: zone.node,
                    zone: zone.name.clone(),
                    present: zone.present * page,
                    managed: zone.managed * page,
                    free: zone.free * page,
                    per_cpu: zone.per_cpu * page,
                })
                .collect(),
            free: free.collect(),
            contiguity: blocks
                .map(|block| BlockRecord::new(block, total[FrameUse::Free] * page))
                .collect(),
        }
    }

    /// Returns the memory by use, in the order of uses.
    pub fn uses(balance: &MemoryBalance) -> Vec<FrameUseRecord> {
        let census = balance.census();
        let page = census.page_size().bytes();
        let (total, states) = (census.total(), census.states());
        let uses = balance.uses().into_iter();
        let uses = uses.map(|one| {
            let state = |state| states.get(one.frame_use, state) * page;
            let counter = one.counter.filter(|_| one.counted.is_some());
            FrameUseRecord {
                r#use: one.frame_use.name(),
                bytes: one.bytes,
                counter: one.counter.map(|counter| counter.name),
                counter_bytes: one.counted.map(|(before, _)| before),
                counter_after: one.counted.map(|(_, after)| after),
                counted: counter.map(|counter| {
                    let frames = counter.uses.iter().map(|&one| total[one]);
                    frames.sum::<u64>() * page
                }),
                active: state(FrameState::Active),
                inactive: state(FrameState::Inactive),
                unevictable: state(FrameState::Unevictable),
                dirty: state(FrameState::Dirty),
                writeback: state(FrameState::Writeback),
            }
        });
        uses.collect()
    }

    fn payers(
        balance: &MemoryBalance,
        cgroup: impl Fn(u64) -> Option<Cgroup>,
    ) -> Option<Vec<PayerRecord>> {
        let census = balance.census();
        let page = census.page_size().bytes();
        let payers = census.payers()?.iter().map(|payer| {
            let cgroup = cgroup(payer.inode);
            let path = cgroup.as_ref().map(|cgroup| cgroup.path.as_encoded_bytes());
            PayerRecord {
                payer: "cgroup",
                cgroup: NameBuf(path.unwrap_or_default().to_vec()),
                unit: cgroup.as_ref().and_then(|cgroup| cgroup.unit.clone()),
                container: cgroup.and_then(|cgroup| cgroup.container),
                bytes: payer.uses.frames() * page,
            }
        });
        let others = without_payer(&census.unpaid()?);
        let others = others.iter().map(|(payer, uses)| PayerRecord {
            payer,
            cgroup: NameBuf::default(),
            unit: None,
            container: None,
            bytes: uses.frames() * page,
        });
        let mut payers: Vec<_> = payers
            .chain(others)
            .filter(|payer| payer.bytes > 0)
            .collect();
        payers.sort_by_key(|payer| std::cmp::Reverse(payer.bytes));
        Some(payers)
    }
}

/// In CSV a line for each number or group of numbers: `group` and `item` name them.
impl Record for MachineRecord {
    const LAYOUT: Layout = Layout {
        lines: MachineLine::FIELDS,
        table: &[],
        ..Layout::of(Self::FIELDS)
    };

    fn lines(&self, lines: &mut Lines<'_>) {
        const EMPTY: MachineLine<'_> = MachineLine {
            group: "",
            item: Name(b""),
            node: None,
            zone: None,
            size: None,
            count: None,
            bytes: None,
            counter_bytes: None,
        };
        let amount = |group, item: &'static str, bytes| MachineLine {
            group,
            item: Name(item.as_bytes()),
            bytes: Some(bytes),
            ..EMPTY
        };
        lines.line(&amount("present", "", self.present.into()));
        lines.line(&amount("counted", "", self.counted.into()));
        if let Some(total) = self.mem_total {
            lines.line(&amount("mem_total", "", total.into()));
        }
        for one in &self.uses {
            lines.line(&MachineLine {
                counter_bytes: one.counter_bytes,
                ..amount("use", one.r#use, one.bytes.into())
            });
        }
        for one in &self.unflagged {
            lines.line(&amount("unflagged", one.part, one.bytes.into()));
        }
        lines.line(&amount("unexplained", "", self.unexplained));
        for payer in self.payers.iter().flatten() {
            let (group, item) = match payer.payer {
                "cgroup" => ("payer_cgroup", Name(&payer.cgroup.0)),
                other => ("payer", Name(other.as_bytes())),
            };
            lines.line(&MachineLine {
                group,
                item,
                bytes: Some(payer.bytes.into()),
                ..EMPTY
            });
        }
        for node in &self.nodes {
            for (group, bytes) in [
                ("node_present", node.present),
                ("node_managed", node.managed),
                ("node_free", node.free),
            ] {
                lines.line(&MachineLine {
                    node: Some(node.node),
                    ..amount(group, "", bytes.into())
                });
            }
        }
        for zone in &self.zones {
            for (group, bytes) in [
                ("zone_present", zone.present),
                ("zone_managed", zone.managed),
                ("zone_free", zone.free),
                ("zone_per_cpu", zone.per_cpu),
            ] {
                lines.line(&MachineLine {
                    node: Some(zone.node),
                    zone: Some(Text(&zone.zone)),
                    ..amount(group, "", bytes.into())
                });
            }
        }
        for free in &self.free {
            lines.line(&MachineLine {
                group: "free",
                node: Some(free.node),
                zone: Some(Text(&free.zone)),
                size: Some(free.size),
                count: Some(free.blocks),
                bytes: Some((free.size * free.blocks).into()),
                ..EMPTY
            });
        }
        for block in &self.contiguity {
            let line = |group, item: &'static str, count| MachineLine {
                group,
                item: Name(item.as_bytes()),
                size: Some(block.size),
                count: Some(count),
                ..EMPTY
            };
            lines.line(&line("blocks", "", block.blocks));
            lines.line(&line("blocks_free", "", block.free));
            lines.line(&line("blocks_unmovable", "", block.unmovable));
            lines.line(&line("blocks_unflagged", "", block.unflagged));
            for one in &block.uses {
                lines.line(&line("blocks_with", one.r#use, one.blocks));
                lines.line(&line("blocks_prevented", one.r#use, one.prevented));
            }
        }
    }
}
