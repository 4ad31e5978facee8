//! Redaction: names in rows become keyed hashes. With the same key the same name has the same
//! hash, so that redacted snapshots can be compared; without the key it cannot be found by
//! trying names. Knows no files.

use hmac::{Hmac, KeyInit, Mac};
use process_introspection_export::{Details, NameBuf};
use sha2::Sha256;

use crate::tables::frames::FrameRow;
use crate::tables::mappings::MappingRow;
use crate::tables::processes::ProcessRow;

/// Names that the kernel gives to mappings of every process.
const KERNELS: [&[u8]; 8] = [
    b"[heap]",
    b"[stack]",
    b"[vdso]",
    b"[vvar]",
    b"[vvar_vclock]",
    b"[vsyscall]",
    b"[uprobes]",
    b"[sigpage]",
];
/// Digits of a hash: half of it, which no two names share by chance.
const DIGITS: usize = 32;

/// Replaces names by hashes.
#[derive(Clone)]
pub struct Redaction(Hmac<Sha256>);

impl std::fmt::Debug for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redaction").finish_non_exhaustive()
    }
}

impl Redaction {
    /// Makes one with this key, of any length.
    pub fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("a key of any length"))
    }

    /// Returns the hash of a name, in hexadecimal.
    pub fn text(&self, name: &[u8]) -> String {
        let hash = self.0.clone().chain_update(name).finalize().into_bytes();
        let digits = hash.iter().map(|byte| format!("{byte:02x}"));
        let mut text: String = digits.collect();
        text.truncate(DIGITS);
        text
    }

    fn replace(&self, name: &mut NameBuf) {
        if !name.0.is_empty() {
            name.0 = self.text(&name.0).into_bytes();
        }
    }

    /// Redacts a process: its name, command line, executable, error and groups.
    pub fn process(&self, row: &mut ProcessRow) {
        let names = [
            &mut row.name,
            &mut row.command,
            &mut row.exe,
            &mut row.cgroup,
        ];
        names.into_iter().for_each(|name| self.replace(name));
        // Errors contain paths.
        let texts = [&mut row.unit, &mut row.container, &mut row.error];
        for text in texts.into_iter().flatten() {
            *text = self.text(text.as_bytes());
        }
    }

    /// Redacts a mapping: its path, or the name that the process gave it.
    pub fn mapping(&self, row: &mut MappingRow) {
        if !KERNELS.contains(&&row.path.0[..]) {
            self.replace(&mut row.path);
        }
    }

    /// Redacts a run of frames: the path of its cgroup.
    pub fn frame(&self, row: &mut FrameRow) {
        self.replace(&mut row.cgroup);
    }

    /// Redacts the details of a region: the path of its swap area.
    pub fn details(&self, details: &mut Details) {
        if let Some(area) = &mut details.swap_area {
            *area = self.text(area.as_bytes());
        }
    }
}

/// Returns a hash of a machine's id from which the id cannot be computed: as systemd's
/// `sd_id128_get_machine_app_specific` does it, the id is the key and a constant the message.
pub fn machine_id_hash(id: &str) -> String {
    Redaction::new(id.as_bytes()).text(b"process-introspection")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_depends_on_name_and_key_and_on_nothing_else() {
        let (one, other) = (Redaction::new(b"key"), Redaction::new(b"kez"));
        assert_eq!(
            one.text(b"/bin/cat"),
            Redaction::new(b"key").text(b"/bin/cat")
        );
        assert_ne!(one.text(b"/bin/cat"), one.text(b"/bin/ca"));
        assert_ne!(one.text(b"/bin/cat"), other.text(b"/bin/cat"));
        // RFC 4231, test case 2.
        let known = Redaction::new(b"Jefe").text(b"what do ya want for nothing?");
        assert_eq!(known, "5bdcc146bf60754e6a042426089575c7");
    }
}
