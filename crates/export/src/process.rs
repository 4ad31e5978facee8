//! Fields of the process in records of lists of several processes. Must not know those
//! records.

use crate::field::{record, Extra};
use crate::name::Name;
use crate::value::Decimal;

record! {
    /// Process of a record, in lists of several processes.
    #[derive(Copy)]
    pub struct ProcessIdentity<'a> {
        /// Process. Only in lists of several processes.
        pub pid: u32 = number(0, "PID", 7).column_extra(Extra::Process),
        /// Unique number of the process, in decimal. It is a string because JSON numbers
        /// lose bits past 2^53. Only in lists of several processes.
        pub unique_pid: Decimal = number(1, "UNIQUE_PID", 16).column_extra(Extra::Process),
        /// Its comm: the first 15 bytes of its program's name, or the name that it gave
        /// itself. Bytes that are not UTF-8 are replaced. Only in lists of several
        /// processes.
        pub command: Name<'a> = text(2, "COMMAND", 15).column_extra(Extra::Process)
            .null("if it could not be read"),
    }
}
