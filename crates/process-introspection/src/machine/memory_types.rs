//! Memory types as the kernel itself records them: of device memory in `pat_memtype_list`
//! of debugfs, of a driver's RAM in the flags of its frames. Both exist on x86 only. Opens
//! them only for memory of which they say more than the mapping does. A type that no source
//! reports is `None`, not write-back.

use std::cell::OnceCell;
use std::fs;
use std::path::Path;

use process_introspection_core::backing::Backing;
use process_introspection_core::mapping::MappingKind;
use process_introspection_core::memtype::MemoryType;
use process_introspection_core::{PageSize, Pfn, PhysAddr};

use crate::machine::frames::{FrameFlags, Frames};
use crate::process::mapping::Mapping;
use crate::process::mounts::Mounts;

/// The kernel's own list, since Linux 2.6.28; needs root, a debugfs that is mounted at its
/// usual place in sysfs, and a kernel that uses page attributes.
const LIST: &str = "kernel/debug/x86/pat_memtype_list";

/// Memory types of physical memory. Each source is read when it is needed for the first
/// time, and the list then kept: device memory that is mapped later is not in it.
#[derive(Debug, Default)]
pub struct MemoryTypes {
    mounts: Mounts,
    list: OnceCell<Vec<Range>>,
    frames: OnceCell<Option<Frames>>,
}

/// Range that the kernel has reserved with this memory type; the end is exclusive.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Range {
    start: u64,
    end: u64,
    memory_type: Option<MemoryType>,
}

impl MemoryTypes {
    /// Returns memory types of which nothing is read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns memory types below other mounts of proc and sysfs.
    pub fn of(mounts: &Mounts) -> Self {
        let mounts = mounts.clone();
        Self {
            mounts,
            ..Self::default()
        }
    }

    /// Returns whether the sources may say more of memory than its mapping does.
    pub(crate) fn says_more(mapping: &Mapping, backing: Backing) -> bool {
        match backing {
            Backing::Device(_) => true,
            Backing::Ram(_) => is_drivers(mapping.kind()),
            _ => false,
        }
    }

    /// Returns the types of consecutive memory, each with its length in bytes.
    pub(crate) fn lengths(
        &self,
        backing: Backing,
        mapping: &Mapping,
        size: u64,
        otherwise: Option<MemoryType>,
    ) -> Vec<(u64, Option<MemoryType>)> {
        match backing {
            Backing::Device(start) => {
                let list = self.list.get_or_init(|| read_list(self.mounts.sys()));
                pieces_of(list, start.as_u64(), size, otherwise)
            }
            Backing::Ram(_) if is_kernels_ring(mapping.kind(), mapping.name().as_bytes()) => {
                vec![(size, Some(MemoryType::WriteBack))]
            }
            Backing::Ram(start) if is_drivers(mapping.kind()) => self.of_frames(start, size),
            _ => vec![(size, otherwise)],
        }
    }

    /// Returns the types of a driver's RAM, which the kernel keeps in its frames' flags.
    fn of_frames(&self, start: PhysAddr, size: u64) -> Vec<(u64, Option<MemoryType>)> {
        let open = || {
            let x86 = cfg!(any(target_arch = "x86", target_arch = "x86_64"));
            x86.then(|| Frames::open_in(&self.mounts).ok()).flatten()
        };
        let Some(frames) = self.frames.get_or_init(open) else {
            return vec![(size, None)];
        };
        let page = PageSize::base();
        let first = start.pfn(page).as_u64();
        let count = size >> page.shift();
        let mut pieces = Pieces::default();
        let mut buffer = [FrameFlags::default(); 512];
        let mut done = 0;
        while done < count {
            let wanted = (count - done).min(buffer.len() as u64) as usize;
            let read = frames.read_flags(Pfn::new(first + done), &mut buffer[..wanted]);
            let read = read.unwrap_or(0);
            if read == 0 {
                pieces.add((count - done) << page.shift(), None);
                break;
            }
            for &flags in &buffer[..read] {
                pieces.add(page.bytes(), of_flags(flags));
            }
            done += read as u64;
        }
        pieces.0
    }
}

