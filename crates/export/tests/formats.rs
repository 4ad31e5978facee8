//! Text of each format for a record, also with a hostile name.

mod samples;

use process_introspection::FrameFlags;
use process_introspection_export::{
    AddressRecord, Details, Extra, FlagCounts, FlagNames, Folded, Format, Hex, Name, ObjectRecord,
    OwnerRecord, PhysicalRecord, Record, SignedHex, Span, State, Writer,
};
use proptest::prelude::*;
use samples::{physical, swapped, unknown, written};
use serde_json::Value;

const ODD: &[&[u8]] = &[
    b"/a\nb",
    b"/caf\xe9",
    b"/say \"hello\"",
    b"/\x1b[31mred\x1b[0m\x07",
    b"/a,b;c\td",
    b"=1+2",
    b"/back\\slash",
    b"\xff\xfe\n,\"",
    b" lead and trail ",
    b"'quoted",
    b"@SUM(1)",
    "+\u{202e}right to left, \u{9b}31m, \u{e0041}".as_bytes(),
    "\u{ff1d}1".as_bytes(),
    // Between characters that upset terminals, but plain punctuation: hyphen, dash, ellipsis.
    "/a\u{2010}b\u{2013}c\u{2026}".as_bytes(),
];

/// Returns a field of text as a reader of CSV takes it.
fn unmarked(field: &str) -> &str {
    field.strip_prefix('\'').unwrap_or(field)
}

#[test]
fn an_owner_stands_in_a_row_and_its_mapping_below() {
    let written = |record: &OwnerRecord<'_>| {
        let table = samples::written(Format::Table, Some(80), std::slice::from_ref(record));
        table.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let row = "  11c183000     4K page-cache        0    4711 7f44236fc000 x";
    let below = "    r-xp elf /bin/x offset 1000 mapcount 1-2";
    let elsewhere = OwnerRecord {
        unit: None,
        container: None,
        ..samples::owner(b"/bin/x")
    };
    assert_eq!(written(&elsewhere), [row, below]);
    let below = [
        &*format!("{below} unit ssh.service"),
        "    container 9ec39b91f3d7",
    ];
    assert_eq!(
        written(&samples::owner(b"/bin/x")),
        [&[row], &below[..]].concat()
    );
    let named = written(&samples::named(b"/bin/x"));
    let by = "    named by kern.log:12 (memory-failure) and 2 more";
    assert_eq!(named, [&[row], &below[..], &[by]].concat());
    let lost = written(&samples::lost(b"/bin/x"));
    assert!(lost[0].contains(" poisoned "), "{lost:?}");
    let last = lost.last().unwrap();
    assert!(last.ends_with("had it; lost to a memory error"), "{lost:?}");
    let alone = written(&samples::unmapped());
    assert!(
        alone[1].starts_with("    mapped by no process; the kernel does not tell"),
        "{alone:?}"
    );
    let paid = "paid by /system.slice/a.service unit a.service";
    assert!(alone.last().unwrap().ends_with(paid), "{alone:?}");
    let not_found = written(&samples::not_found());
    assert!(
        not_found[1].starts_with("    not found in this PID namespace; processes outside"),
        "{not_found:?}"
    );
    let unread = written(&samples::unread());
    assert!(unread[0].ends_with(" 7            - x"), "{unread:?}");
    assert_eq!(unread[1..], ["    could not be read", "    it has ended"]);
    let gone = written(&samples::gone(b"/bin/x"));
    assert!(gone[0].contains(" swapped "), "{gone:?}");
    assert!(
        gone.last().unwrap().ends_with("was at 11c183000"),
        "{gone:?}"
    );
}

