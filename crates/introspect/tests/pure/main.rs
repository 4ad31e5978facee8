//! Pure parts of the command, which know no other part. They are included from its source,
//! because the command is not a library.

mod error_messages;
mod extent_conditions;
mod hex_dump;
mod log_formats;
mod ranges;
mod targets;
