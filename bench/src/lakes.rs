//! Generated lakes: of many snapshots, and of snapshots with many regions. Both are made
//! from a snapshot that the command took, so that no column is named here but those that
//! differ.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use process_introspection_dataset::lake::{Lake, Snapshot, SnapshotWriter, Start, When};
use process_introspection_dataset::tables::Table;
use process_introspection_export::State;

/// Adds links to the newest snapshot of a lake, each a snapshot of its own, a millisecond
/// after the one before.
pub(crate) fn multiply(root: &Path, count: u64) -> Result<(), String> {
    let path = newest(root)?.entry().path();
    let below: PathBuf = path
        .strip_prefix(root)
        .map_err(text)?
        .iter()
        .skip(1)
        .collect();
    let id = path
        .file_stem()
        .and_then(|id| id.to_str())
        .unwrap_or_default();
    for index in 1..count {
        let name = format!("{}.parquet", later(id, index).ok_or("no id in a path")?);
        for table in Table::ALL {
            let file = root.join(table.name()).join(&below);
            fs::hard_link(&file, file.with_file_name(&name)).map_err(text)?;
        }
    }
    Ok(())
}

/// Returns an id whose time is some milliseconds after that of another.
fn later(id: &str, milliseconds: u64) -> Option<String> {
    let (high, rest) = id.split_at_checked(13)?;
    let time = u64::from_str_radix(&high.replace('-', ""), 16).ok()? + milliseconds;
    Some(format!("{:08x}-{:04x}{rest}", time >> 16, time & 0xffff))
}

/// Adds a snapshot with so many regions of a process of the newest one, in its mapping with
/// the most of them. Every `moved`th is at another frame than without this.
pub(crate) fn enlarge(root: &Path, regions: u64, moved: Option<u64>) -> Result<(), String> {
    let of = newest(root)?;
    let start = Start {
        host: of.entry().host().to_vec(),
        taken_at: SystemTime::now(),
        details: false,
        frames: false,
        description: Vec::new(),
    };
    let process = of.processes().map_err(text)?.pop().ok_or("no process")?;
    let mut template = None;
    for row in of.regions(Some(process.unique_pid), false).map_err(text)? {
        let row = row.map_err(text)?;
        if row.state == State::Ram && row.anonymous {
            template = Some(row);
            break;
        }
    }
    let template = template.ok_or("no memory")?;
    let mut writer = SnapshotWriter::begin(root, start).map_err(text)?;
    writer.process(&process).map_err(text)?;
    for mut mapping in of.mappings(process.unique_pid).map_err(text)? {
        if mapping.vaddr == template.mapping_vaddr {
            // Two pages for each region, of which the second is not there.
            mapping.size = regions * 2 * of.row().page_size;
            writer.mapping(&mapping).map_err(text)?;
        }
    }
    let mut row = template;
    row.vpn = row.mapping_vaddr.0 / of.row().page_size;
    row.pages = 1;
    let mut random = 1_u64;
    for index in 0..regions {
        // The generator of Knuth's MMIX.
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // Frames of free memory are near each other, in no order.
        let mut pfn = 0x10_0000 + index + (random >> 54);
        if moved.is_some_and(|moved| index % moved == 0) {
            pfn ^= 0x4000_0000;
        }
        row.pfn = Some(pfn);
        writer.region(&row).map_err(text)?;
        row.vpn += 2;
    }
    writer.finish(of.row().clone()).map_err(text)?;
    Ok(())
}

/// Returns the bytes of a table's files.
pub(crate) fn bytes(root: &Path, table: Table) -> Result<u64, String> {
    fn below(folder: &Path) -> std::io::Result<u64> {
        let mut all = 0;
        for child in fs::read_dir(folder)? {
            let path = child?.path();
            all += match path.is_dir() {
                true => below(&path)?,
                false => path.metadata()?.len(),
            };
        }
        Ok(all)
    }
    below(&root.join(table.name())).map_err(text)
}

/// Returns the newest snapshot.
pub(crate) fn newest(root: &Path) -> Result<Snapshot, String> {
    let lake = Lake::open(root).map_err(text)?;
    lake.select(When::Latest, None, b"").map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_gets_another_time_and_keeps_the_rest() {
        let id = "0199f0a1-ffff-7a2b-8c3d-4e5f60718293";
        let next = later(id, 1).unwrap();
        assert_eq!(next, "0199f0a2-0000-7a2b-8c3d-4e5f60718293");
        assert_eq!(later(id, 0).unwrap(), id);
        assert_eq!(later("short", 1), None);
    }
}