#[test]
fn a_name_is_cut_on_a_narrow_terminal_and_never_left_out() {
    let record = physical(b"/usr/lib/x86_64-linux-gnu/libc.so.6");
    for width in 20..=120 {
        let table = written(Format::Table, Some(width), std::slice::from_ref(&record));
        let row = table.lines().nth(1).unwrap();
        let is_whole = row.ends_with("/usr/lib/x86_64-linux-gnu/libc.so.6");
        assert!(is_whole || row.contains('…'), "{width}: {row}");
        assert!(is_whole || row.chars().count() <= width, "{width}: {row}");
    }
}

#[test]
fn json_of_a_physical_record_is_as_documented() {
    assert_eq!(
        written(
            Format::Json,
            None,
            &[physical(b"/usr/bin/cat"), swapped(b"")]
        ),
        concat!(
            "[\n",
            r#"{"vaddr":"0x7f44236fc000","vpn":34162751228,"size":135168,"paddr":"0x11c183000","#,
            r#""pfn":1163651,"state":"ram","reason":null,"swap":null,"prot":"rw-","shared":false,"kind":"file","#,
            r#""page_size":4096,"offset":"0x1000","dev":"fe:00","ino":247030,"#,
            r#""path":"/usr/bin/cat","node":null,"cache":null,"flags":"0x1700302"}"#,
            ",\n",
            r#"{"vaddr":"0x7f44236fc000","vpn":34162751228,"size":135168,"paddr":null,"#,
            r#""pfn":null,"state":"swapped","reason":null,"swap":{"type":1,"offset":32},"prot":"rw-","shared":false,"#,
            r#""kind":"file","page_size":null,"offset":"0x1000","dev":"fe:00","ino":247030,"#,
            r#""path":null,"node":null,"cache":null,"flags":"0x1700302"}"#,
            "\n]\n",
        )
    );
}

#[test]
fn the_table_of_physical_records_fits_80_columns() {
    let long = physical(b"/usr/lib/x86_64-linux-gnu/libc.so.6");
    assert_eq!(
        written(
            Format::Table,
            Some(80),
            &[long, swapped(b"[heap]"), physical(b""), unknown(b"/dev/x")]
        ),
        "       VADDR    SIZE       PADDR STATE       PROT PAGE KIND    PATH\n\
         7f44236fc000    132K   11c183000 ram         rw-p   4K file    /usr/lib…ibc.so.6\n\
         7f44236fc000    132K        1:20 swapped     rw-p    - file    [heap]\n\
         7f44236fc000    132K   11c183000 ram         rw-p   4K file\n\
         7f44236fc000    132K      driver unknown     rw-p    - file    /dev/x\n"
    );
    let whole = written(Format::Table, None, &[long]);
    assert!(
        whole.ends_with(" /usr/lib/x86_64-linux-gnu/libc.so.6\n"),
        "{whole}"
    );
}

#[test]
fn a_folded_row_says_how_many_records_it_is_and_of_what_states() {
    let folded = |record: PhysicalRecord<'static>, folded| PhysicalRecord {
        folded: Some(folded),
        ..record
    };
    let zero = PhysicalRecord {
        state: State::Zero,
        size: 4096,
        ..physical(b"")
    };
    let zeros = Folded {
        records: 64,
        size: 64 * 4096,
        ..Folded::default()
    };
    let absent = Folded {
        records: 7,
        size: 60 << 10,
        not_present: 44 << 10,
        swapped: 16 << 10,
        guard: 0,
    };
    let records = [folded(zero, zeros), folded(swapped(b"[heap]"), absent)];
    assert_eq!(
        written(Format::Table, Some(80), &records),
        "       VADDR    SIZE       PADDR STATE       PROT PAGE KIND    PATH\n\
         7f44236fc000    256K   11c183000 zero x64    rw-p   4K file\n\
         7f44236fc000     60K           - absent x7   rw-p    - file    [heap]\n    \
         not-present 44K swapped 16K\n"
    );
    // Only the table joins records.
    let plain = [zero, swapped(b"[heap]")];
    for format in [Format::Json, Format::JsonLines, Format::Csv] {
        assert_eq!(
            written(format, None, &records),
            written(format, None, &plain)
        );
    }
}

