//! Initial root file systems for guests, in the format of `cpio -H newc`
//! (Documentation/driver-api/early-userspace/buffer-format.rst). They are not
//! compressed, because QEMU copies faster than a guest unpacks. Knows nothing of
//! the files' contents.

use std::fs;
use std::path::Path;

use crate::run::Result;

/// An image that is being built.
pub(crate) struct Image {
    bytes: Vec<u8>,
    files: u32,
}

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

impl Image {
    /// Returns an image with these directories.
    pub(crate) fn new(directories: &[&str]) -> Self {
        let mut image = Self {
            bytes: Vec::new(),
            files: 0,
        };
        for directory in directories {
            image.entry(directory, DIRECTORY, &[]);
        }
        image
    }

    /// Adds a file.
    pub(crate) fn add(&mut self, name: &str, bytes: &[u8]) {
        self.entry(name, PROGRAM, bytes);
    }

    /// Adds a file of this machine.
    pub(crate) fn add_file(&mut self, name: &str, from: &Path) -> Result<()> {
        let bytes = fs::read(from).map_err(|error| format!("{}: {error}", from.display()))?;
        self.add(name, &bytes);
        Ok(())
    }

    fn entry(&mut self, name: &str, mode: u32, bytes: &[u8]) {
        self.files += 1;
        let (links, zero, length) = (1, 0, bytes.len() as u32);
        let fields = [
            self.files,
            mode,
            zero,
            zero,
            links,
            zero,
            length,
            zero,
            zero,
            zero,
            zero,
            name.len() as u32 + 1,
            zero,
        ];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend(bytes);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Writes the image to a file.
    pub(crate) fn write(mut self, to: &Path) -> Result<()> {
        self.entry("TRAILER!!!", 0, &[]);
        fs::write(to, &self.bytes).map_err(|error| format!("{}: {error}", to.display()))
    }
}
