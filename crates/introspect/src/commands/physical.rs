//! The subcommands that list records: each walks what is selected and hands
//! the records on as they come.

use std::ops::ControlFlow;

use process_introspection::{
    Backing, EntryNotes, MemoryTypes, PageTableEntry, PhysicalMap, PhysicalRegion, Process,
    ThreadStacks,
};
use process_introspection_export::{
    Detailed, ExtentRecord, ObjectRecord, PageTableRecord, PhysicalRecord, Record, ResidentRecord,
    VirtualRecord, WithNode,
};

use crate::commands::conditions::Conditions;
use crate::commands::details::{Batch, Details};
use crate::commands::{Extents, Object, Pagetable, Physical, Virtual};
use crate::failure::Failure;
use crate::options::pid::TargetText;
use crate::options::range::RangeText;
use crate::output::fold::{Ended, Fold};
use crate::output::remarks::Remarks;
use crate::output::sink::{Setting, Sink};

/// Fails unless physical addresses can be seen, before anything is written.
fn check_frames(process: &Process) -> Result<(), Failure> {
    process.physical_regions(0..0)?;
    Ok(())
}

/// `introspect physical`.
pub(crate) fn physical(pid: &TargetText, arguments: &Physical) -> Result<(), Failure> {
    let process = pid.open(&arguments.mounts.mounts()?)?;
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
    let map = PhysicalMap::read_in(process.mounts())?;
    let details = Details::wanted(arguments.details, process)?;
    let with_node = map.has_several_nodes() || arguments.details;
    let layout = match (arguments.details, with_node) {
        (true, _) => &Detailed::<WithNode>::LAYOUT,
        (_, true) => &WithNode::LAYOUT,
        (_, false) => &PhysicalRecord::LAYOUT,
    };
    let mut remarks = Remarks::new(process, &arguments.output, setting.beside_program.is_some())?;
    let mut sink = Sink::open(&arguments.output, layout, &ranges, setting)?;
    let address = selection.range.and_then(RangeText::address);
    let write_row = |region: &PhysicalRegion, memory_type, details, folded, sink: &mut Sink| {
        let page_size = process.page_size_of(region)?;
        let mut record = PhysicalRecord::new(region, page_size, process.page_size());
        record.set_memory_type(memory_type);
        record.node = node_of(&map, region.backing, region.size());
        record.folded = folded;
        if let Some(address) = address {
            record.set_byte(address);
        }
        match details {
            Some(details) => sink.write(&Detailed {
                record: WithNode(record),
                details,
            }),
            None if with_node => sink.write(&WithNode(record)),
            None => sink.write(&record),
        }
    };
    let write = |region: &PhysicalRegion, memory_type, details, sink: &mut Sink| {
        write_row(region, memory_type, details, None, sink)
    };
    // What is folded is no memory of the process: how it is cached follows from
    // its mapping.
    let write_fold = |ended: Option<Ended>, sink: &mut Sink| match ended {
        None => Ok(()),
        Some(Ended::Records(regions)) => regions
            .iter()
            .try_for_each(|region| write(region, region.memory_type(), None, sink)),
        Some(Ended::Row(region, folded)) => {
            write_row(&region, region.memory_type(), None, Some(folded), sink)
        }
    };
    let mut batch = Batch::new(details, write);
    let mut fold = arguments.folds(&selection).then(Fold::default);
    let types = MemoryTypes::of(process.mounts());
    let flags = match arguments.vm_flags {
        true => Some(process.vm_flags()?),
        false => None,
    };
    let stacks = thread_stacks(process, arguments.thread_stacks)?;
    let threads = usize::from(arguments.threads);
    for &range in &ranges {
        let mut failed = None;
        let mut each = |region: &PhysicalRegion, notes: Option<&EntryNotes>| {
            let told = (flags.is_some() || stacks.is_some()).then(|| {
                let mut told = region.clone();
                if let Some(flags) = &flags {
                    told.backing = flags.backing_of(&region.mapping, region.backing);
                }
                if let Some(stacks) = &stacks {
                    told.mapping = stacks.tell(&region.mapping);
                }
                told
            });
            let region = told.as_ref().unwrap_or(region);
            let written = sink.passed(region.virt).and_then(|()| {
                if arguments.backed && !region.backing.is_backed() {
                    remarks.left_out();
                    return Ok(());
                }
                remarks.listed(Some(&region.mapping), region.backing);
                if let Some(fold) = &mut fold {
                    let (ended, is_taken) = fold.next(region);
                    write_fold(ended, &mut sink)?;
                    if is_taken {
                        return Ok(());
                    }
                }
                if !types.says_more_of(region) {
                    return batch.add(region, region.memory_type(), notes, &mut sink);
                }
                for (piece, memory_type) in types.pieces(region) {
                    batch.add(&piece, memory_type, notes, &mut sink)?;
                }
                Ok(())
            });
            failed = written.err();
            match failed {
                None => ControlFlow::Continue(()),
                Some(_) => ControlFlow::Break(()),
            }
        };
        match arguments.details {
            true => process
                .physical_regions_noting(range, threads, |region, notes| each(region, Some(notes))),
            false => process.physical_regions_parallel(range, threads, |region| each(region, None)),
        }?;
        if let Some(failure) = failed {
            return Err(failure);
        }
    }
    batch.write_all(&mut sink)?;
    write_fold(fold.and_then(|mut fold| fold.end()), &mut sink)?;
    sink.finish()?;
    remarks.say(process, &selection);
    Ok(())
}

