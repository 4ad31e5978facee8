//! Names, numbers, layouts and the header, on which programs that are compiled or
//! linked with the library rely.

mod programs;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use c_library::{cc, run, Places, SONAME};
use process_introspection_core::flags::QnxFlags;
use process_introspection_core::Errno;
use programs::{library, root, source, Linked, Program, ALL_LINKS, INCLUSIONS};

const FUNCTIONS_OF_1_0: [&str; 11] = [
    "getpid64",
    "introspection_cursor_close",
    "introspection_cursor_next",
    "introspection_cursor_open",
    "introspection_get_mapped_object_path",
    "introspection_get_pagetableinfo",
    "introspection_get_physical_regions",
    "introspection_get_virtual_regions",
    "introspection_getpid64",
    "introspection_prot",
    "introspection_read_process_memory",
];

const FUNCTIONS_OF_1_1: [&str; 9] = [
    "introspection_allocate_and_get_all_child_pids",
    "introspection_allocate_and_get_all_pids",
    "introspection_get_all_child_pids",
    "introspection_get_all_pids",
    "introspection_get_floatingpoint_regs",
    "introspection_get_generalpurpose_regs",
    "introspection_get_proc_info",
    "introspection_get_process_name",
    "introspection_get_thread_status",
];

fn tool(command: &mut Command) -> String {
    run(command).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn only_the_documented_functions_are_exported_with_their_version() {
    let symbols = tool(
        Command::new("nm")
            .args(["--dynamic", "--defined-only", "--format=posix"])
            .arg(&library().shared),
    );
    let mut exported: Vec<&str> = symbols
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| !name.starts_with("LIBINTROSPECTION_"))
        .collect();
    exported.sort_unstable();
    let with_version = |version, names: &[&str]| {
        names
            .iter()
            .map(|name| format!("{name}@@{version}"))
            .collect()
    };
    let expected: [Vec<String>; 2] = [
        with_version("LIBINTROSPECTION_1.0", &FUNCTIONS_OF_1_0),
        with_version("LIBINTROSPECTION_1.1", &FUNCTIONS_OF_1_1),
    ];
    let mut expected = expected.concat();
    expected.sort_unstable();
    assert_eq!(exported, expected);
}

#[test]
fn the_header_declares_what_is_exported() {
    let header = std::fs::read_to_string(library().include.join("sys/introspection.h")).unwrap();
    for name in FUNCTIONS_OF_1_0.iter().chain(&FUNCTIONS_OF_1_1) {
        assert!(header.contains(&format!("{name}(")), "{name}");
    }
}

#[test]
fn the_library_needs_little_of_others() {
    let symbols = tool(
        Command::new("nm")
            .args(["--dynamic", "--undefined-only", "--format=posix"])
            .arg(&library().shared),
    );
    let known = [
        "__errno_location",
        "abort",
        "bcmp",
        "free",
        "getpid",
        "malloc",
        "memcmp",
        "memcpy",
        "memmove",
        "memset",
        "pthread_setcancelstate",
        "pthread_testcancel",
    ];
    for line in symbols.lines() {
        let name = line.split([' ', '@']).next().unwrap_or_default();
        assert!(known.contains(&name), "{line}");
    }
    let dynamic = tool(
        Command::new("readelf")
            .args(["--dynamic", "--program-headers", "--wide"])
            .arg(&library().shared),
    );
    let needed: Vec<&str> = dynamic
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .collect();
    assert_eq!(needed.len(), 1, "{needed:?}");
    assert!(needed[0].contains("[libc.so."), "{needed:?}");
    assert!(dynamic.contains(&format!("Library soname: [{SONAME}]")));
    assert!(dynamic.contains("BIND_NOW"));
    assert!(!dynamic.contains("TEXTREL"));
    // No thread-local data, and no code that runs when it is loaded.
    for absent in [" TLS ", "(INIT_ARRAY)", "(FINI_ARRAY)", "(INIT)", "(FINI)"] {
        assert!(!dynamic.contains(absent), "{absent}\n{dynamic}");
    }
}

