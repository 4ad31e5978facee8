//! Columns of Arrow: a schema from the declarations of fields, batches from records,
//! and records from batches. Knows no kind of record, no file and no stream.
//!
//! | values | column |
//! |---|---|
//! | numbers, addresses, flags as a number | `Int64` with the bits of the unsigned number |
//! | times of day | `Timestamp` of microseconds, UTC |
//! | true or false | `Boolean` |
//! | words of a closed list | `Dictionary(Int8, Utf8)`, the dictionary being the list |
//! | other words, device numbers | `Dictionary(Int32, Utf8)` |
//! | text | `Utf8` |
//! | name | `Utf8`, and a `Binary` column `<name>_bytes`, null if the name is UTF-8 |
//! | list of texts or numbers, names of flags | `List` |
//! | names of flags with numbers of pages | `List` of `Struct` with `name` and `count` |
//! | group | `Struct`; a flat group is columns of the record |
//! | list of records | `List` of `Struct` |
//!
//! Numbers are signed because Spark reads unsigned ones as decimals; a number of 2^63 and more
//! becomes negative. Counts of flags are no `Map`, which not every reader has. The metadata of
//! each field has its `unit`, its `meaning` and the meaning of `null`.

mod arrays;
mod builder;
mod nulls;
mod rows;
mod schema;
mod stored;
mod text;

pub use builder::Builder;
pub use rows::Rows;
pub(crate) use schema::has_column;
pub use schema::schema;
pub use stored::WrongType;
