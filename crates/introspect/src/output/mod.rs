//! Output of records: formats, destinations, the progress line, and remarks on standard
//! error. Must not know any command, and opens no process.

pub(crate) mod deferred;
pub(crate) mod description;
pub(crate) mod destination;
pub(crate) mod fold;
pub(crate) mod hex_dump;
pub(crate) mod place;
pub(crate) mod progress;
pub(crate) mod remarks;
pub(crate) mod sink;
mod startup;
