//! `introspect object`: the file or other object that is mapped at an address.

use clap::Args;
use process_introspection_export::{ObjectRecord, Record};

use crate::control::launch::WalkContext;
use crate::failure::Failure;
use crate::options::output::OutputOptions;
use crate::options::range::Address;
use crate::options::target::TargetArgument;
use crate::output::sink::Sink;

const EXAMPLES: &str = "\
Examples:
  introspect object 1234 7f0012345678
  introspect object 1234 0x7f0012345678 --format json";

pub(crate) const MANUAL: &str = include_str!("manual/object.txt");

/// Show the file or other object that is mapped at an address
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: TargetArgument,
    /// Address, in hexadecimal
    #[arg(value_name = "ADDR")]
    address: Address,
    #[command(flatten)]
    output: OutputOptions,
}

impl Arguments {
    /// Runs the subcommand.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let process = self.target.open()?;
        let address = self.address.0;
        let Some(object) = process.object_at(address)? else {
            return Err(Failure::Message(format!(
                "no file or other object is mapped at {address:#x} (introspect virtual {} lists \
                 mappings)",
                self.target.pid
            )));
        };
        let context = WalkContext::default();
        let mut sink = Sink::open(
            &self.output,
            &ObjectRecord::LAYOUT,
            Some(&process),
            &[],
            context,
        )?;
        sink.write(&ObjectRecord::new(&object))?;
        sink.finish()
    }
}
