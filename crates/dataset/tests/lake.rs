//! Lakes: what is written is what is read, a part is never taken for the whole, and errors
//! say what is wrong.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use process_introspection::{AddrRange, Backing, PageSize, SwapPlace};
use process_introspection_dataset::lake::{
    heads, joined, Keep, Lake, LakeError, SnapshotId, SnapshotWriter, Start, State, StoredRegion,
    When, Written,
};
use process_introspection_dataset::tables::regions::RegionRow;
use process_introspection_dataset::tables::Table;
use process_introspection_export::{Details, FlagCounts, Span, State as PageState};
use support::{
    add, begin, mapping_row, process_row, region_row, region_rows, select, snapshot_row, time,
    ADDRESS, HOST, NOON,
};
use tempfile::TempDir;

fn write(root: &Path, host: &[u8], seconds: u64) -> Written {
    let mut writer = begin(root, host, seconds, false);
    add(&mut writer, 77, &region_rows(77, 5));
    writer.finish(snapshot_row()).expect("a snapshot")
}

/// All files below a folder.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut all = BTreeSet::new();
    for child in fs::read_dir(folder).into_iter().flatten().flatten() {
        match child.path() {
            path if path.is_dir() => all.extend(files(&path)),
            path => {
                all.insert(path);
            }
        }
    }
    all
}

#[test]
fn rows_are_read_as_they_were_written() {
    let root = TempDir::new().unwrap();
    let mut writer = begin(root.path(), HOST, NOON, false);
    // More than a row group.
    let many = region_rows(78, 150_000);
    let few = region_rows(90, 12);
    add(&mut writer, 78, &many);
    add(&mut writer, 90, &few);
    let written = writer.finish(snapshot_row()).unwrap();
    let snapshot = select(root.path(), When::Latest);
    assert_eq!(snapshot.row(), &written.row);
    assert_eq!(snapshot.row().head.regions_rows, 150_012);
    assert_eq!(snapshot.state(), State::Complete);
    assert_eq!(
        snapshot.processes().unwrap(),
        [process_row(78), process_row(90)]
    );
    assert_eq!(
        snapshot.mappings(90).unwrap(),
        [mapping_row(90, ADDRESS, 12)]
    );
    let read = snapshot.regions(None, true).unwrap();
    let read: Vec<_> = read.map(Result::unwrap).collect();
    assert_eq!(read, [many, few].concat());
}

#[test]
fn regions_of_a_process_are_those_of_its_mapping_cut_to_the_range() {
    let root = TempDir::new().unwrap();
    let mut writer = begin(root.path(), HOST, NOON, false);
    add(&mut writer, 78, &region_rows(78, 140_000));
    add(&mut writer, 90, &region_rows(90, 10));
    writer.finish(snapshot_row()).unwrap();
    let snapshot = select(root.path(), When::Latest);
    let of = |unique_pid, range| {
        let processes = snapshot.processes().unwrap().into_iter();
        let mut processes = processes.filter(|row| row.unique_pid == unique_pid);
        let process = snapshot.open_process(processes.next().unwrap()).unwrap();
        let mut found = Vec::new();
        let walked = process.regions(range, true, |region, details| {
            assert_eq!(details, None);
            found.push(region);
            std::ops::ControlFlow::Continue(())
        });
        assert!(walked.unwrap().is_continue());
        found
    };
    let found = of(90, AddrRange::ALL);
    let base = PageSize::from_bytes(4096).unwrap();
    let backings: Vec<_> = found.iter().map(|region| region.backing).collect();
    let expected = region_rows(90, 10).into_iter();
    let expected: Vec<_> = expected.map(|row| row.backing(base).unwrap()).collect();
    assert_eq!(backings, expected);
    let place = SwapPlace {
        area: 3,
        offset: 4 << 20,
    };
    assert_eq!(backings[4], Backing::Swapped(Some(place)));
    assert!(found
        .iter()
        .all(|region| region.mapping.range.size() == 10 << 12));

    let start = ADDRESS + (139_000 << 12) + 100;
    let range = AddrRange::new(start, start + 8000).unwrap();
    let found = of(78, range);
    assert_eq!(found.len(), 2);
    let whole = range.widened(base);
    assert_eq!(
        (found[0].virt.start(), found[1].virt.end()),
        (whole.start(), whole.end())
    );
    let frame = (0x11c183 + 7 * 139_000) << 12;
    assert_eq!(found[0].backing.address().unwrap().as_u64(), frame);
}