/// Where stack pointers stand, if that is asked for.
fn thread_stacks(process: &Process, wanted: bool) -> Result<Option<ThreadStacks>, Failure> {
    Ok(wanted.then(|| process.thread_stacks()).transpose()?)
}

/// The node of all the memory behind a record.
fn node_of(map: &PhysicalMap, backing: Backing, size: u64) -> Option<u32> {
    map.node_of(backing.address()?, size)
}

/// `introspect extents`.
pub(crate) fn extents(arguments: &Extents) -> Result<(), Failure> {
    let process = arguments.target.open()?;
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
    let process = arguments.target.open()?;
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
    let stacks = thread_stacks(&process, arguments.thread_stacks)?;
    let mut remarks = Remarks::new(&process, &arguments.output, false)?;
    let mut sink = Sink::open(
        &arguments.output,
        &VirtualRecord::LAYOUT,
        &[bounds],
        standing.into(),
    )?;
    for mapping in selected {
        let mut mapping = mapping?;
        if let Some(stacks) = &stacks {
            mapping = stacks.tell(&mapping);
        }
        sink.passed(mapping.range)?;
        remarks.listed(Some(&mapping), Backing::Resident);
        sink.write(&VirtualRecord::new(&mapping, process.page_size()))?;
    }
    sink.finish()?;
    remarks.say(&process, &selection);
    Ok(())
}

/// `introspect virtual --resident`.
fn resident(arguments: &Virtual) -> Result<(), Failure> {
    let process = arguments.target.open()?;
    process.resident_regions(0..0)?;
    let standing = arguments.freeze.stop(&process, &arguments.target.pid)?;
    let selection = arguments.range.selection();
    let ranges = selection.ranges(&process)?;
    let mut remarks = Remarks::new(&process, &arguments.output, false)?;
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
                remarks.left_out();
                continue;
            }
            remarks.listed(Some(&region.mapping), region.backing);
            sink.write(&ResidentRecord::new(&region, process.page_size()))?;
        }
    }
    sink.finish()?;
    remarks.say(&process, &selection);
    Ok(())
}

/// `introspect pagetable`.
pub(crate) fn page_table(arguments: &Pagetable) -> Result<(), Failure> {
    let process = arguments.target.open()?;
    check_frames(&process)?;
    let standing = arguments.freeze.stop(&process, &arguments.target.pid)?;
    let selection = arguments.range.selection();
    let ranges = selection.ranges(&process)?;
    let mut remarks = Remarks::new(&process, &arguments.output, false)?;
    let address = selection.range.and_then(RangeText::address);
    let map = PhysicalMap::read_in(process.mounts())?;
    let details = Details::wanted(arguments.details, &process)?;
    let layout = match arguments.details {
        true => &Detailed::<PageTableRecord>::LAYOUT,
        false => &PageTableRecord::LAYOUT,
    };
    let mut sink = Sink::open(&arguments.output, layout, &ranges, standing.into())?;
    let write = |entry: &PageTableEntry, memory_type, details, sink: &mut Sink| {
        let mut record = PageTableRecord::new(entry, process.page_size());
        record.set_memory_type(memory_type);
        record.node = node_of(&map, entry.backing, entry.virt.size());
        if let Some(address) = address {
            record.set_byte(address);
        }
        match details {
            Some(details) => sink.write(&Detailed { record, details }),
            None => sink.write(&record),
        }
    };
    let mut batch = Batch::new(details, write);
    let types = MemoryTypes::of(process.mounts());
    for &range in &ranges {
        for entry in process.page_table(range)? {
            let entry = entry?;
            sink.passed(entry.virt)?;
            if arguments.backed && !entry.backing.is_backed() {
                remarks.left_out();
                continue;
            }
            remarks.listed(entry.mapping.as_deref(), entry.backing);
            batch.add(&entry, types.of_entry(&entry), None, &mut sink)?;
        }
    }
    batch.write_all(&mut sink)?;
    sink.finish()?;
    remarks.say(&process, &selection);
    Ok(())
}

/// `introspect object`.
pub(crate) fn object(arguments: &Object) -> Result<(), Failure> {
    let process = arguments.target.open()?;
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