#[test]
fn a_byte_in_a_record_has_its_own_address_below_the_row() {
    let row = |vaddr| {
        let mut record = physical(b"/x");
        record.set_byte(vaddr);
        let table = written(Format::Table, Some(80), &[record]);
        table.lines().skip(2).map(str::to_owned).collect::<Vec<_>>()
    };
    let below = "    the byte at 7f44236fc123 is at 11c183123";
    assert_eq!(row(0x7f44236fc123), [below]);
    for no_other in [0, 0x7f44236fc000, 0x7f44236fc000 + (132 << 10)] {
        assert!(row(no_other).is_empty(), "{no_other:x}");
    }
    let mut unbacked = swapped(b"/x");
    unbacked.set_byte(0x7f44236fc123);
    assert_eq!(unbacked.byte, None);
}

#[test]
fn no_records_are_an_empty_table_array_or_file() {
    let nothing: &[PhysicalRecord<'_>] = &[];
    assert_eq!(written(Format::Json, None, nothing), "[]\n");
    assert_eq!(written(Format::JsonLines, None, nothing), "");
    assert_eq!(written(Format::Table, None, nothing).lines().count(), 1);
    assert_eq!(written(Format::Csv, None, nothing).lines().count(), 1);
}

#[test]
fn an_array_that_was_not_finished_is_not_complete() {
    let mut out = Vec::new();
    let mut writer = Writer::begin(Format::Json, &mut out, &PhysicalRecord::LAYOUT, None).unwrap();
    writer.write(&physical(b"/x")).unwrap();
    writer.flush().unwrap();
    drop(writer);
    let error = serde_json::from_slice::<Value>(&out).unwrap_err();
    assert!(error.is_eof(), "{error}");
    out.extend_from_slice(b"]");
    assert_eq!(
        serde_json::from_slice::<Value>(&out).unwrap()[0]["path"],
        "/x"
    );
}

#[test]
fn a_record_goes_out_as_soon_as_it_is_flushed() {
    for format in Format::ALL {
        let mut out = Vec::new();
        let mut writer = Writer::begin(format, &mut out, &PhysicalRecord::LAYOUT, None).unwrap();
        writer.write(&physical(b"/first")).unwrap();
        writer.flush().unwrap();
        // Nothing is held back that dropping would write.
        std::mem::forget(writer);
        assert!(out.windows(6).any(|window| window == b"/first"), "{format}");
    }
}

/// Checks that every format contains the name, or its bytes in hexadecimal, and that the name
/// stays in its place.
fn check_name(name: &[u8]) {
    let records = [physical(name), physical(b"/after")];
    let lossy = String::from_utf8_lossy(name);
    let hex: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
    let is_text = std::str::from_utf8(name).is_ok();

    let table = written(Format::Table, None, &records);
    let harmless = |c: char| c == '\n' || !c.is_control();
    assert!(table.chars().all(harmless), "{table:?}");
    assert_eq!(table.matches('\n').count(), 3, "{table:?}");

    let lines = written(Format::JsonLines, None, &records);
    assert_eq!(lines.matches('\n').count(), 2, "{lines:?}");
    // Characters of Unicode's categories Cc, Cf, Zl and Zp: invisible, or of another direction.
    let upsets = |c: char| {
        c != '\n' && c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{feff}')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{e0000}'..='\u{e007f}')
    };
    assert!(!lines.contains(upsets), "{lines:?}");
    let record: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(record["path"].as_str().unwrap_or_default(), lossy);
    assert_eq!(record["path"].is_null(), name.is_empty());
    assert_eq!(
        record.get("path_hex").and_then(Value::as_str),
        (!is_text).then_some(&hex[..])
    );

    let text = written(Format::Csv, None, &records);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2, "{text:?}");
    let field = |field: &str| &rows[0][header.iter().position(|name| name == field).unwrap()];
    assert_eq!(unmarked(field("path")), lossy);
    assert!(
        !field("path").starts_with(['=', '+', '-', '@', '\t', '\r']),
        "{text:?}"
    );
    assert_eq!(field("path_hex"), if is_text { "" } else { &hex });
    assert_eq!(field("flags"), "0x1700302");
}

