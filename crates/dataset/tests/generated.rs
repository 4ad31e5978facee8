//! The tables in docs/DATASETS.md are generated from the declarations of their rows.
//! `cargo xtask generate` writes them with this test (`GENERATE=1`).

use std::fmt::Write as _;

use process_introspection_dataset::tables::{Table, SNAPSHOT_ID};
use process_introspection_export::{Field, Kind, Unit};

/// Lines of the document before and after the tables.
const MARKS: [&str; 2] = ["<!-- tables: begin -->\n", "<!-- tables: end -->"];

/// Returns the type of a column, as engines have it.
fn type_name(field: &Field) -> &'static str {
    match field.kind {
        Kind::Number | Kind::Hex | Kind::SignedHex | Kind::Decimal => "int64",
        Kind::Truth => "boolean",
        Kind::Word if field.words.is_some() => "word",
        Kind::Word | Kind::Device | Kind::Text | Kind::Name => "text",
        Kind::Real => "double",
        Kind::Time => "timestamp",
        Kind::Texts | Kind::Flags => "list of text",
        Kind::Numbers => "list of int64",
        Kind::Counts => "list of `name`, `count`",
        Kind::Group(_) => "struct",
        Kind::List(_) => "list of struct",
    }
}

/// Returns the meaning of a field, with its words if they are few.
fn meaning(field: &Field) -> String {
    let meaning = field.meaning.trim();
    let words = field.words.map(|words| words()).unwrap_or_default();
    match words[..] {
        [] => meaning.to_owned(),
        _ => {
            let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            let sentence = meaning.trim_end_matches('.');
            format!("{sentence}: {}.", words.join(", "))
        }
    }
}

fn add_rows(fields: &[Field], prefix: &str, text: &mut String) {
    for field in fields {
        let name = format!("{prefix}{}", field.name);
        if let (Kind::Group(inner), true) = (field.kind, field.is_flat) {
            add_rows(inner, prefix, text);
            continue;
        }
        let unit = match field.unit {
            Unit::None => "",
            Unit::Bytes => "bytes",
            Unit::Pages => "base pages",
        };
        let (kind, meaning, null) = (type_name(field), meaning(field), field.null);
        writeln!(text, "| `{name}` | {kind} | {unit} | {meaning} | {null} |").unwrap();
        match field.kind {
            Kind::Group(inner) => add_rows(inner, &format!("{name}."), text),
            Kind::List(inner) => add_rows(inner, &format!("{name}[]."), text),
            Kind::Name => writeln!(
                text,
                "| `{name}_bytes` | binary | | All bytes of {name}. | if it is UTF-8, or null |"
            )
            .unwrap(),
            _ => {}
        }
    }
}

fn tables() -> String {
    let mut text = String::new();
    for table in Table::ALL {
        let (meaning, fields) = table.declaration();
        let (name, meaning) = (table.name(), meaning.trim());
        writeln!(text, "### {name}\n\nRow: {meaning}").unwrap();
        if let [columns @ .., last] = table.sorted_by() {
            let before: String = columns
                .iter()
                .map(|column| format!("`{column}`, then "))
                .collect();
            writeln!(
                text,
                "The rows of a file are sorted by {before}`{last}`, as unsigned numbers."
            )
            .unwrap();
        }
        text.push_str("\n| column | type | unit | meaning | null |\n|---|---|---|---|---|\n");
        writeln!(
            text,
            "| `{SNAPSHOT_ID}` | text | | Snapshot: a UUID of version 7. | |"
        )
        .unwrap();
        add_rows(fields, "", &mut text);
        text.push('\n');
    }
    text
}

#[test]
fn the_document_has_the_columns_of_the_declarations() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/DATASETS.md");
    let written = std::fs::read_to_string(path).unwrap();
    let parts = MARKS.map(|mark| written.split_once(mark).expect(mark));
    let [(before, _), (_, after)] = parts;
    let [begin, end] = MARKS;
    let text = format!("{before}{begin}\n{}{end}{after}", tables());
    if std::env::var_os("GENERATE").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    assert!(written == text, "{path} differs: cargo xtask generate");
}

/// Every column that can be null says when, as does each in a list or a struct.
#[test]
fn null_has_a_meaning_where_it_can_be() {
    fn check(table: Table, fields: &[Field]) {
        for field in fields {
            let can_be_null = field.is_nullable || matches!(field.kind, Kind::Name);
            let has_meaning = !field.null.is_empty() || field.is_optional;
            assert_eq!(has_meaning, can_be_null, "{} {}", table.name(), field.name);
            if let Kind::Group(inner) | Kind::List(inner) = field.kind {
                check(table, inner);
            }
        }
    }
    for table in Table::ALL {
        check(table, table.declaration().1);
    }
}

/// Names that engines reserve are none of ours, and no two columns of a table have one.
#[test]
fn names_of_columns_need_no_quotes() {
    const RESERVED: [&str; 12] = [
        "offset",
        "time",
        "use",
        "order",
        "date",
        "host",
        "user",
        "group",
        "table",
        "end",
        "timestamp",
        "from",
    ];
    for table in Table::ALL {
        let mut names = vec![SNAPSHOT_ID];
        names.extend(table.declaration().1.iter().map(|field| field.name));
        let is_reserved = |name: &&&str| RESERVED.contains(name);
        assert_eq!(names.iter().find(is_reserved), None, "{}", table.name());
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{}", table.name());
    }
}
