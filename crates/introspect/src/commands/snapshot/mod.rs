//! `introspect snapshot`: the memory of processes, written into a lake.

mod frames;
mod process;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use clap::error::ErrorKind;
use clap::{Args, ValueHint};
use process_introspection::{
    machine_id, stream_processes, with_user_rights, AdviceReading, Error, Frames, Host, Mounts,
    Parts, PassEvent, PassOptions, PhysicalMap, Process, SwapAreas, UniquePid,
};
use process_introspection_dataset::lake::{SnapshotWriter, Start, Written};
use process_introspection_dataset::redaction::{machine_id_hash, Redaction};
use process_introspection_dataset::tables::processes::ProcessRow;
use process_introspection_dataset::tables::snapshots::{SnapshotHead, SnapshotRow};
use process_introspection_dataset::tables::SCHEMA_VERSION;
use process_introspection_export::{NameBuf, Time};

use crate::commands::details::Details;
use crate::commands::selected::Selected;
use crate::commands::snapshot::process::{Part, Reader};
use crate::control::freeze::freeze;
use crate::control::interruption::{sleep_until, Interruption};
use crate::failure::{continue_unless, warn, Failure};
use crate::options::freeze::{FreezeOption, FOR_ONE_PROCESS};
use crate::options::from::as_user;
use crate::options::mounts::MountOptions;
use crate::options::pid::TargetText;
use crate::options::processes::{only, DEADLINE};
use crate::options::stats::StatsOption;
use crate::output::description;
use crate::output::progress::Progress;
use crate::text::processes;

const USAGE: &str = "\
introspect snapshot [OPTIONS] <PID>... -o <ROOT>
       introspect snapshot [OPTIONS] --all -o <ROOT>
       introspect snapshot [OPTIONS] --frames -o <ROOT>";

const EXAMPLES: &str = "\
Examples:
  introspect snapshot 1234 -o /var/lib/introspect
  introspect snapshot --all --frames -o lake
  introspect snapshot postgres --details --every 10s --count 30 -o lake
  introspect snapshot --all --redact --redact-key key -o lake";

pub(crate) const MANUAL: &str = include_str!("../manual/snapshot.txt");

/// Longest time for which snapshots are repeated: a century.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Store the memory of processes in a lake of Parquet files
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Processes: PID, unique PID, `self`, or exact name
    #[arg(
        value_name = "PID",
        required_unless_present_any = ["all", "frames"],
        conflicts_with = "all"
    )]
    pids: Vec<TargetText>,
    /// Store every process
    #[arg(long, conflicts_with = "freeze")]
    all: bool,
    /// Store the frames of the machine, their uses and payers
    #[arg(long)]
    frames: bool,
    /// Folder of the lake; created if there is none
    #[arg(short, long, value_name = "ROOT", value_hint = ValueHint::DirPath)]
    output: PathBuf,
    /// Add page flags and mapcounts, which is slow and large
    #[arg(long)]
    details: bool,
    /// Repeat, until interrupted or for --count
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    every: Option<Duration>,
    /// Number of snapshots
    #[arg(long, value_name = "N", requires = "every",
        value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Replace names by keyed hashes: paths, commands, groups, host
    #[arg(long)]
    redact: bool,
    /// Key of the hashes [default: random]
    #[arg(long, value_name = "FILE", requires = "redact", value_hint = ValueHint::FilePath)]
    redact_key: Option<PathBuf>,
    /// Give up a process without progress [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    deadline: Option<Duration>,
    #[command(flatten)]
    freeze: FreezeOption,
    #[command(flatten)]
    pub(crate) stats: StatsOption,
    #[command(flatten)]
    mounts: MountOptions,
}

impl Arguments {
    /// Returns the process that is named, if one is.
    pub(crate) fn target(&self) -> Option<&TargetText> {
        only(&self.pids)
    }

