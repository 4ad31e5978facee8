//! The schemas in docs/schemas and docs/FIELDS.md are generated from the declarations of
//! the records. `cargo xtask generate` writes them with this test (`GENERATE=1`).

use std::fmt::Write as _;

use process_introspection::MappingKind;
use process_introspection_export::{
    AddressRecord, ChangeRecord, ExtentRecord, Field, FileRecord, FrameChangeRecord,
    FrameGroupRecord, FrameUseRecord, GroupRecord, Kind, Layout, MachineRecord, MappingUsageRecord,
    MetricRecord, ObjectRecord, OwnerRecord, OwnerTotalRecord, PageTableRecord, PhysicalRecord,
    Record, ResidentRecord, SnapshotRecord, SummaryRecord, Unit, VirtualRecord,
};
use serde_json::{json, Map, Value};

/// Kind of record that has a schema.
struct Described {
    /// Name of the schema's file.
    name: &'static str,
    /// Command that writes the records.
    command: &'static str,
    meaning: &'static str,
    layout: Layout,
}

fn described<R: Record>(name: &'static str, command: &'static str) -> Described {
    Described {
        name,
        command,
        meaning: R::MEANING,
        layout: R::LAYOUT,
    }
}

fn all() -> [Described; 20] {
    [
        described::<PhysicalRecord<'_>>("physical", "physical"),
        described::<PageTableRecord<'_>>("pagetable", "pagetable"),
        described::<VirtualRecord<'_>>("virtual", "virtual"),
        described::<ResidentRecord<'_>>("resident", "resident"),
        described::<ExtentRecord>("extents", "extents"),
        described::<ObjectRecord<'_>>("object", "object"),
        described::<AddressRecord>("frame", "frame"),
        described::<OwnerRecord<'_>>("owner", "owner"),
        described::<MachineRecord>("machine", "machine"),
        described::<FrameUseRecord>("machine-use", "machine --by use"),
        described::<FrameGroupRecord>("machine-group", "machine --by cgroup"),
        described::<OwnerTotalRecord<'_>>("owner-by-process", "owner --by-process"),
        described::<FileRecord<'_>>("files", "files"),
        described::<SnapshotRecord<'_>>("snapshots", "snapshots"),
        described::<ChangeRecord<'_>>("diff", "diff"),
        described::<FrameChangeRecord>("diff-frames", "diff --frames"),
        described::<SummaryRecord>("summary", "summary"),
        described::<MappingUsageRecord<'_>>("summary-mapping", "summary --by-mapping"),
        described::<MetricRecord<'_>>("metrics", "summary --contiguity"),
        described::<GroupRecord<'_>>("summary-group", "summary --by"),
    ]
}

/// Meaning of a field, and of null in it.
fn meaning(field: &Field) -> String {
    let meaning = field.meaning.trim();
    if field.null.is_empty() {
        return meaning.to_owned();
    }
    let sentence = meaning.trim_end_matches('.');
    format!("{sentence}; null {}.", field.null)
}

fn mapping_kinds() -> Vec<&'static str> {
    MappingKind::ALL.iter().map(|kind| kind.name()).collect()
}

/// Definitions that a schema refers to.
#[derive(Default)]
struct Definitions(Map<String, Value>);

