//! Persistent memory of guests: where it is, and the file system in it, which this
//! machine's `mkfs.ext4` makes.

use std::fs::{self, File};
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use super::image::Image;
use crate::run::{output, Result};

/// Size of each region in MiB.
pub(super) const REGION: u64 = 64;

/// Block size; direct access needs the size of the base page.
const BLOCK: usize = 4096;

/// With a stripe of 4 MiB the file system aligns a file of that size, so that huge
/// pages can map it (fs/ext4/mballoc.c, `ext4_mb_find_by_goal`, 5.10 to 7.2).
const EXTENDED: &str = "lazy_itable_init=0,stride=1024,stripe_width=1024";

/// Words of the kernel's command line for regions at these addresses in MiB. RAM
/// separates the regions, because adjacent regions would become one.
pub(super) fn command_line(places: [u64; 3]) -> String {
    let mut words = "vmtest.pmem".to_owned();
    for place in places {
        words += &format!(" memmap={REGION}M!{place}M");
    }
    words
}

/// Physical addresses of these regions.
pub(super) fn ranges(places: [u64; 3]) -> Vec<Range<u64>> {
    let ranges = places.map(|place| place << 20..(place + REGION) << 20);
    ranges.to_vec()
}

/// Adds the blocks of a new file system that are not all zeros, each preceded by its
/// offset in bytes.
///
/// # Errors
/// The file system cannot be made or read.
pub(super) fn add_file_system(image: &mut Image, directory: &Path) -> Result<()> {
    // Several guests are prepared at the same time.
    let name = format!("persistent-{:?}", std::thread::current().id());
    let path = directory.join(name);
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(directory).map_err(failed)?;
    let file = File::create(&path).map_err(failed)?;
    file.set_len(REGION << 20).map_err(failed)?;
    let mut make = Command::new("mkfs.ext4");
    // Debian's PATH of ordinary users lacks it.
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