    /// Refuses options that have no effect.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        let is_machine = self.pids.is_empty() && !self.all;
        let of_processes = self.details
            || self.freeze.freeze
            || self.deadline.is_some()
            || self.stats.is_present();
        if is_machine && of_processes {
            let message = "--details, --freeze, --deadline and --stats are for processes: give \
                           PIDs or --all beside --frames";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
        }
        Ok(())
    }

    /// Runs the subcommand.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mounts = self.mounts.mounts()?;
        // Refused before anything is written.
        let this = Process::current()?;
        this.require_frames()?;
        Details::open(self.details, &this)?;
        let redaction = self.redaction()?;
        let interruption =
            Interruption::watch().map_err(|error| Failure::io("receive signals", &error))?;
        let (begun, mut taken) = (Instant::now(), 0);
        loop {
            let written = self.take(&mounts, redaction.as_ref(), &interruption)?;
            report(&written)?;
            taken += 1;
            let Some(every) = self.every.filter(|_| self.count != Some(taken)) else {
                return Ok(());
            };
            // At multiples of the interval, without those that took too long.
            let elapsed = begun.elapsed();
            let intervals = elapsed.as_nanos() / every.as_nanos().max(1) + 1;
            let next = every.saturating_mul(u32::try_from(intervals).unwrap_or(u32::MAX));
            // A time that the clock cannot represent is a century away.
            let next = begun.checked_add(next).unwrap_or(begun + FOREVER);
            sleep_until(next, || interruption.check())?;
        }
    }

    fn redaction(&self) -> Result<Option<Redaction>, Failure> {
        if !self.redact {
            return Ok(None);
        }
        let key = match &self.redact_key {
            Some(path) => {
                let key = with_user_rights(|| fs::read(path));
                let reading = format!("read the key {}", path.display());
                let key = key.map_err(|error| Failure::io(&reading, &error))?;
                if key.is_empty() {
                    return Err(Failure::Message(format!("cannot {reading}: it is empty")));
                }
                key
            }
            None => {
                let mut key = [0; 32];
                let random = fs::File::open("/dev/urandom");
                let read = random.and_then(|mut file| io::Read::read_exact(&mut file, &mut key));
                read.map_err(|error| Failure::io("make a random key", &error))?;
                key.to_vec()
            }
        };
        Ok(Some(Redaction::new(&key)))
    }

    /// Returns the processes to store, by their unique PIDs, and the number of those of
    /// which proc hides even that.
    fn selected(&self, mounts: &Mounts) -> Result<(Vec<Listed>, u64), Failure> {
        let (mut selected, mut hidden) = (Vec::new(), 0);
        if self.all {
            for listed in mounts.listed_processes()? {
                match listed.unique_pid {
                    Ok(unique) => selected.push((unique, false)),
                    Err(_) => hidden += 1,
                }
            }
        }
        let named = Selected::named(mounts, &self.pids)?;
        selected.extend(Selected::unique_pids(mounts, &named)?);
        selected.sort_by_key(|(unique, _)| unique.as_i64());
        selected.dedup_by_key(|(unique, _)| unique.as_i64());
        Ok((selected, hidden))
    }

    /// Takes one snapshot.
    fn take(
        &self,
        mounts: &Mounts,
        redaction: Option<&Redaction>,
        interruption: &Interruption,
    ) -> Result<Written, Failure> {
        let (taken_at, begun) = (SystemTime::now(), Instant::now());
        let mut host = Host::read_in(mounts);
        if let (Some(redaction), Some(name)) = (redaction, &mut host.name) {
            *name = redaction.text(name.as_bytes());
        }
        let start = Start {
            host: host.name.clone().unwrap_or_default().into_bytes(),
            taken_at,
            details: self.details,
            frames: self.frames,
            description: description::of_snapshot(host.clone()),
        };
        let (selected, hidden) = self.selected(mounts)?;
        let mut writer = as_user(|| SnapshotWriter::begin(&self.output, start))?;
        if self.frames {
            let progress = Progress::over_frames();
            frames::write(mounts, redaction, &mut writer, |done, of| {
                progress.passed_of(done, of);
                interruption.check()
            })?;
        }
        // Behind the frames, which take longer than a process.
        let freeze = match (&self.pids[..], self.freeze.freeze) {
            ([name], true) => freeze(&self.freeze, &name.open(mounts)?, name)?,
            (_, true) => return Err(Failure::Message(FOR_ONE_PROCESS.to_owned())),
            _ => None,
        };
        let has_frames = Frames::open_in(mounts).is_ok();
        let mut pass = Pass {
            writer,
            redaction,
            boot_time: host.boot_time,
            mounts,
            row: snapshot_row(&host),
            failed: None,
        };
        let progress = Progress::over_processes();
        let reader = Reader {
            map: Arc::new(PhysicalMap::read_in(mounts)?),
            settings: Arc::new(host.huge_pages.clone()),
            advice: match self.all {
                true => AdviceReading::Never,
                false => AdviceReading::WhereCheap,
            },
            details: self.details,
        };
        let pids: Vec<_> = selected.iter().map(|&(unique, _)| unique).collect();
        // A walk starts threads of its own, and this thread writes.
        let options = PassOptions::new().threads(1).mounts(mounts);
        let options = options.deadline(self.deadline.unwrap_or(DEADLINE));
        let look =
            move |process: Process, parts: &mut Parts<'_, Part>| reader.read(&process, parts);
        stream_processes(pids, &options, look, |event| {
            let handled = interruption.check().and_then(|()| match event {
                PassEvent::Part { part, .. } => pass.part(part),
                PassEvent::End { index, result } => {
                    progress.passed_of(index as u64 + 1, selected.len() as u64);
                    pass.end(selected[index], result.and_then(|read| read))
                }
                PassEvent::Waiting => Ok(()),
            });
            continue_unless(&mut pass.failed, handled)
        });
        let (guard, freeze_report) = freeze.map(|freeze| (freeze.guard, freeze.report)).unzip();
        drop((guard, progress, freeze_report));
        let Pass {
            writer,
            mut row,
            failed,
            ..
        } = pass;
        failed.map_or(Ok(()), Err)?;
        row.head.unread_refused += hidden;
        row.head.taken_at = taken_at.into();
        row.head.duration = begun.elapsed().as_micros() as u64;
        row.head.all_processes = self.all;
        row.head.details = self.details;
        row.head.redacted = redaction.is_some();
        row.frozen = self.freeze.freeze;
        row.has_frames = has_frames;
        row.swap_areas = swap_areas(mounts, redaction)?;
        as_user(|| writer.finish(row))
    }
}

