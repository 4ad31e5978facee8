//! `introspect files`: the page cache by file.

use std::time::Duration;

use clap::Args;
use process_introspection::{page_cache, PageCache, PageCacheStep, PageSize, PassOptions};
use process_introspection_export::{Fields, FileKind, FileRecord, Record};

use crate::commands::cached_files::lacks;
use crate::failure::{continue_unless, warn, Failure};
use crate::options::mounts::ProcOption;
use crate::options::output::OutputOptions;
use crate::options::sorting::SortOptions;
use crate::output::sink::Sink;

const EXAMPLES: &str = "\
Examples:
  introspect files --top 50
  introspect files --sort dirty --top 5
  introspect files --all --format json | jq '.[] | select(.deleted).path'
  introspect files --all --format csv -o files.csv";

/// Number of files that are listed by default.
const TOP: usize = 20;

pub(crate) const MANUAL: &str = include_str!("manual/files.txt");

/// List the files that fill the page cache, and who uses them
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, mut_arg("top", |top| top.help("List the first N only [default: 20]")),
    mut_arg("sort", |sort| sort.help("Sort by a field of JSON, such as dirty or path")))]
pub(crate) struct Arguments {
    /// List every file
    #[arg(long, conflicts_with = "top")]
    all: bool,
    /// Give up a file system or a process that makes no progress
    #[arg(long, value_name = "TIME", default_value = "1s",
        value_parser = humantime::parse_duration)]
    deadline: Duration,
    #[command(flatten)]
    sorting: SortOptions,
    #[command(flatten)]
    proc: ProcOption,
    #[command(flatten)]
    output: OutputOptions,
}

impl Arguments {
    /// Refuses options that have no effect.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        self.sorting.check(FileRecord::FIELDS)
    }

    /// Runs the subcommand.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mounts = self.proc.mounts()?;
        let mut sink = Sink::open_for_processes(&self.output, &FileRecord::LAYOUT, None)?;
        let options = PassOptions::new().mounts(&mounts).deadline(self.deadline);
        let mut failed = None;
        let found = page_cache(options, self.deadline, |step| {
            if let PageCacheStep::Processes { done, of } = step {
                sink.passed_processes(done, of);
            }
            continue_unless(&mut failed, sink.check())
        })?;
        failed.map_or(Ok(()), Err)?;
        sink.end_progress();
        if let Some(found) = found {
            self.write(&found, &mut sink)?;
            sink.finish()?;
            lacks(&found, self.deadline).iter().for_each(warn);
        }
        Ok(())
    }

    /// Writes the records: files, and then what they do not explain.
    fn write(&self, found: &PageCache, sink: &mut Sink) -> Result<(), Failure> {
        let page = PageSize::base().bytes();
        let mut records: Vec<_> = found
            .files
            .iter()
            .map(|file| FileRecord::new(file, page))
            .collect();
        self.sorting.order(&mut records)?;
        let count = match self.all {
            true => records.len(),
            false => self.sorting.top().unwrap_or(TOP).min(records.len()),
        };
        let more = records.split_off(count);
        for record in &records {
            sink.write(record)?;
        }
        for is_shared in [false, true] {
            let is_meant =
                |record: &&FileRecord<'_>| (record.record == FileKind::Shared) == is_shared;
            let more: Vec<_> = more.iter().filter(is_meant).cloned().collect();
            if !more.is_empty() {
                sink.write(&FileRecord::more(&more, is_shared))?;
            }
            sink.write(&FileRecord::rest(found.rest(is_shared), is_shared))?;
        }
        Ok(())
    }
}
