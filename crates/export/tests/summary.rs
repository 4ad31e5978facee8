//! Summary as a picture, in JSON and in CSV: equal numbers, no number for an unknown one, and
//! JSON as its schema describes it.

mod samples;

use process_introspection::{GroupFrames, GroupMemory, HugePolicy};
use process_introspection_export::{
    Format, KindRecord, NodeRecord, ProcessLine, Record, SummaryPicture, SummaryRecord, TotalLine,
    UnusedHugePages, Writer,
};
use samples::{policy, summary, usage, written};
use serde_json::{json, Value};

fn schema() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/schemas/summary.json"
    );
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap()
}

/// Returns copies of a value, each with a field at any depth removed or replaced.
fn spoilt(value: &Value) -> Vec<Value> {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut other = value.clone();
        change(&mut other);
        other
    };
    let mut all = Vec::new();
    if let Some(object) = value.as_object() {
        all.push(with(&|value| value["surprise"] = json!(1)));
        for (name, inner) in object {
            all.push(with(&|value| {
                value.as_object_mut().unwrap().remove(name);
            }));
            all.push(with(&|value| value[name] = json!({"surprise": []})));
            let within = spoilt(inner).into_iter();
            all.extend(within.map(|inner| with(&|value| value[name] = inner.clone())));
        }
    }
    for (index, inner) in value.as_array().into_iter().flatten().enumerate() {
        let within = spoilt(inner).into_iter();
        all.extend(within.map(|inner| with(&|value| value[index] = inner.clone())));
    }
    all
}

#[test]
fn the_schema_of_summaries_takes_what_is_written_and_nothing_else() {
    let schema = schema();
    assert!(jsonschema::draft202012::meta::is_valid(&schema));
    let array = jsonschema::draft202012::new(&schema).unwrap();
    for known in [true, false] {
        let records = [summary(known)];
        let json = written(Format::Json, None, &records);
        let whole: Value = serde_json::from_str(&json).unwrap();
        if let Err(error) = array.validate(&whole) {
            panic!("{error} in {whole}");
        }
        let all = spoilt(&whole);
        assert!(all.len() > 40, "{}", all.len());
        for spoilt in all {
            assert!(!array.is_valid(&spoilt), "{spoilt}");
        }
        // A picture is the same record.
        let picture = SummaryPicture {
            record: &records[0],
            missing: &[],
            by_node: false,
            ascii: false,
        };
        assert_eq!(written(Format::Json, None, &[picture]), json);
        let line = [ProcessLine(&records[0])];
        assert_eq!(written(Format::Json, None, &line), json);
    }
}

fn picture(record: &SummaryRecord, width: Option<usize>, ascii: bool) -> String {
    let missing = ["no addresses".to_owned()];
    let missing: &[String] = if record.total.pss.is_some() {
        &[]
    } else {
        &missing
    };
    let picture = SummaryPicture {
        record,
        missing,
        by_node: false,
        ascii,
    };
    written(Format::Table, width, &[picture])
}

#[test]
fn a_picture_fits_the_terminal_and_one_screen() {
    let mut largest = summary(true);
    largest.mappings = 65_530;
    largest.total.virt = u64::MAX;
    let most = 1023 << 30;
    largest.contiguity.as_mut().unwrap().largest = vec![most; 5];
    largest.total.resident = 16 * most;
    largest.huge_pages.as_mut().unwrap().policies = HugePolicy::ALL
        .map(|of| policy(of, "hugepages-2048kB/shmem_enabled=within_size", most, most))
        .to_vec();
    let nodes = (0..8).map(|node| NodeRecord {
        node: Some(node),
        bytes: most,
    });
    largest.nodes = Some(nodes.collect());
    let why = "addresses need a privilege: without it there are none, ".repeat(3);
    for width in [None, Some(60), Some(76), Some(80), Some(200)] {
        for record in [&summary(true), &summary(false), &largest] {
            for ascii in [true, false] {
                let picture = SummaryPicture {
                    record,
                    missing: std::slice::from_ref(&why),
                    by_node: ascii,
                    ascii,
                };
                let text = written(Format::Table, width, &[picture]);
                for line in text.lines() {
                    let columns = line.chars().count();
                    assert!(columns <= width.unwrap_or(80), "{columns}: {line}");
                    assert!(!ascii || line.is_ascii(), "{line}");
                    assert_eq!(line.trim_end(), line);
                }
                // No process has every policy.
                let policies = record
                    .huge_pages
                    .as_ref()
                    .map_or(0, |huge| huge.policies.len());
                let narrow = if width.is_some_and(|width| width < 80) {
                    5
                } else {
                    0
                };
                let lines = 42 + narrow + if policies > 3 { 4 * policies } else { 0 };
                assert!(text.lines().count() < lines, "{text}");
            }
        }
    }
}

