//! Rounds of filling, querying and posting. Memory of a kind is written again after the
//! host has checked it.

use std::time::{Duration, Instant};

use truth::pattern::{PAGE, ZEROS};
use truth::slot::{Post, Record, Slot, CAPACITY, INTERFACES, SIZE};

use crate::area::{Area, AREAS, UNBACKED};
use crate::ask::{ask, Run, Sort};

/// Returns the duration in seconds from the kernel's command line. Only a guest has that
/// word.
fn seconds() -> Result<u64, String> {
    let line = std::fs::read_to_string("/proc/cmdline").map_err(|error| error.to_string())?;
    let mut words = line.split_ascii_whitespace();
    let word = words.find_map(|word| word.strip_prefix("truth.seconds="));
    let word = word.ok_or("this is no guest of `cargo xtask truth`")?;
    word.parse().map_err(|_| format!("{word} is no number"))
}

/// Prevents the kernel from moving pages between the report and the comparison. The
/// duration is the largest possible.
fn keep_in_place() -> Result<(), String> {
    let settings = [
        (
            "/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs",
            "4294967295",
        ),
        ("/proc/sys/vm/compaction_proactiveness", "0"),
    ];
    for (path, value) in settings {
        match std::fs::write(path, value) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(format!("{path}: {error}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Makes a slot; returns it with its address, as the Rust library reports it.
fn slot(number: usize) -> Result<(Slot, u64), String> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let size = 21 << libc::MAP_HUGE_SHIFT;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            SIZE as usize,
            protection,
            flags | size,
            -1,
            0,
        )
    };
    if at == libc::MAP_FAILED {
        return Err(format!("a slot: {}", std::io::Error::last_os_error()));
    }
    // SAFETY: the new mapping is aligned, is never unmapped, and only this slot
    // accesses it.
    let slot = unsafe { Slot::new(at.cast()) };
    slot.begin(number);
    let runs = ask(0, 0, at as u64, at as u64 + SIZE)?;
    match runs[..] {
        [Run {
            size: SIZE,
            memory: Some((Sort::Ram, paddr)),
            ..
        }] => {
            println!("truth: slot {number} at {paddr:#x}");
            Ok((slot, paddr))
        }
        _ => Err(format!("slot {number} is not one run: {runs:x?}")),
    }
}

/// Makes records of runs: a new one wherever the pattern or a run begins.
fn records(area: &Area, runs: &[Run]) -> Result<Vec<Record>, String> {
    let mut records: Vec<Record> = Vec::new();
    let mut expected = area.at;
    for run in runs {
        if run.virt != expected || run.size % PAGE != 0 {
            return Err(format!("{:?}: {run:x?} is not at {expected:#x}", area.kind));
        }
        expected += run.size;
        for page in 0..run.size / PAGE {
            let index = ((run.virt - area.at) / PAGE + page) as usize;
            let stamp = area.stamps[index];
            let Some((sort, start)) = run.memory else {
                if stamp != UNBACKED {
                    return Err(format!(
                        "{:?}: page {index} of {run:x?} is there",
                        area.kind
                    ));
                }
                continue;
            };
            if stamp == UNBACKED {
                return Err(format!(
                    "{:?}: page {index} of {run:x?} is not there",
                    area.kind
                ));
            }
            if !sort.is(area.sort(index)) {
                let (kind, expected) = (area.kind, area.sort(index));
                return Err(format!(
                    "{kind:?}: page {index} of {run:x?} is {expected:?}"
                ));
            }
            let (label, paddr) = (area.label(index), start + page * PAGE);
            let is_device = sort == Sort::Device;
            match records.last_mut() {
                Some(last)
                    if last.stamp == stamp
                        && last.is_device == is_device
                        && last.label + last.pages * PAGE == label
                        && last.paddr + last.pages * PAGE == paddr =>
                {
                    last.pages += 1;
                }
                _ => records.push(Record {
                    label,
                    paddr,
                    pages: 1,
                    stamp,
                    is_device,
                }),
            }
        }
    }
    match expected == area.at + area.size() {
        true => Ok(records),
        false => Err(format!("{:?}: the list ends at {expected:#x}", area.kind)),
    }
}

fn wait(slot: &Slot) -> Result<(), String> {
    let until = Instant::now() + Duration::from_secs(120);
    while slot.is_open() {
        if Instant::now() > until {
            return Err("the host does not check".to_owned());
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

/// Makes all addresses false: off by one page, and for zero pages, which can have other
/// zeros beside them, the address of a page with other content.
fn falsified(records: Vec<Record>, not_zero: u64) -> Vec<Record> {
    let mut all_false = Vec::new();
    for record in records {
        match record.stamp == ZEROS {
            true => all_false.extend((0..record.pages).map(|page| Record {
                label: record.label + page * PAGE,
                paddr: not_zero,
                pages: 1,
                ..record
            })),
            false => all_false.push(Record {
                paddr: record.paddr + PAGE,
                ..record
            }),
        }
    }
    all_false
}

fn post(
    (slot, at): &(Slot, u64),
    area: &Area,
    interface: usize,
    is_control: bool,
) -> Result<u64, String> {
    let runs = ask(interface, area.pid, area.at, area.at + area.size())?;
    let mut records = records(area, &runs)?;
    if is_control {
        records = falsified(records, *at);
    }
    if records.len() > CAPACITY {
        return Err(format!("{:?}: {} records", area.kind, records.len()));
    }
    for (index, &record) in records.iter().enumerate() {
        slot.store(index, record);
    }
    let is_backed = |stamp: &&u64| **stamp != UNBACKED;
    let pages = area.stamps.iter().filter(is_backed).count() as u64;
    slot.post(Post {
        records: records.len(),
        pages,
        interface,
        is_control,
    });
    Ok(if is_control { 0 } else { pages })
}

/// Runs rounds for the time on the command line; returns the closing line.
pub(crate) fn run() -> Result<String, String> {
    let seconds = seconds()?;
    keep_in_place()?;
    // All areas exist before any is filled, because one of them forks.
    let made = AREAS.map(|(kind, size)| Area::make(kind, size));
    let mut areas = Vec::new();
    for (number, area) in made.into_iter().enumerate() {
        areas.push((slot(number)?, area?));
    }
    println!("truth: begun");
    let begun = Instant::now();
    let (mut pages, mut rounds) = (0, 0);
    while begun.elapsed() < Duration::from_secs(seconds) || rounds < INTERFACES.len() as u64 {
        for (number, (slot, area)) in areas.iter_mut().enumerate() {
            wait(&slot.0)?;
            area.next(rounds)?;
            let interface = (rounds as usize + number) % INTERFACES.len();
            if rounds == 0 {
                post(slot, area, interface, true)?;
                wait(&slot.0)?;
            }
            pages += post(slot, area, interface, false)?;
        }
        rounds += 1;
    }
    for (slot, _) in &areas {
        wait(&slot.0)?;
    }
    let seconds = begun.elapsed().as_secs();
    Ok(format!("rounds={rounds} pages={pages} seconds={seconds}"))
}