#[test]
fn odd_names_stay_in_their_place_in_every_format() {
    ODD.iter().for_each(|name| check_name(name));
}

proptest! {
    #[test]
    fn any_name_stays_in_its_place_in_every_format(name: Vec<u8>) {
        check_name(&name);
    }

    #[test]
    fn a_row_is_as_wide_as_the_terminal_at_most(name: Vec<u8>, width in 70usize..200) {
        use unicode_width::UnicodeWidthStr;
        for line in written(Format::Table, Some(width), &[physical(&name)]).lines() {
            prop_assert!(line.width() <= width, "{line:?}");
        }
    }
}

/// Checks that CSV has the fields of JSON, by the same names and in the same order.
fn check_same_fields<R: Record>(records: &[R]) {
    let text = written(Format::Csv, None, records);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header: Vec<_> = reader
        .headers()
        .unwrap()
        .iter()
        .map(str::to_owned)
        .collect();
    let lines = written(Format::JsonLines, None, records);
    for (row, line) in reader.records().zip(lines.lines()) {
        let row = row.unwrap();
        let mut record: serde_json::Map<_, _> = serde_json::from_str(line).unwrap();
        if let Some(swap) = record.remove("swap") {
            record.insert("swap_type".into(), swap["type"].clone());
            record.insert("swap_offset".into(), swap["offset"].clone());
        }
        for (field, text) in header.iter().zip(&row) {
            let value = match record.remove(field) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(value)) => {
                    assert_eq!(unmarked(text), unmarked(&value), "{field}");
                    continue;
                }
                Some(Value::Array(list)) => {
                    let texts = list.iter().map(|one| one.as_str().map(str::to_owned));
                    match texts.collect::<Option<Vec<_>>>() {
                        Some(texts) => texts.join(" > "),
                        None => {
                            let numbers: Vec<_> = list.iter().map(Value::to_string).collect();
                            numbers.join("|")
                        }
                    }
                }
                Some(other) => other.to_string(),
            };
            assert_eq!(unmarked(text), value, "{field}");
        }
        assert!(record.is_empty(), "only in JSON: {record:?}");
    }
}

#[test]
fn csv_and_json_have_the_same_fields() {
    for name in [b"/bin/x".as_slice(), b"\xff,", b""] {
        check_same_fields(&[physical(name), swapped(name)]);
        check_same_fields(&[samples::page_table(name)]);
        check_same_fields(&[samples::virtual_region(name)]);
        check_same_fields(&[samples::resident(name)]);
        check_same_fields(&samples::owner_totals(name));
        check_same_fields(&samples::files(name));
        check_same_fields(&samples::snapshots(name));
        check_same_fields(&samples::machine::frame_groups(name));
        check_same_fields(&[samples::object(name)]);
    }
    check_same_fields(&samples::machine::frame_uses());
    check_same_fields(&samples::machine::frame_changes());
    check_same_fields(&[samples::extent()]);
}