#[test]
fn columns_of_usage_stand_below_their_titles_however_many_mappings_there_are() {
    for width in [60, 80] {
        for mappings in [1, 65_530] {
            let mut record = summary(true);
            record.mappings = mappings;
            let text = picture(&record, Some(width), true);
            let mut lines = text.lines().skip_while(|line| !line.starts_with("KIND"));
            let ends = |line: &str, cell: &str| line.find(cell).map(|at| at + cell.len());
            let titles = lines.next().unwrap();
            for line in lines.take(2) {
                for (title, cell) in [("VIRTUAL", "300M"), ("PSS", "9.00M"), ("ZERO", "8K")] {
                    assert_eq!(ends(line, cell), ends(titles, title), "{text}");
                }
            }
        }
    }
}

#[test]
fn the_sum_of_a_table_counts_each_page_once_and_shows_unused_pools_below() {
    let mut record = summary(true);
    record.command = "2 processes".to_owned();
    let mut frames = GroupFrames::default();
    (frames.own, frames.shared) = (Some(9 << 20), Some(1 << 20));
    (frames.resident, frames.hugetlb) = (8 << 20, 2 << 20);
    let mut memory = GroupMemory::default();
    memory.frames = Some(frames);
    let table = |memory| {
        let layout = &TotalLine::LAYOUT;
        let mut writer = Writer::begin(Format::Table, Vec::new(), layout, Some(80)).unwrap();
        let record = &record;
        writer.write(&TotalLine { record, memory }).unwrap();
        let unused = UnusedHugePages {
            size: 2 << 20,
            unused: 24 << 20,
            reserved: 4 << 20,
        };
        writer.write(&unused).unwrap();
        String::from_utf8(writer.finish().unwrap()).unwrap()
    };
    let expected = "    \
    PID RESIDENT   PSS   USS  SWAP HUGETLB HUGE EXTENTS COMMAND
  total       8M 9.00M    8M    4K      2M  33%    1540 2 processes
    of their own: 9M, shared with others: 1M, each page once
      -        -     -     -     -     24M    -       - unused hugetlb
    pages of 2M that are set aside and not used; reserved by mappings: 4M
";
    assert_eq!(table(Some(&memory)), expected);
    let unknown = table(None);
    let total = unknown.lines().nth(1).unwrap();
    let expected = "  total        - 9.00M    8M    4K       -  33%    1540 2 processes";
    assert_eq!(total, expected);
}

#[test]
fn a_process_without_memory_has_no_tables_of_nothing() {
    let mut record = summary(true);
    record.mappings = 0;
    let text = picture(&record, Some(80), true);
    let expected =
        "4711 database --port 1\n  (it has no memory: it belongs to the kernel, or has ended)\n";
    assert_eq!(text, expected);
    // hugetlb is memory, too.
    let mut record = summary(true);
    record.total.resident = 0;
    let huge_pages = record.huge_pages.as_mut().unwrap();
    huge_pages.mapped = 0;
    let text = picture(&record, Some(80), true);
    let expected = "HUGE PAGES map 2M, 100% of memory (hugetlb 2M, THP of 2M 0)\n";
    assert!(text.contains(expected), "{text}");
    // Mappings of which nothing is in memory.
    record.total.hugetlb = 0;
    let text = picture(&record, Some(80), true);
    assert!(
        text.contains("HUGE PAGES of 2M: nothing is resident"),
        "{text}"
    );
}

#[test]
fn a_picture_shows_what_is_known_and_says_what_is_not() {
    let known = picture(&summary(true), Some(80), true);
    for part in [
        "4711 database --port 1",
        "anon              300M      12M    9.00M       8M       4K       8K       2M",
        "64K folio               2M   14%",
        "HUGE PAGES map 6M, 42% of memory (hugetlb 2M, THP of 2M 4M); the rest:",
        "a huge page counts whole: how much of it is used, the kernel does not export\n",
        "EXTENTS 1540 (scatter-gather descriptors for all 14M)",
        "largest 4M 4M 4K",
        "at least 64K: 8M (57%)",
        "4M-8M                   8M   57%       2x ####",
        "  shmem_enabled=never  2.75M   19% ",
        "shmem_enabled=never: 2.50M would be eligible with shmem_enabled=always",
        "set: enabled=madvise shmem_enabled=never defrag=defer max_ptes_none=511",
        "  khugepaged: defrag=1 pages_to_scan=4096 scan_sleep_millisecs=10000; sizes:\n    64K=always 2M=inherit,shmem:advise\n",
        "unknown: 4M 28%   1: 10M 71%",
    ] {
        assert!(known.contains(part), "{part} is not in\n{known}");
    }
    let unknown = picture(&summary(false), Some(80), true);
    let anon = "anon              300M      12M        -        -       4K        -       2M";
    assert!(unknown.contains(anon), "{unknown}");
    assert!(unknown.contains("(no addresses)"), "{unknown}");
    for part in ["EXTENTS", "PAGES", "nodes"] {
        assert!(!unknown.contains(part), "{unknown}");
    }
}

