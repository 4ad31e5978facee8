//! The headers for sources written for QNX: their names, what they refuse, and that
//! nothing of Linux's `<sys/mman.h>` that takes `PROT_*` or `MAP_*` remains. The
//! behaviour of calls is in `programs/qnx_*.c`.

mod programs;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use c_library::{cc, run, QNX_HEADERS};
use programs::{library, root, source, Linked, Program, ALL_LINKS, INCLUSIONS};

/// Compilers of other C libraries and architectures, which not every machine has.
const OTHER_COMPILERS: [&str; 4] = [
    "musl-gcc",
    "aarch64-linux-gnu-gcc",
    "riscv64-linux-gnu-gcc",
    "i686-linux-gnu-gcc",
];

/// Names of QNX's `<sys/mman.h>` with the prefixes of flags, and the one of libc that
/// has such a name and is no flag.
const NAMES: [&str; 23] = [
    "MAP_ANON",
    "MAP_ANONYMOUS",
    "MAP_ELF",
    "MAP_FAILED",
    "MAP_FILE",
    "MAP_FIXED",
    "MAP_LAZY",
    "MAP_PHYS",
    "MAP_PRIVATE",
    "MAP_SHARED",
    "MAP_STACK",
    "MAP_SYSRAM",
    "MAP_TYPE",
    "PG_HWMAPPED",
    "PG_MASK",
    "PG_MODIFIED",
    "PG_REFERENCED",
    "PROT_EXEC",
    "PROT_MASK",
    "PROT_NOCACHE",
    "PROT_NONE",
    "PROT_READ",
    "PROT_WRITE",
];

/// Functions whose arguments have Linux's `PROT_*` or `MAP_*`.
const WITH_FLAGS: [&str; 5] = [
    "mmap",
    "mmap64",
    "mprotect",
    "pkey_mprotect",
    "remap_file_pages",
];

/// Other functions of `<sys/mman.h>`.
const WITHOUT_FLAGS: [&str; 21] = [
    "madvise",
    "memfd_create",
    "mincore",
    "mlock",
    "mlock2",
    "mlockall",
    "mremap",
    "mseal",
    "msync",
    "munlock",
    "munlockall",
    "munmap",
    "pkey_alloc",
    "pkey_free",
    "pkey_get",
    "pkey_set",
    "posix_madvise",
    "process_madvise",
    "process_mrelease",
    "shm_open",
    "shm_unlink",
];

/// Returns this machine's compiler and those of the others that it has.
fn compilers() -> Vec<PathBuf> {
    let is_there = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    let others = OTHER_COMPILERS.into_iter().filter(is_there);
    [cc()]
        .into_iter()
        .chain(others.map(PathBuf::from))
        .collect()
}

/// Compiles a text with the headers for QNX, without an output.
fn compile(compiler: &OsStr, options: &[&str], text: &str) -> Output {
    let name = format!(
        "qnx-{}-{:?}.c",
        std::process::id(),
        std::thread::current().id()
    );
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, text).unwrap();
    let output = Command::new(compiler)
        .args(options)
        .arg("-I")
        .arg(&library().include_qnx)
        .arg("-I")
        .arg(&library().include)
        .arg(&file)
        .output()
        .expect("the C compiler");
    std::fs::remove_file(&file).unwrap();
    output
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|byte: char| !byte.is_ascii_alphanumeric() && byte != '_')
}

#[test]
fn the_headers_are_those_that_are_installed() {
    let mut found = BTreeSet::new();
    let mut directories = vec![library().include_qnx.clone()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let name = path.strip_prefix(&library().include_qnx).unwrap();
                found.insert(name.to_string_lossy().into_owned());
            }
        }
    }
    assert_eq!(found, QNX_HEADERS.map(str::to_owned).into());
}

