//! Writing records: records per second, into a buffered output that discards
//! them. A million a second is a microsecond each.

use std::collections::HashMap;
use std::hint::black_box;
use std::io::{sink, BufWriter};

use criterion::{criterion_group, criterion_main, Criterion, Throughput};
use process_introspection::Device;
use process_introspection_dataset::stream::Stream;
use process_introspection_export::{
    DeviceNumber, Format, Hex, Name, PhysicalRecord, Record, State, Writer,
};

const COUNT: u64 = 10_000;

/// Records as of a walk, each elsewhere in physical memory.
fn records() -> Vec<PhysicalRecord<'static>> {
    let record = |index: u64| {
        let (vaddr, paddr) = (
            0x7f12_3400_0000 + index * 0x1000,
            index * 7919 % 0x100_0000 * 0x1000,
        );
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
    };
    (0..COUNT).map(record).collect()
}

fn writing(criterion: &mut Criterion) {
    let records = records();
    let mut group = criterion.benchmark_group("output");
    group.throughput(Throughput::Elements(COUNT));
    for format in Format::ALL {
        group.bench_function(format.name(), |bencher| {
            bencher.iter(|| {
                let out = BufWriter::with_capacity(64 << 10, sink());
                let layout = &PhysicalRecord::LAYOUT;
                let mut writer = Writer::begin(format, out, layout, None).expect("a sink");
                for record in black_box(&records) {
                    writer.write(record).expect("a sink");
                }
                writer.finish().expect("a sink")
            });
        });
    }
    group.bench_function("arrow", |bencher| {
        bencher.iter(|| {
            let out = BufWriter::with_capacity(64 << 10, sink());
            let layout = &PhysicalRecord::LAYOUT;
            let mut stream = Stream::begin(out, layout, HashMap::new()).expect("a sink");
            for record in black_box(&records) {
                stream.write(record).expect("a sink");
            }
            stream.finish().expect("a sink")
        });
    });
    group.finish();
}

criterion_group!(benches, writing);
criterion_main!(benches);
