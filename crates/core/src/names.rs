//! Rules that find the kind of a mapping from its name. Pure: opens no object.

use crate::mapping::MappingKind;
use crate::vma::Vma;

/// Returns the kind of a VMA without an object, by its name.
pub(crate) fn without_object(name: &[u8]) -> MappingKind {
    match name {
        b"[heap]" => MappingKind::Heap,
        b"[stack]" => MappingKind::Stack,
        b"[vdso]" => MappingKind::Vdso,
        b"[vvar]" | b"[vvar_vclock]" => MappingKind::Vvar,
        // Names set with prctl(PR_SET_VMA), Linux 5.17: bionic's, and glibc's since 2.39.
        _ if name.starts_with(b"[anon:stack_and_tls:") => MappingKind::ThreadStack,
        _ if name.starts_with(b"[anon: glibc: pthread stack:") => MappingKind::ThreadStack,
        // Bionic's linker names the zeroed memory behind the data.
        b"[anon:.bss]" => MappingKind::Elf,
        _ if name.is_empty() || name.starts_with(b"[anon:") => MappingKind::Anonymous,
        _ => MappingKind::Special,
    }
}

/// Names of memory that graphics drivers map with arbitrary attributes
/// (drivers/gpu/drm/drm_gem.c, i915/gem/i915_gem_shmem.c, Linux 6.12).
const GRAPHICS: [&[u8]; 2] = [b"/drm mm object (deleted)", b"/i915 (deleted)"];

/// Returns the kind of an object whose name is enough to classify it: an object without a
/// path, one that the kernel names itself, or a file of a device in sysfs.
pub(crate) fn by_name(vma: &Vma, name: &[u8]) -> Option<MappingKind> {
    let starts = |prefix: &[u8]| name.starts_with(prefix);
    // The kernel's internal mounts have no real device, like any file system without a
    // disk; a user's file elsewhere may have such a name.
    let internal = vma.device.major == 0;
    if internal && (name == b"/anon_hugepage (deleted)" || name == b"/anon_hugepage") {
        Some(MappingKind::HugeTlb)
    } else if internal && (name == b"/dev/zero (deleted)" || starts(b"[anon_shmem:")) {
        Some(MappingKind::SharedMemory)
    } else if internal && starts(b"/SYSV") && vma.page_size.is_some() {
        // Its pages are base pages: System V memory of huge pages has the same name.
        Some(MappingKind::SharedMemory)
    } else if starts(b"/sys/") || name == b"anon_inode:[vfio-device]" {
        Some(MappingKind::Device)
    } else if !name.is_empty() && !starts(b"/") || internal && GRAPHICS.contains(&name) {
        Some(MappingKind::Special)
    } else {
        None
    }
}

/// Returns whether the name is a path, of an object with a place in a mountable file
/// system. The kernel makes the names of unnamed files.
pub fn has_path(vma: &Vma, name: &[u8]) -> bool {
    const UNNAMED: [&[u8]; 6] = [
        b"/memfd:",
        b"/SYSV",
        b"/secretmem",
        b"/dmabuf:",
        b"/[aio]",
        b"/anon_hugepage",
    ];
    let starts = |prefix: &&[u8]| name.starts_with(prefix);
    let unnamed = UNNAMED.iter().any(starts) || name == b"/dev/zero (deleted)";
    name.starts_with(b"/") && !(vma.device.major == 0 && unnamed)
}

