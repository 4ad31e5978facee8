//! Mapped executables and shared libraries: their build id and their load offset. Knows
//! nothing of pages.

use crate::classify::{mapping_alone, Classifier};
use crate::elf::{Segment, EXECUTE, WRITE};
use crate::elf_file::{ElfFile, FEW};
use crate::error::{CoreError, Errno, Operation, Result};
use crate::mapping::{ClassifiedVma, MappingKind};
use crate::object::OpenObject;
use crate::process::ProcessHandle;
use crate::resident;
use crate::server;
use crate::vma::{Vma, VmaCursor, VmaName};

pub use crate::elf_file::BuildId;

/// Object mapped at an address.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectAt {
    /// The mapping.
    pub mapping: ClassifiedVma,
    /// Address that the object's file was linked to, which is lower by the load offset;
    /// only for an executable or a shared library that could be read.
    pub linked_address: Option<u64>,
}

/// Returns the object mapped at `address`. [`VmaCursor::name`] is its path then.
///
/// # Errors
/// ENXIO if no object is mapped there; else as [`VmaCursor::next_from`].
pub fn object_at<N: AsRef<[u8]> + AsMut<[u8]>>(
    process: &ProcessHandle,
    address: u64,
    vmas: &mut VmaCursor<N>,
) -> Result<ObjectAt> {
    let none = CoreError::new(Errno::ENXIO, Operation::ReadObject);
    let vma = vmas.next_from(process, address)?.ok_or(none)?;
    if !vma.range.contains(address.into()) || !vma.has_object() {
        return Err(none);
    }
    let mapping = mapping_alone(process, vma, vmas.name())?;
    let file = match mapping.kind {
        MappingKind::Elf => open_elf(process, &vma, vmas.name())?,
        _ => None,
    };
    let linked_address = match file {
        Some(file) => {
            let moved = relocation(process, &file, &vma, address, vmas)?;
            file.check_reads()?;
            moved.map(|moved| address.wrapping_sub(moved))
        }
        None => None,
    };
    Ok(ObjectAt {
        mapping,
        linked_address,
    })
}

/// Returns the build id of a mapped executable or shared library, from the mapped file
/// itself, also if it was deleted; `None` if it has none or cannot be read.
///
/// # Errors
/// EMFILE, ENFILE and ENOMEM.
pub fn build_id(process: &ProcessHandle, vma: &Vma, name: VmaName<'_>) -> Result<Option<BuildId>> {
    let Some(file) = open_elf(process, vma, name)? else {
        return Ok(None);
    };
    let id = file.build_id();
    file.check_reads()?;
    Ok(id)
}

/// Opens the executable or shared library behind a VMA; `None` if the object is neither.
/// Requires a process that [keeps images](ProcessHandle::keeping_images).
///
/// # Errors
/// EMFILE, ENFILE and ENOMEM.
pub fn open(process: &ProcessHandle, vma: Vma, name: VmaName<'_>) -> Result<Option<ElfFile>> {
    let mut classifier = Classifier::default();
    classifier.mapping(process, vma, name)?;
    Ok(classifier.take_image())
}

/// Opens the ELF file behind a VMA. Not inlined, so that the stack that opening takes is
/// released.
#[inline(never)]
fn open_elf(process: &ProcessHandle, vma: &Vma, name: VmaName<'_>) -> Result<Option<ElfFile>> {
    if process.leaves_servers_alone() && server::is_of_server(process, vma, name)? {
        return ElfFile::in_readable(resident::copy_start(process, vma)?);
    }
    match OpenObject::open(process, vma, name)? {
        Some(object) => ElfFile::in_readable(object.reopen()?),
        None => Ok(None),
    }
}

/// Maximum number of relocations that are compared.
const MOST_CANDIDATES: usize = 4;

