//! `--format` and `--output`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint};
use process_introspection_export::Format;

#[derive(Debug, Args)]
pub(crate) struct OutputOptions {
    /// Output format: table (default), json, jsonl or csv
    #[arg(long, default_value = "table", value_parser = format(), hide_default_value = true,
        hide_possible_values = true)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) file: OutputFile,
}

#[derive(Debug, Args)]
pub(crate) struct OutputFile {
    /// Write to FILE; replaced only by complete output
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}

impl OutputOptions {
    /// Returns whether the output is a table.
    pub(crate) fn is_table(&self) -> bool {
        self.format == Format::Table
    }
}

fn format() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name)).try_map(|name| name.parse::<Format>())
}
