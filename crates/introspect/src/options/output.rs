//! `--format` and `--output`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint};
use process_introspection_export::Format as TextFormat;

#[derive(Debug, Args)]
pub(crate) struct OutputOptions {
    /// Output format: table (default), json, jsonl, csv or arrow
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
        self.format == Format::Text(TextFormat::Table)
    }
}

/// Format of records.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Text.
    Text(TextFormat),
    /// Stream in Arrow's IPC format.
    Arrow,
}

/// Name of [`Format::Arrow`].
const ARROW: &str = "arrow";

fn format() -> impl TypedValueParser<Value = Format> {
    let names = TextFormat::ALL.map(TextFormat::name);
    PossibleValuesParser::new(names.into_iter().chain([ARROW])).try_map(|name| match &*name {
        ARROW => Ok(Format::Arrow),
        name => name.parse().map(Format::Text),
    })
}