#[test]
fn a_command_line_cannot_upset_a_terminal() {
    let mut record = summary(true);
    record.command = "evil\u{1b}[2J\nname ".to_owned() + &"x".repeat(300);
    let text = picture(&record, Some(80), true);
    assert!(text.starts_with("4711 evil\\x1b[2J\\nname "), "{text}");
    assert!(text.lines().next().unwrap().chars().count() <= 80);
}

#[test]
fn pictures_stand_apart() {
    let record = summary(true);
    let one = SummaryPicture {
        record: &record,
        missing: &[],
        by_node: false,
        ascii: true,
    };
    let alone = written(Format::Table, Some(80), std::slice::from_ref(&one));
    let two = written(Format::Table, Some(80), &[one.clone(), one]);
    assert_eq!(two, format!("{alone}\n{alone}"));
}

/// Collects all numbers of a JSON value.
fn numbers(value: &Value, all: &mut Vec<u64>) {
    match value {
        Value::Number(number) => all.push(number.as_u64().unwrap()),
        Value::Array(values) => values.iter().for_each(|value| numbers(value, all)),
        Value::Object(fields) => fields.values().for_each(|value| numbers(value, all)),
        _ => {}
    }
}

#[test]
fn csv_has_the_numbers_of_json() {
    for known in [true, false] {
        let records = [summary(known)];
        let json = written(Format::Json, None, &records);
        let mut expected = Vec::new();
        numbers(&serde_json::from_str(&json).unwrap(), &mut expected);
        let text = written(Format::Csv, None, &records);
        let mut lines = text.lines();
        let header: Vec<_> = lines.next().unwrap().split(',').collect();
        assert_eq!(header, SummaryRecord::LAYOUT.header());
        let mut found = Vec::new();
        for line in lines {
            let cells: Vec<_> = line.split(',').collect();
            assert_eq!(cells.len(), header.len(), "{line}");
            assert_eq!(cells[..2], ["4711", "database --port 1"]);
            let node = cells[3]
                .rsplit(':')
                .next()
                .and_then(|node| node.parse::<u64>().ok());
            found.extend(node.filter(|_| cells[2].ends_with("node")));
            let item = &cells[4..];
            found.extend(item.iter().filter_map(|cell| cell.parse::<u64>().ok()));
        }
        for number in &found {
            assert!(expected.contains(number), "{number} is not in {json}");
        }
        // The process, and how many mappings, are told otherwise.
        for number in expected
            .iter()
            .filter(|&&number| number != 4711 && number != 12)
        {
            assert!(found.contains(number), "{number} is not in {text}");
        }
    }
}