#[test]
fn no_text_that_anybody_chose_is_a_formula_in_csv() {
    let first_of = |text: &str| text.chars().next();
    for name in [
        "=1+2",
        "+1",
        "-1",
        "@x",
        "\t=1",
        "\r=1",
        "\n=1",
        "'x",
        "\u{ff1d}1",
    ] {
        let mut owner = samples::owner(name.as_bytes());
        owner.command = Name(name.as_bytes());
        let mut object = samples::object(name.as_bytes());
        object.open_path = Name(name.as_bytes());
        for (text, fields) in [
            (written(Format::Csv, None, &[owner]), 3),
            (written(Format::Csv, None, &[object]), 3),
        ] {
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let header = reader.headers().unwrap().clone();
            let row = reader.records().next().unwrap().unwrap();
            let mut marked = 0;
            for (field, cell) in header.iter().zip(&row) {
                if cell.ends_with(name) {
                    assert_eq!(first_of(cell), Some('\''), "{field}: {cell}");
                    assert_eq!(&cell[1..], name);
                    marked += 1;
                }
            }
            assert_eq!(marked, fields, "{text}");
        }
    }
    // Numbers and words of our own stay as they are.
    let down = ObjectRecord {
        relocation: Some(SignedHex(-0x1000)),
        prot: "---",
        ..samples::object(b"/x")
    };
    let text = written(Format::Csv, None, &[down]);
    assert!(text.contains(",-0x1000,---,"), "{text}");
}

#[test]
fn csv_for_a_terminal_is_escaped_and_other_csv_is_not() {
    let name = b"/\x1b[31mred\x07";
    let record = [physical(name)];
    assert!(written(Format::Csv, None, &record).contains('\x1b'));
    let layout = &PhysicalRecord::LAYOUT;
    let mut writer = Writer::begin(Format::Csv, Vec::new(), layout, None)
        .unwrap()
        .for_terminal();
    writer.write(&record[0]).unwrap();
    let text = String::from_utf8(writer.finish().unwrap()).unwrap();
    assert!(text.contains(r"/\x1b[31mred\x07"), "{text:?}");
}

#[test]
fn a_command_that_is_not_utf_8_keeps_its_bytes() {
    let mut owner = samples::owner(b"/x");
    owner.command = Name(b"caf\xe9");
    let json = written(Format::JsonLines, None, std::slice::from_ref(&owner));
    let both = "\"command\":\"caf\u{fffd}\",\"command_hex\":\"636166e9\"";
    assert!(json.contains(both), "{json}");
    let csv = written(Format::Csv, None, &[owner]);
    assert!(csv.contains(",caf\u{fffd},636166e9,"), "{csv}");
    let other = written(Format::JsonLines, None, &[samples::owner(b"/x")]);
    assert!(!other.contains("command_hex"), "{other}");
}

#[test]
fn every_table_has_a_cell_for_each_column() {
    let rows = |table: String| assert_eq!(table.lines().count(), 2, "{table}");
    rows(written(Format::Table, None, &[samples::page_table(b"/x")]));
    rows(written(
        Format::Table,
        None,
        &[samples::virtual_region(b"/x")],
    ));
    rows(written(Format::Table, None, &[samples::resident(b"/x")]));
    rows(written(Format::Table, None, &[samples::extent()]));
}

#[test]
fn no_two_states_have_one_name() {
    let mut names: Vec<_> = State::ALL.iter().map(|state| state.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), State::ALL.len());
}

#[test]
fn an_error_of_the_output_is_passed_on() {
    #[derive(Debug)]
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for format in Format::ALL {
        // Enough to fill any buffer on the way, so that it is `write` that fails.
        let failed = Writer::begin(format, Full, &PhysicalRecord::LAYOUT, None)
            .and_then(|mut writer| (0..1000).try_for_each(|_| writer.write(&physical(b"/x"))));
        assert_eq!(
            failed.unwrap_err().kind(),
            std::io::ErrorKind::StorageFull,
            "{format}"
        );
    }
    // And here `finish`, which writes what the output has gathered.
    for format in Format::ALL {
        let out = std::io::BufWriter::new(Full);
        let writer = Writer::begin(format, out, &PhysicalRecord::LAYOUT, None).unwrap();
        let finished = writer.finish();
        match format {
            Format::JsonLines => assert!(finished.is_ok(), "nothing was written"),
            _ => assert_eq!(
                finished.unwrap_err().kind(),
                std::io::ErrorKind::StorageFull
            ),
        }
    }
}

