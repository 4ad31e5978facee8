//! Programs with a part that fails under a tracer: LeakSanitizer, which stops its
//! own program by ptrace when that ends.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use object::read::{ObjectSymbol, ReadCache};
use object::Object;
use process_introspection::with_user_rights;

use crate::options::target::printable;

/// Options of the sanitizers, and the one of them that turns the part off.
const VARIABLES: [&str; 2] = ["ASAN_OPTIONS", "LSAN_OPTIONS"];
const TURNED_OFF: &str = "detect_leaks=0";

/// Names that the runtimes of AddressSanitizer and LeakSanitizer have, whether
/// they are linked into the program or apart; a stripped program keeps them.
const PREFIXES: [&[u8]; 3] = [b"__asan_", b"__lsan_", b"__hwasan_"];

/// Says so if a program that is going to be traced looks for leaks at its end.
pub(crate) fn warn_of_tracing(program: &OsStr) {
    let is_off = VARIABLES.iter().any(|variable| {
        let options = env::var(variable).unwrap_or_default();
        options.contains(TURNED_OFF)
    });
    let path = env::var_os("PATH").unwrap_or_default();
    if is_off || !file_of(program, &path).is_some_and(|file| looks_for_leaks(&file)) {
        return;
    }
    let name = printable(program);
    // Where nobody can be told, the sanitizer still fails with a message.
    let _ = writeln!(
        io::stderr(),
        "introspect: {name} has LeakSanitizer, which fails in a program that is traced and \
         changes its exit status: use --after TIME, or set ASAN_OPTIONS={TURNED_OFF}"
    );
}

/// The file that is executed for a name: execvp(3).
fn file_of(program: &OsStr, path: &OsStr) -> Option<PathBuf> {
    let is_file =
        |file: &PathBuf| with_user_rights(|| fs::metadata(file)).is_ok_and(|file| file.is_file());
    if program.as_encoded_bytes().contains(&b'/') {
        return Some(PathBuf::from(program)).filter(is_file);
    }
    env::split_paths(path)
        .map(|dir| dir.join(program))
        .find(is_file)
}

/// Whether a program's file has such a part. A file that cannot be read has
/// none.
fn looks_for_leaks(file: &Path) -> bool {
    let Ok(file) = with_user_rights(|| File::open(file)) else {
        return false;
    };
    // Reads the headers and the symbols that are needed, no more.
    let cache = ReadCache::new(file);
    let Ok(program) = object::File::parse(&cache) else {
        return false;
    };
    let found = program.dynamic_symbols().any(|symbol| {
        let name = symbol.name_bytes().unwrap_or_default();
        PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_as_it_is_executed() {
        let dir = tempfile::TempDir::new().unwrap();
        let file = dir.path().join("program");
        fs::write(&file, "").unwrap();
        let path = env::join_paths([Path::new("/no/such/dir"), dir.path()]).unwrap();
        assert_eq!(file_of(OsStr::new("program"), &path), Some(file.clone()));
        assert_eq!(file_of(file.as_os_str(), OsStr::new("")), Some(file));
        assert_eq!(file_of(OsStr::new("other"), &path), None);
        // No device, pipe or directory is read.
        assert_eq!(file_of(OsStr::new("/dev/zero"), &path), None);
        assert_eq!(file_of(OsStr::new("/"), &path), None);
    }

    #[test]
    fn a_file_that_is_no_program_has_no_such_part() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for bytes in [&b""[..], b"\x7fELF", b"#!/bin/sh\n__asan_init\n"] {
            fs::write(file.path(), bytes).unwrap();
            assert!(!looks_for_leaks(file.path()), "{bytes:?}");
        }
        assert!(!looks_for_leaks(Path::new("/proc/self/exe")));
    }
}