/// Returns whether a driver maps the pages of such a mapping, and can choose their type.
fn is_drivers(kind: MappingKind) -> bool {
    matches!(
        kind,
        MappingKind::Device | MappingKind::DmaBuf | MappingKind::Special
    )
}

/// Lengths in bytes, each with a type that differs from the previous one.
#[derive(Debug, Default)]
struct Pieces(Vec<(u64, Option<MemoryType>)>);

impl Pieces {
    fn add(&mut self, length: u64, memory_type: Option<MemoryType>) {
        match self.0.last_mut() {
            Some((last, same)) if *same == memory_type => *last += length,
            _ => self.0.push((length, memory_type)),
        }
    }
}

/// Returns whether the kernel itself made a mapping so that RAM in it is always write-back:
/// nothing in io_uring/, kernel/, fs/, mm/ and virt/ changes the memory type of the pages
/// of such a mapping (Linux 6.12).
fn is_kernels_ring(kind: MappingKind, name: &[u8]) -> bool {
    const WHOLE: [&[u8]; 5] = [
        b"anon_inode:[io_uring]",
        b"anon_inode:[perf_event]",
        b"anon_inode:bpf-map",
        b"/[aio] (deleted)",
        b"[uprobes]",
    ];
    // A device's file can have any name.
    let has_name = WHOLE.contains(&name) || name.starts_with(b"anon_inode:kvm-vcpu:");
    kind == MappingKind::Special && has_name
}

/// Returns the type in a frame's flags, that of the memory itself: two bits
/// (arch/x86/mm/pat/memtype.c, `_PGMT_WC`, Linux 5.10 to 7.2). The second was PG_uncached
/// up to 6.11 and is PG_arch_2 since (include/uapi/linux/kernel-page-flags.h).
///
/// A driver that changes the type changes all pages of its piece of memory (since 6.10 a
/// compound page's later frames have the flags of the first), and maps them in the same
/// way. But a driver that leaves it unchanged can change the mapping alone (`vm_page_prot`,
/// with pages that a fault or `vm_insert_page` maps), and no source reports that: vgem of
/// 5.10, and still in 6.12 i915's `DRM_IOCTL_I915_GEM_MMAP` with `I915_MMAP_WC`
/// (i915_gem_mman.c). Where frames are mapped (`vmf_insert_pfn`, `remap_pfn_range`) the
/// memory's own type decides (`track_pfn_insert`), but the page map leaves these out.
fn of_flags(flags: FrameFlags) -> Option<MemoryType> {
    let has = |flag| flags.contains(flag);
    let second = has(FrameFlags::UNCACHED) || has(FrameFlags::ARCH_2);
    match (has(FrameFlags::ARCH), second) {
        (false, false) => None,
        (true, false) => Some(MemoryType::WriteCombining),
        (false, true) => Some(MemoryType::UncachedMinus),
        (true, true) => Some(MemoryType::WriteThrough),
    }
}

fn read_list(sysfs: &Path) -> Vec<Range> {
    parse_list(&fs::read_to_string(sysfs.join(LIST)).unwrap_or_default())
}

/// Parses lines such as `PAT: [mem 0x…-0x…] uncached-minus`.
fn parse_list(text: &str) -> Vec<Range> {
    let hex = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let range = |line: &str| {
        let (range, name) = line.strip_prefix("PAT: [mem ")?.split_once("] ")?;
        let (start, end) = range.split_once('-')?;
        Some(Range {
            start: hex(start)?,
            end: hex(end)?,
            memory_type: MemoryType::from_name(name.trim().as_bytes()),
        })
    };
    text.lines().filter_map(range).collect()
}

