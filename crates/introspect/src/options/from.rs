//! `--from` and `--host`: a stored snapshot in place of processes; `ROOT[@WHEN]`, which names
//! it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Args, ValueHint};
use process_introspection::{with_user_rights, Host};
use process_introspection_dataset::lake::{Lake, LakeError, Snapshot, State, When};

use crate::failure::Failure;
use crate::options::pid::TargetText;

#[derive(Debug, Args)]
pub(crate) struct FromOptions {
    /// Read the snapshot of WHEN: id, UTC time or latest
    #[arg(long, value_name = "ROOT[@WHEN]", value_hint = ValueHint::DirPath)]
    from: Option<PathBuf>,
    /// Host whose snapshot is read
    #[arg(long, value_name = "NAME", requires = "from", value_hint = ValueHint::Other)]
    host: Option<OsString>,
}

impl FromOptions {
    /// Returns whether a snapshot is read.
    pub(crate) fn is_present(&self) -> bool {
        self.from.is_some()
    }

    /// Refuses `--host` without `--from`, and `self`, which is in no snapshot.
    pub(crate) fn check<'a>(
        &self,
        targets: impl IntoIterator<Item = &'a TargetText>,
    ) -> Result<(), clap::Error> {
        // The option's own requirement is lost beside an option that excludes --from.
        if self.host.is_some() && !self.is_present() {
            let message = "--host is for --from ROOT, which is not given";
            return Err(clap::Error::raw(
                ErrorKind::MissingRequiredArgument,
                message,
            ));
        }
        let is_this = |target: &TargetText| *target == TargetText::This;
        if self.is_present() && targets.into_iter().any(is_this) {
            let message = "self is this command, which is in no snapshot: with --from name \
                           another process";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
        }
        Ok(())
    }

    /// Returns the host that is named.
    pub(crate) fn host(&self) -> Option<&OsStr> {
        self.host.as_deref()
    }

    /// Opens the snapshot with the user's own rights; `None` without `--from`.
    pub(crate) fn open(&self) -> Result<Option<Snapshot>, Failure> {
        let from = self.from.as_deref();
        from.map(|from| open_snapshot(from, self.host.as_deref()))
            .transpose()
    }
}

/// Opens the snapshot `ROOT[@WHEN]` with the user's own rights. Without `host` it is one of
/// this machine, or of the lake's only host.
pub(crate) fn open_snapshot(text: &Path, host: Option<&OsStr>) -> Result<Snapshot, Failure> {
    let (root, when) = parse(text)?;
    let host = host.map(OsStr::as_bytes);
    let this_host = Host::read().name.unwrap_or_default();
    let opened = as_user(|| {
        let snapshot = Lake::open(&root)?.select(when, host, this_host.as_bytes())?;
        Ok((snapshot.state(), snapshot))
    });
    match opened? {
        (State::Complete, snapshot) => Ok(snapshot),
        (State::Incomplete(why), snapshot) => Err(Failure::Message(format!(
            "snapshot {} of {} is incomplete: {why} (was the lake copied in part?)",
            snapshot.entry().id(),
            root.display()
        ))),
    }
}

/// Returns the failure of a snapshot without frames.
pub(crate) fn no_frames(snapshot: &Snapshot) -> Failure {
    Failure::Message(format!(
        "snapshot {} has no frames of the machine: introspect snapshot --frames stores them",
        snapshot.entry().id()
    ))
}

/// Calls `act`, which uses files of a lake, with the user's own rights.
pub(crate) fn as_user<T>(act: impl FnOnce() -> Result<T, LakeError>) -> Result<T, Failure> {
    let acted = with_user_rights(|| Ok(act()));
    let acted = acted.map_err(|error| Failure::io("use the lake", &error))?;
    Ok(acted?)
}

/// Returns the folder and the snapshot of `ROOT[@WHEN]`. The last `@` separates, unless all
/// of the text is a folder.
fn parse(text: &Path) -> Result<(PathBuf, When), Failure> {
    let bytes = text.as_os_str().as_bytes();
    let is_folder = || with_user_rights(|| Ok(text.is_dir())).unwrap_or(false);
    let at = bytes.iter().rposition(|&byte| byte == b'@');
    let Some(at) = at.filter(|_| !is_folder()) else {
        return Ok((text.to_owned(), When::Latest));
    };
    let when = OsStr::from_bytes(&bytes[at + 1..]).to_string_lossy();
    let wrong = |message: String| {
        let message = format!("{}: {message}", text.display());
        Failure::Usage(clap::Error::raw(ErrorKind::ValueValidation, message))
    };
    let root = PathBuf::from(OsStr::from_bytes(&bytes[..at]));
    Ok((root, when.parse().map_err(wrong)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_at_separates_unless_all_is_a_folder() {
        let lakes = tempfile::TempDir::new().unwrap();
        let named = lakes.path().join("user@latest");
        std::fs::create_dir(&named).unwrap();
        let latest = |root: &Path| (root.to_owned(), When::Latest);
        assert_eq!(parse(&named).unwrap(), latest(&named));
        let text = format!("{}@latest", named.display());
        assert_eq!(parse(Path::new(&text)).unwrap(), latest(&named));
        assert_eq!(
            parse(Path::new("none@latest")).unwrap().0,
            Path::new("none")
        );
        assert_eq!(parse(Path::new("none")).unwrap(), latest(Path::new("none")));
        let (root, when) = parse(Path::new("a@b@2026-11-25T18:00:00Z")).unwrap();
        assert_eq!(root, Path::new("a@b"));
        assert!(matches!(when, When::At(_)), "{when}");
        for wrong in ["lake@", "lake@yesterday", "lake@2026-11-25"] {
            assert!(parse(Path::new(wrong)).is_err(), "{wrong}");
        }
    }
}
