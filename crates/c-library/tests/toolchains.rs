//! The library with other tools: C compilers, C++ compilers, pkg-config, sanitizers.
//! Not every machine has them, so they are not part of every test run but of
//! `cargo test -p c-library --test toolchains -- --ignored`, where a missing tool is
//! a failure.

mod programs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use c_library::{cc, run, Places};
use programs::{library, root, run_case_of, source, Linked, Program, INCLUSIONS};

fn compile(compiler: &str, options: &[&str], file: &Path, linked: Linked) -> Program {
    let mut command = Command::new(compiler);
    command.args(options);
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let name = format!("{stem}-{compiler}{}-{linked:?}", options.concat());
    Program::compile_with(command, &name, file, linked)
}

fn run_all_cases(program: &Program, linked: Linked) {
    let listed = program.print(&[]);
    assert!(!listed.is_empty());
    for case in listed.lines() {
        program.run_case(case, linked);
    }
}

#[test]
#[ignore = "needs g++ and clang++: cargo xtask c"]
fn cpp_programs_may_include_the_header_and_sys_mman_in_any_order() {
    for name in ["header.cpp", "qnx_header.cpp"] {
        for compiler in ["g++", "clang++"] {
            for standard in ["-std=c++11", "-std=gnu++14", "-std=c++17", "-std=c++20"] {
                for inclusion in INCLUSIONS {
                    let options = [&[standard][..], inclusion].concat();
                    compile(compiler, &options, &source(name), Linked::Archive).print(&[]);
                }
            }
        }
    }
}

#[test]
#[ignore = "needs gcc and clang: cargo xtask c"]
fn c_programs_of_both_compilers_may_include_them_too() {
    for name in ["header.c", "qnx_header.c"] {
        for compiler in ["gcc", "clang"] {
            for standard in ["-std=c99", "-std=c11", "-std=gnu17"] {
                for inclusion in INCLUSIONS {
                    let options = [&[standard][..], inclusion].concat();
                    compile(compiler, &options, &source(name), Linked::Archive).print(&[]);
                }
            }
        }
    }
}

#[test]
#[ignore = "needs clang: cargo xtask c"]
fn programs_that_clang_compiles_behave_the_same() {
    for name in [
        "buffer.c",
        "regions.c",
        "objects.c",
        "cursor.c",
        "safety.c",
        "handlers.c",
        "confined.c",
        "own_memory.c",
        "idioms.c",
        "processes.c",
        "tagged.c",
        "qnx_debugger.c",
        "qnx_dumper.c",
        "qnx_lister.c",
        "qnx_mapping.c",
        "qnx_profiler.c",
        "qnx_sanitizer.c",
    ] {
        for linked in [Linked::Shared, Linked::Archive] {
            let program = compile("clang", &["-std=gnu11", "-O2"], &source(name), linked);
            run_all_cases(&program, linked);
        }
    }
}

