//! Executables and shared libraries, built by a compiler in every way that
//! changes where they lie: each mapping tells the same relocation, each
//! symbol the address that nm knows. And files that only claim to be ELF.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use process_introspection::{MappingKind, Process};
use testkit::machine::is_root_or_skip;
use testkit::memory::{self, page};
use testkit::random::Random;
use testkit::scale::scaled;

/// What the program and the library have in each of their segments.
const SYMBOLS: &str = r#"
    const char in_rodata[9000] = {1};
    const char *const in_relro[2] = {in_rodata};
    char in_data[9000] = {1};
    char in_bss[300000];
    int in_text(void) { return 0; }
"#;

const PROGRAM: &str = r#"
    #include <dlfcn.h>
    #include <stdio.h>
    int main(int argc, char **argv) {
        static const char *const names[] = {
            "in_rodata", "in_relro", "in_data", "in_bss", "in_text"};
        void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
        void *own[] = {(void *)in_rodata, (void *)in_relro, in_data, in_bss, (void *)in_text};
        if (argc > 1 && !library) return 1;
        for (int i = 0; i < 5; i++)
            printf("%s %p\n", names[i], library ? dlsym(library, names[i]) : own[i]);
        puts("end");
        fflush(stdout);
        return getchar();
    }
"#;

const BUILD_ID: &str = "0123456789abcdef00ff";

struct Built {
    directory: tempfile::TempDir,
    path: PathBuf,
}

fn compile(what: &str, source: &str, options: &[&str]) -> Option<Built> {
    let directory = tempfile::tempdir().unwrap();
    let (code, path) = (
        directory.path().join("code.c"),
        directory.path().join("image"),
    );
    fs::write(&code, source).unwrap();
    let build_id = format!("-Wl,--build-id=0x{BUILD_ID}");
    let mut gcc = Command::new("gcc");
    gcc.arg("-o")
        .arg(&path)
        .arg(&code)
        .arg(build_id)
        .args(options)
        .arg("-ldl");
    match gcc.output() {
        Err(error) => {
            eprintln!("SKIPPED {what}: gcc: {error}");
            None
        }
        Ok(done) => {
            let said = String::from_utf8_lossy(&done.stderr);
            assert!(done.status.success(), "{what}: {said}");
            let path = path.canonicalize().unwrap();
            Some(Built { directory, path })
        }
    }
}

/// A program that runs, and where its or its library's symbols are. It ends
/// with its standard input, so also with this process.
struct Running {
    child: Child,
    symbols: BTreeMap<String, u64>,
}