#[test]
fn the_headers_numbers_are_rusts() {
    let program = Program::compile(&source("constants.c"), Linked::Archive);
    let printed = program.print(&[]);
    let printed: BTreeMap<&str, &str> = printed
        .lines()
        .map(|line| line.split_once('=').expect("name=value"))
        .collect();
    let same = |name: &str, value: i64| {
        assert_eq!(
            printed.get(name),
            Some(&value.to_string().as_str()),
            "{name}"
        );
    };
    let mut compared = 0;
    let mut flag = |names: &[&str], value: QnxFlags| {
        for name in names {
            same(name, i64::from(value.bits()));
            compared += 1;
        }
    };
    flag(&["INTROSPECTION_SHARED", "MAP_SHARED"], QnxFlags::SHARED);
    flag(&["INTROSPECTION_PRIVATE", "MAP_PRIVATE"], QnxFlags::PRIVATE);
    flag(&["INTROSPECTION_TYPE"], QnxFlags::TYPE);
    flag(&["INTROSPECTION_FIXED", "MAP_FIXED"], QnxFlags::FIXED);
    flag(&["INTROSPECTION_ELF", "MAP_ELF"], QnxFlags::ELF);
    flag(&["INTROSPECTION_LAZY", "MAP_LAZY"], QnxFlags::LAZY);
    flag(&["INTROSPECTION_PROT_READ"], QnxFlags::PROT_READ);
    flag(&["INTROSPECTION_PROT_WRITE"], QnxFlags::PROT_WRITE);
    flag(&["INTROSPECTION_PROT_EXEC"], QnxFlags::PROT_EXEC);
    flag(
        &["INTROSPECTION_PROT_NOCACHE", "PROT_NOCACHE"],
        QnxFlags::PROT_NOCACHE,
    );
    flag(&["INTROSPECTION_PROT_MASK"], QnxFlags::PROT_MASK);
    flag(&["INTROSPECTION_STACK"], QnxFlags::STACK);
    flag(&["INTROSPECTION_PHYS", "MAP_PHYS"], QnxFlags::PHYS);
    flag(&["INTROSPECTION_ANON"], QnxFlags::ANON);
    flag(
        &["INTROSPECTION_PG_MODIFIED", "PG_MODIFIED"],
        QnxFlags::PG_MODIFIED,
    );
    flag(
        &["INTROSPECTION_PG_REFERENCED", "PG_REFERENCED"],
        QnxFlags::PG_REFERENCED,
    );
    flag(
        &["INTROSPECTION_PG_HWMAPPED", "PG_HWMAPPED"],
        QnxFlags::PG_HWMAPPED,
    );
    flag(&["INTROSPECTION_PG_MASK", "PG_MASK"], QnxFlags::PG_MASK);
    flag(&["INTROSPECTION_SYSRAM", "MAP_SYSRAM"], QnxFlags::SYSRAM);
    flag(&["INTROSPECTION_SWAPPED"], QnxFlags::SWAPPED);
    same("ESRVRFAULT", i64::from(Errno::ESRVRFAULT.raw()));
    compared += 1;
    // The contract's own numbers, which Rust does not contain.
    let others = [
        ("EOK", 0),
        ("INTROSPECTION_UNBACKED", -1),
        ("INTROSPECTION_VIRTUAL", 0),
        ("INTROSPECTION_PHYSICAL", 1),
        ("INTROSPECTION_PAGETABLE", 2),
        ("sizeof(pid64_t)", 8),
        ("(pid64_t)-1 < 0", 1),
        ("sizeof(procfs_mapinfo)", 48),
        ("sizeof(procfs_debuginfo)", 16),
        ("sizeof(introspection_cursor_t)", 960 * 8),
        ("_Alignof(procfs_mapinfo)", 8),
        ("_Alignof(procfs_debuginfo)", 8),
        ("_Alignof(introspection_cursor_t)", 8),
    ];
    for (name, value) in others {
        same(name, value);
    }
    let fields = [
        ("procfs_mapinfo.vaddr", "0+8"),
        ("procfs_mapinfo.size", "8+8"),
        ("procfs_mapinfo.flags", "16+4"),
        ("procfs_mapinfo.dev", "20+4"),
        ("procfs_mapinfo.offset", "24+8"),
        ("procfs_mapinfo.ino", "32+8"),
        ("procfs_mapinfo.paddr", "40+8"),
        ("procfs_debuginfo.vaddr", "0+8"),
        ("procfs_debuginfo.path", "8+1"),
    ];
    for (name, place) in fields {
        assert_eq!(printed.get(name), Some(&place), "{name}");
    }
    // The others have no counterpart in Rust's interface: QNX's names, and the members of
    // structs that the library checks itself when it is compiled (`tests/abi.golden`).
    let has_counterpart = |name: &str| {
        let is_of_status = [
            "debug_process_t",
            "debug_thread_t",
            "debug_greg_t",
            "debug_fpreg_t",
        ]
        .iter()
        .any(|of| name.contains(of));
        let prefixes = ["STATE_", "_NTO_PF_", "_DEBUG_", "INTROSPECTION_REGISTER_"];
        let prefixed = ["PF_", "STATE_", "POLICY_", "DEBUG_FLAG_", "WHY_"];
        let short = name.strip_prefix("INTROSPECTION_").unwrap_or_default();
        !is_of_status
            && !prefixes.iter().any(|prefix| name.starts_with(prefix))
            && !prefixed.iter().any(|prefix| short.starts_with(prefix))
    };
    let rest = printed.keys().filter(|name| has_counterpart(name)).count();
    assert_eq!(rest, compared + others.len() + fields.len());
    // A name of ours has the value of QNX's.
    let mut same_names = 0;
    for (ours, qnx) in [
        ("INTROSPECTION_PF_", "_NTO_PF_"),
        ("INTROSPECTION_STATE_", "STATE_"),
        ("INTROSPECTION_DEBUG_FLAG_", "_DEBUG_FLAG_"),
        ("INTROSPECTION_WHY_", "_DEBUG_WHY_"),
    ] {
        for (name, value) in &printed {
            if let Some(rest) = name.strip_prefix(ours) {
                assert_eq!(
                    printed.get(format!("{qnx}{rest}").as_str()),
                    Some(value),
                    "{name}"
                );
                same_names += 1;
            }
        }
    }
    assert_eq!(same_names, 9 + 9 + 3 + 1);
}