#[test]
fn programs_may_include_the_headers_in_any_order() {
    for standard in ["-std=c99", "-std=gnu99", "-std=c11", "-std=gnu17"] {
        for (index, inclusion) in INCLUSIONS.iter().enumerate() {
            for wanted in ["-DPLAIN", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64"] {
                let mut command = Command::new(cc());
                command.args([standard, wanted]).args(*inclusion);
                let name = format!("qnx_header{standard}-{index}{wanted}");
                let file = source("qnx_header.c");
                Program::compile_with(command, &name, &file, Linked::Archive).print(&[]);
            }
        }
    }
}

#[test]
fn no_flag_of_linux_is_defined() {
    let expected = BTreeSet::from(NAMES);
    for compiler in compilers() {
        for options in [&["-E", "-dM"][..], &["-E", "-dM", "-D_GNU_SOURCE"]] {
            let output = compile(compiler.as_os_str(), options, "#include <sys/mman.h>\n");
            assert!(output.status.success(), "{output:?}");
            let text = String::from_utf8(output.stdout).unwrap();
            let defined = text.lines().filter_map(|line| line.split(' ').nth(1));
            let flags = defined.filter(|name| {
                ["MAP_", "PG_", "PROT_"]
                    .iter()
                    .any(|prefix| name.starts_with(prefix))
            });
            assert_eq!(flags.collect::<BTreeSet<_>>(), expected, "{compiler:?}");
        }
    }
}

/// Returns the names of functions that the C library's own `<sys/mman.h>` declares.
fn declared_functions(compiler: &OsStr) -> BTreeSet<String> {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mman.c");
    std::fs::write(&file, "#include <sys/mman.h>\n").unwrap();
    let output = Command::new(compiler)
        .args(["-E", "-D_GNU_SOURCE"])
        .arg(file)
        .output()
        .expect("the C compiler");
    let text = String::from_utf8(output.stdout).unwrap();
    // Only this header and its parts, whose names contain "mman".
    let mut own = String::new();
    let mut is_own = false;
    for line in text.lines() {
        match line.strip_prefix("# ") {
            Some(place) => is_own = place.contains("mman") && !place.contains("mman.c"),
            None if is_own => own.push_str(&format!("{line} ")),
            None => {}
        }
    }
    let before_parenthesis = own.split(';').filter_map(|text| text.split_once('('));
    before_parenthesis
        .filter_map(|(text, _)| words(text.trim_end()).last().map(str::to_owned))
        .collect()
}

#[test]
fn every_function_of_sys_mman_converts_or_takes_no_flag_or_is_refused() {
    for compiler in compilers() {
        let declared = declared_functions(compiler.as_os_str());
        assert!(declared.contains("mprotect"), "{compiler:?} {declared:?}");
        let known = WITH_FLAGS.iter().chain(&WITHOUT_FLAGS);
        let known: BTreeSet<String> = known.map(|&name| name.to_owned()).collect();
        let unknown: Vec<_> = declared.difference(&known).collect();
        assert!(unknown.is_empty(), "{compiler:?}: {unknown:?}");
    }
}

