//! The file system that guests have in persistent memory, made by this
//! machine's `mkfs.ext4`. Knows nothing of guests but where they look for it.

use std::fs::{self, File};
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use super::image::Image;
use crate::run::{output, Result};

/// MiB of each region.
pub(super) const REGION: u64 = 64;

/// Blocks of the base page's size, which direct access asks for.
const BLOCK: usize = 4096;

/// A file of a stripe, 4 MiB, is not put where its huge pages would not lie in
/// huge pages of memory (fs/ext4/mballoc.c, `ext4_mb_find_by_goal`, 5.10 to
/// 7.2).
const EXTENDED: &str = "lazy_itable_init=0,stride=1024,stripe_width=1024";

/// Words of the kernel's command line for regions at these places, in MiB: a
/// file system's, and those of two devices. What is between two is RAM: regions
/// that touch would be one.
pub(super) fn command_line(places: [u64; 3]) -> String {
    let mut words = "vmtest.pmem".to_owned();
    for place in places {
        words += &format!(" memmap={REGION}M!{place}M");
    }
    words
}

/// The physical addresses of these regions.
pub(super) fn ranges(places: [u64; 3]) -> Vec<Range<u64>> {
    let ranges = places.map(|place| place << 20..(place + REGION) << 20);
    ranges.to_vec()
}

/// Adds the blocks of a new file system that are not all zeros, which are few,
/// each behind its place in bytes.
///
/// # Errors
/// It cannot be made, or not be read.
pub(super) fn add_file_system(image: &mut Image, directory: &Path) -> Result<()> {
    // Guests are made at the same time.
    let name = format!("persistent-{:?}", std::thread::current().id());
    let path = directory.join(name);
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(directory).map_err(failed)?;
    let file = File::create(&path).map_err(failed)?;
    file.set_len(REGION << 20).map_err(failed)?;
    let mut make = Command::new("mkfs.ext4");
    // Debian's path of users lacks it.
    make.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin");
    make.args(["-q", "-F", "-b", &BLOCK.to_string(), "-m", "0", "-N", "128"]);
    make.args(["-O", "^has_journal", "-E", EXTENDED]);
    output(make.arg(&path)).map_err(|why| format!("mkfs.ext4 (e2fsprogs): {why}"))?;
    let all = fs::read(&path).map_err(failed)?;
    fs::remove_file(&path).map_err(failed)?;
    let mut blocks = Vec::new();
    for (index, block) in all.chunks(BLOCK).enumerate() {
        if block.iter().any(|&byte| byte != 0) {
            blocks.extend(((index * BLOCK) as u64).to_le_bytes());
            blocks.extend(block);
        }
    }
    image.add("pmem.blocks", &blocks);
    Ok(())
}