#[test]
fn details_are_kept_and_cost_no_column_without_them() {
    let root = TempDir::new().unwrap();
    let mut writer = begin(root.path(), HOST, NOON, true);
    let mut rows = region_rows(78, 2);
    rows[0].details = Some(Box::new(Details {
        pages: 1,
        frames: 1,
        flags: FlagCounts(vec![("uptodate".to_owned(), 1)]),
        entries: FlagCounts(Vec::new()),
        mapcount: Some(Span { min: 1, max: 3 }),
        swap_area: None,
    }));
    add(&mut writer, 78, &rows);
    let mut row = snapshot_row();
    row.head.details = true;
    writer.finish(row).unwrap();
    let snapshot = select(root.path(), When::Latest);
    let read = |with_details| {
        let rows = snapshot.regions(Some(78), with_details).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>()
    };
    assert_eq!(read(true), rows);
    rows[0].details = None;
    assert_eq!(read(false), rows);
}

fn details(pages: u64, flags: &[(&str, u64)], mapcount: (u64, u64)) -> Details {
    let flags = flags.iter().map(|&(name, count)| (name.to_owned(), count));
    Details {
        pages,
        frames: pages,
        flags: FlagCounts(flags.collect()),
        entries: FlagCounts(Vec::new()),
        mapcount: Some(Span {
            min: mapcount.0,
            max: mapcount.1,
        }),
        swap_area: None,
    }
}

#[test]
fn parts_of_a_region_are_joined_and_cut_with_their_details() {
    let root = TempDir::new().unwrap();
    let mut writer = begin(root.path(), HOST, NOON, true);
    // 4 pages in a row: entries of two sizes map them. Then 3 pages in swap.
    let row = |at, pages, state| RegionRow {
        pages,
        ..region_row(78, ADDRESS, at, state)
    };
    let [mut first, mut second] = [row(0, 1, PageState::Ram), row(1, 3, PageState::Ram)];
    second.pfn = first.pfn.map(|pfn| pfn + 1);
    second.page_size = Some(2 << 20);
    second.anonymous = first.anonymous;
    first.details = Some(Box::new(details(1, &[("lru", 1)], (1, 1))));
    second.details = Some(Box::new(details(
        3,
        &[("referenced", 3), ("lru", 3)],
        (2, 2),
    )));
    let swapped = row(4, 3, PageState::Swapped);
    add(&mut writer, 78, &[first, second.clone(), swapped]);
    // A process whose regions follow.
    add(&mut writer, 90, &region_rows(90, 2));
    let mut row = snapshot_row();
    row.head.details = true;
    writer.finish(row).unwrap();
    let snapshot = select(root.path(), When::Latest);
    let mut seen = Vec::new();
    let walked = snapshot.for_each_process(true, |process, parts| {
        let of = |region: StoredRegion| (region.0.size() >> 12, region.0.page_size, region.1);
        let regions: Vec<_> = joined(parts).map(|region| of(region.unwrap())).collect();
        seen.push((process.unique_pid, regions));
        std::ops::ControlFlow::Continue(())
    });
    walked.unwrap();
    let all = details(4, &[("referenced", 3), ("lru", 4)], (1, 2));
    assert_eq!(seen[0], (78, vec![(4, None, Some(all)), (3, None, None)]));
    assert_eq!((seen[1].0, seen[1].1.len(), seen.len()), (90, 2, 2));

    let process = snapshot.processes().unwrap().swap_remove(0);
    let process = snapshot.open_process(process).unwrap();
    let pages = |from: u64, to: u64| AddrRange::new(ADDRESS + from * 4096, ADDRESS + to * 4096);
    let cut = |from, to| {
        let parts = process.parts(pages(from, to).unwrap(), true).unwrap();
        parts.map(Result::unwrap).collect::<Vec<_>>()
    };
    let inner = cut(2, 3);
    let one = details(1, &[("referenced", 1), ("lru", 1)], (2, 2));
    assert_eq!(inner[0].1, Some(one));
    let frame = second.pfn.unwrap() + 1;
    assert_eq!(inner[0].0.backing.address().unwrap().as_u64(), frame << 12);
    // The place in swap is that of the first page.
    let place = |backing| matches!(backing, Backing::Swapped(Some(_)));
    assert!(place(cut(4, 5)[0].0.backing) && !place(cut(5, 6)[0].0.backing));
    assert_eq!(cut(5, 6)[0].0.backing, Backing::Swapped(None));
}