/// Returns the table's text about one policy of 10 MiB.
fn said_of(of: HugePolicy, setting: &str, eligible: u64) -> String {
    let mut record = summary(true);
    let huge = record.huge_pages.as_mut().unwrap();
    huge.policy = 10 << 20;
    huge.policies = vec![policy(of, setting, 10 << 20, eligible)];
    let text = picture(&record, Some(80), true);
    let lines = text.lines().skip_while(|line| !line.starts_with("HUGE"));
    let section: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    section
        .iter()
        .map(|line| line.trim())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn policy_is_the_first_reason_by_its_name_with_what_would_change_it() {
    for (of, setting, first, would) in [
        (HugePolicy::NoKernelSupport, "", "no kernel support", ""),
        (
            HugePolicy::ProcessDisabled,
            "",
            "PR_SET_THP_DISABLE",
            "8M would be subject to enabled=madvise shmem_enabled=never",
        ),
        (
            HugePolicy::EnabledNever,
            "hugepages-2048kB/enabled=never",
            "enabled=never",
            "8M would be eligible with hugepages-2048kB/enabled=always, or with",
        ),
        (
            HugePolicy::NotAdvised,
            "enabled=madvise",
            "enabled=madvise",
            "8M would be eligible with madvise(MADV_HUGEPAGE), or with enabled=always",
        ),
        (
            HugePolicy::AdvisedAgainst,
            "",
            "MADV_NOHUGEPAGE",
            "8M would be eligible with madvise(MADV_HUGEPAGE) instead",
        ),
        (
            HugePolicy::SharedNever,
            "shmem_enabled=deny",
            "shmem_enabled=deny",
            "8M would be eligible with shmem_enabled=always, or with shmem_enabled=advise and",
        ),
        (
            HugePolicy::SharedNotAdvised,
            "shmem_enabled=advise",
            "shmem_enabled=advise",
            "8M would be eligible with madvise(MADV_HUGEPAGE), or with shmem_enabled=always",
        ),
        (
            HugePolicy::TmpfsNever,
            "huge=never",
            "tmpfs huge=never",
            "8M would be eligible if the tmpfs were mounted with huge=always",
        ),
        (
            HugePolicy::TmpfsNotAdvised,
            "huge=advise",
            "tmpfs huge=advise",
            "8M would be eligible with madvise(MADV_HUGEPAGE), or with the tmpfs",
        ),
        (HugePolicy::PrivateCopy, "", "private copies", ""),
        (HugePolicy::SpecialMapping, "", "special mappings", ""),
        (
            HugePolicy::NotEligible,
            "",
            "not eligible",
            "8M is in whole blocks",
        ),
        (
            HugePolicy::AdviceUnread,
            "enabled=madvise",
            "enabled=madvise?",
            "8M can be huge only with MADV_HUGEPAGE; whether mappings have it was not read",
        ),
    ] {
        let text = said_of(of, setting, 8 << 20);
        let (_, reasons) = text.split_once("the rest: ").unwrap();
        assert!(reasons.starts_with(&format!("{first} ")), "{text}");
        assert!(reasons.contains(would), "{text}");
        assert_eq!(
            reasons.contains(&format!("{first}: ")),
            !would.is_empty(),
            "{text}"
        );
        // Where nothing would be eligible, no other policy is recommended.
        let text = said_of(of, setting, 0);
        assert!(!text.contains("would be"), "{text}");
    }
}

#[test]
fn memory_by_kind_and_node_is_shown_where_there_are_several_and_others_are_added_up() {
    let mut record = summary(true);
    let node = |node, mib: u64| NodeRecord {
        node,
        bytes: mib << 20,
    };
    let of_kind = |kind, nodes| KindRecord {
        kind,
        usage: usage(true),
        nodes: Some(nodes),
    };
    record.kinds = vec![
        of_kind("anon", vec![node(Some(0), 30), node(Some(2), 5)]),
        of_kind("shm", vec![node(None, 1), node(Some(0), 4)]),
        of_kind("vvar", Vec::new()),
    ];
    record.nodes = Some(vec![node(None, 1), node(Some(0), 34), node(Some(2), 5)]);
    let shown = |record: &SummaryRecord, by_node, width| {
        let picture = SummaryPicture {
            record,
            missing: &[],
            by_node,
            ascii: true,
        };
        let text = written(Format::Table, Some(width), &[picture]);
        let section = text.rsplit("\n\n").next().unwrap();
        section.to_owned()
    };
    let expected = "\
MEMORY ON           N0       N2       N?
anon               30M       5M        0
shm                 4M        0       1M
all                34M       5M       1M
                   85%      12%       2%
";
    assert_eq!(shown(&record, true, 80), expected);
    // On a machine with one node there is no table.
    assert_eq!(
        shown(&record, false, 80),
        "nodes   unknown: 1M 2%   0: 34M 85%   2: 5M 12%\n"
    );
    // The nodes with the most memory are shown.
    let many: Vec<_> = (0..64)
        .map(|id| node(Some(id), 1 + u64::from(id)))
        .collect();
    record.kinds = vec![of_kind("anon", many.clone())];
    record.nodes = Some(many);
    let text = shown(&record, true, 80);
    let mut lines = text.lines();
    let titles: Vec<_> = lines.next().unwrap().split_whitespace().skip(2).collect();
    assert_eq!(titles, ["N58", "N59", "N60", "N61", "N62", "N63", "OTHERS"]);
    let cells: Vec<_> = lines.next().unwrap().split_whitespace().skip(1).collect();
    assert_eq!(cells, ["59M", "60M", "61M", "62M", "63M", "64M", "1.67G"]);
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    assert!(shown(&record, true, 60)
        .lines()
        .all(|line| line.len() <= 60));
}
