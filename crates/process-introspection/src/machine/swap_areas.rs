//! Names of swap areas, `/proc/swaps`, and the area that contains a swap place. Knows no
//! process.

use std::fs;

use process_introspection_core::backing::SwapPlace;
use process_introspection_core::{Operation, PageSize};

use crate::error::Error;
use crate::process::mounts::Mounts;
use crate::text_files::unescaped;

/// Swap area that is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SwapArea {
    /// Path of the device or file. Bytes that are not UTF-8 are replaced.
    pub path: String,
    /// Size in bytes without the header page.
    pub size: u64,
    /// Number of bytes in use.
    pub used: u64,
}

/// Swap areas that are in use.
#[derive(Clone, Debug, Default)]
pub struct SwapAreas(Vec<SwapArea>);

impl SwapAreas {
    /// Reads the list of areas; it is empty where the kernel has no `/proc/swaps`.
    ///
    /// # Errors
    /// Errors of the system.
    pub fn read() -> Result<Self, Error> {
        Self::read_in(&Mounts::new())
    }

    /// Reads the areas below another mount of proc.
    ///
    /// # Errors
    /// Errors of the system.
    pub fn read_in(mounts: &Mounts) -> Result<Self, Error> {
        match fs::read(mounts.proc().join("swaps")) {
            Ok(text) => Ok(Self::parse(&String::from_utf8_lossy(&text))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::of_io(&error, Operation::ReadFrames)),
        }
    }

    /// Parses a header line, then a line for each area: path, type, size and use in KiB,
    /// more.
    fn parse(text: &str) -> Self {
        let area = |line: &str| {
            let mut words = line.split_whitespace();
            let (path, _) = (words.next()?, words.next()?);
            let mut bytes = || words.next()?.parse::<u64>().ok()?.checked_mul(1024);
            Some(SwapArea {
                path: unescaped(path).to_string_lossy().into_owned(),
                size: bytes()?,
                used: bytes()?,
            })
        };
        Self(text.lines().skip(1).filter_map(area).collect())
    }

    /// Returns the areas, in the order of their numbers.
    pub fn areas(&self) -> &[SwapArea] {
        &self.0
    }

    /// Returns the area that contains a place; `None` if it is not certain.
    ///
    /// The kernel lists areas in the order of their numbers and leaves out the numbers that
    /// are not in use, without a sign (mm/swapfile.c `swap_start`, 5.10 to 6.18): an area
    /// can have a greater number than its place in the list after another one was switched
    /// off. So number 0 is the first; a greater one is known where no other area is
    /// possible, because it is the only one or the others before it are too small.
    pub fn area_of(&self, place: SwapPlace, page: PageSize) -> Option<&SwapArea> {
        let end = place.offset.checked_add(1)?.checked_mul(page.bytes())?;
        let last = usize::from(place.area).min(self.0.len().checked_sub(1)?);
        // The first page of an area is its header, which the size does not include.
        let fits = |area: &&SwapArea| end <= area.size.saturating_add(page.bytes());
        let mut possible = self.0[..=last].iter().filter(fits);
        match (possible.next(), possible.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";

    fn named(lines: &str, area: u8, offset: u64) -> Option<String> {
        let areas = SwapAreas::parse(&format!("{HEADER}{lines}"));
        let place = SwapPlace { area, offset };
        let found = areas.area_of(place, PageSize::SIZE_4K);
        found.map(|area| area.path.clone())
    }

    #[test]
    fn an_area_is_named_only_if_no_other_can_be_meant() {
        let one = "/dev/ram0                               partition\t65532\t\t512\t\t-2\n";
        assert_eq!(named(one, 0, 1), Some("/dev/ram0".to_owned()));
        assert_eq!(named(one, 3, 1), Some("/dev/ram0".to_owned()));
        assert_eq!(named(one, 0, 16383), Some("/dev/ram0".to_owned()));
        assert_eq!(named(one, 0, 16384), None);
        let two = format!("{one}/swap\\040file file\t1048572\t0\t-3\n");
        assert_eq!(named(&two, 0, 1), Some("/dev/ram0".to_owned()));
        // Number 1 can be either: number 0 may have been switched off.
        assert_eq!(named(&two, 1, 1), None);
        assert_eq!(named(&two, 1, 70000), Some("/swap file".to_owned()));
        assert_eq!(named("", 0, 1), None);
    }
}
