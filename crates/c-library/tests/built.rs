//! Properties of the built objects: no thread-local data, no unwinder, and a panic
//! handler that aborts.

mod programs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use c_library::{cc, run};
use programs::{library, source, Linked, Program};

fn tool(program: &str, arguments: &[&str], file: &Path) -> String {
    run(Command::new(program).args(arguments).arg(file)).unwrap_or_else(|error| panic!("{error}"))
}

/// The archive and the shared object.
fn both() -> [&'static Path; 2] {
    [&library().archive, &library().shared]
}

#[test]
fn nothing_is_thread_local() {
    for file in both() {
        let sections = tool("readelf", &["--sections", "--wide"], file);
        assert!(sections.contains(".text"), "{file:?}");
        for absent in [".tdata", ".tbss"] {
            assert!(!sections.contains(absent), "{file:?}: {absent}");
        }
        // Every kind of access that needs a relocation.
        let relocations = tool("readelf", &["--relocs", "--wide"], file);
        assert!(relocations.contains("R_"), "{file:?}");
        for line in relocations.lines() {
            let kind = line.split_whitespace().nth(2).unwrap_or_default();
            let is_thread_local = ["TPOFF", "DTPMOD", "DTPREL", "TPREL", "TLS"];
            let found = is_thread_local.iter().any(|part| kind.contains(part));
            assert!(!(kind.starts_with("R_") && found), "{file:?}: {line}");
        }
        let symbols = tool("readelf", &["--symbols", "--wide"], file);
        assert!(symbols.contains(" FUNC "), "{file:?}");
        assert!(!symbols.contains(" TLS "), "{file:?}");
    }
}

/// The register of a thread's own data. (The C compiler may store a stack's guard
/// value there, too; this library is built without.)
#[cfg(target_arch = "x86_64")]
#[test]
fn no_instruction_reads_a_threads_own_data() {
    let code = tool(
        "objdump",
        &["--disassemble", "--no-show-raw-insn"],
        &library().shared,
    );
    assert!(code.lines().count() > 1000);
    for register in ["%fs:", "%gs:"] {
        let found = code.lines().find(|line| line.contains(register));
        assert_eq!(found, None);
    }
}

/// Returns the archive's symbols, by the letters of `nm`.
fn symbols() -> Vec<(char, String)> {
    // `nm` warns of members with intermediate code, and lists them.
    let listed = tool("nm", &["--format=posix"], &library().archive);
    let parsed = listed.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let name = fields.next()?;
        Some((fields.next()?.chars().next()?, name.to_owned()))
    });
    parsed.collect()
}

#[test]
fn nothing_unwinds() {
    let symbols = symbols();
    assert!(symbols
        .iter()
        .any(|(kind, name)| *kind == 'T' && name.contains("introspection_")));
    for (_, name) in &symbols {
        for absent in [
            "_Unwind_",
            "rust_eh_personality",
            "__gxx_personality",
            "__cxa_",
        ] {
            assert!(!name.contains(absent), "{name}");
        }
    }
    // A cancel, which unwinds the caller, must pass the exported functions.
    let sections = tool("readelf", &["--sections", "--wide"], &library().shared);
    assert!(!sections.contains(".gcc_except_table"), "{sections}");
}

/// A directory that is removed when dropped.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_panic_aborts_and_unwinds_nothing() {
    let handlers: Vec<String> = symbols()
        .into_iter()
        .filter(|(kind, name)| kind.eq_ignore_ascii_case(&'t') && name.contains("begin_unwind"))
        .map(|(_, name)| name)
        .collect();
    let [handler] = handlers.as_slice() else {
        panic!("one panic handler: {handlers:?}");
    };
    let name = format!("c-panic-{}", std::process::id());
    let scratch = Scratch(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
    fs::create_dir_all(&scratch.0).unwrap();
    // The handler can be called only in this copy of the archive.
    let archive = scratch.0.join("libpanic.a");
    run(Command::new("objcopy")
        .arg(format!("--globalize-symbol={handler}"))
        .args([&library().archive, &archive]))
    .unwrap_or_else(|error| panic!("{error}"));
    let mut command = Command::new(cc());
    command.args(["-std=gnu11", "-O2", "-fexceptions"]);
    command
        .arg(format!("-DPANIC=\"{handler}\""))
        .arg("-L")
        .arg(&scratch.0);
    let program = scratch.0.join("panic");
    run(command
        .arg("-I")
        .arg(&library().include)
        .arg("-o")
        .arg(&program)
        .arg(source("panic.c"))
        .args(["-lpanic", "-pthread"]))
    .unwrap_or_else(|error| panic!("{error}"));
    Program { path: program }.run_case("a_panic_aborts_and_unwinds_nothing", Linked::Archive);
}
