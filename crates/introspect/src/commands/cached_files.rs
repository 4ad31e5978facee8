//! Gaps of a list of the page cache by file, in words. Must not know how it is written.

use std::time::Duration;

use process_introspection::{PageCache, UncountedFiles, UncountedReason};

use crate::commands::unread::Unread;
use crate::text::{counted, printable};

/// Returns what a list of files lacks, and why.
pub(crate) fn lacks(found: &PageCache, deadline: Duration) -> Vec<String> {
    let mut unread = Unread::default();
    for error in &found.unread {
        // An error of the library is about a process.
        let _ = unread.add(error.clone().into());
    }
    let uncounted = found.uncounted.iter();
    let mut lacks = unread.lines();
    lacks.extend(uncounted.map(|files| uncounted_text(files, deadline)));
    if !found.is_each_once {
        lacks.push(
            "files of overlay file systems may have pages in common, which this kernel does not \
             show (Linux 6.6 does): other-files is unknown"
                .to_owned(),
        );
    }
    lacks
}

fn uncounted_text(files: &UncountedFiles, deadline: Duration) -> String {
    let count = counted(files.count as u64, "file", "files");
    let verb = if files.count == 1 { "is" } else { "are" };
    let why = match files.reason {
        UncountedReason::Silent => format!("the file system did not answer within {deadline:?}"),
        UncountedReason::Served => "opening a file of a FUSE server can drop its pages".to_owned(),
        UncountedReason::UnknownFileSystem => {
            "what opening a file does there is not known".to_owned()
        }
        UncountedReason::Refused => {
            "this user may not open them, or may not know their pages".to_owned()
        }
        UncountedReason::Leased => "another process has a lease on them".to_owned(),
        UncountedReason::TooLarge => {
            "larger than 256 GiB, on an overlay file system or before Linux 6.5".to_owned()
        }
        _ => "they could not be counted".to_owned(),
    };
    let place = match (&files.file_system, &files.mount_point) {
        (Some(kind), Some(point)) => format!(" of {} ({kind})", printable(point)),
        _ => String::new(),
    };
    let example = printable(&files.example);
    format!("{count}{place} {verb} not counted, such as {example}: {why}")
}
