//! Records sorted by one of their fields.

mod samples;

use process_introspection_export::{Fields, MappingUsageRecord, SortField, SummaryRecord};

fn sorted<R: Fields>(mut records: Vec<R>, column: &str) -> Vec<R> {
    let field = SortField::find(R::FIELDS, column).unwrap();
    records.sort_by_key(|record| field.key(record));
    records
}

fn summary(pid: u32, command: &str, pss: Option<u64>) -> SummaryRecord {
    let mut record = samples::summary(true);
    (record.pid, record.command) = (pid, command.to_owned());
    record.total.pss = pss;
    record
}

#[test]
fn numbers_descend_texts_ascend_and_null_is_last() {
    let records = || {
        let facts = [(1, "b", None), (2, "a", Some(7)), (3, "c", Some(70))];
        let records = facts.map(|(pid, command, pss)| summary(pid, command, pss));
        records.to_vec()
    };
    let by = |column| {
        sorted(records(), column)
            .iter()
            .map(|it| it.pid)
            .collect::<Vec<_>>()
    };
    assert_eq!(by("total.pss"), [3, 2, 1]);
    assert_eq!(by("command"), [2, 1, 3]);
    assert_eq!(by("pid"), [3, 2, 1]);
    // All equal: the order stays.
    assert_eq!(by("contiguity.extents"), [1, 2, 3]);
}

#[test]
fn a_group_without_a_value_is_last_and_flat_groups_need_no_name() {
    let [mut without, with] = [1, 2].map(|pid| summary(pid, "x", None));
    without.contiguity = None;
    let pids: Vec<_> = sorted(vec![without, with], "contiguity.extents")
        .iter()
        .map(|record| record.pid)
        .collect();
    assert_eq!(pids, [2, 1]);
    let mut records = [1, 2, 3].map(|_| samples::mapping_usage(b"/bin/x", true));
    for (record, (vaddr, swap)) in records.iter_mut().zip([(7, 1), (5, 9), (6, 4)]) {
        (record.vaddr.0, record.usage.swap) = (vaddr, swap);
    }
    let by = |column| {
        let sorted: Vec<MappingUsageRecord<'_>> = sorted(records.to_vec(), column);
        sorted
            .iter()
            .map(|record| record.vaddr.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(by("swap"), [5, 6, 7]);
    assert_eq!(by("vaddr"), [5, 6, 7]);
}

#[test]
fn an_unknown_column_is_an_error_that_lists_the_others() {
    for name in [
        "pss",
        "total",
        "kinds",
        "kinds.kind",
        "total.",
        "nodes",
        "",
        "total.pss.x",
    ] {
        let error = SortField::find(SummaryRecord::FIELDS, name).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("\"{name}\"")), "{text}");
        for known in [
            "pid",
            "total.pss",
            "huge_pages.mapped",
            "contiguity.extents",
        ] {
            let words: Vec<_> = text.split([' ', ',']).collect();
            assert!(words.contains(&known), "{text}");
            assert!(SortField::find(SummaryRecord::FIELDS, known).is_ok());
        }
    }
}