impl Definitions {
    fn refer(&mut self, name: &str, definition: impl FnOnce() -> Value) -> Value {
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), definition());
        }
        json!({"$ref": format!("#/$defs/{name}")})
    }

    fn number(&mut self, field: &Field) -> Value {
        let number = || json!({"type": "integer", "minimum": 0});
        if (field.least, field.most) == (0, None) {
            return self.refer("number", number);
        }
        let mut number = json!({"type": "integer", "minimum": field.least});
        if let Some(most) = field.most {
            number["maximum"] = most.into();
        }
        number
    }

    fn text(&mut self, field: &Field) -> Value {
        if let Some(words) = field.words.map(|words| words()) {
            let kind = json!({"description": "Kind of a mapping.", "enum": mapping_kinds()});
            return match words == mapping_kinds() {
                true => self.refer("kind", || kind),
                false => json!({ "enum": words }),
            };
        }
        match field.pattern {
            Some(pattern) => json!({"type": "string", "pattern": pattern}),
            None => json!({"type": "string"}),
        }
    }

    /// Schema of values that are not null.
    fn value(&mut self, field: &Field) -> Value {
        const FLAG: &str = "^[a-z][a-z0-9_]*$";
        let text = |pattern: &str| json!({"type": "string", "pattern": pattern});
        match field.kind {
            Kind::Number => self.number(field),
            Kind::Real => json!({"type": "number"}),
            Kind::Hex => self.refer("hex", || {
                json!({
                    "description": "Number in hexadecimal. It is a string because JSON numbers \
                        lose bits past 2^53.",
                    "type": "string",
                    "pattern": "^0x(0|[1-9a-f][0-9a-f]*)$",
                })
            }),
            Kind::SignedHex => text("^(0x0|-?0x[1-9a-f][0-9a-f]*)$"),
            Kind::Decimal => text("^[1-9][0-9]*$"),
            Kind::Truth => json!({"type": "boolean"}),
            Kind::Word | Kind::Text => self.text(field),
            Kind::Device => text("^[0-9a-f]{2,8}:[0-9a-f]{2,8}$"),
            Kind::Name => json!({"type": "string", "minLength": 1}),
            Kind::Time => json!({"type": "string", "format": "date-time"}),
            Kind::Texts => json!({"type": "array", "items": {"type": "string"}}),
            Kind::Numbers => json!({"type": "array", "items": self.number(field)}),
            Kind::Flags => json!({"type": "array", "items": text(FLAG)}),
            Kind::Counts => json!({
                "type": "object",
                "propertyNames": {"pattern": FLAG},
                "additionalProperties": {"type": "integer", "minimum": 1},
            }),
            Kind::Group(fields) if field.is_optional => {
                let object = self.object(fields);
                self.refer(field.name, || object)
            }
            Kind::Group(fields) => self.object(fields),
            Kind::List(fields) => json!({"type": "array", "items": self.object(fields)}),
        }
    }

    fn property(&mut self, field: &Field) -> Value {
        let is_nullable = field.is_nullable && !field.is_optional;
        let mut value = self.value(field);
        if is_nullable || matches!(field.kind, Kind::Name) {
            match value.get_mut("enum").and_then(Value::as_array_mut) {
                Some(words) => words.push(Value::Null),
                None => value = json!({"anyOf": [value, {"type": "null"}]}),
            }
        }
        let mut property = json!({"description": meaning(field)});
        let property_map = property.as_object_mut().unwrap();
        property_map.extend(value.as_object().unwrap().clone());
        property
    }

    fn add(&mut self, fields: &[Field], properties: &mut Map<String, Value>) {
        for field in fields {
            match field.kind {
                Kind::Group(inner) if field.is_flat => self.add(inner, properties),
                _ => drop(properties.insert(field.name.to_owned(), self.property(field))),
            }
            if matches!(field.kind, Kind::Name) {
                let bytes = json!({
                    "description": format!(
                        "All bytes of {} in hexadecimal, if it is not UTF-8; absent otherwise.",
                        field.name
                    ),
                    "type": "string",
                    "pattern": "^([0-9a-f]{2})+$",
                });
                properties.insert(format!("{}_hex", field.name), bytes);
            }
        }
    }

    fn object(&mut self, fields: &[Field]) -> Value {
        let mut properties = Map::new();
        self.add(fields, &mut properties);
        let mut required: Vec<_> = properties.keys().cloned().collect();
        required.retain(|name| !name.ends_with("_hex") && !is_optional(fields, name));
        let mut object = json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        });
        // Those of an optional group among the others are there together.
        let groups = fields.iter().filter_map(|field| match field.kind {
            Kind::Group(inner) if field.is_flat && field.is_optional => Some(inner),
            _ => None,
        });
        for group in groups {
            let names: Vec<_> = group.iter().map(|field| field.name).collect();
            let together = names.iter().map(|name| {
                let others: Vec<_> = names.iter().filter(|other| *other != name).collect();
                ((*name).to_owned(), json!(others))
            });
            object["dependentRequired"] = together.collect::<Map<_, _>>().into();
        }
        object
    }
}

/// Returns whether a field is optional, or stands among the others with an optional group.
fn is_optional(fields: &[Field], name: &str) -> bool {
    fields.iter().any(|field| match field.kind {
        Kind::Group(inner) if field.is_flat => {
            field.is_optional && inner.iter().any(|inner| inner.name == name)
        }
        _ => field.is_optional && field.name == name,
    })
}

/// Addresses and reasons of records that have a state: each state has one or the other.
fn add_rules(fields: &[Field], record: &mut Value) {
    let has = |name: &str| {
        let mut same = fields.iter().filter(|field| field.name == name);
        same.any(|field| name != "state" || !field.is_nullable)
    };
    if !has("state") || !has("paddr") {
        return;
    }
    if has("reason") {
        record["allOf"] = json!([{
            "if": {"properties": {"state": {"const": "unknown"}}},
            "then": {"properties": {"reason": {"type": "string"}}},
            "else": {"properties": {"reason": {"type": "null"}}},
        }]);
    }
    record["if"] = json!({"properties": {"state": {"enum": ["ram", "device", "zero"]}}});
    record["then"] =
        json!({"properties": {"paddr": {"type": "string"}, "pfn": {"type": "integer"}}});
    record["else"] = json!({"properties": {"paddr": {"type": "null"}, "pfn": {"type": "null"}}});
}

