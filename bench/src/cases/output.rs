//! Cases of output: the time of one physical record in each format, without the walk, into
//! a buffered output that discards it.

use std::collections::HashMap;
use std::hint::black_box;
use std::io::{sink, BufWriter};
use std::time::Instant;

use process_introspection::Device;
use process_introspection_dataset::stream::Stream;
use process_introspection_export::{
    DeviceNumber, Format, Hex, Name, PhysicalRecord, Record, State, Writer,
};

use crate::row::{Bound, Outcome, Unit};
use crate::session::{Case, Session};
use crate::spread::Spread;

/// Number of different records. They stay in the cache, as those of a walk do.
const RECORDS: u64 = 1000;
/// Number of times that each of them is written in one measurement.
const TIMES: usize = 100;

pub(crate) fn run(session: &mut Session) {
    let names = Format::ALL.map(|format| format!("a physical record as {}", format.name()));
    for (name, format) in names.iter().zip(Format::ALL) {
        add(session, name, Bound::Shown, |records| {
            let out = BufWriter::with_capacity(64 << 10, sink());
            let layout = &PhysicalRecord::LAYOUT;
            let mut writer = Writer::begin(format, out, layout, None).expect("a sink");
            for record in all(records) {
                writer.write(record).expect("a sink");
            }
            writer.finish().expect("a sink");
        });
    }
    // One thread makes and writes the batches.
    let most = Bound::AtMost(60e-9);
    add(session, "a physical record as arrow", most, |records| {
        let out = BufWriter::with_capacity(64 << 10, sink());
        let layout = &PhysicalRecord::LAYOUT;
        let mut stream = Stream::begin(out, layout, HashMap::new()).expect("a sink");
        for record in all(records) {
            stream.write(record).expect("a sink");
        }
        stream.finish().expect("a sink");
    });
}

fn add(session: &mut Session, name: &str, bound: Bound, write: impl Fn(&[PhysicalRecord<'_>])) {
    if !session.wants(&[name]) {
        return;
    }
    let records: Vec<_> = (0..RECORDS).map(record).collect();
    let seconds = |_| {
        let begun = Instant::now();
        write(black_box(&records));
        begun.elapsed().as_secs_f64() / (RECORDS as f64 * TIMES as f64)
    };
    // The first run, which is slower, is not counted.
    let seconds: Vec<_> = (0..=session.rounds).map(seconds).skip(1).collect();
    let case = Case::new(name, "nothing: without the walk", bound);
    session.add(case, Outcome::Amount(Spread::of(seconds), Unit::Seconds));
}

fn all<'a>(records: &'a [PhysicalRecord<'a>]) -> impl Iterator<Item = &'a PhysicalRecord<'a>> {
    std::iter::repeat_n(records, TIMES).flatten()
}

/// Returns a record as of a walk, of a page that is next to none of the others in physical
/// memory.
fn record(index: u64) -> PhysicalRecord<'static> {
    let vaddr = 0x7f12_3400_0000 + index * 0x1000;
    let paddr = index * 7919 % 0x100_0000 * 0x1000;
    PhysicalRecord {
        process: None,
        vaddr: Hex(vaddr),
        vpn: vaddr >> 12,
        size: 4096,
        paddr: Some(Hex(paddr)),
        pfn: Some(paddr >> 12),
        state: State::Ram,
        reason: None,
        swap: None,
        prot: "r-x",
        shared: false,
        kind: "elf",
        page_size: Some(4096),
        offset: Hex(index * 0x1000),
        dev: DeviceNumber(Device {
            major: 0xfe,
            minor: 0,
        }),
        ino: 326_279,
        path: Name(b"/usr/lib/x86_64-linux-gnu/libc.so.6"),
        node: None,
        cache: None,
        flags: Hex(0x170_0522),
        byte: None,
        folded: None,
        details: None,
    }
}
