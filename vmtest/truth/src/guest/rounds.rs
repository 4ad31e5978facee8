//! The rounds: fill, ask, post; each kind of memory waits for the host to have
//! looked at it before it is written again.

use std::time::{Duration, Instant};

use truth::pattern::{PAGE, ZEROS};
use truth::slot::{Post, Record, Slot, CAPACITY, INTERFACES, SIZE};

use crate::area::{Area, Kind, AREAS, UNBACKED};
use crate::ask::{ask, Run};

/// How many seconds to go on, from the kernel's command line; that word is also
/// what tells a guest from any other machine.
fn seconds() -> Result<u64, String> {
    let line = std::fs::read_to_string("/proc/cmdline").map_err(|error| error.to_string())?;
    let mut words = line.split_ascii_whitespace();
    let word = words.find_map(|word| word.strip_prefix("truth.seconds="));
    let word = word.ok_or("this is no guest of `cargo xtask truth`")?;
    word.parse().map_err(|_| format!("{word} is no number"))
}

/// Keeps the kernel from moving pages between the answer and the look at them:
/// what is reported is true when it is read. (The long sleep is the longest.)
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

/// A huge page for what is posted, and where it is, by the Rust library.
fn slot(number: usize) -> Result<Slot, String> {
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
    // SAFETY: just mapped, aligned, stays mapped, accessed by this alone.
    let slot = unsafe { Slot::new(at.cast()) };
    slot.begin(number);
    let runs = ask(0, 0, at as u64, at as u64 + SIZE)?;
    match runs[..] {
        [Run {
            size: SIZE,
            paddr: Some(paddr),
            ..
        }] => {
            println!("truth: slot {number} at {paddr:#x}");
            Ok(slot)
        }
        _ => Err(format!("slot {number} is not one run: {runs:x?}")),
    }
}

/// What is to be posted: a record wherever pattern or library begin anew.
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
            let Some(start) = run.paddr else {
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
            let (label, paddr) = (area.label(index), start + page * PAGE);
            match records.last_mut() {
                Some(last)
                    if last.stamp == stamp
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
            return Err("the host does not look".to_owned());
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

fn post(slot: &Slot, area: &Area, interface: usize, is_control: bool) -> Result<u64, String> {
    let runs = ask(interface, area.pid, area.at, area.at + area.size())?;
    let records = records(area, &runs)?;
    if records.len() > CAPACITY {
        return Err(format!("{:?}: {} records", area.kind, records.len()));
    }
    for (index, &record) in records.iter().enumerate() {
        // A control is one page off.
        let paddr = record.paddr + if is_control { PAGE } else { 0 };
        slot.store(index, Record { paddr, ..record });
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

/// Goes on for as long as the command line says; gives the closing line.
pub(crate) fn run() -> Result<String, String> {
    let seconds = seconds()?;
    keep_in_place()?;
    // Before there is much memory: one of them forks.
    let made = AREAS.map(|(kind, size)| Area::make(kind, size));
    let mut areas = Vec::new();
    for (number, area) in made.into_iter().enumerate() {
        areas.push((slot(number)?, area?));
    }
    println!("truth: begun");
    let begun = Instant::now();
    let (mut pages, mut rounds) = (0, 0);
    let mut spent = [[Duration::ZERO; 3]; AREAS.len()];
    let since = |spent: &mut Duration, from: Instant| *spent += from.elapsed();
    while begun.elapsed() < Duration::from_secs(seconds) || rounds < INTERFACES.len() as u64 {
        for (number, (slot, area)) in areas.iter_mut().enumerate() {
            let from = Instant::now();
            wait(slot)?;
            since(&mut spent[number][0], from);
            let from = Instant::now();
            area.next(rounds)?;
            since(&mut spent[number][1], from);
            let from = Instant::now();
            let mut interface = (rounds as usize + number) % INTERFACES.len();
            // Extents do not say where zeros are: nobody may write there.
            if area.kind == Kind::Zero && INTERFACES[interface] == "Rust extents" {
                interface = 0;
            }
            // The page behind the page of zeros could hold zeros, too.
            if rounds == 0 && area.stamps[0] != ZEROS {
                post(slot, area, interface, true)?;
                wait(slot)?;
            }
            pages += post(slot, area, interface, false)?;
            since(&mut spent[number][2], from);
        }
        rounds += 1;
    }
    for (slot, _) in &areas {
        wait(slot)?;
    }
    for (kind, spent) in truth::slot::KINDS.iter().zip(spent) {
        let [waited, filled, asked] = spent.map(|time| time.as_secs_f64());
        println!("{kind}: waited {waited:.1} s, filled {filled:.1} s, asked {asked:.1} s");
    }
    let seconds = begun.elapsed().as_secs();
    Ok(format!("rounds={rounds} pages={pages} seconds={seconds}"))
}