/// Cases of a program that a tool cannot run.
type Except = (&'static str, &'static [&'static str]);

fn cases(program: &Program, but: &[&str]) -> Vec<String> {
    let listed = program.print(&[]);
    for case in but {
        assert!(
            listed.lines().any(|listed| listed == *case),
            "no case {case}"
        );
    }
    let rest = listed.lines().filter(|case| !but.contains(case));
    rest.map(str::to_owned).collect()
}

/// Without `stack.c`: it measures a stack that the sanitizer enlarges. Without
/// `qnx_dumper.c` and `qnx_profiler.c`: they read all page-table entries one by one.
const UNDER_SANITIZERS: [Except; 12] = [
    ("qnx_debugger.c", &[]),
    ("qnx_lister.c", &[]),
    ("qnx_mapping.c", &[]),
    ("qnx_sanitizer.c", &[]),
    // The sanitizer's allocator ends the program when there is no memory.
    ("processes.c", &["without_memory_a_list_is_an_error"]),
    ("own_memory.c", &[]),
    ("buffer.c", &[]),
    // Reads 20 TiB that the sanitizer has reserved, entry by entry.
    ("regions.c", &["older_kernels_give_the_same"]),
    ("objects.c", &[]),
    ("cursor.c", &[]),
    ("targets.c", &[]),
    // gcc 12's sanitizer fails itself when a thread is cancelled; the other case
    // counts memory of glibc's allocator, which the sanitizer replaces.
    (
        "safety.c",
        &[
            "a_pending_cancel_is_acted_on_at_entry",
            "a_cancel_never_stops_a_call_half_way",
        ],
    ),
];

#[test]
#[ignore = "needs the address sanitizer's library: cargo xtask c"]
fn programs_under_sanitizers_behave_the_same() {
    let options = ["-std=gnu11", "-O1", "-g", "-fsanitize=address,undefined"];
    for (name, but) in UNDER_SANITIZERS {
        for linked in [Linked::Shared, Linked::Archive] {
            let program = compile("gcc", &options, &source(name), linked);
            for case in cases(&program, but) {
                // Memory that remains at the end belongs to the programs: the
                // library does not allocate.
                let mut command = program.command();
                command.env("ASAN_OPTIONS", "detect_leaks=0");
                run_case_of(command, &case, linked);
            }
        }
    }
}

/// Valgrind 3.19 lacks pidfd_open and returns ENOSYS: only the caller itself can be
/// opened, hence without `targets.c`. Also without `stack.c`, which reads memory that
/// was never written.
const UNDER_VALGRIND: [Except; 8] = [
    ("qnx_mapping.c", &[]),
    (
        "own_memory.c",
        &[
            // The process by its number, and buffers that do not exist.
            "with_all_privileges",
            "after_setuid",
            "after_seteuid",
            "not_dumpable",
            "when_the_first_thread_has_ended",
        ],
    ),
    (
        "buffer.c",
        // Valgrind executes the call that checks a page itself, and stores into a
        // read-only page.
        &["a_buffer_that_cannot_be_written_is_a_fault"],
    ),
    (
        "regions.c",
        &[
            // Another process.
            "physical_records_tile_the_virtual_ones",
            "older_kernels_give_the_same",
            // The program's stack is not where the kernel made it.
            "every_flag_of_the_kind_is_there",
        ],
    ),
    ("objects.c", &["another_processs_memory_is_read"]),
    (
        "processes.c",
        // Lists open a pidfd for each process.
        &[
            "lists_have_the_unique_pids_of_all_and_of_children",
            "a_list_that_does_not_fit_is_cut_to_whole_elements",
            "allocated_lists_belong_to_the_caller",
            "without_memory_a_list_is_an_error",
            "a_name_is_the_path_without_its_slash_and_fits_or_is_empty",
            "a_short_name_is_stored_without_a_byte_more",
            "the_status_of_a_process_is_what_it_knows_of_itself",
            "a_struct_is_stored_whole_or_not_at_all",
            "without_rights_public_members_remain",
        ],
    ),
    (
        "cursor.c",
        &[
            "steps_of_any_size_give_the_arrays_records",
            "a_target_that_ends_is_an_error_for_good",
            "a_moved_cursor_goes_on",
        ],
    ),
    (
        "safety.c",
        &[
            "errno_and_descriptors_are_left_alone",
            "a_cursors_files_are_closed_on_exec",
            "eight_threads_may_call_at_once",
            "a_process_outlives_its_first_thread",
            // Takes hours: its rounds are sized for full speed.
            "a_cancel_never_stops_a_call_half_way",
        ],
    ),
];

#[test]
#[ignore = "needs valgrind: cargo xtask c"]
fn programs_under_valgrind_behave_the_same() {
    let suppressions = source("valgrind.supp");
    for (name, but) in UNDER_VALGRIND {
        for linked in [Linked::Shared, Linked::Archive] {
            let program = compile("gcc", &["-std=gnu11", "-O1", "-g"], &source(name), linked);
            for case in cases(&program, but) {
                let mut command = program.command_under("valgrind");
                command.args(["--quiet", "--error-exitcode=99"]);
                if case.contains("bad") || case.contains("fault") {
                    let option = format!("--suppressions={}", suppressions.display());
                    command.arg(option);
                }
                command.arg(program.path());
                run_case_of(command, &case, linked);
            }
        }
    }
}

/// Builds the library instrumented for the thread sanitizer. Rust's own libraries are
/// not instrumented: they have no state here.
fn instrumented_archive() -> PathBuf {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("thread-sanitizer");
    run(
        Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
            .current_dir(root())
            .args([
                "build",
                "--quiet",
                "--release",
                "--package",
                "libintrospection",
            ])
            .args(["--target", &triple, "--target-dir"])
            .arg(&target)
            // The compiler accepts the option only in this form.
            .env("RUSTC_BOOTSTRAP", "1")
            .env(
                "RUSTFLAGS",
                "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer",
            ),
    )
    .unwrap_or_else(|error| panic!("{error}"));
    target.join(triple).join("release/libintrospection.a")
}

#[test]
#[ignore = "needs the thread sanitizer's library: cargo xtask c"]
fn programs_under_the_thread_sanitizer_race_only_where_they_do_so_themselves() {
    let archive = instrumented_archive();
    let compiled = |name: &str| {
        let mut command = Command::new("gcc");
        command
            .args(["-std=gnu11", "-O1", "-g", "-fsanitize=thread"])
            .args([source(name), source("thread_sanitizer.c")])
            .arg(&archive);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("c-threads-{name}"));
        run(command
            .args(c_library::program::WARNINGS)
            .arg("-I")
            .arg(&library().include)
            .arg("-o")
            .arg(&path)
            .arg("-pthread"))
        .unwrap_or_else(|error| panic!("{error}"));
        path
    };
    // Its shadow memory lies where newer kernels may otherwise place the program.
    let fixed = |program: &Path, case: &str| {
        let mut command = Command::new("setarch");
        command.arg("--addr-no-randomize").arg(program).arg(case);
        command.output().expect("setarch")
    };
    let program = compiled("safety.c");
    let listed = run(&mut Command::new(&program)).unwrap_or_else(|error| panic!("{error}"));
    assert!(!listed.is_empty());
    for case in listed.lines() {
        let output = fixed(&program, case);
        let said = String::from_utf8_lossy(&output.stderr);
        let is_skipped = output.status.code() == Some(77);
        assert!(output.status.success() || is_skipped, "{case}: {said}");
        assert!(!said.contains("ThreadSanitizer"), "{case}: {said}");
    }
    // The control: two threads that walk into one buffer are found.
    let output = fixed(&compiled("race.c"), "two_threads_share_a_buffer");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("WARNING: ThreadSanitizer: data race"),
        "{said}"
    );
    assert!(said.contains("introspection"), "{said}");
}

