//! Types of columns, from the declarations of fields. Knows no values.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field as Column, FieldRef, Fields as Columns, Schema, TimeUnit};
use process_introspection_export::{Extra, Field, Kind, Unit};

/// Name of the item of a list.
const ITEM: &str = "item";
/// End of the name of the column with all bytes of a name.
pub(super) const BYTES: &str = "_bytes";

/// Returns the schema of records with these fields. As in CSV, a field that needs an extra
/// column has none without it. `metadata` is that of the whole, such as the version of the
/// tool.
pub fn schema(
    fields: &'static [Field],
    extra: &'static [Extra],
    metadata: HashMap<String, String>,
) -> Schema {
    Schema::new_with_metadata(columns(fields, extra, false), metadata)
}

/// Returns whether an output with these extra columns contains the field.
pub(super) fn is_in(field: &Field, extra: &[Extra]) -> bool {
    field.extra.is_none_or(|needed| extra.contains(&needed))
}

/// Returns whether a column of this name belongs to one of the fields.
pub(crate) fn has_column(fields: &[Field], name: &str) -> bool {
    fields.iter().any(|field| match field.kind {
        Kind::Group(inner) if field.is_flat => has_column(inner, name),
        Kind::Name => name.strip_suffix(BYTES).unwrap_or(name) == field.name,
        _ => name == field.name,
    })
}

/// Returns the columns of fields, of which all can be null if the flat group that contains
/// them can.
pub(super) fn columns(
    fields: &'static [Field],
    extra: &'static [Extra],
    is_nullable: bool,
) -> Vec<FieldRef> {
    let mut all = Vec::new();
    for field in fields.iter().filter(|field| is_in(field, extra)) {
        let is_nullable = is_nullable || field.is_nullable;
        match field.kind {
            Kind::Group(inner) if field.is_flat => {
                all.extend(columns(inner, extra, is_nullable));
            }
            Kind::Name => {
                all.push(described(field.name, DataType::Utf8, true, field));
                let name = format!("{}{BYTES}", field.name);
                let bytes = Column::new(&name, DataType::Binary, true);
                let meaning = format!("All bytes of {}.", field.name);
                all.push(Arc::new(bytes.with_metadata(HashMap::from([
                    ("meaning".to_owned(), meaning),
                    ("null".to_owned(), "if it is UTF-8, or null".to_owned()),
                ]))));
            }
            _ => {
                let data_type = data_type(field, extra);
                all.push(described(field.name, data_type, is_nullable, field));
            }
        }
    }
    all
}

/// Returns the type of the column of a field that has one column.
pub(super) fn data_type(field: &Field, extra: &'static [Extra]) -> DataType {
    match field.kind {
        Kind::Number | Kind::Hex | Kind::SignedHex | Kind::Decimal => DataType::Int64,
        Kind::Real => DataType::Float64,
        Kind::Time => time(),
        Kind::Truth => DataType::Boolean,
        Kind::Word if field.words.is_some() => dictionary(DataType::Int8),
        Kind::Word | Kind::Device => dictionary(DataType::Int32),
        Kind::Text | Kind::Name => DataType::Utf8,
        Kind::Texts | Kind::Flags => list_of(DataType::Utf8),
        Kind::Numbers => list_of(DataType::Int64),
        Kind::Counts => list_of(DataType::Struct(count_columns())),
        Kind::Group(fields) => DataType::Struct(columns(fields, extra, false).into()),
        Kind::List(fields) => list_of(DataType::Struct(columns(fields, extra, false).into())),
    }
}

/// Returns the column of the items of a list.
pub(super) fn item(data_type: DataType) -> FieldRef {
    Arc::new(Column::new(ITEM, data_type, false))
}

/// Returns the columns of a flag and its number of pages.
pub(super) fn count_columns() -> Columns {
    [("name", DataType::Utf8), ("count", DataType::Int64)]
        .into_iter()
        .map(|(name, data_type)| Column::new(name, data_type, false))
        .collect()
}

/// Returns the type of times of day.
pub(super) fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn list_of(data_type: DataType) -> DataType {
    DataType::List(item(data_type))
}

fn dictionary(key: DataType) -> DataType {
    DataType::Dictionary(Box::new(key), Box::new(DataType::Utf8))
}

fn described(name: &str, data_type: DataType, is_nullable: bool, field: &Field) -> FieldRef {
    let unit = match field.unit {
        Unit::None => "",
        Unit::Bytes => "bytes",
        Unit::Pages => "base pages",
    };
    let texts = [
        ("unit", unit),
        ("meaning", field.meaning.trim()),
        ("null", field.null),
    ];
    let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
    let metadata = texts.map(|(key, text)| (key.to_owned(), text.to_owned()));
    Arc::new(Column::new(name, data_type, is_nullable).with_metadata(metadata.collect()))
}
