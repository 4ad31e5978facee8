//! Persistent memory: RAM that the kernel's command line declares as such
//! (`memmap=SIZE!ADDRESS`). The first region gets a file system that is mounted with
//! direct access (DAX), each other region becomes a device that programs map (device
//! DAX). Knows no test.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Blocks of the file system that are not all zeros, as the host has packed them: the
/// offset in bytes (little endian, 64 bits), then the block.
const BLOCKS: &str = "/pmem.blocks";
const BLOCK: usize = 4096;

/// Mount point of the file system.
const MOUNTED: &str = "/dax";

const BUS: &str = "/sys/bus/nd/devices";

/// Page sizes of the devices, which are the second and third region.
const ALIGNMENTS: [u64; 2] = [2 << 20, 4096];

/// Mounts the file system and makes the devices.
///
/// # Errors
/// A step failed.
pub(crate) fn set_up() -> Result<(), String> {
    let disk = Path::new("/dev/pmem0");
    appears(disk)?;
    let failed = |what: &Path, error: io::Error| format!("{}: {error}", what.display());
    write_blocks(disk).map_err(|error| failed(disk, error))?;
    mount(disk).map_err(|error| failed(Path::new(MOUNTED), error))?;
    for (index, alignment) in ALIGNMENTS.into_iter().enumerate() {
        let region = Path::new(BUS).join(format!("region{}", index + 1));
        if region.exists() {
            let device = device(&region, alignment).map_err(|error| failed(&region, error))?;
            appears(&device)?;
        }
    }
    Ok(())
}

/// Waits for a device: a kernel thread binds devices to their drivers.
fn appears(path: &Path) -> Result<(), String> {
    let until = Instant::now() + Duration::from_secs(20);
    while !path.exists() {
        if Instant::now() > until {
            return Err(format!("{} does not appear", path.display()));
        }
        sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn write_blocks(disk: &Path) -> io::Result<()> {
    let blocks = fs::read(BLOCKS)?;
    let disk = OpenOptions::new().write(true).open(disk)?;
    for record in blocks.chunks_exact(8 + BLOCK) {
        let (place, block) = record.split_at(8);
        let place = u64::from_le_bytes(place.try_into().map_err(io::Error::other)?);
        disk.write_all_at(block, place)?;
    }
    disk.sync_all()
}

fn mount(disk: &Path) -> io::Result<()> {
    fs::create_dir_all(MOUNTED)?;
    let disk = CString::new(disk.as_os_str().as_encoded_bytes())?;
    let at = CString::new(MOUNTED)?;
    // SAFETY: NUL-terminated strings.
    let result = unsafe {
        libc::mount(
            disk.as_ptr(),
            at.as_ptr(),
            c"ext4".as_ptr(),
            0,
            c"dax".as_ptr().cast(),
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes a device of a region's namespace, as `ndctl create-namespace --mode=devdax` does,
/// and returns its node. The kernel writes the namespace's information block
/// (drivers/nvdimm/pfn_devs.c, `nd_pfn_init`, 5.10 to 7.2).
fn device(region: &Path, alignment: u64) -> io::Result<PathBuf> {
    let seed = fs::read_to_string(region.join("dax_seed"))?;
    let seed = seed.trim();
    let namespaces = fs::read_dir(region)?.flatten();
    let mut names = namespaces.filter_map(|entry| entry.file_name().into_string().ok());
    // The directory also has an attribute `namespace_seed`.
    let namespace = names.find(|name| {
        let number = name.strip_prefix("namespace");
        number.is_some_and(|number| number.starts_with(|first: char| first.is_ascii_digit()))
    });
    let namespace = namespace.ok_or_else(|| io::Error::other("no namespace"))?;
    // The kernel has bound it to the driver of disks.
    let driver = Path::new(BUS).join(&namespace).join("driver");
    appears(&driver).map_err(io::Error::other)?;
    write(&driver.join("unbind"), &namespace)?;
    let of_seed = Path::new(BUS).join(seed);
    let number = seed
        .bytes()
        .fold(0u32, |sum, byte| sum * 31 + u32::from(byte));
    for (name, value) in [
        ("uuid", format!("{number:08x}-0000-4000-8000-000000000000")),
        // The kernel's page structures are in RAM.
        ("mode", "ram".to_owned()),
        ("align", alignment.to_string()),
        ("namespace", namespace),
    ] {
        write(&of_seed.join(name), &value)?;
    }
    write(Path::new("/sys/bus/nd/drivers/dax_pmem/bind"), seed)?;
    Ok(Path::new("/dev").join(seed))
}

/// Writes an attribute, which must exist.
fn write(path: &Path, value: &str) -> io::Result<()> {
    let written = File::options().write(true).open(path);
    let written = written.and_then(|file| file.write_all_at(value.as_bytes(), 0));
    written.map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}
