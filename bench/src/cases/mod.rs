//! The cases: the memory, the floor or peer, and the target.

mod address;
mod areas;
mod attributes;
mod census;
mod dense;
mod details;
mod growth;
mod huge;
mod latency;
mod memory;
mod output;
mod peers;
pub(crate) mod processes;
pub(crate) mod snapshots;
mod sparse;
mod start;

use crate::session::Session;

/// Measures all selected rows.
pub(crate) fn run(session: &mut Session) {
    dense::run(session);
    sparse::run(session);
    areas::run(session);
    huge::run(session);
    attributes::run(session);
    details::run(session);
    census::run(session);
    address::run(session);
    memory::run(session);
    growth::run(session);
    latency::run(session);
    output::run(session);
    start::run(session);
    peers::run(session);
    processes::run(session);
    snapshots::run(session);
}
