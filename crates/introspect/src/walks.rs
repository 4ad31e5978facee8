//! The subcommands that list records: each walks what is selected and hands
//! the records on as they come.

use std::ops::ControlFlow;

use process_introspection::{PhysicalRegion, Process};
use process_introspection_export::{
    ExtentRecord, ObjectRecord, PageTableRecord, PhysicalRecord, Record, ResidentRecord,
    VirtualRecord,
};

use crate::arguments::{Extents, Object, Pagetable, Physical, Virtual};
use crate::conditions::Conditions;
use crate::failure::Failure;
use crate::pid::TargetText;
use crate::sink::{Setting, Sink};

/// Fails unless physical addresses can be seen, before anything is written.
fn check_frames(process: &Process) -> Result<(), Failure> {
    process.physical_regions(0..0)?;
    Ok(())
}

/// `introspect physical`.
pub(crate) fn physical(pid: &TargetText, arguments: &Physical) -> Result<(), Failure> {
    let process = pid.open()?;
    check_frames(&process)?;
    let standing = arguments.freeze.stop(&process, pid)?;
    physical_of(&process, arguments, standing.into())
}

/// `introspect physical -- COMMAND`. Gives the status to end with.
pub(crate) fn physical_of_command(arguments: &Physical) -> Result<u8, Failure> {
    // Before the program does anything.
    arguments.selection()?;
    let check = || check_frames(&Process::current()?);
    arguments
        .launch
        .run(check, &arguments.freeze, |process, setting| {
            physical_of(process, arguments, setting)
        })
}

fn physical_of(process: &Process, arguments: &Physical, setting: Setting) -> Result<(), Failure> {
    let selection = arguments.selection()?;
    let ranges = selection.ranges(process)?;
    let mut sink = Sink::open(&arguments.output, &PhysicalRecord::LAYOUT, &ranges, setting)?;
    let threads = usize::from(arguments.threads);
    for &range in &ranges {
        let mut failed = None;
        process.physical_regions_parallel(range, threads, |region| {
            let written = physical_region(process, region, arguments.backed, &mut sink);
            failed = written.err();
            match failed {
                None => ControlFlow::Continue(()),
                Some(_) => ControlFlow::Break(()),
            }
        })?;
        if let Some(failure) = failed {
            return Err(failure);
        }
    }
    sink.finish()
}

fn physical_region(
    process: &Process,
    region: &PhysicalRegion,
    backed: bool,
    sink: &mut Sink,
) -> Result<(), Failure> {
    sink.passed(region.virt)?;
    if backed && !region.backing.is_backed() {
        return Ok(());
    }
    let page_size = process.page_size_of(region)?;
    sink.write(&PhysicalRecord::new(region, page_size, process.page_size()))
}

/// `introspect extents`.
pub(crate) fn extents(arguments: &Extents) -> Result<(), Failure> {
    let process = arguments.target.pid.open()?;
    check_frames(&process)?;
    let standing = arguments.freeze.stop(&process, &arguments.target.pid)?;
    let ranges = arguments.range.selection().ranges(&process)?;
    let mut sink = Sink::open(
        &arguments.output,
        &ExtentRecord::LAYOUT,
        &ranges,
        standing.into(),
    )?;
    let align = arguments.align.map(|size| size.0);
    let mut conditions = Conditions::new(arguments.contiguous, align);
    for &range in &ranges {
        for extent in process.extents(range)? {
            let extent = extent?;
            sink.passed(extent.virt)?;
            let record = ExtentRecord::new(&extent, process.page_size());
            conditions.note(&record);
            sink.write(&record)?;
        }
    }
    sink.finish()?;
    match conditions.violation() {
        None => Ok(()),
        Some(wrong) => Err(Failure::Message(wrong)),
    }
}

/// `introspect virtual`.
pub(crate) fn mappings(arguments: &Virtual) -> Result<(), Failure> {
    if arguments.resident {
        return resident(arguments);
    }
    let process = arguments.target.pid.open()?;
    let standing = arguments.freeze.stop(&process, &arguments.target.pid)?;
    let selection = arguments.range.selection();
    let bounds = selection.bounds(&process);
    let mut selected = process
        .virtual_regions(bounds)?
        .filter(|mapping| {
            mapping
                .as_ref()
                .map_or(true, |mapping| selection.names(mapping))
        })
        .peekable();
    if selection.mapping.is_some() && selected.peek().is_none() {
        return Err(selection.nothing());
    }
    let mut sink = Sink::open(
        &arguments.output,
        &VirtualRecord::LAYOUT,
        &[bounds],
        standing.into(),
    )?;
    for mapping in selected {
        let mapping = mapping?;
        sink.passed(mapping.range)?;
        sink.write(&VirtualRecord::new(&mapping, process.page_size()))?;
    }
    sink.finish()
}

/// `introspect virtual --resident`.
fn resident(arguments: &Virtual) -> Result<(), Failure> {
    let process = arguments.target.pid.open()?;
    process.resident_regions(0..0)?;
    let standing = arguments.freeze.stop(&process, &arguments.target.pid)?;
    let ranges = arguments.range.selection().ranges(&process)?;
    let mut sink = Sink::open(
        &arguments.output,
        &ResidentRecord::LAYOUT,
        &ranges,
        standing.into(),
    )?;
    for &range in &ranges {
        for region in process.resident_regions(range)? {
            let region = region?;
            sink.passed(region.virt)?;
            if arguments.backed && !region.backing.is_backed() {
                continue;
            }
            sink.write(&ResidentRecord::new(&region, process.page_size()))?;
        }
    }
    sink.finish()
}

/// `introspect pagetable`.
pub(crate) fn page_table(arguments: &Pagetable) -> Result<(), Failure> {
    let process = arguments.target.pid.open()?;
    check_frames(&process)?;
    let standing = arguments.freeze.stop(&process, &arguments.target.pid)?;
    let ranges = arguments.range.selection().ranges(&process)?;
    let mut sink = Sink::open(
        &arguments.output,
        &PageTableRecord::LAYOUT,
        &ranges,
        standing.into(),
    )?;
    for &range in &ranges {
        for entry in process.page_table(range)? {
            let entry = entry?;
            sink.passed(entry.virt)?;
            if arguments.backed && !entry.backing.is_backed() {
                continue;
            }
            sink.write(&PageTableRecord::new(&entry, process.page_size()))?;
        }
    }
    sink.finish()
}

/// `introspect object`.
pub(crate) fn object(arguments: &Object) -> Result<(), Failure> {
    let process = arguments.target.pid.open()?;
    let address = arguments.address.0;
    let Some(object) = process.object_at(address)? else {
        return Err(Failure::Message(format!(
            "no file or other object is mapped at {address:#x} (introspect virtual {} lists what is)",
            arguments.target.pid
        )));
    };
    let mut sink = Sink::open(
        &arguments.output,
        &ObjectRecord::LAYOUT,
        &[],
        Setting::default(),
    )?;
    sink.write(&ObjectRecord::new(&object))?;
    sink.finish()
}