impl Running {
    fn start(program: &Path, arguments: &[&Path]) -> Self {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut running = Self {
            child: command.spawn().unwrap(),
            symbols: BTreeMap::new(),
        };
        let output = BufReader::new(running.child.stdout.take().unwrap());
        for line in output
            .lines()
            .map(Result::unwrap)
            .take_while(|line| line != "end")
        {
            let (name, address) = line.split_once(" 0x").unwrap();
            let address = u64::from_str_radix(address, 16).unwrap();
            running.symbols.insert(name.to_owned(), address);
        }
        assert_eq!(running.symbols.len(), 5);
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The linked addresses, as nm tells them.
fn linked(path: &Path) -> BTreeMap<String, u64> {
    let output = Command::new("nm").arg(path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| {
        let mut fields = line.split(' ');
        let address = u64::from_str_radix(fields.next()?, 16).ok()?;
        Some((fields.nth(1)?.to_owned(), address))
    };
    text.lines().filter_map(line).collect()
}

/// Checks the image at `path` in a program that has it; gives its relocation.
fn check(what: &str, running: &Running, path: &Path, linked: &BTreeMap<String, u64>) -> i64 {
    let relocations = [false, true].map(|text| {
        let process = Process::open(running.child.id()).unwrap();
        process.as_core().disable_features(text, false);
        let of_image = |name: &[u8]| name.starts_with(path.to_str().unwrap().as_bytes());
        let mappings: Vec<_> = process
            .virtual_regions(..)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let relocations: Vec<_> = mappings
            .iter()
            .filter(|mapping| of_image(mapping.name().as_bytes()))
            .map(|mapping| {
                assert_eq!(mapping.kind(), MappingKind::Elf, "{what}");
                let object = process.object_at(mapping.range.start()).unwrap().unwrap();
                assert_eq!(object.build_id.unwrap().to_string(), BUILD_ID, "{what}");
                object.relocation()
            })
            .collect();
        assert!(relocations.len() > 1, "{what}");
        let first = relocations[0];
        assert!(first.is_some(), "{what}");
        assert!(
            relocations.iter().all(|it| *it == first),
            "{what}: {relocations:x?}"
        );
        for (name, &address) in &running.symbols {
            if name == "in_bss" {
                // Its first bytes can lie in the data's last page.
                let mut mappings = mappings.iter();
                let bss =
                    mappings.find(|mapping| mapping.range.contains((address + 150_000).into()));
                assert_eq!(bss.unwrap().kind(), MappingKind::Elf, "{what}");
                let mut alone = process
                    .virtual_regions(address + 150_000..=address + 150_000)
                    .unwrap();
                assert_eq!(
                    alone.next().unwrap().unwrap().kind(),
                    MappingKind::Elf,
                    "{what}"
                );
                continue;
            }
            let object = process.object_at(address).unwrap().unwrap();
            let told = object.linked_address.map(|linked| linked.as_u64());
            assert_eq!(told, Some(linked[name]), "{what}: {name}");
            assert_eq!(object.relocation(), first, "{what}: {name}");
        }
        first.unwrap()
    });
    assert_eq!(relocations[0], relocations[1], "{what}");
    relocations[0]
}

fn program(what: &str, options: &[&str]) -> Option<(Built, i64)> {
    let built = compile(what, &format!("{SYMBOLS}{PROGRAM}"), options)?;
    let running = Running::start(&built.path, &[]);
    let linked = linked(&built.path);
    let relocation = check(what, &running, &built.path, &linked);
    // As well when there is no such file any more.
    if is_root_or_skip("an executable that was deleted") {
        fs::remove_file(&built.path).unwrap();
        assert_eq!(check(what, &running, &built.path, &linked), relocation);
    }
    Some((built, relocation))
}

#[test]
fn what_can_be_moved_is_less_by_the_load_offset_in_every_mapping() {
    for options in [
        &["-pie", "-fPIE"][..],
        // Neighbouring segments share a page of the file, which is mapped twice.
        &["-pie", "-fPIE", "-Wl,-z,noseparate-code"],
        &["-pie", "-fPIE", "-Wl,-z,norelro"],
        &["-pie", "-fPIE", "-Wl,-z,max-page-size=0x200000"],
    ] {
        if let Some((_, relocation)) = program(&options.join(" "), options) {
            assert!(relocation > 0, "{options:?}");
        }
    }
}

#[test]
fn what_cannot_be_moved_is_where_it_was_linked_to() {
    for options in [
        &["-no-pie"][..],
        &["-no-pie", "-Wl,-z,noseparate-code"],
        &["-no-pie", "-Wl,-Ttext-segment=0x10000000"],
    ] {
        if let Some((_, relocation)) = program(&options.join(" "), options) {
            assert_eq!(relocation, 0, "{options:?}");
        }
    }
}

#[test]
fn a_library_is_less_by_the_load_offset_wherever_it_was_linked_to() {
    let Some(host) = compile("a library", &format!("{SYMBOLS}{PROGRAM}"), &[]) else {
        return;
    };
    let mut relocations = Vec::new();
    // The second finds its place free, as prelinked ones did; no program can
    // have the third's, so that it is moved down.
    for first in ["0x0", "0x3000000000", "0xffffff0000000000"] {
        let text = format!("-Wl,-Ttext-segment={first}");
        let options = ["-shared", "-fPIC", &text];
        let Some(library) = compile("a library", SYMBOLS, &options) else {
            return;
        };
        let running = Running::start(&host.path, &[&library.path]);
        relocations.push(check(
            first,
            &running,
            &library.path,
            &linked(&library.path),
        ));
        assert!(library.directory.path().exists());
    }
    assert!(relocations[0] > 0, "{relocations:x?}");
    assert_eq!(relocations[1], 0, "{relocations:x?}");
    let down = 0xffff_ff00_0000_0000_u64.wrapping_add(relocations[2] as u64);
    assert!(down < 1 << 56, "{relocations:x?}");
}

/// Asks for everything about a file with these bytes, mapped in this process.
fn ask(path: &Path, bytes: &[u8]) {
    // A new file each time: what is mapped is not changed.
    fs::write(path, bytes).unwrap();
    let file = fs::File::open(path).unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
    let size = 4 * page();
    let at = memory::try_map(size, libc::PROT_READ, libc::MAP_PRIVATE, fd, 0).unwrap();
    fs::remove_file(path).unwrap();
    let process = Process::current().unwrap();
    for address in [at, at + page() + 123, at + size - 1] {
        let object = process.object_at(address).unwrap().unwrap();
        assert_eq!(object.address.as_u64(), address);
    }
    memory::unmap(at, size);
}

#[test]
fn a_file_that_only_claims_to_be_elf_does_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hostile");
    let mut good = Vec::new();
    fs::File::open("/proc/self/exe")
        .unwrap()
        .take(16384)
        .read_to_end(&mut good)
        .unwrap();
    ask(&path, &good);
    for len in [4, 5, 16, 63, 64, 65, 100, 400] {
        ask(&path, &good[..len]);
    }
    let with = |changes: &[(usize, &[u8])]| {
        let mut bytes = good.clone();
        for (at, change) in changes {
            bytes[*at..*at + change.len()].copy_from_slice(change);
        }
        bytes
    };
    let most = &[0xff; 8][..];
    // Where the program headers are, their size, their number.
    for bytes in [
        with(&[(32, most)]),
        with(&[(54, &[0, 0]), (56, &[0xff, 0xff])]),
        with(&[(54, &[0xff, 0xff]), (56, &[0xff, 0xff])]),
        with(&[(54, &[1, 0]), (56, &[0xff, 0xff])]),
        with(&[(32, &[0; 8])]),
    ] {
        ask(&path, &bytes);
    }
    // One header of each sort, with impossible places and sizes.
    for sort in [1u8, 4] {
        for field in [8, 16, 32, 40, 48] {
            for value in [
                most,
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
                &[0; 8],
            ] {
                ask(
                    &path,
                    &with(&[(56, &[1, 0]), (64, &[sort, 0, 0, 0]), (64 + field, value)]),
                );
            }
        }
    }
    // Notes without an end, of no size, and of the greatest.
    for note in [[0u8; 12], [0xff; 12]] {
        let header = [
            (56, &[1, 0][..]),
            (64, &[4, 0, 0, 0]),
            (72, &[0, 1, 0, 0, 0, 0, 0, 0]),
        ];
        ask(
            &path,
            &with(&[&header[..], &[(96, most), (256, &note)]].concat()),
        );
    }
    let mut random = Random::new(20);
    for _ in 0..scaled(300) {
        let mut bytes = good.clone();
        for _ in 0..1 + random.below(8) {
            let at = 16 + random.below(1000) as usize;
            bytes[at] = random.below(256) as u8;
        }
        ask(&path, &bytes);
    }
}