fn schema(of: &Described) -> String {
    let mut definitions = Definitions::default();
    let mut record = json!({"description": of.meaning.trim()});
    let object = definitions.object(of.layout.fields);
    let record_map = record.as_object_mut().unwrap();
    record_map.extend(object.as_object().unwrap().clone());
    add_rules(of.layout.fields, &mut record);
    definitions.0.insert("record".to_owned(), record);
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("introspect {}", of.command),
        "description":
            "The array of --format json. Each line of --format jsonl is one $defs/record.",
        "type": "array",
        "items": {"$ref": "#/$defs/record"},
        "$defs": definitions.0,
    });
    serde_json::to_string_pretty(&schema).unwrap() + "\n"
}

/// Type of a field, for people.
fn type_name(field: &Field) -> String {
    let name = match field.kind {
        Kind::Number => match field.unit {
            Unit::None => "number",
            Unit::Bytes => "number of bytes",
            Unit::Pages => "number of base pages",
        },
        Kind::Real => "real number",
        Kind::Hex => "hexadecimal number",
        Kind::SignedHex => "signed hexadecimal number",
        Kind::Decimal => "number as text",
        Kind::Truth => "boolean",
        Kind::Word if field.words.is_some() => "word",
        Kind::Word | Kind::Text => "text",
        Kind::Device => "device",
        Kind::Name => "text, and bytes in `_hex`",
        Kind::Time => "time",
        Kind::Texts => "list of texts",
        Kind::Numbers => "list of numbers",
        Kind::Flags => "list of flags",
        Kind::Counts => "numbers by flag",
        Kind::Group(_) => "object",
        Kind::List(_) => "list",
    };
    match field.is_optional {
        true => format!("{name}, optional"),
        false => name.to_owned(),
    }
}

fn add_rows(fields: &[Field], prefix: &str, text: &mut String) {
    for field in fields {
        let name = format!("{prefix}{}", field.name);
        if field.is_flat {
            if let Kind::Group(inner) = field.kind {
                let mut inner = inner.to_vec();
                for inner in &mut inner {
                    inner.is_optional |= field.is_optional;
                }
                add_rows(&inner, prefix, text);
            }
            continue;
        }
        let (kind, meaning) = (type_name(field), meaning(field));
        writeln!(text, "| `{name}` | {kind} | {meaning} |").unwrap();
        if let Kind::Group(inner) | Kind::List(inner) = field.kind {
            add_rows(inner, &format!("{name}."), text);
        }
    }
}

fn document() -> String {
    let mut text = "\
# Fields of the output

Fields of JSON, by subcommand; generated from the declarations in `crates/export/src` by `cargo xtask generate`.
CSV has the same fields: those of an object follow its name and `_`, and lists are joined. [KERNELS.md](KERNELS.md)
says where the kernel has each field from. `docs/schemas` has a JSON schema for each kind of record.
"
    .to_owned();
    for of in all() {
        let (command, meaning) = (of.command, of.meaning.trim());
        writeln!(text, "\n## introspect {command}\n\n{meaning}\n").unwrap();
        text.push_str("| field | type | meaning |\n|---|---|---|\n");
        add_rows(of.layout.fields, "", &mut text);
    }
    text
}

#[test]
fn schemas_and_the_document_of_fields_are_those_of_the_declarations() {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");
    let schemas = all().map(|of| (format!("{docs}/schemas/{}.json", of.name), schema(&of)));
    let document = (format!("{docs}/FIELDS.md"), document());
    for (path, text) in schemas.into_iter().chain([document]) {
        if std::env::var_os("GENERATE").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == text, "{path} differs: cargo xtask generate");
    }
}

/// Every field that can be null says when.
#[test]
fn null_has_a_meaning_where_it_can_be() {
    fn check(fields: &[Field]) {
        for field in fields {
            let is_nullable = field.is_nullable && !field.is_optional;
            let can_be_null = is_nullable || matches!(field.kind, Kind::Name);
            assert_eq!(!field.null.is_empty(), can_be_null, "{}", field.name);
            if let Kind::Group(inner) | Kind::List(inner) = field.kind {
                check(inner);
            }
        }
    }
    for of in all() {
        check(of.layout.fields);
        check(of.layout.lines);
        check(of.layout.table);
    }
}

/// No two columns of CSV have one name.
#[test]
fn names_of_fields_are_unique() {
    for of in all() {
        let mut names = of.layout.header();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{}", of.name);
    }
}