#[test]
fn what_stands_below_a_row_is_indented_and_goes_on_in_further_lines() {
    let record = AddressRecord {
        paddr: Hex(0x1000123),
        pfn: 0x1000,
        kind: "system-ram",
        resources: vec!["System RAM".to_owned(), "Kernel code".to_owned()],
        first: Some(Hex(0x1000000)),
        last: Some(Hex(0x220bb07)),
        node: Some(0),
        flags: Some(FlagNames(FrameFlags::from_bits(0x1f))),
        mapcount: Some(0),
    };
    let expected = [
        "      PADDR KIND              NODE MAPPED RESOURCE",
        "    1000123 system-ram           0      0 S…de",
        "    range 1000000-220bb07",
        "    flags locked error referenced uptodate",
        "    dirty",
        "",
    ];
    assert_eq!(
        written(Format::Table, Some(46), &[record]),
        expected.join("\n")
    );
}

#[test]
fn facts_of_pages_stand_below_a_row_and_say_of_how_many_pages_they_are() {
    let counts = |flags: &[(&str, u64)]| {
        let owned = flags.iter().map(|&(name, count)| (name.to_owned(), count));
        FlagCounts(owned.collect())
    };
    let details = Details {
        pages: 33,
        frames: 33,
        flags: counts(&[("anon", 33), ("lru", 20)]),
        entries: counts(&[("soft_dirty", 2), ("present", 33)]),
        mapcount: Some(Span { min: 1, max: 2 }),
        swap_area: None,
    };
    let record = PhysicalRecord {
        details: Some(&details),
        ..physical(b"/x")
    };
    let extra = &[Extra::Node, Extra::Details];
    let table = samples::written_with(extra, Format::Table, Some(80), &[record]);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines.iter().all(|line| line.len() <= 80), "{table}");
    assert_eq!(
        lines[2],
        "    mapped: 1-2 entries: soft_dirty:2 frames: anon lru:20"
    );
    let csv = samples::written_with(extra, Format::Csv, None, &[record]);
    assert!(
        csv.ends_with(",33,33,anon:33|lru:20,soft_dirty:2|present:33,1,2,\n"),
        "{csv}"
    );
}

#[test]
fn an_object_is_shown_in_lines_that_fit_the_terminal() {
    let table = |record| written(Format::Table, Some(80), &[record]);
    let path = b"/usr/lib/x86_64-linux-gnu/libc.so.6";
    let plain = ObjectRecord {
        open_path: Name(path),
        target_path: Name(path),
        ..samples::object(path)
    };
    let text = table(plain);
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    assert!(text.contains("\npath          /usr/lib/x86_64-linux-gnu/libc.so.6\n"));
    // Paths that repeat the name are left out.
    assert!(
        !text.contains("open_path") && !text.contains("target_path"),
        "{text}"
    );
    let elsewhere = ObjectRecord {
        open_path: Name(b"/proc/7/root/bin/x"),
        ..plain
    };
    assert!(table(elsewhere).ends_with("\nopen_path     /proc/7/root/bin/x\n"));
    let unreachable = ObjectRecord {
        open_path: Name(b""),
        ..plain
    };
    assert!(!table(unreachable).contains("open_path"));
    let hostile = samples::object(b"/a\nb\x1b[2J");
    assert!(table(hostile).contains("\npath          /a\\nb\\x1b[2J\n"));
}

#[test]
fn a_relocation_downwards_has_a_sign() {
    for (relocation, text) in [
        (0, "0x0"),
        (0x1000, "0x1000"),
        (-0x1000, "-0x1000"),
        (i64::MIN, "-0x8000000000000000"),
    ] {
        let record = ObjectRecord {
            relocation: Some(SignedHex(relocation)),
            ..samples::object(b"/x")
        };
        let line = written(Format::JsonLines, None, &[record]);
        assert!(
            line.contains(&format!("\"relocation\":\"{text}\"")),
            "{line}"
        );
    }
}
