//! Programs that fail under a tracer: LeakSanitizer stops its own program by ptrace at
//! the exit.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use object::read::{ObjectSymbol, ReadCache};
use object::Object;
use process_introspection::with_user_rights;

use crate::failure::warn;
use crate::text::printable;

/// Environment variables with options of the sanitizers, and the option that turns
/// LeakSanitizer off.
const VARIABLES: [&str; 2] = ["ASAN_OPTIONS", "LSAN_OPTIONS"];
const TURNED_OFF: &str = "detect_leaks=0";

/// Prefixes of symbols of AddressSanitizer's and LeakSanitizer's runtimes, whether linked
/// statically or dynamically; a stripped program keeps these symbols.
const PREFIXES: [&[u8]; 3] = [b"__asan_", b"__lsan_", b"__hwasan_"];

/// Warns if a program that is going to be traced searches for leaks at its exit.
pub(crate) fn warn_of_tracing(program: &OsStr) {
    let is_off = VARIABLES.iter().any(|variable| {
        let options = env::var(variable).unwrap_or_default();
        options.contains(TURNED_OFF)
    });
    let path = env::var_os("PATH").unwrap_or_default();
    if is_off || !file_of(program, &path).is_some_and(|file| looks_for_leaks(&file)) {
        return;
    }
    warn(format_args!(
        "{} has LeakSanitizer, which fails in a program that is traced and changes its exit \
         status: use --after TIME, or set ASAN_OPTIONS={TURNED_OFF}",
        printable(program)
    ));
}

/// Returns the file that execvp(3) executes for a name.
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

/// Returns whether a program contains LeakSanitizer; `false` if its file cannot be read.
fn looks_for_leaks(file: &Path) -> bool {
    let Ok(file) = with_user_rights(|| File::open(file)) else {
        return false;
    };
    // Reads only the headers and the symbols that are used.
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
        // Devices, pipes and directories are not read.
        assert_eq!(file_of(OsStr::new("/dev/zero"), &path), None);
        assert_eq!(file_of(OsStr::new("/"), &path), None);
    }

    #[test]
    fn a_file_that_is_no_program_has_no_sanitizer() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for bytes in [&b""[..], b"\x7fELF", b"#!/bin/sh\n__asan_init\n"] {
            fs::write(file.path(), bytes).unwrap();
            assert!(!looks_for_leaks(file.path()), "{bytes:?}");
        }
        assert!(!looks_for_leaks(Path::new("/proc/self/exe")));
    }
}
