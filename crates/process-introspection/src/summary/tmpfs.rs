//! The option `huge=` of the tmpfs that a process can reach, by device: the lines of
//! `mountinfo` (`shmem_show_options` in mm/shmem.c, Linux 5.10 and 6.12: the option is
//! there unless it is `never`). Pure except for the reading.

use std::collections::BTreeMap;

use process_introspection_core::vma::Device;
use process_introspection_core::ProcessHandle;

use crate::machine::huge_pages::SharedMode;
use crate::text_files::read_of;

/// Modes of mounted tmpfs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TmpfsModes(BTreeMap<(u32, u32), SharedMode>);

impl TmpfsModes {
    /// Reads the mounts of the process; returns an empty set where they cannot be read.
    pub(super) fn read(process: &ProcessHandle) -> Self {
        let text = read_of(process, "mountinfo").unwrap_or_default();
        Self::parse(&String::from_utf8_lossy(&text))
    }

    /// Parses lines of `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG…] - TYPE SOURCE
    /// OPTIONS`; spaces within fields are escaped.
    fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let (mount, of_super) = line.split_once(" - ")?;
            let (major, minor) = mount.split(' ').nth(2)?.split_once(':')?;
            let device = (major.parse().ok()?, minor.parse().ok()?);
            let mut fields = of_super.split(' ');
            if !matches!(fields.next()?, "tmpfs" | "devtmpfs") {
                return None;
            }
            let options = fields.nth(1).unwrap_or_default().split(',');
            let mut huge = options.filter_map(|option| option.strip_prefix("huge="));
            let mode = match huge.next() {
                Some(name) => SharedMode::named(name)?,
                None => SharedMode::Never,
            };
            Some((device, mode))
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// Returns the mode of the tmpfs with this device; `None` if no mounted tmpfs has
    /// it.
    pub(super) fn of(&self, device: Device) -> Option<SharedMode> {
        self.0.get(&(device.major, device.minor)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tmpfs_are_found_by_device_with_the_mode_that_they_were_mounted_with() {
        let text = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,huge=no-tmpfs
24 22 0:22 / /dev/shm rw,nosuid,nodev shared:4 - tmpfs tmpfs rw,inode64
25 22 0:23 /a\\040b /mnt/a\\040-\\040b rw - tmpfs none rw,size=1024k,huge=within_size,inode64
26 22 0:24 / /x rw - tmpfs none rw,huge=always
27 22 0:6 / /dev rw - devtmpfs udev rw,size=10k
28 22 0:25 / /new rw - tmpfs none rw,huge=unheard_of
";
        let modes = TmpfsModes::parse(text);
        let of = |major, minor| modes.of(Device { major, minor });
        assert_eq!(of(254, 0), None);
        assert_eq!(of(0, 22), Some(SharedMode::Never));
        assert_eq!(of(0, 23), Some(SharedMode::WithinSize));
        assert_eq!(of(0, 24), Some(SharedMode::Always));
        assert_eq!(of(0, 6), Some(SharedMode::Never));
        assert_eq!(of(0, 25), None);
        assert_eq!(of(0, 1), None);
    }
}
