//! Reports whether a buffer is one physical extent, as a driver without
//! scatter-gather needs it.
//!
//! Run it as root: `cargo run -p process-introspection --example one_extent`

use process_introspection::{Error, Extent, Process};

/// The physical extents of a buffer's bytes.
fn extents_of(buffer: &[u8]) -> Result<Vec<Extent>, Error> {
    let process = Process::current()?;
    process
        .extents(process_introspection::AddrRange::from(buffer))?
        .collect()
}

fn describe(name: &str, buffer: &[u8]) -> Result<(), Error> {
    let extents = extents_of(buffer)?;
    let missing: u64 = extents
        .iter()
        .filter(|extent| !extent.is_ram())
        .map(Extent::len)
        .sum();
    print!("{name}: {} bytes, ", buffer.len());
    match extents[..] {
        [extent] if extent.is_ram() => println!("one extent: {extent:x?}"),
        _ => println!(
            "{} extents, {missing} bytes without memory of their own",
            extents.len()
        ),
    }
    Ok(())
}

fn main() -> Result<(), Error> {
    let written = vec![1u8; 1 << 20];
    let untouched = vec![0u8; 1 << 20];
    let result = describe("within a page", &written[..100])
        .and_then(|()| describe("written", &written))
        .and_then(|()| describe("untouched", &untouched));
    match result {
        Err(error) if error.is_frames_hidden() => {
            eprintln!("{error}");
            Ok(())
        }
        other => other,
    }
}