/// Process to store, and whether it was named: it must exist and be readable then.
type Listed = (UniquePid, bool);

/// Writing side of a snapshot.
struct Pass<'a> {
    writer: SnapshotWriter,
    redaction: Option<&'a Redaction>,
    boot_time: Option<SystemTime>,
    mounts: &'a Mounts,
    row: SnapshotRow,
    failed: Option<Failure>,
}

impl Pass<'_> {
    fn part(&mut self, part: Part) -> Result<(), Failure> {
        match part {
            Part::Regions(rows) => {
                for mut row in rows {
                    if let (Some(redaction), Some(details)) = (self.redaction, &mut row.details) {
                        redaction.details(details);
                    }
                    self.writer.region(&row)?;
                }
            }
            Part::Mappings(rows) => {
                for mut row in rows {
                    if let Some(redaction) = self.redaction {
                        redaction.mapping(&mut row);
                    }
                    self.writer.mapping(&row)?;
                }
            }
        }
        Ok(())
    }

    /// Adds a process that was read, `None` if it has no memory, or the error.
    fn end(
        &mut self,
        (unique, is_required): Listed,
        result: Result<Option<ProcessRow>, Error>,
    ) -> Result<(), Failure> {
        let mut row = match result {
            Ok(None) => return Ok(()),
            Ok(Some(row)) => {
                self.row.head.processes_read += 1;
                row
            }
            Err(error) if is_required => return Err(error.into()),
            Err(error) => {
                let mut row = process::empty_row(unique);
                let (reason, count) = unread(&error, &mut self.row.head);
                *count += 1;
                (row.unread, row.error) = (Some(reason), Some(error.to_string()));
                row
            }
        };
        if let Ok(info) = self.mounts.process_info(unique) {
            process::set_info(&mut row, &info, self.boot_time);
        }
        if let Some(redaction) = self.redaction {
            redaction.process(&mut row);
        }
        self.writer.process(&row)?;
        Ok(())
    }
}