/// An installation, removed when dropped.
struct Installed(PathBuf);

impl Installed {
    fn new() -> Self {
        let name = format!("c-installed-{}", std::process::id());
        let this = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        let places = Places {
            prefix: &this.0,
            libdir: "lib",
            destdir: None,
        };
        library().install(&root(), &places).unwrap();
        this
    }

    fn pkg_config(&self, package: &str, arguments: &[&str]) -> Vec<String> {
        let printed = run(Command::new("pkg-config")
            .env("PKG_CONFIG_PATH", self.0.join("lib/pkgconfig"))
            .args(arguments)
            .arg(package))
        .unwrap_or_else(|error| panic!("{error}"));
        printed.split_whitespace().map(str::to_owned).collect()
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
#[ignore = "needs pkg-config: cargo xtask c"]
fn pkg_config_says_how_to_link() {
    let installed = Installed::new();
    let version = installed.pkg_config("introspection", &["--modversion"]);
    assert_eq!(version, [env!("CARGO_PKG_VERSION")]);
    for (kind, compiler_options) in [
        (&["--cflags", "--libs"][..], &[][..]),
        (&["--static", "--cflags", "--libs"], &["-static"]),
    ] {
        let program = installed.0.join("regions");
        run(Command::new(cc())
            .args(compiler_options)
            .arg(root().join("examples/c/regions.c"))
            .args(installed.pkg_config("introspection", kind))
            .arg("-o")
            .arg(&program))
        .unwrap_or_else(|error| panic!("{error}"));
        let output = Command::new(&program)
            .env("LD_LIBRARY_PATH", installed.0.join("lib"))
            .arg("2147483647")
            .output()
            .unwrap();
        // The program has found and called the library.
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(message.contains("No such process"), "{message}");
    }
}

#[test]
#[ignore = "needs pkg-config: cargo xtask c"]
fn only_the_package_for_qnx_has_its_names() {
    let installed = Installed::new();
    let compile = |package, name: &str| {
        let program = installed.0.join(name);
        let compiled = run(Command::new("gcc")
            .args(c_library::program::WARNINGS)
            .arg(source(name).with_extension("c"))
            .args(installed.pkg_config(package, &["--cflags", "--libs"]))
            .arg("-o")
            .arg(&program));
        compiled.map(|_| {
            let mut command = Command::new(program);
            command.env("LD_LIBRARY_PATH", installed.0.join("lib"));
            run(&mut command).unwrap_or_else(|error| panic!("{error}"));
        })
    };
    compile("introspection-qnx", "qnx_header").unwrap();
    compile("introspection", "header").unwrap();
    let values = compile("introspection-qnx", "header").unwrap_err();
    assert!(
        values.contains("values of <sys/mman.h> have changed"),
        "{values}"
    );
    let values = compile("introspection", "qnx_header").unwrap_err();
    assert!(values.contains("sys/debug.h"), "{values}");
}

/// Returns a manual page as text; panics if it is not well-formed.
fn formatted(page: &Path) -> String {
    let output = Command::new("groff")
        .args(["-mdoc", "-Tascii", "-P-cbou", "-ww"])
        .arg(page)
        .output()
        .expect("groff");
    let warnings = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && warnings.is_empty(), "{warnings}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs groff: cargo xtask c"]
fn the_manual_of_the_package_for_qnx_names_every_header() {
    let page = root().join("crates/libintrospection/man/introspection-qnx.7");
    let text = formatted(&page);
    for header in c_library::QNX_HEADERS {
        assert!(text.contains(&format!("<{header}>")), "{header}");
    }
    let document = fs::read_to_string(root().join("docs/PORTING.md")).unwrap();
    for header in c_library::QNX_HEADERS {
        assert!(document.contains(&format!("`<{header}>`")), "{header}");
    }
}

#[test]
#[ignore = "needs groff: cargo xtask c"]
fn the_manual_covers_every_function_and_is_well_formed() {
    let manual = root().join("crates/libintrospection/man");
    let header = fs::read_to_string(library().include.join("sys/introspection.h")).unwrap();
    let pages = [
        "introspection_get_physical_regions.3",
        "introspection_get_all_pids.3",
    ];
    let text = pages.map(|page| formatted(&manual.join(page))).concat();
    let mut functions = 0;
    for name in header.split(|byte: char| !byte.is_ascii_alphanumeric() && byte != '_') {
        let is_function =
            header.contains(&format!(" {name}(")) && name.contains("_") || name == "getpid64";
        if !is_function || !(name.starts_with("introspection_") || name == "getpid64") {
            continue;
        }
        functions += 1;
        assert!(text.contains(name), "{name}");
        let own = manual.join(format!("{name}.3"));
        let source = fs::read_to_string(&own).unwrap_or_else(|error| panic!("{own:?}: {error}"));
        let is_of = |page: &&str| own.ends_with(page) || source == format!(".so man3/{page}\n");
        assert!(pages.iter().any(is_of), "{own:?}");
    }
    assert!(functions >= 20);
    for (flag, _) in header
        .match_indices("#define INTROSPECTION_")
        .filter_map(|(at, _)| {
            let line = header[at..].lines().next()?;
            let mut words = line.split_whitespace().skip(1);
            Some((words.next()?, words.next()?))
        })
    {
        let short = flag.trim_start_matches("INTROSPECTION");
        // The two flags that Linux never sets, and masks, need no entry.
        if !matches!(flag, "INTROSPECTION_FIXED" | "INTROSPECTION_LAZY") {
            assert!(text.contains(short), "{flag}");
        }
    }
}
