//! The bytes of every format for the samples of every kind of record, compared with
//! `bytes.txt`; with `PIN_BYTES=1` this test writes that file.

mod samples;

use std::fmt::Write as _;

use process_introspection_export::{
    Extra, Folded, Format, MachinePicture, PhysicalRecord, ProcessLine, Record, State,
    SummaryPicture,
};

const NAMES: [&[u8]; 3] = [
    b"/usr/lib/x86_64-linux-gnu/libc.so.6",
    b"",
    b"=/caf\xe9,\x1b\"\\\n\xe2\x80\xae\xc3\xa9",
];

fn add<R: Record>(kind: &str, records: &[R], text: &mut String) {
    add_with(&[], kind, records, text);
}

fn add_with<R: Record>(extra: &'static [Extra], kind: &str, records: &[R], text: &mut String) {
    for format in Format::ALL {
        for width in [Some(80), None] {
            if width.is_none() || format == Format::Table {
                let written = samples::written_with(extra, format, width, records);
                writeln!(text, "== {kind} {format} {width:?}\n{written}").unwrap();
            }
        }
    }
}

/// Each record is written by itself too, so that what stands between two of them
/// is compared as well.
fn add_all(text: &mut String) {
    let of_names = |kind: &str, text: &mut String, write: &dyn Fn(&[u8], &mut String)| {
        writeln!(text, "=== {kind}").unwrap();
        NAMES.iter().for_each(|name| write(name, text));
    };
    of_names("physical", text, &|name, text| {
        let mut byte = samples::physical(name);
        byte.set_byte(0x7f44236fc123);
        let folded = |record, state, records| PhysicalRecord {
            state,
            folded: Some(Folded {
                records,
                size: 64 << 12,
                not_present: 1 << 12,
                swapped: 2 << 12,
                guard: 0,
            }),
            ..record
        };
        let records = [
            samples::physical(name),
            samples::swapped(name),
            samples::unknown(name),
            byte,
            folded(samples::physical(name), State::Zero, 64),
            folded(samples::swapped(name), State::Swapped, 3),
        ];
        add("physical", &records, text);
        add_with(&[Extra::Node], "physical with nodes", &records, text);
        let mut listed = records;
        listed[0].process = Some(samples::identity(name));
        let listed = &listed[..1];
        add_with(&[Extra::Process], "physical of processes", listed, text);
        let details = [None, Some("/swap\u{1b}=")].map(samples::details);
        let detailed = records.map(|record| PhysicalRecord {
            details: Some(&details[usize::from(record.swap.is_some())]),
            ..record
        });
        let extra = &[Extra::Node, Extra::Details];
        add_with(extra, "physical with details", &detailed, text);
    });
    of_names("page table", text, &|name, text| {
        let mut unmapped = samples::page_table(b"");
        (unmapped.kind, unmapped.state, unmapped.prot) = (None, State::Unmapped, "---");
        (unmapped.paddr, unmapped.pfn, unmapped.node) = (None, None, None);
        let mut swapped = samples::page_table(name);
        swapped.swap = samples::swapped(name).swap;
        (swapped.paddr, swapped.pfn) = (None, None);
        let records = [samples::page_table(name), unmapped, swapped];
        add("page table", &records, text);
        let details = samples::details(None);
        let mut detailed = records;
        for record in &mut detailed {
            record.details = Some(&details);
        }
        let extra = &[Extra::Details];
        add_with(extra, "page table with details", &detailed, text);
    });
    of_names("others", text, &|name, text| {
        add("virtual", &[samples::virtual_region(name)], text);
        let mut unknown = samples::resident(name);
        unknown.huge = None;
        add("resident", &[samples::resident(name), unknown], text);
        let process = Some(samples::identity(b"comm"));
        let mut mapping = samples::virtual_region(name);
        mapping.process = process;
        let extra = &[Extra::Process];
        add_with(extra, "virtual of processes", &[mapping], text);
        unknown.process = process;
        add_with(extra, "resident of processes", &[unknown], text);
        add("owner by process", &samples::owner_totals(name), text);
        add("files", &samples::files(name), text);
        add("snapshots", &samples::snapshots(name), text);
        let machine = [true, false].map(|whole| samples::machine::machine(name, whole));
        add("machine", &machine, text);
        let picture = |ascii| {
            machine
                .each_ref()
                .map(|record| MachinePicture { record, ascii })
        };
        add("machine picture", &picture(false), text);
        add("machine picture in ASCII", &picture(true), text);
        add("machine group", &samples::machine::frame_groups(name), text);
        let mut object = samples::object(name);
        (object.build_id, object.linked_vaddr, object.relocation) = (None, None, None);
        add("object", &[samples::object(name), object], text);
        let records = [true, false].map(|known| samples::mapping_usage(name, known));
        add("mapping usage", &records, text);
        let extra = &[Extra::Pid];
        add_with(extra, "mapping usage of processes", &records, text);
        let groups = [true, false].map(|known| samples::group(name, known));
        add("groups", &groups, text);
        let records = [
            samples::owner(name),
            samples::named(name),
            samples::unmapped(),
            samples::not_found(),
            samples::unread(),
            samples::lost(name),
            samples::gone(name),
        ];
        add("owner", &records, text);
    });
    add("machine use", &samples::machine::frame_uses(), text);
    let changes = samples::machine::frame_changes();
    add("frame change", &changes, text);
    add("extents", &[samples::extent()], text);
    let mut metrics = samples::metrics();
    add("metrics", &metrics, text);
    add_with(&[Extra::Node], "metrics of zones", &metrics, text);
    metrics[0].process = Some(samples::identity(b"comm"));
    let extra = &[Extra::Process];
    add_with(extra, "metrics of processes", &metrics[..1], text);
    let addresses = [samples::address(), samples::hidden_address()];
    add("address", &addresses, text);
    let mut total = samples::summary(true);
    (total.pid, total.command_hex) = (0, Some("ff".to_owned()));
    total.command = "=\u{1b}é\n".to_owned();
    let summaries = [samples::summary(true), samples::summary(false), total];
    add("summary", &summaries, text);
    let lines: Vec<_> = summaries.iter().map(ProcessLine).collect();
    add("processes", &lines, text);
    for by_node in [true, false] {
        let pictures = summaries.iter().map(|record| SummaryPicture {
            record,
            missing: &[],
            by_node,
            ascii: by_node,
        });
        add("picture", &pictures.collect::<Vec<_>>(), text);
    }
}

#[test]
fn every_format_has_the_bytes_that_it_had() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bytes.txt");
    let mut text = String::new();
    add_all(&mut text);
    if std::env::var_os("PIN_BYTES").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap();
    for (line, (written, expected)) in text.lines().zip(expected.lines()).enumerate() {
        assert_eq!(written, expected, "line {}", line + 1);
    }
    assert_eq!(text, expected);
}
