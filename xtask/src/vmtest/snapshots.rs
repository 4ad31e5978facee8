//! Snapshots of guests by themselves, for the lakes of `cargo xtask fleet --large`: machines with
//! other kernels, and with several NUMA nodes. A guest prints the files of its lake on its
//! console. Knows the guest's lines, and nothing of what a lake contains.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Component, Path};

use super::image::Image;
use super::kernels::Arch;
use super::programs::{self, AROUND_TESTS};
use super::row::Row;
use super::table::ROWS;
use super::{cache, console_of, directory, packages};
use crate::run::Result;

/// Rows whose guests take snapshots. The command needs a newer Rust than that with which programs
/// for other architectures are built.
const GUESTS: [&str; 4] = ["amd64-5.10", "amd64-6.1", "amd64-6.12", "amd64-6.12-numa"];

/// Boots guests one after the other, and adds their snapshots to a lake.
///
/// # Errors
/// A guest cannot be built or booted, or has not printed a complete lake.
pub(crate) fn take(lake: &Path) -> Result<()> {
    for name in GUESTS {
        let row = ROWS.iter().find(|row| row.name == name);
        let row = row.ok_or_else(|| format!("the table has no row {name}"))?;
        let files = of_guest(row, lake).map_err(|why| format!("{name}: {why}"))?;
        eprintln!("vmtest: {name}: {files} files of snapshots");
    }
    Ok(())
}

/// Returns the number of files that the guest has printed.
fn of_guest(row: &Row, lake: &Path) -> Result<usize> {
    let kernel = packages::newest(&cache(), &row.kernel)?;
    let build = directory().join("build");
    let image = directory().join(format!("{}.snapshots.cpio", row.name));
    pack(row.programs, &build, &image)?;
    let words = format!("vmtest.snapshots vmtest.host={}", row.name);
    let name = format!("{}.snapshots", row.name);
    let console = console_of(row, &kernel, &image, &words, &name)?;
    let files = parse(&console).map_err(|why| format!("{why} (see consoles/{name}.log)"))?;
    files.iter().try_for_each(|file| write(lake, file))?;
    Ok(files.len())
}

fn pack(arch: Arch, build: &Path, to: &Path) -> Result<()> {
    let [guest, introspect] = programs::of_snapshots(arch, build)?;
    let mut image = Image::new(&["bin", "dev", "proc", "sys", "tmp"]);
    image.add_file("init", &guest)?;
    image.add_file("program", &introspect)?;
    for name in AROUND_TESTS {
        image.add_file(&format!("bin/{name}"), &guest)?;
    }
    image.write(to)
}

/// Returns the paths and bytes of the files that a console has: a line `file PATH`, lines of
/// hexadecimal digits, and a line `end SIZE` each.
fn parse(console: &str) -> Result<Vec<(&Path, Vec<u8>)>> {
    let mut lines = console.lines().map(str::trim_end);
    let mut files = Vec::new();
    while let Some(line) = lines.next() {
        if line == "vmtest: closing: all files" && !files.is_empty() {
            return Ok(files);
        }
        let Some(name) = line.strip_prefix("file ") else {
            continue;
        };
        let path = Path::new(name);
        let mut parts = path.components();
        if !parts.all(|part| matches!(part, Component::Normal(_))) {
            return Err(format!("{name}: not a path in a lake"));
        }
        let mut bytes = Vec::new();
        let size = loop {
            let line = lines.next().ok_or_else(|| format!("{name}: no end"))?;
            match line.strip_prefix("end ") {
                Some(size) => break size,
                None => add(line, &mut bytes).ok_or_else(|| format!("{name}: {line:?}"))?,
            }
        };
        if size != bytes.len().to_string() {
            return Err(format!("{name}: {} of {size} bytes", bytes.len()));
        }
        files.push((path, bytes));
    }
    Err("the guest did not print all files".to_owned())
}

fn write(lake: &Path, (path, bytes): &(&Path, Vec<u8>)) -> Result<()> {
    let path = lake.join(path);
    let write = || {
        fs::create_dir_all(path.parent().unwrap_or(lake))?;
        File::create_new(&path)?.write_all(bytes)
    };
    write().map_err(|error| format!("{}: {error}", path.display()))
}

/// Adds the bytes of a line of hexadecimal digits.
fn add(line: &str, bytes: &mut Vec<u8>) -> Option<()> {
    for pair in line.as_bytes().chunks(2) {
        let pair = std::str::from_utf8(pair)
            .ok()
            .filter(|pair| pair.len() == 2)?;
        bytes.push(u8::from_str_radix(pair, 16).ok()?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_console_are_read_whole_or_refused() {
        let whole = "noise\r\nfile a/b\r\n00ff\r\n10\r\nend 3\r\nvmtest: closing: all files\r\n";
        assert_eq!(parse(whole), Ok(vec![(Path::new("a/b"), vec![0, 255, 16])]));
        for refused in [
            "",
            "vmtest: closing: all files",
            "file c\n00\nend 1\n",
            "file c\n00\nend 2\nvmtest: closing: all files",
            "file c\n0\nend 1\nvmtest: closing: all files",
            "file c\nxy\nend 1\nvmtest: closing: all files",
            "file ../c\n00\nend 1\nvmtest: closing: all files",
            "file c\n00\nvmtest: closing: all files",
        ] {
            assert!(parse(refused).is_err(), "{refused:?}");
        }
    }
}
