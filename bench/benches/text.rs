//! Parsing the text of `maps`, without reading it, in bytes of text per second.

use std::hint::black_box;

use criterion::{criterion_group, criterion_main, Criterion, Throughput};
use process_introspection_core::pure::parse;

/// Returns lines as of a program with many libraries.
fn with_paths() -> Vec<u8> {
    let lines = (0..10_000u64).map(|index| {
        let start = 0x7f12_3400_0000 + index * 0x5000;
        let end = start + 0x4000;
        let (offset, inode) = (index % 5 * 0x1000, 1_835_000 + index / 5);
        format!(
            "{start:x}-{end:x} r-xp {offset:08x} fe:00 {inode:<27}/usr/lib/x86_64-linux-gnu/libexample-{}.so.1.2.{index}\n",
            index / 5
        )
    });
    lines.collect::<String>().into_bytes()
}

/// Returns lines as of many small anonymous mappings.
fn anonymous() -> Vec<u8> {
    let lines = (0..10_000u64).map(|index| {
        let start = 0x7f12_3400_0000 + index * 0x1000;
        format!("{start:x}-{:x} rw-p 00000000 00:00 0 \n", start + 0x1000)
    });
    lines.collect::<String>().into_bytes()
}

fn parsing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("text of maps");
    for (name, text) in [("with paths", with_paths()), ("anonymous", anonymous())] {
        let lines: Vec<&[u8]> = text
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .collect();
        assert!(lines.iter().all(|line| parse(line).is_some()), "{name}");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for line in black_box(&lines) {
                    black_box(parse(line));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, parsing);
criterion_main!(benches);