#[test]
fn paths_are_partitions_that_only_their_owner_reads() {
    let root = TempDir::new().unwrap();
    let root = root.path().join("lake");
    let host = "Mühle/7=a".as_bytes();
    let written = write(&root, host, NOON);
    let is_machine = |table| matches!(table, Table::Frames | Table::Metrics);
    let tables = Table::ALL.into_iter().filter(|&table| !is_machine(table));
    let expected = tables.map(|table| {
        root.join(table.name())
            .join("date=2026-09-21/host=M%C3%BChle%2F7%3Da")
            .join(format!("{}.parquet", written.id))
    });
    assert_eq!(files(&root), expected.collect());
    for file in files(&root) {
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&file), 0o600);
        for folder in file.ancestors().skip(1).take(4) {
            assert_eq!(mode(folder), 0o700, "{}", folder.display());
        }
    }
    let (entries, others) = Lake::open(&root).unwrap().entries().unwrap();
    assert_eq!((entries.len(), others.len()), (1, 0));
    assert_eq!(entries[0].host(), host);
}

#[test]
fn a_writer_that_does_not_finish_leaves_no_snapshot() {
    let root = TempDir::new().unwrap();
    let lake = Lake::open(root.path()).unwrap();
    let mut writer = begin(root.path(), HOST, NOON, false);
    add(&mut writer, 78, &region_rows(78, 200_000));
    // Beside it another one.
    let other = write(root.path(), HOST, NOON);
    let (entries, others) = lake.entries().unwrap();
    assert_eq!(
        entries.iter().map(|entry| entry.id()).collect::<Vec<_>>(),
        [other.id]
    );
    assert!(others.is_empty());
    // A killed writer leaves files.
    let partial = files(root.path());
    assert_eq!(partial.len(), 7);
    drop(writer);
    assert_eq!(files(root.path()).len(), 4);
    let error = lake.select(When::Id(SnapshotId::at(time(0))), None, HOST);
    assert!(
        matches!(error, Err(LakeError::NotFound { .. })),
        "{error:?}"
    );
}

#[test]
fn a_time_selects_the_newest_snapshot_at_or_before_it() {
    let root = TempDir::new().unwrap();
    let lake = Lake::open(root.path()).unwrap();
    assert!(matches!(
        lake.select(When::Latest, None, HOST),
        Err(LakeError::Empty(_))
    ));
    let days = [0, 1, 2].map(|day| NOON + day * 86_400);
    let ids = days.map(|seconds| write(root.path(), HOST, seconds).id);
    let at = |seconds| select(root.path(), When::At(time(seconds))).entry().id();
    assert_eq!(at(days[1]), ids[1]);
    assert_eq!(at(days[2] - 1), ids[1]);
    assert_eq!(select(root.path(), When::Latest).entry().id(), ids[2]);
    assert_eq!(select(root.path(), When::Id(ids[0])).entry().id(), ids[0]);
    let when: When = "2026-09-22T14:13:20Z".parse().unwrap();
    assert_eq!(when, When::At(time(days[1])));
    assert_eq!(ids[2].to_string().parse(), Ok(When::Id(ids[2])));
    assert!("yesterday".parse::<When>().unwrap_err().contains("latest"));
    let error = lake
        .select(When::At(time(days[0] - 1)), None, HOST)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("at or before 2026-09-21T14:13:19"),
        "{error}"
    );
}

#[test]
fn one_of_several_hosts_has_to_be_chosen_unless_it_is_this_one() {
    let root = TempDir::new().unwrap();
    let lake = Lake::open(root.path()).unwrap();
    write(root.path(), b"a", NOON);
    let host = |named: Option<&[u8]>, this: &[u8]| {
        let selected = lake.select(When::Latest, named, this);
        selected.map(|snapshot| snapshot.entry().host().to_vec())
    };
    assert_eq!(host(None, b"c").unwrap(), b"a");
    write(root.path(), b"b", NOON + 1);
    let error = host(None, b"c").unwrap_err();
    assert!(error.to_string().ends_with("--host: a, b"), "{error}");
    assert_eq!(host(None, b"a").unwrap(), b"a");
    assert_eq!(host(Some(b"b"), b"a").unwrap(), b"b");
    let error = host(Some(b"d"), b"a").unwrap_err();
    assert!(matches!(error, LakeError::NotFound { .. }), "{error}");
}

