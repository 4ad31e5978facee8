//! Committed pictures, and docs/PICTURES.md, are equal to what the sources give. `cargo xtask
//! generate` writes them (`GENERATE=1`).

mod samples;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use process_introspection_picture::palette::{self, Class};
use process_introspection_picture::svg;

fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let path = path.join(name);
    if std::env::var_os("GENERATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        return fs::write(path, text).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "{name} differs: run cargo xtask generate"
    );
}

#[test]
fn the_picture_of_a_machine_is_the_committed_one() {
    let square = samples::machine::square();
    let picture = svg::machine::draw(&samples::machine::record(), Some(&square));
    check("pictures/machine.svg", &picture);
}

#[test]
fn the_picture_of_a_process_is_the_committed_one() {
    let parts = samples::process::database();
    let picture = samples::process::physical(&parts, b"postgres");
    check("pictures/physical.svg", &picture);
}

#[test]
fn the_picture_of_the_classes_is_the_committed_one() {
    check("pictures/classes.svg", &svg::classes::draw());
}

const START: &str = "\
# Pictures

This page is generated from `crates/picture` by `cargo xtask generate`.

    introspect physical 1234 --format svg -o physical.svg
    introspect resident 1234 --format svg -o resident.svg
    introspect summary 1234 --format svg -o summary.svg
    introspect summary --all --format svg -o processes.svg
    introspect machine --format svg -o machine.svg
    introspect machine --from lake@2026-11-25T18:00:00Z --format svg -o machine.svg

A picture is one file that needs no other: it has no script and no reference, and documents, web pages and README files can show it as an
image. It is 800 pixels wide, has a light and a dark theme, of which the reader's system selects one, a title, and a description with the main
figures. Its size is at most 200 KiB whatever the amount of memory: it is drawn from blocks whose size grows with what is drawn. Equal records,
live or of a snapshot, give equal bytes. In names, characters that could upset the text around them are escapes such as `\\u{202e}`.

| picture | shows |
|---|---|
| `machine` | uses of all frames, whose sum is the memory that is present; what the kernel's counters say of memory without a flag; the map; payers; free memory by size of block; zones; what keeps aligned blocks from being free |
| `physical` | the states of a process's memory; RAM by the size of its runs; the largest runs with their addresses; for the twelve groups of mappings with most memory what is at their addresses, and in which part of physical memory their frames are |
| `resident` | the same without physical addresses, and what huge entries map |
| `summary` of a process | kinds of mappings by state, pages by size, what keeps memory from being huge, extents, NUMA nodes |
| `summary` of several | a bar for each process, by kind of mapping |

**The map** of `machine` has all frames on a Hilbert curve from the top left to the top right: frames that are neighbours in memory are neighbours in
the picture, and an aligned block of memory is a square. Gaps of at least 128 MiB in the addresses are left out. A cell has the colour of the use that
most of its frames have; the coloured part of the cell is about the part of its frames that have this use.

**Strips** of `physical` are two for each row. The left one is the row's addresses from start to end; RAM has the colour of the size of the run that it
is in, other states have theirs, at half height. Where a strip has more pages than places, a place has the colour of most of its pages. The right one is physical
memory, the same for all rows: bars are as high as the row's memory in that part, beside the fullest part of the row. A row of several mappings has its
classes one behind the other.

![All classes with their letters and colours](pictures/classes.svg)

Words are those of tables and JSON. Colours of one table differ for all kinds of colour vision; a test computes it. Letters stand for classes on
terminals without colours.
";

fn table(text: &mut String, title: &str, classes: &[Class]) {
    write!(
        text,
        "\n## {title}\n\n| word | letter | light | dark |\n|---|---|---|---|\n"
    )
    .unwrap();
    for class in classes {
        let letter = match class.letter {
            ' ' => "blank".to_owned(),
            letter => format!("`{letter}`"),
        };
        let Class {
            word, light, dark, ..
        } = class;
        writeln!(text, "| `{word}` | {letter} | `{light}` | `{dark}` |").unwrap();
    }
}

#[test]
fn the_document_has_every_class_with_its_colours() {
    let mut text = START.to_owned();
    table(&mut text, "Uses of frames", &palette::USES);
    table(&mut text, "Kinds of mappings", &palette::KINDS);
    table(&mut text, "States of memory", &palette::STATES);
    let others = [palette::OTHER, palette::SHARED, palette::NOBODY];
    table(
        &mut text,
        "Payers, owners and nodes beyond the first ten",
        &others,
    );
    text += "\n## Sizes, and payers, owners and nodes in order\n\n";
    text += "| step | size on a light background | on a dark one | payer, owner or node |\n";
    text += "|---|---|---|---|\n";
    let sizes = palette::SIZES_LIGHT.iter().zip(palette::SIZES_DARK);
    for (step, (light, dark)) in sizes.enumerate() {
        let series = palette::SERIES.get(step);
        let series = series.map_or(String::new(), |color| format!("`{color}`"));
        writeln!(text, "| {} | `{light}` | `{dark}` | {series} |", step + 1).unwrap();
    }
    text += "\nThe first step is the base page size, or the smallest size that is shown; each further one is twice as large, and the last one is that \
             size and more.\n";
    check("PICTURES.md", &text);
}
