//! Targets in turmoil, walked by every way that the Rust library has. A test
//! binary of its own, because it watches what this process uses.

use std::ops::{ControlFlow, Range};

use process_introspection::{Error, PhysicalRegion, Process};
use process_introspection_core::flags::QnxFlags;
use testkit::machine::is_root_or_skip;
use testkit::storm::{run, Mapped, Piece, Walker};

fn piece(region: &PhysicalRegion) -> Piece {
    Piece {
        start: region.virt.start().as_u64(),
        end: region.virt.end().as_u64(),
        address: region.backing.address().map(|address| address.as_u64()),
    }
}

fn opened(pid: u32, (no_query, no_scan): (bool, bool)) -> Result<Process, Error> {
    let process = Process::open(pid)?;
    process.as_core().disable_features(no_query, no_scan);
    Ok(process)
}

type Way = (bool, bool);

fn serial(pid: u32, range: Range<u64>, way: Way) -> Result<Vec<Piece>, Error> {
    let process = opened(pid, way)?;
    let regions = process.physical_regions(range)?;
    regions.map(|region| Ok(piece(&region?))).collect()
}

fn parallel(pid: u32, range: Range<u64>) -> Result<Vec<Piece>, Error> {
    let process = opened(pid, (false, false))?;
    let mut pieces = Vec::new();
    process.walk(range).threads(4).for_each(|region| {
        pieces.push(piece(region));
        ControlFlow::Continue(())
    })?;
    Ok(pieces)
}

fn mapped(pid: u32, way: Way) -> Result<Vec<Mapped>, Error> {
    let process = opened(pid, way)?;
    let regions = process.virtual_regions(..)?;
    regions
        .map(|mapping| {
            let mapping = mapping?;
            Ok(Mapped {
                start: mapping.range.start().as_u64(),
                end: mapping.range.end().as_u64(),
                is_stack: mapping.flags().contains(QnxFlags::STACK),
            })
        })
        .collect()
}

#[test]
fn order_addresses_and_errors_are_right_in_a_storm() {
    if !is_root_or_skip("a storm") {
        return;
    }
    let number = |error: Error| error.errno();
    let ways = [
        ("by ioctls", (false, false)),
        ("by text", (true, false)),
        ("without scans", (false, true)),
        ("as older kernels", (true, true)),
    ];
    let walks = ways.map(|(_, way)| {
        let physical = move |pid, range| serial(pid, range, way).map_err(number);
        let mapped = move |pid| mapped(pid, way).map_err(number);
        (physical, mapped)
    });
    let in_parallel = |pid, range| parallel(pid, range).map_err(number);
    let mut walkers: Vec<Walker<'_>> = ways
        .iter()
        .zip(&walks)
        .map(|((name, _), (physical, mapped))| Walker {
            name,
            physical,
            mapped,
        })
        .collect();
    walkers.push(Walker {
        name: "in parallel",
        physical: &in_parallel,
        mapped: &walks[0].1,
    });
    run(&walkers);
}
