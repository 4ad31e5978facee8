//! The memory of devices that nothing tells the place of: unknown, and neither
//! not present nor at the mapping's offset.

mod device_mappings;

use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;

use device_mappings::{map, only};
use process_introspection::{Backing, MappingKind, Process, UnknownReason};
use process_introspection_core::flags::QnxFlags;
use testkit::machine::is_root_or_skip;
use testkit::memory::{self, page};
use testkit::target::Target;

#[test]
fn a_device_without_a_rule_is_unknown_and_never_not_present() {
    let test = "devices without a rule";
    let hpet = Path::new("/dev/hpet");
    let read_only = || {
        let file = fs::File::open(hpet)?;
        memory::try_map(
            page(),
            libc::PROT_READ,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    if !is_root_or_skip(test) {
        return;
    }
    // Opened by the target only: there are few timers, and what this process
    // has open is inherited by other tests' targets.
    let target = Target::spawn(|| match read_only() {
        Ok(at) => vec![at],
        Err(_) => Vec::new(),
    });
    let Some(&at) = target.addresses().first() else {
        eprintln!("SKIPPED {test}: no such device: {}", hpet.display());
        return;
    };
    let process = Process::open(target.pid()).unwrap();
    let region = only(&process, at, page());
    assert_eq!(region.backing, Backing::Unknown(UnknownReason::Driver));
    assert_eq!(region.flags() & QnxFlags::PHYS, QnxFlags::PHYS);
    assert_eq!(region.flags() & QnxFlags::PG_MASK, QnxFlags::NONE);
}

/// Where a framebuffer lies, by an ioctl on its own file; 0 if that is a secret.
fn framebuffer_address(file: &fs::File) -> u64 {
    // `FBIOGET_FSCREENINFO` and struct fb_fix_screeninfo, include/uapi/linux/fb.h:
    // after 16 bytes of a name the address, a long.
    const FIXED: u64 = 0x4602;
    let mut screen = [0 as libc::c_ulong; 32];
    // SAFETY: the struct is less than 128 bytes long.
    let result =
        unsafe { libc::ioctl(file.as_raw_fd(), FIXED as libc::Ioctl, screen.as_mut_ptr()) };
    assert_eq!(result, 0);
    screen[16 / size_of::<libc::c_ulong>()] as u64
}

#[test]
fn a_framebuffer_is_unknown_because_only_its_own_file_tells_where_it_is() {
    let test = "framebuffers";
    let path = Path::new("/dev/fb0");
    if !is_root_or_skip(test) {
        return;
    }
    let Ok(file) = fs::File::open(path) else {
        return eprintln!("SKIPPED {test}: no {}", path.display());
    };
    let target = Target::spawn(|| vec![map(path, 4 * page(), 2 * page())]);
    let at = target.addresses()[0];
    let process = Process::open(target.pid()).unwrap();
    let region = only(&process, at, 4 * page());
    assert_eq!(region.mapping.kind(), MappingKind::Device);
    println!("{region:x?} of {:#x}", framebuffer_address(&file));
    let reason = UnknownReason::Driver;
    assert_eq!(region.backing, Backing::Unknown(reason), "{region:x?}");
    let kernels = process.vm_flags().unwrap();
    // Of one whose memory is listed, which is RAM, nothing was touched yet.
    let expected = match kernels.is_left_out(&region.mapping) {
        Some(true) => Backing::Unknown(reason),
        _ => Backing::NotPresent,
    };
    assert_eq!(
        kernels.backing_of(&region.mapping, region.backing),
        expected
    );
}