#[test]
fn c_programs_may_include_the_header_and_sys_mman_in_any_order() {
    for standard in ["-std=c99", "-std=gnu99", "-std=c11", "-std=gnu17"] {
        for (index, options) in INCLUSIONS.iter().enumerate() {
            let mut command = Command::new(cc());
            command.arg(standard).args(*options);
            let name = format!("header{standard}-{index}");
            Program::compile_with(command, &name, &source("header.c"), Linked::Archive).print(&[]);
        }
    }
}

/// A process that waits for input, ended when dropped.
struct Idle(Child);

impl Idle {
    fn start() -> Self {
        let (piped, program) = (Stdio::piped, "cat");
        let mut child = Command::new(program)
            .stdin(piped())
            .stdout(piped())
            .spawn()
            .expect(program);
        // After its answer it waits.
        let mut line = [0; 2];
        let written = child.stdin.as_mut().map(|input| input.write_all(b"x\n"));
        let read = child
            .stdout
            .as_mut()
            .map(|output| output.read_exact(&mut line));
        let this = Self(child);
        assert!(matches!((written, read), (Some(Ok(())), Some(Ok(())))));
        this
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_example_lists_regions_and_ranges_that_the_page_table_confirms() {
    let is_root = tool(Command::new("id").arg("-u")).trim() == "0";
    if !is_root {
        println!("skipped: needs root, frame numbers are hidden otherwise");
        return;
    }
    let number_in = |printed: &str, title: &str| -> usize {
        let line = printed.lines().find(|line| line.starts_with(title));
        let number = line.and_then(|line| line.split(['(', ')']).nth(1));
        number.and_then(|number| number.parse().ok()).expect(title)
    };
    let example = root().join("examples/c/regions.c");
    let idle = Idle::start();
    let other = idle.0.id().to_string();
    for linked in ALL_LINKS {
        let program = Program::compile(&example, linked);
        for arguments in [&[][..], &["0"], &[other.as_str()]] {
            let printed = program.print(arguments);
            let regions = number_in(&printed, "Regions (");
            let ranges = number_in(&printed, "Ranges (");
            assert!(regions > 5 && ranges >= regions, "{regions} {ranges}");
            let records = printed.lines().filter(|line| line.contains(" paddr="));
            assert_eq!(records.count(), regions + ranges);
            if arguments == [other.as_str()] {
                let all = format!("Page table: {ranges} of {ranges} ranges agree");
                assert!(printed.contains(&all), "{printed}");
            }
        }
        let status = |argument| {
            let output = program
                .command()
                .arg(argument)
                .output()
                .expect("the example");
            assert!(!output.stderr.is_empty());
            output.status.code()
        };
        assert_eq!(status("nobody"), Some(2));
        assert_eq!(status("2147483647"), Some(1));
    }
}

/// Returns a function of an example, as in the document.
fn quoted(example: &str, begin: &str) -> String {
    let from = example.find(begin).expect(begin);
    let length = example[from..].find("\n}\n").expect("its end");
    let lines = example[from..from + length + 2].lines();
    let indented = lines.map(|line| match line {
        "" => String::new(),
        line => format!("    {line}"),
    });
    indented.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_idioms_for_lists_that_grow_are_those_of_an_example_that_works() {
    let file = root().join("examples/c/growing.c");
    let example = std::fs::read_to_string(&file).unwrap();
    let document = std::fs::read_to_string(root().join("docs/PORTING.md")).unwrap();
    for begin in [
        "/* Returns all physical records",
        "/* Returns the bytes of RAM, by a cursor",
    ] {
        let quoted = quoted(&example, begin);
        assert!(
            document.contains(&quoted),
            "docs/PORTING.md lacks:\n{quoted}"
        );
    }
    let program = Program::compile(&file, Linked::Archive);
    let status = |argument: &str| {
        let output = program.command().arg(argument).output().expect("it runs");
        output.status.code()
    };
    assert_eq!(status("2147483647"), Some(1));
    if tool(Command::new("id").arg("-u")).trim() != "0" {
        println!("skipped: needs root, frame numbers are hidden otherwise");
        return;
    }
    let idle = Idle::start();
    let printed = program.print(&[idle.0.id().to_string().as_str()]);
    let numbers: Vec<u64> = printed
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(numbers.len() == 2 && numbers[0] > 0, "{printed}");
    assert_eq!(numbers[0], numbers[1], "{printed}");
}

/// A directory that is removed when dropped.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn an_installation_can_be_staged() {
    let name = format!("c-staged-{}", std::process::id());
    let stage = Scratch(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
    let places = Places {
        prefix: Path::new("/usr/local"),
        libdir: "lib/here",
        destdir: Some(&stage.0),
    };
    // Twice, as when a newer one replaces an older one.
    let made = library().install(&root(), &places).unwrap();
    assert_eq!(library().install(&root(), &places).unwrap(), made);
    for file in &made {
        assert!(
            file.starts_with(stage.0.join("usr/local")) && file.exists(),
            "{file:?}"
        );
    }
    let lib = stage.0.join("usr/local/lib/here");
    let link = std::fs::read_link(lib.join("libintrospection.so")).unwrap();
    assert_eq!(link, Path::new(SONAME));
    let described = std::fs::read_to_string(lib.join("pkgconfig/introspection.pc")).unwrap();
    assert!(
        described.contains("prefix=/usr/local\nlibdir=${prefix}/lib/here\n"),
        "{described}"
    );
    assert!(
        !described.contains('@') && !described.contains("staged"),
        "{described}"
    );
    // Without the package for QNX a program finds one header.
    let include = stage.0.join("usr/local/include");
    let names = |directory: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        let name = |entry: std::fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut names: Vec<_> = entries.map(|entry| name(entry.unwrap())).collect();
        names.sort();
        names
    };
    assert_eq!(names(&include), ["introspection-qnx", "sys"]);
    assert_eq!(names(&include.join("sys")), ["introspection.h"]);
    let described = std::fs::read_to_string(lib.join("pkgconfig/introspection-qnx.pc")).unwrap();
    assert!(described.contains("prefix=/usr/local\n"), "{described}");
    assert!(!described.contains('@'), "{described}");
}
