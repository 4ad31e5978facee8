//! Table of runs of frames of the machine's RAM.

use process_introspection::{FrameFlags, FrameRun, FrameUse, Pfn};
use process_introspection_export::{record, words, Hex, NameBuf};

record! {
    /// Run of consecutive frames of RAM with equal facts. Only with --frames.
    pub struct FrameRow: Readable {
        /// Page frame number of the first frame.
        pub pfn: u64 = pages(),
        /// Number of frames.
        pub pages: u64 = pages().least(1),
        /// Use of each frame.
        pub page_use: &'static str = one_of(words::frame_uses),
        /// Flags of each frame, as bits of /proc/kpageflags. A frame of a large folio has the
        /// folio's flags that determine its use and its state in reclaim.
        pub flags: Hex,
        /// Mapcount of each frame.
        pub mapcount: u64,
        /// Inode number of the memory cgroup that pays.
        pub cgroup_ino: Option<u64> = null("if none pays, or the kernel has none"),
        /// Path of the memory cgroup that pays.
        pub cgroup: NameBuf = null("as for cgroup_ino, or if it was removed or is not mounted"),
        /// NUMA node.
        pub node: Option<u32> = null("if it is unknown"),
        /// Zone.
        pub zone: Option<String> = null("if it is unknown"),
    }
}

impl FrameRow {
    /// Returns the row of a run in this zone, for which the cgroup with this path pays.
    pub fn new(run: &FrameRun, zone: Option<(u32, &str)>, cgroup: &[u8]) -> Self {
        Self {
            pfn: run.pfn.as_u64(),
            pages: run.pages,
            page_use: run.frame_use.name(),
            flags: Hex(run.flags.bits()),
            mapcount: run.mapcount,
            cgroup_ino: run.cgroup,
            cgroup: NameBuf(cgroup.to_vec()),
            node: zone.map(|(node, _)| node),
            zone: zone.map(|(_, name)| name.to_owned()),
        }
    }

    /// Returns the run, in the zone of this index; `None` if the use is unknown to this version.
    pub fn run(&self, zone: Option<usize>) -> Option<FrameRun> {
        let mut uses = FrameUse::ALL.into_iter();
        Some(FrameRun {
            pfn: Pfn::new(self.pfn),
            pages: self.pages,
            frame_use: uses.find(|one| one.name() == self.page_use)?,
            flags: FrameFlags::from_bits(self.flags.0),
            mapcount: self.mapcount,
            cgroup: self.cgroup_ino,
            zone,
        })
    }
}
