//! The whole C ABI in one file, `tests/abi.golden`, on which built programs rely:
//! symbols with their versions, prototypes, values, sizes, offsets. `docs/ABI.md`
//! defines what may change.

mod programs;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use c_library::{cc, run, SONAME};
use programs::{library, source, Linked, Program};

fn tool(command: &mut Command) -> String {
    run(command).unwrap_or_else(|error| panic!("{error}"))
}

/// Returns the preprocessed header, by the given options.
fn preprocessed(options: &[&str]) -> String {
    let header = library().include.join("sys/introspection.h");
    let mut command = Command::new(cc());
    command.args(["-E", "-x", "c"]).args(options);
    tool(command.arg(header))
}

/// Returns the output of the program that prints all numbers of the header.
fn numbers() -> &'static str {
    static PRINTED: OnceLock<String> = OnceLock::new();
    PRINTED.get_or_init(|| Program::compile(&source("constants.c"), Linked::Archive).print(&[]))
}

/// Returns `name@@VERSION type`, in the order of names.
fn symbols() -> Vec<String> {
    let listed = tool(
        Command::new("nm")
            .args(["--dynamic", "--defined-only", "--format=posix"])
            .arg(&library().shared),
    );
    let line = |line: &str| {
        let mut parts = line.split(' ');
        Some(format!("{} {}", parts.next()?, parts.next()?))
    };
    let symbols: BTreeSet<String> = listed.lines().filter_map(line).collect();
    symbols.into_iter().collect()
}

/// Returns the declarations of functions and types, each in one line.
fn declarations() -> Vec<String> {
    // Without the included headers, whose lines name other files.
    let mut own = String::new();
    let mut is_own = false;
    for line in preprocessed(&[]).lines() {
        match line.strip_prefix("# ") {
            Some(place) => is_own = place.contains("sys/introspection.h\""),
            None if is_own => own.push_str(&format!("{line} ")),
            None => {}
        }
    }
    let words: Vec<&str> = own.split_whitespace().collect();
    let text = words.join(" ").replace("( ", "(").replace(" )", ")");
    let mut declarations = vec![String::new()];
    let mut depth = 0;
    for character in text.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        let last = declarations.len() - 1;
        declarations[last].push(character);
        if character == ';' && depth == 0 {
            declarations.push(String::new());
        }
    }
    let trimmed = declarations.iter().map(|text| text.trim().to_owned());
    trimmed.filter(|text| !text.is_empty()).collect()
}

/// Returns the names of the header's macros with a value.
fn macros() -> BTreeSet<String> {
    let names = |options: &[&str]| -> BTreeSet<String> {
        let text = preprocessed(options);
        let definitions = text
            .lines()
            .filter_map(|line| line.strip_prefix("#define "));
        let with_values = definitions.filter_map(|line| line.split_once(' '));
        with_values.map(|(name, _)| name.to_owned()).collect()
    };
    let ours = names(&["-dM", "-DINTROSPECTION_QNX_NAMES"]);
    let includes = ["-dM", "-include", "stddef.h", "-include", "stdint.h"];
    let more = ["-include", "sys/types.h", "-include", "sys/mman.h"];
    // The header's own guard leaves only what it includes.
    let guard = ["-DSYS_INTROSPECTION_H"];
    let others = names(&[&includes[..], &more[..], &guard[..]].concat());
    ours.difference(&others)
        .filter(|name| *name != "INTROSPECTION_QNX_NAMES")
        .cloned()
        .collect()
}

fn golden() -> String {
    let section = |title: &str, lines: &[String]| format!("[{title}]\n{}\n\n", lines.join("\n"));
    let values: Vec<String> = numbers().lines().map(str::to_owned).collect();
    [
        format!("# The C ABI on x86-64. Held by tests/golden.rs, explained in docs/ABI.md.\n\nsoname {SONAME}\n\n"),
        section("symbols", &symbols()),
        section("declarations", &declarations()),
        section("values, sizes, alignments, offset+size of fields", &values),
    ]
    .concat()
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "the file is of x86-64")]
fn the_c_abi_is_as_it_was_released() {
    let now = golden();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/abi.golden");
    let before = fs::read_to_string(&file).unwrap_or_default();
    if now == before {
        return;
    }
    let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join("abi.golden");
    fs::write(&new, &now).unwrap();
    let (was, is): (BTreeSet<&str>, BTreeSet<&str>) =
        (before.lines().collect(), now.lines().collect());
    panic!(
        "the C ABI has changed. Gone: {:#?}\nNew: {:#?}\nIf docs/ABI.md allows that, \
         copy {} to {}",
        was.difference(&is).collect::<Vec<_>>(),
        is.difference(&was).collect::<Vec<_>>(),
        new.display(),
        file.display(),
    );
}

#[test]
fn every_constant_of_the_header_is_among_the_values() {
    let names: BTreeSet<&str> = numbers()
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name)
        .collect();
    let macros = macros();
    assert!(macros.len() > 30, "{macros:?}");
    for name in &macros {
        // An initializer is not a value; the cursor's size covers it.
        if name != "INTROSPECTION_CURSOR_CLOSED" {
            assert!(names.contains(name.as_str()), "{name}");
        }
    }
}
