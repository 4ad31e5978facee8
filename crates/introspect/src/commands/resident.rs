//! `introspect resident`: which pages of processes are in memory, without physical addresses.

use clap::Args;
use process_introspection::{PageSize, ResidentRegion};
use process_introspection_export::{Extra, Record, ResidentRecord};
use process_introspection_picture::svg::resident::Picture;

use crate::commands::several::{warn_of, Identity, Listing, Several};
use crate::commands::sources::with_sources;
use crate::control::launch::WalkContext;
use crate::failure::Failure;
use crate::options::from::FromOptions;
use crate::options::output::{with_pictures, OutputOptions};
use crate::options::pid::TargetText;
use crate::options::processes::{ProcessesArguments, PICTURE_OF_ONE};
use crate::options::stats::StatsOption;
use crate::output::remarks::Remarks;
use crate::output::sink::Sink;
use crate::source::Source;

const USAGE: &str = "\
introspect resident [OPTIONS] <PID>[,<PID>...]|--all [RANGE]";

const EXAMPLES: &str = "\
Examples:
  introspect resident 1234
  introspect resident 1234 --backed
  introspect resident --all --mapping libcrypto
  introspect resident 1234 --mapping '[heap]' --format json";

pub(crate) const MANUAL: &str = include_str!("manual/resident.txt");

/// List what is in memory, without physical addresses
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_help = EXAMPLES,
    mut_arg("from", |from| from.conflicts_with_all(["stats", "freeze", "procfs", "sysfs", "deadline"])),
    mut_arg("format", with_pictures))]
pub(crate) struct Arguments {
    #[command(flatten)]
    process: ProcessesArguments,
    /// Leave out what is not backed by memory
    #[arg(long)]
    backed: bool,
    #[command(flatten)]
    from: FromOptions,
    #[command(flatten)]
    pub(crate) stats: StatsOption,
    #[command(flatten)]
    output: OutputOptions,
}

impl Arguments {
    /// Returns the process that is named, if one is.
    pub(crate) fn target(&self) -> Option<&TargetText> {
        self.process.target()
    }

    /// Refuses options that have no effect.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        self.process.check()?;
        self.process.check_picture(self.output.is_picture())?;
        self.from.check(self.process.targets())
    }

    /// Runs the subcommand.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        with_sources(
            &self.process,
            &self.from,
            |process| process.require_page_map(),
            |source, context| self.one(source, context),
            |several| self.several(several),
        )
    }

    /// Lists the memory of one process.
    fn one(&self, process: &Source<'_>, context: WalkContext) -> Result<(), Failure> {
        let selection = self.process.selection()?;
        let ranges = process.ranges(&selection)?;
        let mut writer = Writer {
            remarks: Remarks::new(process, &self.output, false)?,
            sink: Sink::open(
                &self.output,
                &ResidentRecord::LAYOUT,
                Some(process),
                &ranges,
                context,
            )?,
            is_backed_only: self.backed,
            page_size: process.page_size(),
            picture: match self.output.is_picture() {
                true => {
                    let identity = Identity::of_source(process)?;
                    let page = process.page_size().bytes();
                    Some(Box::new(Picture::new(page, Some(identity.fields()))))
                }
                false => None,
            },
        };
        for &range in &ranges {
            for region in process.resident(range)? {
                let region = region?;
                writer.sink.passed(region.virt)?;
                writer.add(&region, None)?;
            }
        }
        if let Some(picture) = writer.picture {
            writer.sink.draw(&picture.finish())?;
        }
        writer.sink.finish()?;
        writer.remarks.finish(process, &selection);
        Ok(())
    }

    /// Lists the memory of several processes.
    fn several(&self, several: &Several) -> Result<(), Failure> {
        if self.output.is_picture() {
            return Err(Failure::Message(PICTURE_OF_ONE.to_owned()));
        }
        let selection = self.process.selection()?;
        let layout = ResidentRecord::LAYOUT.with(&[Extra::Process]);
        let mut writer = Writer {
            remarks: several.remarks(&self.output)?,
            sink: several.open_sink(&self.output, &layout)?,
            is_backed_only: self.backed,
            page_size: several.page_size()?,
            picture: None,
        };
        let selected = selection.to_shared();
        let unread = several.list(&mut writer, move |process, give| {
            for range in process.any_ranges(&selected.get())? {
                for region in process.resident(range)? {
                    if give(region?).is_break() {
                        return Ok(());
                    }
                }
            }
            Ok(())
        })?;
        writer.sink.finish()?;
        writer.remarks.finish_several(&selection);
        warn_of(&unread);
        Ok(())
    }
}

/// Writer of the regions of one process after another.
struct Writer {
    sink: Sink,
    remarks: Remarks,
    is_backed_only: bool,
    page_size: PageSize,
    /// Picture in place of a list.
    picture: Option<Box<Picture>>,
}

impl Writer {
    fn add(&mut self, region: &ResidentRegion, process: Option<&Identity>) -> Result<(), Failure> {
        if self.is_backed_only && !region.backing.is_backed() {
            self.remarks.left_out();
            return Ok(());
        }
        self.remarks.listed(Some(&region.mapping), region.backing);
        let mut record = ResidentRecord::new(region, self.page_size);
        record.process = process.map(Identity::fields);
        match &mut self.picture {
            Some(picture) => {
                picture.add(&record);
                self.sink.drawn();
                Ok(())
            }
            None => self.sink.write(&record),
        }
    }
}

impl Listing<ResidentRegion> for Writer {
    fn sink(&mut self) -> &mut Sink {
        &mut self.sink
    }

    fn item(&mut self, process: &Identity, region: ResidentRegion) -> Result<(), Failure> {
        self.add(&region, Some(process))
    }
}
