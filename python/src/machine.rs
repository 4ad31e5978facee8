//! The memory of the whole machine, each frame in one use: one pass over all frames.

use std::slice;

use process_introspection::{FrameRuns, Host, MemoryBalance, MemoryCgroups, Mounts, PageSize};
use process_introspection_dataset::description::of_machine;
use process_introspection_export::{
    Extra, FrameGroupRecord, FrameGrouping, FrameUseRecord, MachineRecord, MetricRecord, Record,
};
use pyo3::prelude::*;

use crate::errors::{Class, Failure};
use crate::records::{Collector, Facts, Records};
use crate::signals::Signals;

/// Memory of the machine at the time of one pass over all frames.
#[pyclass(frozen, module = "process_introspection")]
#[derive(Debug)]
pub(crate) struct Machine {
    balance: MemoryBalance,
    cgroups: MemoryCgroups,
    facts: Facts,
}

/// Reads what each frame of the machine is used for, and who pays for it. Requires the right
/// to open root's files /proc/kpageflags and /proc/kpagecount.
#[pyfunction]
pub(crate) fn machine(py: Python<'_>) -> Result<Machine, Failure> {
    py.detach(|| {
        let mounts = Mounts::new();
        let facts = of_machine(Host::read_in(&mounts), PageSize::base());
        let runs = FrameRuns::open_in(&mounts)?;
        let mut signals = Signals::new();
        let balance = MemoryBalance::visit(&mounts, &runs, |_| signals.record())?;
        signals.finish()?;
        Ok(Machine {
            balance,
            cgroups: MemoryCgroups::read_in(&mounts),
            facts,
        })
    })
}

#[pymethods]
impl Machine {
    /// Returns all numbers, in one row.
    fn summary(&self) -> Records {
        let record = MachineRecord::new(&self.balance, |inode| self.cgroups.get(inode));
        self.all(slice::from_ref(&record), &MachineRecord::LAYOUT)
    }

    /// Returns the frames of each use, beside the kernel's counter of it.
    fn uses(&self) -> Records {
        let uses = MachineRecord::uses(&self.balance);
        self.all(&uses, &FrameUseRecord::LAYOUT)
    }

    /// Returns the frames by who pays for them, or by where they are: by is "cgroup", "unit",
    /// "container", "node" or "zone".
    fn groups(&self, by: &str) -> Result<Records, Failure> {
        let grouping = match by {
            "cgroup" => FrameGrouping::Cgroup,
            "unit" => FrameGrouping::Unit,
            "container" => FrameGrouping::Container,
            "node" => FrameGrouping::Node,
            "zone" => FrameGrouping::Zone,
            _ => {
                let message = format!(
                    "frames are grouped by cgroup, unit, container, node or zone, not {by:?}"
                );
                return Err(Failure::Other(Class::Argument, message));
            }
        };
        let cgroup = |inode| self.cgroups.get(inode);
        let groups = FrameGroupRecord::all(&self.balance, grouping, cgroup);
        let groups = groups.ok_or_else(|| {
            let message = "this kernel has no memory cgroups, which pay for frames";
            Failure::Other(Class::Unsupported, message.to_owned())
        })?;
        Ok(self.all(&groups, &FrameGroupRecord::LAYOUT))
    }

    /// Returns published metrics of fragmentation and contiguity.
    fn contiguity_metrics(&self) -> Records {
        let metrics = MetricRecord::of_machine(&self.balance);
        self.all(&metrics, &MetricRecord::LAYOUT.with(&[Extra::Node]))
    }

    fn __repr__(&self) -> String {
        format!("<Machine: {} bytes of memory>", self.balance.present())
    }
}

impl Machine {
    fn all<R: Record>(
        &self,
        records: &[R],
        layout: &process_introspection_export::Layout,
    ) -> Records {
        Collector::all(layout, self.facts.clone(), records)
    }
}
