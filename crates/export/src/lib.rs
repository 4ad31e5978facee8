//! Records of `process-introspection` as tables, JSON, JSON lines and CSV.
//!
//! Records are written as they come, so any number of them takes constant memory. This crate
//! sees records, never a process: it is a function of numbers and bytes.
//!
//! The fields of a record are declared once, see [`Field`]: every format is a [`Visit`] of
//! them, and the JSON schemas and `docs/FIELDS.md` are generated from them.
//!
//! ```
//! use process_introspection_export::{ExtentRecord, Format, Hex, Record, State, Writer};
//!
//! let mut writer = Writer::begin(Format::JsonLines, Vec::new(), &ExtentRecord::LAYOUT, None)?;
//! writer.write(&ExtentRecord {
//!     vaddr: Hex(0x7f0000001010),
//!     size: 3000,
//!     paddr: Some(Hex(0x11c183010)),
//!     pfn: Some(0x11c183),
//!     state: State::Ram,
//!     node: None,
//! })?;
//! let lines = writer.finish()?;
//! assert_eq!(
//!     String::from_utf8_lossy(&lines),
//!     r#"{"vaddr":"0x7f0000001010","size":3000,"paddr":"0x11c183010","pfn":1163651,"state":"ram","node":null}"#
//!         .to_owned() + "\n",
//! );
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Formats
//!
//! * **Table**: a header line and a line for each record, in columns of fixed width; a wider
//!   value moves the rest of its line. Addresses are in hexadecimal without `0x`, as in the
//!   `maps` file; sizes are exact, `132K`, `1G+4K` or `2T-4K`. In names, these are escaped:
//!   control and other characters that could upset a terminal, bytes that are not UTF-8, and
//!   backslashes. Notes below a row are indented. A summary is a picture in place of a row.
//! * **JSON**: an array of objects, each in one line, and **JSON lines**: the objects alone.
//!   `docs/schemas` has a JSON schema for each kind of record. If a name is not UTF-8, `path`
//!   has replacement characters and `path_hex` all bytes; a command has `command` and
//!   `command_hex`. Characters that could upset a terminal are `\uXXXX`. An array that was not
//!   [finished](Writer::finish) is not closed, so a part cannot pass for the whole.
//! * **CSV**: a header line, then the same fields; `swap` becomes `swap_type` and
//!   `swap_offset`; null is empty. In fields of text that anybody could have chosen (names,
//!   paths, commands) an apostrophe precedes text that begins with `=`, `+`, `-`, `@`, a tab, a
//!   return, or an apostrophe, so that no spreadsheet takes it for a formula: a reader of such
//!   a field removes one apostrophe from its beginning. [For a
//!   terminal](Writer::for_terminal) these fields are escaped as in a table.
#![forbid(unsafe_code)]

mod address;
mod change;
mod delimited;
mod details;
mod extents;
mod frame_change;
mod frame_group;
// Public for `record!`, which other crates use, too.
#[doc(hidden)]
pub mod field;
mod file;
mod group;
mod huge_advice;
mod huge_pages;
mod json;
mod machine;
mod machine_picture;
mod metric;
mod name;
mod number;
mod object;
mod order;
mod owner;
mod owner_total;
mod page;
mod page_table;
mod physical;
mod process;
mod record;
mod resident;
mod screen;
mod snapshot;
mod state;
mod summary;
mod summary_picture;
mod table;
mod thp;
mod types;
mod value;
mod virtual_regions;
pub mod words;
mod writer;

pub use address::AddressRecord;
pub use change::{ChangeKind, ChangeOf, ChangeRecord};
pub use delimited::Lines;
pub use details::{Details, Span};
pub use extents::ExtentRecord;
pub use field::{
    read_field, Column, Extra, Field, FieldType, Fields, FromSource, Kind, MissingField, Show,
    Source, StoredType, Unit, Visit,
};
pub use file::{FileKind, FileRecord};
pub use frame_change::FrameChangeRecord;
pub use frame_group::{FrameGroupRecord, FrameGrouping};
pub use group::{GroupRecord, TotalLine, UnusedHugePages};
pub use huge_advice::{advice as policy_advice, label as policy_label};
pub use huge_pages::{HugePagesRecord, HugeSettingsRecord, PolicyRecord};
pub use json::push_object;
pub use machine::{
    BlockRecord, BlockUseRecord, FrameUseRecord, FreeRecord, MachineNodeRecord, MachineRecord,
    PayerRecord, UnflaggedRecord, ZoneRecord,
};
pub use machine_picture::MachinePicture;
pub use metric::{Metric, MetricRecord, MetricSource, MetricUnit};
pub use name::{Name, NameBuf};
pub use number::{rough, DeviceNumber, Hex, Real, SignedHex, Time};
pub use object::ObjectRecord;
pub use order::{SortField, SortKey, UnknownColumn};
pub use owner::{NamedBy, OwnedPages, OwnerKind, OwnerRecord, Searched};
pub use owner_total::OwnerTotalRecord;
pub use page::{protection_name, Swap};
pub use page_table::PageTableRecord;
pub use physical::{Folded, PhysicalRecord};
pub use process::ProcessIdentity;
pub use record::{Layout, Record};
pub use resident::ResidentRecord;
pub use screen::percent;
pub use snapshot::{SnapshotRecord, SnapshotState};
pub use state::State;
pub use summary::{
    AtLeastRecord, ContiguityRecord, ExtentClassRecord, KindRecord, MappingUsageRecord, NodeRecord,
    PagesRecord, ProcessLine, SummaryRecord, UsageRecord,
};
pub use summary_picture::SummaryPicture;
pub use table::{Notes, Row};
pub use thp::{CounterRecord, KhugepagedRecord, ThpRecord, ThpSizeRecord};
pub use value::{Decimal, FlagCounts, FlagNames, Text, Value};
pub use virtual_regions::VirtualRecord;
pub use writer::{Format, UnknownFormat, Writer};