/// Returns the word for an error, and the number of processes that it stands for.
fn unread<'a>(error: &Error, head: &'a mut SnapshotHead) -> (&'static str, &'a mut u64) {
    if error.is_gone() {
        ("gone", &mut head.unread_gone)
    } else if error.is_permission_denied() {
        ("refused", &mut head.unread_refused)
    } else if error.is_silent() {
        ("silent", &mut head.unread_silent)
    } else {
        ("failed", &mut head.unread_failed)
    }
}

/// Returns the paths of swap areas, in the order of their numbers.
fn swap_areas(mounts: &Mounts, redaction: Option<&Redaction>) -> Result<Vec<String>, Failure> {
    let areas = SwapAreas::read_in(mounts)?;
    let paths = areas.areas().iter().map(|area| match redaction {
        Some(redaction) => redaction.text(area.path.as_bytes()),
        None => area.path.clone(),
    });
    Ok(paths.collect())
}

/// Returns what is known of a snapshot before it is taken.
fn snapshot_row(host: &Host) -> SnapshotRow {
    let pressure = host.memory_pressure.as_ref();
    let hundredths = |percent: f64| (percent * 100.0).round() as u64;
    let micros = |time: Duration| time.as_micros() as u64;
    let settings = &host.huge_pages;
    SnapshotRow {
        head: SnapshotHead {
            schema_version: SCHEMA_VERSION,
            kernel: host.kernel.clone().unwrap_or_default(),
            ..SnapshotHead::default()
        },
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_id: host.boot_id.clone(),
        machine_id_hash: machine_id().map(|id| machine_id_hash(&id)),
        arch: host.architecture.clone(),
        page_size: host.page_size.bytes(),
        mem_total: host.memory_total,
        nodes: host.nodes,
        booted_at: host.boot_time.map(Time::from),
        thp_enabled: settings.anonymous().map(|mode| mode.name().to_owned()),
        thp_defrag: settings.defrag.clone(),
        defrag_mode: host.defrag_mode.map(u64::from),
        swappiness: host.swappiness.map(u64::from),
        numa_balancing: host.numa_balancing.map(u64::from),
        memory_some_avg10: pressure.map(|pressure| hundredths(pressure.some.avg10)),
        memory_full_avg10: pressure.map(|pressure| hundredths(pressure.full.avg10)),
        memory_some_total: pressure.map(|pressure| micros(pressure.some.total)),
        memory_full_total: pressure.map(|pressure| micros(pressure.full.total)),
        host_name: NameBuf(host.name.clone().unwrap_or_default().into_bytes()),
        ..SnapshotRow::default()
    }
}

/// Prints the id of a snapshot, and on standard error what it lacks.
fn report(written: &Written) -> Result<(), Failure> {
    let row = &written.row.head;
    let unread = [
        (row.unread_refused, "which this user may not read"),
        (row.unread_silent, "which did not answer"),
        (row.unread_failed, "which could not be read"),
        (row.unread_gone, "which ended meanwhile"),
    ];
    for (count, why) in unread.into_iter().filter(|&(count, _)| count > 0) {
        warn(format_args!(
            "without the memory of {}, {why}",
            processes(count)
        ));
    }
    let printed = writeln!(io::stdout(), "{}", written.id);
    printed.map_err(|error| Failure::io("write to standard output", &error))
}