/// Returns the types of `size` bytes from `start` on: `otherwise` where the list has no
/// range, `None` where its ranges have different types.
fn pieces_of(
    list: &[Range],
    start: u64,
    size: u64,
    otherwise: Option<MemoryType>,
) -> Vec<(u64, Option<MemoryType>)> {
    let end = start.saturating_add(size);
    let touching = |range: &&Range| range.start < end && range.end > start;
    let ranges: Vec<_> = list.iter().filter(touching).collect();
    let mut borders: Vec<u64> = ranges
        .iter()
        .flat_map(|range| [range.start, range.end])
        .collect();
    borders.extend([start, end]);
    borders.retain(|border| (start..=end).contains(border));
    borders.sort_unstable();
    borders.dedup();
    let mut pieces = Pieces::default();
    for part in borders.windows(2) {
        let mut here = ranges
            .iter()
            .filter(|range| range.start <= part[0] && range.end >= part[1])
            .map(|range| range.memory_type);
        let memory_type = match here.next() {
            None => otherwise,
            // The kernel lets ranges overlap only if their types are the same.
            Some(first) => first.filter(|_| here.all(|other| other == first)),
        };
        pieces.add(part[1] - part[0], memory_type);
    }
    pieces.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "PAT memtype list:\n\
        PAT: [mem 0x000000001ffe0000-0x000000001ffe2000] write-back\n\
        PAT: [mem 0x00000000fd000000-0x00000000fd400000] write-combining\n\
        PAT: [mem 0x00000000fd000000-0x00000000fd001000] write-combining\n\
        PAT: [mem 0x00000000fd400000-0x00000000fd401000] uncached-minus\n\
        PAT: [mem 0x00000000fe000000-0x00000000fe001000] broken\n";

    fn pieces(start: u64, size: u64) -> Vec<(u64, Option<MemoryType>)> {
        let otherwise = Some(MemoryType::Uncached);
        pieces_of(&parse_list(LIST), start, size, otherwise)
    }

    #[test]
    fn the_kernels_list_goes_before_what_the_file_says() {
        let combining = Some(MemoryType::WriteCombining);
        assert_eq!(pieces(0xfd00_0000, 0x2000), [(0x2000, combining)]);
        assert_eq!(pieces(0xfd20_0000, 0x1000), [(0x1000, combining)]);
        assert_eq!(
            pieces(0xc000_0000, 0x1000),
            [(0x1000, Some(MemoryType::Uncached))]
        );
        assert_eq!(
            pieces(0xfe00_0000, 0x1000),
            [(0x1000, None)],
            "a name not known"
        );
        assert_eq!(pieces_of(&[], 0, 0x1000, None), [(0x1000, None)]);
    }

    #[test]
    fn a_piece_ends_where_the_type_changes() {
        assert_eq!(
            pieces(0xfd3f_f000, 0x3000),
            [
                (0x1000, Some(MemoryType::WriteCombining)),
                (0x1000, Some(MemoryType::UncachedMinus)),
                (0x1000, Some(MemoryType::Uncached)),
            ]
        );
    }

    #[test]
    fn two_bits_of_a_frame_tell_its_type_if_it_was_changed() {
        let words = [0, 1 << 38, 1 << 39, 1 << 41, 1 << 38 | 1 << 41];
        let types = words.map(|word| of_flags(FrameFlags::from_bits(word)));
        let expected = [
            None,
            Some(MemoryType::WriteCombining),
            Some(MemoryType::UncachedMinus),
            Some(MemoryType::UncachedMinus),
            Some(MemoryType::WriteThrough),
        ];
        assert_eq!(types, expected);
    }

    #[test]
    fn only_what_the_kernel_itself_maps_is_known_to_be_write_back() {
        for name in [
            "anon_inode:[io_uring]",
            "anon_inode:kvm-vcpu:0",
            "/[aio] (deleted)",
        ] {
            let is = |kind| is_kernels_ring(kind, name.as_bytes());
            assert!(is(MappingKind::Special), "{name}");
            assert!(!is(MappingKind::Device), "{name}");
        }
        for name in [
            "",
            "anon_inode:[vfio-device]",
            "anon_inode:i915.perf",
            "/drm mm object (deleted)",
            "/dmabuf:",
            "/dev/dri/card0",
        ] {
            let is = is_kernels_ring(MappingKind::Special, name.as_bytes());
            assert!(!is, "{name}");
        }
    }
}