#[test]
fn what_takes_linuxs_values_does_not_compile() {
    let remaps = "remap_file_pages((void *)0, 1, PROT_READ, 0, MAP_SHARED)";
    let why = "its values are Linux's, <sys/mman.h> has QNX's here";
    let prot = "it returns Linux's PROT_*, <sys/mman.h> has QNX's here";
    let body = |expression: &str| format!("int main(void) {{ return (int)({expression}); }}\n");
    let with =
        |include: &str, expression: &str| format!("#include <{include}>\n{}", body(expression));
    let pointer = "remap_file_pages != 0";
    let linux = "#include <sys/mman.h>\n#include <linux/mman.h>\n".to_owned();
    let asm = "#include <asm/mman.h>\n".to_owned();
    let late = "#define PROT_READ 1\n#include <sys/mman.h>\n".to_owned();
    let refused = [
        (with("sys/mman.h", remaps), why),
        (with("sys/mman.h", pointer), why),
        (with("sys/introspection.h", "introspection_prot(1)"), prot),
        (with("sys/mman.h", "MAP_POPULATE"), "MAP_POPULATE"),
        (with("sys/mman.h", "MAP_GROWSDOWN"), "MAP_GROWSDOWN"),
        (with("sys/mman.h", "PROT_GROWSUP"), "PROT_GROWSUP"),
        (linux, "<linux/mman.h> has Linux's PROT_* and MAP_*"),
        (asm, "<asm/mman.h> has Linux's PROT_* and MAP_*"),
        (late, "Linux's PROT_* are defined before"),
    ];
    for compiler in compilers() {
        let options = ["-D_GNU_SOURCE", "-fsyntax-only"];
        for (text, message) in &refused {
            let output = compile(compiler.as_os_str(), &options, text);
            let errors = String::from_utf8_lossy(&output.stderr).replace(['‘', '’'], "'");
            assert!(!output.status.success(), "{compiler:?} compiles {text}");
            assert!(errors.contains(message), "{compiler:?}: {errors}");
        }
        let accepted = with("sys/introspection.h", "PROT_READ | MREMAP_MAYMOVE");
        let output = compile(compiler.as_os_str(), &options, &accepted);
        assert!(output.status.success(), "{output:?}");
    }
}

/// Compiles an example for every linkage and passes it to `check`.
fn each_example(name: &str, check: impl Fn(&Program)) {
    let file = root().join("examples/c").join(name);
    for linked in ALL_LINKS {
        check(&Program::compile(&file, linked));
    }
}

/// Returns the lines of the children of this process in a list.
fn listed<'a>(printed: &'a str, pid: &str) -> Vec<Vec<&'a str>> {
    let lines = printed
        .lines()
        .map(|line| line.split_whitespace().collect());
    lines
        .filter(|words: &Vec<&str>| words.first() == Some(&pid))
        .collect()
}

#[test]
fn the_example_that_lists_processes_lists_this_one() {
    let own = std::process::id().to_string();
    let program = std::fs::read_link("/proc/self/exe").unwrap();
    let program = program.strip_prefix("/").unwrap().to_str().unwrap();
    each_example("qnx_processes.c", |example| {
        let all = listed(&example.print(&[]), &own)
            .iter()
            .map(|words| words.last().copied().unwrap().to_owned())
            .collect::<Vec<_>>();
        assert_eq!(all, [program]);
        let printed = example.print(&[&own]);
        let tree = listed(&printed, &own);
        assert_eq!(tree.len(), 1, "{printed}");
        // The example itself is a child of this process.
        let is_child = |line: &str| line.split_whitespace().nth(1) == Some(own.as_str());
        assert!(printed.lines().any(is_child), "{printed}");
    });
}

#[test]
fn the_example_that_dumps_a_process_writes_a_core_file_that_others_read() {
    let is_root = run(Command::new("id").arg("-u")).unwrap().trim() == "0";
    if !is_root {
        println!("skipped: needs root, frame numbers are hidden otherwise");
        return;
    }
    let mut target = Command::new("sleep").arg("1000").spawn().expect("sleep");
    let pid = target.id().to_string();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("core-{pid}"));
    each_example("qnx_dump.c", |example| {
        example.print(&[&pid, file.to_str().unwrap()]);
        let mut readelf = Command::new("readelf");
        let printed = readelf.args(["--file-header", "--segments", "--notes", "--wide"]);
        let printed = run(printed.arg(&file)).unwrap();
        assert!(printed.contains("CORE (Core file)"), "{printed}");
        assert!(printed.matches("  LOAD ").count() > 3, "{printed}");
        // Process, thread and, where there are any, its registers.
        let expected = if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
            4
        } else {
            2
        };
        assert_eq!(printed.matches("  QNX  ").count(), expected, "{printed}");
        std::fs::remove_file(&file).unwrap();
    });
    target.kill().unwrap();
    target.wait().unwrap();
}
