//! RAM of drivers within a target: the buffer of a sound device, of a graphics
//! driver without a device, and the pages of a module of our own. The tests know
//! how each driver changes the memory. Addresses are plain numbers.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::machine::{or_skip, skip};
use crate::memory::{self, page, try_map};

const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;

fn open(path: &Path) -> io::Result<OwnedFd> {
    let mut options = fs::OpenOptions::new();
    Ok(options.read(true).write(true).open(path)?.into())
}

/// Makes an ioctl request whose argument is this many words.
fn ask<const N: usize>(file: &OwnedFd, request: u32, words: &mut [u32; N]) -> io::Result<()> {
    // A request contains the size of its argument.
    assert_eq!(request >> 16 & 0x3fff, size_of_val(words) as u32);
    // SAFETY: the kernel reads and writes a live struct of the request's size.
    let result =
        unsafe { libc::ioctl(file.as_raw_fd(), request as libc::Ioctl, words.as_mut_ptr()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Opens the playback file of a device of the driver `snd_hda_intel`, which the driver
/// creates some time after it got the device; prints that the test is skipped if
/// there is none.
pub fn sound_or_skip(test: &str) -> Option<PathBuf> {
    let driver = fs::read_dir("/sys/bus/pci/drivers/snd_hda_intel");
    let mut devices = driver.into_iter().flatten().flatten();
    if !devices.any(|entry| entry.file_name().as_encoded_bytes().contains(&b':')) {
        return skip(test, "no sound device of snd_hda_intel");
    }
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let files = fs::read_dir("/dev/snd").into_iter().flatten().flatten();
        let mut files = files.map(|entry| entry.path());
        let plays = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            name.starts_with(b"pcm") && name.ends_with(b"p")
        };
        if let Some(path) = files.find(plays) {
            return Some(path);
        }
        assert!(Instant::now() < until, "the sound device has no file");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Reserves memory of the sound device, in KiB, for all its buffers of at most that
/// size; with 0 each buffer is allocated on request. No process may have the device
/// open.
///
/// # Panics
/// If the driver has not done it.
pub fn set_sound_aside(path: &Path, kib: u32) {
    // pcmC0D0p: the card, the device, and p for playing.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let numbers = name
        .strip_prefix("pcmC")
        .and_then(|rest| rest.split_once('D'));
    let (card, device) = numbers.expect("a file of a sound device");
    let file = format!("/proc/asound/card{card}/pcm{device}/sub0/prealloc");
    // The last user of the device can have ended while another process still reads
    // its memory, which keeps the device open.
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        fs::write(&file, kib.to_string()).expect("sound memory is set aside");
        // A write reports no error.
        let now = fs::read_to_string(&file).expect("how much is set aside");
        if now.trim() == kib.to_string() {
            return;
        }
        assert!(Instant::now() < until, "{file}: {now}, not {kib}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Maps the sound device's buffer of this size for reading and writing, and the page
/// with its position for reading; both are touched. The device stays open until this
/// process ends: only one process at a time can open it.
pub fn sound(path: &Path, bytes: u32) -> io::Result<(u64, u64)> {
    let file = open(path)?;
    // SNDRV_PCM_IOCTL_HW_PARAMS and struct snd_pcm_hw_params,
    // include/uapi/sound/asound.h: masks of eight words from 1 on, intervals of
    // three from 65 on. Everything not set here is unrestricted.
    const SET: u32 = 0xc260_4111;
    const ACCESS: usize = 1;
    const FORMAT: usize = 9;
    const BUFFER_BYTES: usize = 65 + 3 * 10;
    let mut words = [0u32; 152];
    words[ACCESS] = 1;
    words[FORMAT] = 1 << 2;
    words[17..25].fill(!0);
    for interval in words[65..101].chunks_exact_mut(3) {
        interval[1] = !0;
    }
    words[BUFFER_BYTES..BUFFER_BYTES + 2].fill(bytes);
    words[128] = !0;
    ask(&file, SET, &mut words)?;
    let fd = file.into_raw_fd();
    const STATUS: u64 = 0x8000_0000;
    let size = u64::from(bytes).next_multiple_of(page());
    let buffer = try_map(size, READ_WRITE, libc::MAP_SHARED, fd, 0)?;
    let status = try_map(page(), libc::PROT_READ, libc::MAP_SHARED, fd, STATUS)?;
    memory::touch(buffer, size / page(), 1);
    memory::read(status, 1);
    Ok((buffer, status))
}

/// Opens the file of the graphics driver `vgem`, which has no device; prints that the
/// test is skipped if there is none.
pub fn graphics_or_skip(test: &str) -> Option<PathBuf> {
    let cards = fs::read_dir("/sys/class/drm")
        .into_iter()
        .flatten()
        .flatten();
    let is_vgem = |entry: &fs::DirEntry| {
        let is_card = entry.file_name().as_encoded_bytes().starts_with(b"card");
        let device = fs::canonicalize(entry.path().join("device"));
        is_card && device.is_ok_and(|device| device.ends_with("vgem"))
    };
    let mut cards = cards.filter(is_vgem);
    match cards.next() {
        Some(entry) => Some(Path::new("/dev/dri").join(entry.file_name())),
        None => skip(test, "no graphics driver vgem"),
    }
}

/// Maps a buffer of the graphics driver, by the driver's file and as the object for
/// other drivers; this many pages, all touched.
pub fn graphics(path: &Path, pages: u32) -> io::Result<(u64, u64)> {
    let file = open(path)?;
    // include/uapi/drm/drm.h and drm_mode.h: height, width, bits, flags, handle,
    // pitch and two words of size; handle, nothing, two words of offset; handle,
    // flags, descriptor.
    const CREATE: u32 = 0xc020_64b2;
    const OFFSET: u32 = 0xc010_64b3;
    const SHARE: u32 = 0xc00c_642d;
    let mut create = [pages, page() as u32 / 4, 32, 0, 0, 0, 0, 0];
    ask(&file, CREATE, &mut create)?;
    let handle = create[4];
    let mut offset = [handle, 0, 0, 0];
    ask(&file, OFFSET, &mut offset)?;
    let offset = u64::from(offset[2]) | u64::from(offset[3]) << 32;
    let mut share = [handle, (libc::O_RDWR | libc::O_CLOEXEC) as u32, 0];
    ask(&file, SHARE, &mut share)?;
    // SAFETY: the kernel has just made it, for nobody else.
    let shared = unsafe { OwnedFd::from_raw_fd(share[2] as i32) };
    let size = u64::from(pages) * page();
    let map = |file: &OwnedFd, offset| {
        try_map(size, READ_WRITE, libc::MAP_SHARED, file.as_raw_fd(), offset)
    };
    let places = (map(&file, offset)?, map(&shared, 0)?);
    for at in [places.0, places.1] {
        memory::touch(at, u64::from(pages), 1);
    }
    Ok(places)
}

/// Opens the file of the module `vmtest/modules/typed_ram.c`; prints that the test is
/// skipped if there is none.
pub fn typed_ram_or_skip(test: &str) -> Option<&'static Path> {
    let path = Path::new("/dev/typed_ram");
    or_skip(path.exists(), test, "no module typed_ram of our own").then_some(path)
}

/// Number of its pages.
pub const TYPED_RAM_PAGES: u64 = 4;

/// Maps its pages: uncached-minus, write-combining, unchanged, and write-through where
/// the kernel lets a driver make that.
pub fn typed_ram(path: &Path) -> io::Result<u64> {
    let file = open(path)?;
    let size = TYPED_RAM_PAGES * page();
    try_map(size, READ_WRITE, libc::MAP_SHARED, file.as_raw_fd(), 0)
}