/// Returns the kind of a file that this caller may not examine, by its path.
pub(crate) fn of_unseen_file(vma: &Vma, name: &[u8]) -> MappingKind {
    let starts = |prefix: &[u8]| name.starts_with(prefix);
    let internal = vma.device.major == 0;
    match () {
        _ if internal && starts(b"/dmabuf:") => MappingKind::DmaBuf,
        _ if internal && starts(b"/[aio]") => MappingKind::Special,
        _ if internal
            && [&b"/memfd:"[..], b"/SYSV", b"/secretmem"]
                .into_iter()
                .any(starts) =>
        {
            MappingKind::SharedMemory
        }
        _ if starts(b"/dev/shm/") => MappingKind::SharedMemory,
        _ if name == b"/dev/zero" => MappingKind::Anonymous,
        _ if starts(b"/dev/") => MappingKind::Device,
        _ => MappingKind::File,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vma::Device;

    fn object(major: u32, page_size: Option<crate::PageSize>) -> Vma {
        Vma {
            range: crate::AddrRange::new(0x1000, 0x2000).unwrap(),
            protection: Default::default(),
            shared: true,
            offset: 0,
            device: Device { major, minor: 1 },
            inode: 7,
            page_size,
        }
    }

    #[test]
    fn the_kernels_names_tell_kinds() {
        for (name, kind) in [
            (&b""[..], MappingKind::Anonymous),
            (b"[anon:scudo]", MappingKind::Anonymous),
            (b"[vvar_vclock]", MappingKind::Vvar),
            (b"[uprobes]", MappingKind::Special),
            (b"[anon:stack_and_tls:7]", MappingKind::ThreadStack),
            (b"[anon: glibc: pthread stack: 7]", MappingKind::ThreadStack),
            (b"[anon:.bss]", MappingKind::Elf),
            (b"[stack]", MappingKind::Stack),
        ] {
            assert_eq!(without_object(name), kind, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn objects_without_a_path_are_recognised_by_their_names() {
        let internal = object(0, Some(crate::PageSize::SIZE_4K));
        let shared = Some(MappingKind::SharedMemory);
        let special = Some(MappingKind::Special);
        assert_eq!(by_name(&internal, b"/dev/zero (deleted)"), shared);
        assert_eq!(by_name(&internal, b"[anon_shmem:mine]"), shared);
        assert_eq!(by_name(&internal, b"/SYSV00000000 (deleted)"), shared);
        // The text does not show whether its pages are huge.
        let from_text = object(0, None);
        assert_eq!(by_name(&from_text, b"/SYSV00000000 (deleted)"), None);
        assert_eq!(by_name(&internal, b"anon_inode:[perf_event]"), special);
        assert_eq!(by_name(&internal, b"anon_inode:[io_uring]"), special);
        let device = b"/sys/bus/pci/devices/0000:00:02.0/resource0";
        assert_eq!(by_name(&internal, device), Some(MappingKind::Device));
        assert_eq!(by_name(&internal, b"/usr/bin/cat"), None);
    }

    #[test]
    fn somebodys_own_file_is_not_recognised_by_the_kernels_names() {
        let on_disk = object(8, Some(crate::PageSize::SIZE_4K));
        for name in [
            &b"/dev/zero (deleted)"[..],
            b"/SYSV00000000 (deleted)",
            b"/anon_hugepage",
        ] {
            assert_eq!(by_name(&on_disk, name), None, "{}", name.escape_ascii());
        }
        for name in [&b"/memfd:x"[..], b"/dmabuf:x", b"/[aio]"] {
            assert_eq!(of_unseen_file(&on_disk, name), MappingKind::File);
        }
    }

    #[test]
    fn files_that_cannot_be_looked_at_are_recognised_by_their_paths() {
        let vma = object(0, None);
        for (name, kind) in [
            (&b"/dev/uio0"[..], MappingKind::Device),
            (b"/dev/zero", MappingKind::Anonymous),
            (b"/dev/shm/x", MappingKind::SharedMemory),
            (b"/memfd:x (deleted)", MappingKind::SharedMemory),
            (b"/secretmem (deleted)", MappingKind::SharedMemory),
            (b"/dmabuf:camera", MappingKind::DmaBuf),
            (b"/[aio] (deleted)", MappingKind::Special),
            (b"/usr/bin/cat", MappingKind::File),
        ] {
            assert_eq!(of_unseen_file(&vma, name), kind, "{}", name.escape_ascii());
        }
    }
}
