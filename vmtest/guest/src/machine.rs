//! Setting up the machine: file systems, modules, swap, power. Called only as process 1
//! and, except for [`mount_proc`], only in a guest.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use crate::command_line::Words;

fn mount(kind: &str, at: &str) -> io::Result<()> {
    fs::create_dir_all(at)?;
    let [kind, at] = [kind, at].map(|text| CString::new(text).expect("no NUL in it"));
    // SAFETY: NUL-terminated strings, no data.
    let result = unsafe {
        libc::mount(
            kind.as_ptr(),
            at.as_ptr(),
            kind.as_ptr(),
            0,
            std::ptr::null(),
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Mounts `/proc` unless it is mounted.
pub(crate) fn mount_proc() {
    if !Path::new("/proc/cmdline").exists() {
        // On an error there is no command line, and the program ends.
        let _ = mount("proc", "/proc");
    }
}

/// Mounts what tests need, and does what the command line requests.
pub(crate) fn set_up(words: &Words) -> Result<(), String> {
    keep_a_perf_event();
    for (kind, at) in [
        ("sysfs", "/sys"),
        ("devtmpfs", "/dev"),
        // Files in tmpfs count as shared memory, those in ramfs as files.
        ("ramfs", "/tmp"),
        ("tmpfs", "/dev/shm"),
    ] {
        mount(kind, at).map_err(|error| format!("{at}: {error}"))?;
    }
    // Tests that need these are skipped if the kernel lacks them.
    for (kind, at) in [
        ("cgroup2", "/sys/fs/cgroup"),
        ("debugfs", "/sys/kernel/debug"),
    ] {
        let _ = mount(kind, at);
    }
    use_the_console().map_err(|error| format!("/dev/console: {error}"))?;
    println!("vmtest: guest {}", about());
    load_modules()?;
    for both in words.values("bind") {
        let (device, driver) = both.split_once('=').unwrap_or((both, ""));
        bind(device, driver).map_err(|error| format!("{driver} for {device}: {error}"))?;
    }
    if words.has("pmem") {
        crate::persistent::set_up().map_err(|why| format!("persistent memory: {why}"))?;
    }
    if words.has("swap") {
        swap_on("/dev/ram0").map_err(|error| format!("swap on /dev/ram0: {error}"))?;
    }
    Ok(())
}

/// Opens a perf event that stays open. Otherwise the kernel rewrites its scheduler's code
/// whenever a test opens its first perf event, and QEMU 7.2 sometimes fails when another
/// virtual processor executes that code (`int3` in `__schedule`, Linux 6.12).
fn keep_a_perf_event() {
    const SOFTWARE_DUMMY: (u32, u64) = (1, 9);
    const CLOSE_ON_EXEC: u64 = 1 << 3;
    let mut attributes = [0u64; 8];
    // Type, size of the first version of the struct, counter.
    attributes[0] = u64::from(SOFTWARE_DUMMY.0) | 64 << 32;
    attributes[1] = SOFTWARE_DUMMY.1;
    let from = attributes.as_ptr();
    // For this process on any processor. A kernel without perf events rewrites
    // nothing.
    // SAFETY: the struct has the size that it contains.
    let _ = unsafe { libc::syscall(libc::SYS_perf_event_open, from, 0, -1, -1, CLOSE_ON_EXEC) };
}

/// Returns release and base page size, as `report` of xtask reads them.
pub(crate) fn about() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // SAFETY: no pointer is passed.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    format!("release={} page={page}", release.trim())
}

/// Opens the console. The kernel does so only if the initial root file system contains
/// the device.
fn use_the_console() -> io::Result<()> {
    let console = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/console")?;
    for fd in 0..3 {
        // SAFETY: no pointer is passed, and no value owns one of the three descriptors.
        if unsafe { libc::dup2(console.as_raw_fd(), fd) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Loads `/modules/*.ko` in the order of their names. Each name begins with a number,
/// which is the name of a file in `/options` with the module's options.
fn load_modules() -> Result<(), String> {
    let Ok(directory) = fs::read_dir("/modules") else {
        return Ok(());
    };
    let mut modules: Vec<_> = directory.flatten().map(|entry| entry.path()).collect();
    modules.sort();
    for path in modules {
        let load = || -> io::Result<()> {
            let module = File::open(&path)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let number = name.split_once('-').map_or(&*name, |(number, _)| number);
            let options = CString::new(fs::read(Path::new("/options").join(number))?)?;
            // SAFETY: an open file and a NUL-terminated string.
            let result = unsafe {
                libc::syscall(
                    libc::SYS_finit_module,
                    module.as_raw_fd(),
                    options.as_ptr(),
                    0,
                )
            };
            if result != 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        };
        load().map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Binds a PCI device to a driver, also one that is made for other devices.
fn bind(device: &str, driver: &str) -> io::Result<()> {
    let directory = Path::new("/sys/bus/pci/devices").join(device);
    fs::write(directory.join("driver_override"), driver)?;
    fs::write("/sys/bus/pci/drivers_probe", device)?;
    let bound = fs::read_link(directory.join("driver"))?;
    match bound.ends_with(driver) {
        true => Ok(()),
        false => Err(io::Error::other("another driver has it")),
    }
}

/// Writes the header of a swap area, version 1 (`union swap_header` of
/// include/linux/swap.h), to a block device of 64 MiB, and enables it.
fn swap_on(device: &str) -> io::Result<()> {
    // SAFETY: no pointer is passed.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
    let mut header = vec![0; page];
    let (version, last_page) = (1u32, (64 << 20) / page as u32 - 1);
    header[1024..1028].copy_from_slice(&version.to_ne_bytes());
    header[1028..1032].copy_from_slice(&last_page.to_ne_bytes());
    header[page - 10..].copy_from_slice(b"SWAPSPACE2");
    let mut disk = OpenOptions::new().write(true).open(device)?;
    disk.write_all(&header)?;
    disk.sync_all()?;
    drop(disk);
    let device = CString::new(device).expect("no NUL in it");
    // SAFETY: a NUL-terminated path.
    if unsafe { libc::swapon(device.as_ptr(), 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Powers off the machine.
pub(crate) fn power_off() -> ! {
    let _ = io::stdout().flush();
    // SAFETY: no pointer is passed. All results are on the console.
    unsafe {
        libc::sync();
        libc::reboot(libc::RB_POWER_OFF);
    }
    // The kernel would panic if process 1 ended.
    loop {
        std::thread::park();
    }
}
