//! Destinations of output: a stream, or a file that is replaced as a whole.

use std::env;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{fchown, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use process_introspection::with_user_rights;
use tempfile::TempPath;

use crate::control::interruption::Interruption;
use crate::failure::Failure;
use crate::output::place::Place;
use crate::output::startup;

/// An output, unbuffered.
#[derive(Debug)]
pub(crate) struct Destination {
    /// Standard output, standard error, a device or pipe, or a temporary file.
    file: File,
    /// Replacement of a file by the temporary file.
    replacement: Option<Replacement>,
}

/// Temporary file that replaces a file when it is complete.
#[derive(Debug)]
struct Replacement {
    temporary_file: TemporaryFile,
    /// The file to replace, no symbolic link.
    path: PathBuf,
    /// Receives signals, which must not leave the temporary file behind.
    interruption: Interruption,
}

impl Destination {
    /// Opens a place for writing. Signals are received if one could leave a file behind.
    pub(crate) fn open(place: &Place) -> io::Result<Self> {
        Self::open_watched(place, None)
    }

    /// Opens a place for writing. `interruption` receives the signals, if signals are
    /// received already.
    pub(crate) fn open_watched(
        place: &Place,
        interruption: Option<Interruption>,
    ) -> io::Result<Self> {
        let in_place = |file| Self {
            file,
            replacement: None,
        };
        let stream = |fd: BorrowedFd<'_>| Ok(in_place(fd.try_clone_to_owned()?.into()));
        let path = match place {
            Place::StandardOutput if startup::standard_output_is_closed() => {
                return Err(rustix::io::Errno::BADF.into());
            }
            Place::StandardOutput => return stream(io::stdout().as_fd()),
            Place::StandardError => return stream(io::stderr().as_fd()),
            Place::At(path) => path,
        };
        with_user_rights(|| match fs::metadata(path) {
            Ok(present) if present.is_file() => {
                Self::replacing(&fs::canonicalize(path)?, Some(&present), interruption)
            }
            Ok(_) => OpenOptions::new().write(true).open(path).map(in_place),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self::replacing(&end_of_links(path)?, None, interruption)
            }
            Err(error) => Err(error),
        })
    }

    fn replacing(
        path: &Path,
        present: Option<&Metadata>,
        interruption: Option<Interruption>,
    ) -> io::Result<Self> {
        let dir = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let interruption = interruption.map_or_else(Interruption::watch, Ok)?;
        // The umask applies to these.
        let mode = present.map_or(0o666, |present| present.mode() & 0o777);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(mode);
        let mut builder = tempfile::Builder::new();
        let made = builder.prefix(".introspect-").make_in(dir, |path| {
            // Before there is a file, so that no signal can leave it behind.
            interruption.set_temporary_file(path);
            options.open(path)
        });
        let (file, temporary_path) = made?.into_parts();
        if let Some(present) = present {
            // Only the superuser can keep another owner; a file of another user becomes
            // the caller's, as with any replacement. By descriptor, never by name: the
            // owner of the directory could have put a link there.
            let _ = fchown(&file, Some(present.uid()), Some(present.gid()));
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        Ok(Self {
            file,
            replacement: Some(Replacement {
                temporary_file: TemporaryFile(Some(temporary_path)),
                path: path.to_owned(),
                interruption,
            }),
        })
    }

    /// Returns the receiver of signals, if signals are received.
    pub(crate) fn interruption(&self) -> Option<Interruption> {
        let replacement = self.replacement.as_ref();
        replacement.map(|replacement| replacement.interruption.clone())
    }

    /// Returns whether it replaces a file when it is complete.
    pub(crate) fn is_replacement(&self) -> bool {
        self.replacement.is_some()
    }

    /// Returns whether it is a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.file.is_terminal()
    }

    /// Returns the longest line in columns: the width of the terminal, or the environment
    /// variable `COLUMNS` for any other output.
    pub(crate) fn width(&self) -> Option<usize> {
        let columns = match terminal_size::terminal_size_of(&self.file) {
            Some((terminal_size::Width(columns), _)) => Some(usize::from(columns)),
            None => env::var("COLUMNS").ok().and_then(|text| text.parse().ok()),
        };
        columns.filter(|&columns| columns > 0)
    }

    /// Completes the output: the temporary file replaces the file.
    pub(crate) fn keep(self) -> io::Result<()> {
        self.replacement.map_or(Ok(()), |replacement| {
            replacement.temporary_file.persist(&replacement.path)
        })
    }
}

/// Prints a text on standard output.
pub(crate) fn print(text: &[u8]) -> Result<(), Failure> {
    let place = Place::StandardOutput;
    Destination::open(&place)
        .and_then(|mut out| out.write_all(text))
        .map_err(|error| place.write(&error))
}

/// File that removes itself, with the user's rights, unless it is persisted.
#[derive(Debug)]
struct TemporaryFile(Option<TempPath>);

impl TemporaryFile {
    fn persist(mut self, path: &Path) -> io::Result<()> {
        let Some(file) = self.0.take() else {
            return Ok(());
        };
        with_user_rights(|| file.persist(path).map_err(|error| error.error))
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let Some(file) = self.0.take() else {
            return;
        };
        // An error cannot be handled: the file stays.
        let _ = with_user_rights(|| file.close());
    }
}

/// Follows symbolic links, of which the last one leads to no file, and returns the path
/// that a file written to `path` would have.
fn end_of_links(path: &Path) -> io::Result<PathBuf> {
    /// Links that the kernel follows at most (path_resolution(7)).
    const MOST: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST {
        let target = match fs::read_link(&path) {
            Ok(target) => target,
            // No link, or no file.
            Err(_) => return Ok(path),
        };
        path.pop();
        path.push(target);
    }
    Err(rustix::io::Errno::LOOP.into())
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use testkit::trace;

    // Other architectures lack some of these system calls.
    #[test]
    fn a_files_owner_and_mode_are_changed_through_the_descriptor_alone() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("present");
        fs::write(&path, "").unwrap();
        // The directory is removed with the temporary file, which the child forgets.
        let calls = trace::count(
            || Place::At(path.clone()),
            |place| {
                std::mem::forget(
                    Destination::open_watched(place, Some(Interruption::default())).unwrap(),
                )
            },
        );
        // The name could lead to another file by now.
        for by_name in [libc::SYS_chown, libc::SYS_lchown, libc::SYS_fchownat] {
            assert_eq!(calls.of(by_name), 0);
        }
        for by_name in [libc::SYS_chmod, libc::SYS_fchmodat] {
            assert_eq!(calls.of(by_name), 0);
        }
        assert_eq!(calls.of(libc::SYS_fchown), 1);
        assert_eq!(calls.of(libc::SYS_fchmod), 1);
    }
}