#[test]
fn a_lake_that_was_copied_in_part_says_what_is_missing() {
    let root = TempDir::new().unwrap();
    let written = write(root.path(), HOST, NOON);
    let all = files(root.path());
    let of = |table: Table| {
        all.iter()
            .find(|path| path.starts_with(root.path().join(table.name())))
    };
    let regions = of(Table::Regions).unwrap();
    let whole = fs::read(regions).unwrap();
    fs::write(regions, &whole[..whole.len() / 2]).unwrap();
    let snapshot = select(root.path(), When::Latest);
    let State::Incomplete(why) = snapshot.state() else {
        panic!("it is complete");
    };
    assert!(why.contains("table regions: has"), "{why}");
    let damaged = snapshot.regions(None, false).map(drop).unwrap_err();
    assert!(matches!(damaged, LakeError::Damaged { .. }), "{damaged}");
    fs::remove_file(regions).unwrap();
    let State::Incomplete(why) = snapshot.state() else {
        panic!("it is complete");
    };
    assert!(why.contains("No such file"), "{why}");

    // Files that are none of a lake's.
    let folder = regions.parent().unwrap();
    let snapshots = of(Table::Snapshots).unwrap();
    fs::write(snapshots.with_file_name("notes.txt"), "mine").unwrap();
    fs::write(root.path().join("snapshots/other"), "mine").unwrap();
    let lake = Lake::open(root.path()).unwrap();
    let (entries, others) = lake.entries().unwrap();
    assert_eq!((entries.len(), others.len()), (1, 2));
    fs::write(snapshots, "not Parquet").unwrap();
    let error = lake.select(When::Id(written.id), None, HOST).unwrap_err();
    assert!(error.to_string().contains("is not usable"), "{error}");
    assert!(folder.exists());
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let root = TempDir::new().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "mine").unwrap();
    let start = Start {
        host: HOST.to_vec(),
        taken_at: time(NOON),
        details: false,
        frames: false,
        description: Vec::new(),
    };
    let error = SnapshotWriter::begin(&file, start).unwrap_err();
    assert!(error.to_string().starts_with("cannot create "), "{error}");
    let error = Lake::open(&file).unwrap_err();
    assert!(error.to_string().contains("a lake is a folder"), "{error}");
    let error = Lake::open(root.path().join("none")).unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
}

#[test]
fn pruning_removes_old_snapshots_of_each_host_and_remains_of_writers() {
    let root = TempDir::new().unwrap();
    let day = 86_400;
    let old = write(root.path(), b"a", NOON);
    let new = write(root.path(), b"a", NOON + 3 * day);
    let other = write(root.path(), b"b", NOON);
    let killed = begin(root.path(), b"a", NOON, false);
    let at_work = begin(root.path(), b"a", NOON + 3 * day, false);
    // Killed: nothing runs when it is dropped.
    std::mem::forget(killed);
    std::mem::forget(at_work);
    let lake = Lake::open(root.path()).unwrap();
    let now = time(NOON + 3 * day + 60);
    let ids = |keep| {
        let prunable = lake.prunable(keep, now).unwrap();
        assert_eq!(prunable.remains.len(), 3);
        let entries = prunable.snapshots.iter();
        entries.map(|entry| entry.id()).collect::<BTreeSet<_>>()
    };
    assert_eq!(ids(Keep::Newest(1)), BTreeSet::from([old.id]));
    assert_eq!(ids(Keep::Newest(2)), BTreeSet::new());
    let younger = Keep::Younger(Duration::from_secs(2 * day));
    assert_eq!(ids(younger), BTreeSet::from([old.id, other.id]));
    assert_eq!(files(root.path()).len(), 3 * 4 + 2 * 3);
    lake.prunable(younger, now).unwrap().remove().unwrap();
    // The snapshot that is left, and the writer's that is at work.
    assert_eq!(files(root.path()).len(), 4 + 3);
    assert!(!root.path().join("snapshots/date=2026-09-21").exists());
    assert_eq!(select(root.path(), When::Latest).entry().id(), new.id);
}

#[test]
fn heads_of_many_snapshots_are_read_in_order_also_those_that_are_damaged() {
    let root = TempDir::new().unwrap();
    let lake = Lake::open(root.path()).unwrap();
    // More than one thread opens.
    for at in 0..150 {
        let mut writer = begin(root.path(), HOST, NOON + at, false);
        add(&mut writer, 77, &region_rows(77, 5));
        let mut row = snapshot_row();
        row.head.duration = at;
        writer.finish(row).unwrap();
    }
    let (entries, _) = lake.entries().unwrap();
    fs::write(entries[1].path(), "no table").unwrap();
    fs::remove_file(files(&root.path().join("regions")).pop_last().unwrap()).unwrap();
    let heads = heads(&entries);
    assert_eq!(heads.len(), 150);
    for (at, head) in heads.iter().enumerate() {
        let state = head.as_ref().map(|(head, state)| {
            assert_eq!(head.duration, at as u64);
            state == &State::Complete
        });
        match at {
            1 => assert!(matches!(state, Err(LakeError::Damaged { .. })), "{state:?}"),
            149 => assert!(matches!(state, Ok(false)), "{state:?}"),
            _ => assert!(matches!(state, Ok(true)), "{state:?}"),
        }
    }
}

#[test]
fn no_snapshots_have_no_heads() {
    assert!(heads(&[]).is_empty());
}
