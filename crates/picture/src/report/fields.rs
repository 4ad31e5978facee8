//! Descriptions of fields in the document, from their declarations: titles and tooltips of its
//! tables. Knows no kind of record.

use process_introspection_export::{record, Field, Kind, Unit};

use super::json::write_records;

record! {
    /// Field of a record.
    struct FieldRecord {
        /// Name.
        name: String,
        /// Title in tables.
        title: String,
        /// Meaning.
        meaning: String,
        /// Type of the values.
        kind: &'static str,
        /// Unit of a number.
        unit: &'static str,
        /// Meaning of null.
        null: String,
    }
}

/// Appends the fields of a kind of record as a member of an object, and the records within it
/// as further members.
pub(super) fn write(kind: &str, fields: &'static [Field], text: &mut Vec<u8>) {
    let mut records = Vec::new();
    let mut nested = Vec::new();
    collect(fields, &mut records, &mut nested);
    if text.last() != Some(&b'{') {
        text.push(b',');
    }
    text.extend_from_slice(format!("\"{kind}\":").as_bytes());
    write_records(&records, text);
    for (name, fields) in nested {
        write(&format!("{kind}.{name}"), fields, text);
    }
}

fn collect(
    fields: &'static [Field],
    records: &mut Vec<FieldRecord>,
    nested: &mut Vec<(&'static str, &'static [Field])>,
) {
    for field in fields {
        match field.kind {
            Kind::Group(inner) if field.is_flat => {
                collect(inner, records, nested);
                continue;
            }
            Kind::Group(inner) | Kind::List(inner) => nested.push((field.name, inner)),
            _ => {}
        }
        records.push(FieldRecord {
            name: field.name.to_owned(),
            title: field.name.replace('_', " "),
            meaning: paragraph(field.meaning),
            kind: kind_name(field.kind),
            unit: match field.unit {
                Unit::None => "",
                Unit::Bytes => "bytes",
                Unit::Pages => "pages",
            },
            null: match field.is_nullable || !field.null.is_empty() {
                true => paragraph(field.null),
                false => String::new(),
            },
        });
    }
}

fn paragraph(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Number | Kind::Real | Kind::Decimal => "number",
        Kind::Hex | Kind::SignedHex => "address",
        Kind::Truth => "truth",
        Kind::Word => "word",
        Kind::Text | Kind::Device | Kind::Name => "text",
        Kind::Time => "time",
        Kind::Texts | Kind::Numbers | Kind::Flags | Kind::Counts | Kind::List(_) => "list",
        Kind::Group(_) => "record",
    }
}
