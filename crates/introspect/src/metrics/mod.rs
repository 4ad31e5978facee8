//! Metrics for Prometheus: a walk of the machine as series, as text once, or answered over HTTP
//! from the last of many walks. Must not know options.

pub(crate) mod background;
mod family;
mod groups;
mod http;
mod reading;
pub(crate) mod text;
mod values;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use process_introspection::Mounts;

use crate::failure::{warn, Failure};
use crate::grouping::Property;
use reading::{Effort, Reader};
use text::Format;
use values::Known;

/// Content of the metrics.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) mounts: Mounts,
    /// Property by which processes are grouped.
    pub(crate) by: Property,
    /// Number of groups with series of their own.
    pub(crate) top: usize,
    /// How long a process may keep the walk waiting.
    pub(crate) deadline: Duration,
}

/// Background walks, and where their results are answered.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    /// Time from the begin of a walk to that of the next one, at least.
    pub(crate) interval: Duration,
    /// Part of one CPU that the walks may use, in thousandths.
    pub(crate) budget: u32,
}

/// Walks once as fast as possible, and returns the metrics. `check` is called often, and can end
/// the walk.
pub(crate) fn once(
    selection: &Selection,
    format: Format,
    check: impl Fn() -> Result<(), Failure> + Send + Sync + 'static,
) -> Result<Vec<u8>, Failure> {
    let reader = Reader::new(selection, Effort::Full(Box::new(check)));
    let mut known = Known::new();
    known.take_processes(reader.processes()?);
    known.take_frames(reader.frames()?);
    known.take_counters(reader.counters()?);
    known.complaints().iter().for_each(warn);
    let samples = values::samples(&known, selection, &mut BTreeSet::new());
    Ok(text::write(&samples, format))
}