/// Returns the distance by which a VMA's file was moved when it was loaded, modulo 2^64;
/// `None` if no segment contains the byte at `address`, which is in the VMA.
///
/// The last page of one segment and the first page of the next one can be the same page
/// of the file, mapped twice. The places of the file's other segments then decide which
/// segment a VMA of such a page belongs to: `vmas`, which returned the VMA, searches for
/// them and is left at the VMA again.
pub(crate) fn relocation<N: AsRef<[u8]> + AsMut<[u8]>>(
    process: &ProcessHandle,
    file: &ElfFile,
    vma: &Vma,
    address: u64,
    vmas: &mut VmaCursor<N>,
) -> Result<Option<u64>> {
    let page = process.page_size().bytes();
    let (start, size) = (vma.range.start().as_u64(), vma.range.size());
    let mut candidates = [None; MOST_CANDIDATES];
    let mut partly = None;
    let offset = vma.offset.saturating_add(address.wrapping_sub(start));
    file.each_segment::<FEW>(&mut |segment| {
        let moved = start.wrapping_sub(segment.linked_address(vma.offset));
        if segment.holds(vma.offset, size, page) {
            add(&mut candidates, moved, fits(segment, vma));
        } else if offset.wrapping_sub(segment.offset) < segment.file_size {
            // The VMA maps the bytes as a file, not as an image.
            partly = partly.or(Some(moved));
        }
    });
    let [first, second, ..] = candidates;
    match (first, second) {
        (Some(only), None) => return Ok(Some(only.moved)),
        (None, _) => return Ok(partly),
        _ => {}
    }
    let segments = (0..file.parts())
        .filter_map(|index| file.segment(index))
        .filter(|segment| segment.file_size > 0);
    for segment in segments.take(MOST_SEGMENTS_CHECKED) {
        for candidate in candidates.iter_mut().flatten() {
            let there = is_there(process, vma, &segment, candidate.moved, vmas)?;
            candidate.segments += u32::from(there);
        }
    }
    vmas.seek(process, start)?;
    // `max_by_key` returns the last of equal ones: in reverse order, the first candidate.
    let candidates = candidates.into_iter().flatten().rev();
    let best = candidates.max_by_key(Candidate::rank);
    Ok(best.map(|best| best.moved))
}

/// Maximum number of segments that are checked. Each costs a search of the process's VMAs
/// for each candidate.
const MOST_SEGMENTS_CHECKED: usize = 16;

#[derive(Copy, Clone)]
struct Candidate {
    moved: u64,
    /// True if the VMA has the permissions that its segment requests.
    fits: bool,
    /// Number of the file's segments that are mapped where this relocation puts them.
    segments: u32,
}

impl Candidate {
    fn rank(&self) -> (u32, bool) {
        (self.segments, self.fits)
    }
}

fn add(candidates: &mut [Option<Candidate>], moved: u64, fits: bool) {
    for candidate in candidates {
        match candidate {
            Some(same) if same.moved == moved => {
                same.fits |= fits;
                return;
            }
            Some(_) => {}
            None => {
                *candidate = Some(Candidate {
                    moved,
                    fits,
                    segments: 0,
                });
                return;
            }
        }
    }
}

fn fits(segment: &Segment, vma: &Vma) -> bool {
    let wants = |flag| segment.flags & flag != 0;
    wants(EXECUTE) == vma.protection.execute() && wants(WRITE) == vma.protection.write()
}

/// Returns whether a segment of a file that was moved by `moved` is mapped at its place.
fn is_there<N: AsRef<[u8]> + AsMut<[u8]>>(
    process: &ProcessHandle,
    of_file: &Vma,
    segment: &Segment,
    moved: u64,
    vmas: &mut VmaCursor<N>,
) -> Result<bool> {
    let mask = !(process.page_size().bytes() - 1);
    let at = (segment.address & mask).wrapping_add(moved);
    let found = vmas.seek(process, at)?;
    Ok(found.is_some_and(|vma| {
        let into = at.wrapping_sub(vma.range.start().as_u64());
        vma.range.contains(at.into())
            && (vma.device, vma.inode) == (of_file.device, of_file.inode)
            && vma.offset.checked_add(into) == Some(segment.offset & mask)
    }))
}
