//! `--format` and `--output`.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Args, Command, ValueHint};
use process_introspection_export::Format as TextFormat;

#[derive(Debug, Args)]
pub(crate) struct OutputOptions {
    /// Output format: table (default), json, jsonl, csv or arrow
    #[arg(long, default_value = "table", value_parser = FormatParser::default(), hide_default_value = true,
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
    /// Returns whether the output is a picture.
    pub(crate) fn is_picture(&self) -> bool {
        self.format == Format::Svg
    }

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
    /// Picture.
    Svg,
}

/// Name of [`Format::Arrow`].
const ARROW: &str = "arrow";
/// Name of [`Format::Svg`].
const SVG: &str = "svg";

/// Adds pictures to the formats of a subcommand that draws them.
pub(crate) fn with_pictures(format: Arg) -> Arg {
    format
        .value_parser(FormatParser { draws: true })
        .help("Format: table (default), json, jsonl, csv, arrow or svg")
}

/// Parser of the name of a format.
#[derive(Copy, Clone, Debug, Default)]
struct FormatParser {
    /// Whether the subcommand draws pictures.
    draws: bool,
}

impl FormatParser {
    fn names(self) -> impl Iterator<Item = &'static str> {
        let names = TextFormat::ALL.map(TextFormat::name).into_iter();
        names.chain([ARROW]).chain(self.draws.then_some(SVG))
    }
}

impl TypedValueParser for FormatParser {
    type Value = Format;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Format, clap::Error> {
        if value == SVG && !self.draws {
            let message = "--format svg is a picture, which only physical, resident, summary and \
                           machine draw";
            let error = clap::Error::raw(ErrorKind::ArgumentConflict, message);
            return Err(error.format(&mut command.clone()));
        }
        let names = PossibleValuesParser::new(self.names());
        let parser = names.try_map(|name| match &*name {
            ARROW => Ok(Format::Arrow),
            SVG => Ok(Format::Svg),
            name => name.parse().map(Format::Text),
        });
        parser.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.names().map(PossibleValue::new)))
    }
}
