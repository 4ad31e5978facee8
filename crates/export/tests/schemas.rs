//! The schemas in docs/schemas describe the JSON of each kind of record.

mod samples;

use std::collections::BTreeSet;

use jsonschema::Validator;
use process_introspection::{MappingKind, MemoryType, PageUse, PhysicalKind, UnknownReason};
use process_introspection_export::{
    Details, ExtentRecord, Extra, FlagCounts, Format, Hex, OwnerKind, PageTableRecord,
    PhysicalRecord, Record, ResidentRecord, State,
};
use samples::{address, details, hidden_address, mapping_usage};
use serde_json::{json, Value};

fn schema(name: &str) -> Value {
    let path = format!(
        "{}/../../docs/schemas/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap()
}

/// Returns the schema of one record, as in a line of JSON lines.
fn of_record(schema: &Value) -> Validator {
    let mut of_record = schema.clone();
    let top = of_record.as_object_mut().unwrap();
    top.remove("type");
    let items = top.remove("items").unwrap();
    top.extend(items.as_object().unwrap().clone());
    jsonschema::draft202012::new(&of_record).unwrap()
}

/// Checks that the schema accepts these records, and no record that lacks a field, has an
/// additional one, or has one of another type.
fn check<R: Record>(name: &str, records: &[R]) {
    check_with(&[], name, records);
}

fn check_with<R: Record>(extra: &'static [Extra], name: &str, records: &[R]) {
    let schema = schema(name);
    assert!(
        jsonschema::draft202012::meta::is_valid(&schema),
        "{name} is no schema"
    );
    let array = jsonschema::draft202012::new(&schema).unwrap();
    let whole: Value =
        serde_json::from_str(&samples::written(Format::Json, None, records)).unwrap();
    if let Err(error) = array.validate(&whole) {
        panic!("{name}: {error} in {whole}");
    }
    assert!(array.is_valid(&json!([])));
    let record = of_record(&schema);
    for line in whole.as_array().unwrap() {
        assert!(record.is_valid(line));
        for field in line.as_object().unwrap().keys() {
            let mut lacking = line.clone();
            lacking.as_object_mut().unwrap().remove(field);
            assert_eq!(
                record.is_valid(&lacking),
                field.ends_with("_hex") || field == "details" && name != "snapshots",
                "{name}: no {field}"
            );
            let mut other = line.clone();
            other[field] = json!({"surprise": []});
            assert!(!record.is_valid(&other), "{name}: {field} of another type");
        }
        let mut more = line.clone();
        more["surprise"] = json!(1);
        assert!(!record.is_valid(&more), "{name}: one more");
    }
    // Lines of another record have other fields.
    if std::ptr::eq(R::LAYOUT.lines, R::LAYOUT.fields) {
        check_names::<R>(extra, name, &schema);
    }
}

/// Returns the fields of page facts in CSV.
fn details_fields(schema: &Value) -> Vec<String> {
    let properties = schema["$defs"]["details"]["properties"]
        .as_object()
        .unwrap();
    let fields = properties.keys().flat_map(|name| match &**name {
        "mapcount" => vec!["mapcount_min", "mapcount_max"],
        other => vec![other],
    });
    fields.map(|field| format!("details_{field}")).collect()
}

/// Checks that the schema's fields are those of CSV.
fn check_names<R: Record>(extra: &'static [Extra], name: &str, schema: &Value) {
    let record = &schema["$defs"]["record"];
    let header = R::LAYOUT.with(extra).header();
    let has = |field: &str| header.iter().any(|name| name == field);
    let mut fields: BTreeSet<_> = record["properties"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    // A place is two fields in CSV, an amount is one.
    if !has("swap") && fields.remove("swap") {
        fields.extend(["swap_type", "swap_offset"]);
    }
    // Optional in JSON; in CSV only with the extra columns.
    for optional in record["dependentRequired"]
        .as_object()
        .into_iter()
        .flatten()
    {
        if !has(optional.0) {
            fields.remove(&**optional.0);
            fields.remove(&*format!("{}_hex", optional.0));
        }
    }
    // Optional in JSON; in CSV its fields stand beside the others.
    let is_group = !has("details") && fields.remove("details");
    let details: Vec<_> = match is_group && has("details_flags") {
        true => details_fields(schema),
        false => Vec::new(),
    };
    fields.extend(details.iter().map(String::as_str));
    assert_eq!(
        fields,
        header.iter().map(String::as_str).collect(),
        "{name}"
    );
}

/// Returns a record as JSON lines have it.
fn json_of<R: Record>(record: R) -> Value {
    serde_json::from_str(&samples::written(Format::JsonLines, None, &[record])).unwrap()
}

#[test]
fn every_kind_of_record_is_as_its_schema_says() {
    for name in [b"/bin/x".as_slice(), b"/caf\xe9", b""] {
        check(
            "physical",
            &[
                samples::physical(name),
                samples::swapped(name),
                samples::unknown(name),
            ],
        );
        check("pagetable", &[samples::page_table(name)]);
        check("virtual", &[samples::virtual_region(name)]);
        check("resident", &[samples::resident(name)]);
        let process = Some(samples::identity(name));
        let mut of_several = samples::physical(name);
        of_several.process = process;
        check_with(&[Extra::Process], "physical", &[of_several]);
        let mut of_several = samples::virtual_region(name);
        of_several.process = process;
        check_with(&[Extra::Process], "virtual", &[of_several]);
        let mut of_several = samples::resident(name);
        of_several.process = process;
        check_with(&[Extra::Process], "resident", &[of_several]);
        check("owner-by-process", &samples::owner_totals(name));
        check("files", &samples::files(name));
        check("snapshots", &samples::snapshots(name));
        let machine = [true, false].map(|whole| samples::machine::machine(name, whole));
        check("machine", &machine);
        check("machine-group", &samples::machine::frame_groups(name));
        check("object", &[samples::object(name)]);
        let of_mapping = mapping_usage(name, true);
        check("summary-mapping", &[of_mapping]);
        let unknown = mapping_usage(name, false);
        check_with(&[Extra::Pid], "summary-mapping", &[unknown]);
        let groups = [true, false].map(|known| samples::group(name, known));
        check("summary-group", &groups);
    }
    check("diff-frames", &samples::machine::frame_changes());
    check("machine-use", &samples::machine::frame_uses());
    check("extents", &[samples::extent()]);
    check("metrics", &samples::metrics());
    let mut of_several = samples::metrics().remove(0);
    of_several.process = Some(samples::identity(b"comm"));
    check_with(&[Extra::Process], "metrics", &[of_several]);
    check("frame", &[address(), hidden_address()]);
    for name in [b"/bin/x".as_slice(), b"/caf\xe9", b""] {
        check(
            "owner",
            &[
                samples::owner(name),
                samples::named(name),
                samples::unmapped(),
                samples::not_found(),
                samples::unread(),
                samples::lost(name),
                samples::gone(name),
            ],
        );
    }
}

fn enumerated<'a>(schema: &'a Value, pointer: &str) -> BTreeSet<&'a str> {
    let values = schema.pointer(pointer).and_then(Value::as_array).unwrap();
    values.iter().filter_map(Value::as_str).collect()
}

#[test]
fn the_schemas_name_every_state_that_a_record_can_have() {
    let names = |states: &[State]| {
        states
            .iter()
            .map(|state| state.name())
            .collect::<BTreeSet<_>>()
    };
    let without = |left_out: &[State]| {
        let states: Vec<_> = State::ALL
            .into_iter()
            .filter(|state| !left_out.contains(state))
            .collect();
        names(&states)
    };
    for (name, expected) in [
        ("physical", without(&[State::Resident, State::Unmapped])),
        ("pagetable", without(&[State::Resident])),
        ("owner", names(&State::ALL)),
        ("extents", without(&[State::Resident])),
        (
            "resident",
            without(&[State::Ram, State::Device, State::Zero, State::Unmapped]),
        ),
    ] {
        let schema = schema(name);
        let stated = enumerated(&schema, "/$defs/record/properties/state/enum");
        assert_eq!(stated, expected, "{name}");
    }
}

#[test]
fn the_schema_of_owners_names_every_use_and_record() {
    let schema = schema("owner");
    let records: BTreeSet<_> = OwnerKind::ALL.iter().map(|kind| kind.name()).collect();
    let stated = enumerated(&schema, "/$defs/record/properties/record/enum");
    assert_eq!(stated, records);
    let uses: BTreeSet<_> = PageUse::all().map(PageUse::name).collect();
    let stated = enumerated(&schema, "/$defs/record/properties/use/enum");
    assert_eq!(stated, uses);
}

#[test]
fn the_schemas_name_every_memory_type_and_reason() {
    let types: BTreeSet<_> = MemoryType::ALL.iter().map(|known| known.name()).collect();
    let reasons: BTreeSet<_> = UnknownReason::ALL
        .iter()
        .map(|known| known.name())
        .collect();
    for name in ["physical", "pagetable"] {
        let schema = schema(name);
        let fields = "/$defs/record/properties";
        let stated = enumerated(&schema, &format!("{fields}/cache/enum"));
        assert_eq!(stated, types, "{name}");
        let stated = enumerated(&schema, &format!("{fields}/reason/enum"));
        assert_eq!(stated, reasons, "{name}");
    }
}

#[test]
fn a_reason_is_there_for_what_is_unknown_and_for_nothing_else() {
    let schema = of_record(&schema("physical"));
    let of = |record: PhysicalRecord<'_>| json_of(record);
    assert!(schema.is_valid(&of(samples::unknown(b""))));
    let without = PhysicalRecord {
        reason: None,
        ..samples::unknown(b"")
    };
    assert!(!schema.is_valid(&of(without)));
    let known = PhysicalRecord {
        reason: Some("driver"),
        ..samples::physical(b"")
    };
    assert!(!schema.is_valid(&of(known)));
}

#[test]
fn the_schemas_name_every_kind_of_mapping() {
    let expected: BTreeSet<_> = MappingKind::ALL.iter().map(|kind| kind.name()).collect();
    for name in ["physical", "pagetable", "virtual", "resident", "object"] {
        assert_eq!(
            enumerated(&schema(name), "/$defs/kind/enum"),
            expected,
            "{name}"
        );
    }
}

#[test]
fn facts_of_pages_are_as_the_schemas_say() {
    let (some, none) = (
        details(Some("/swap file")),
        Details {
            frames: 0,
            flags: FlagCounts::default(),
            entries: FlagCounts::default(),
            mapcount: None,
            ..details(None)
        },
    );
    for details in [some, none] {
        let detailed = PhysicalRecord {
            details: Some(&details),
            ..samples::physical(b"/bin/x")
        };
        check_with(&[Extra::Details], "physical", &[detailed]);
        let extra = &[Extra::Node, Extra::Details];
        check_with(extra, "physical", &[detailed]);
        let entry = PageTableRecord {
            details: Some(&details),
            ..samples::page_table(b"/bin/x")
        };
        check_with(&[Extra::Details], "pagetable", &[entry]);
        let whole = json_of(detailed);
        let of_record = of_record(&schema("physical"));
        for field in whole["details"].as_object().unwrap().keys() {
            let mut lacking = whole.clone();
            lacking["details"].as_object_mut().unwrap().remove(field);
            assert!(!of_record.is_valid(&lacking), "no {field}");
        }
    }
}

#[test]
fn the_schema_of_addresses_names_every_kind_of_place() {
    let kinds = PhysicalKind::ALL.map(PhysicalKind::name);
    let expected: BTreeSet<_> = kinds.into_iter().chain(["hidden"]).collect();
    let schema = schema("frame");
    let stated = enumerated(&schema, "/$defs/record/properties/kind/enum");
    assert_eq!(stated, expected);
}

#[test]
fn the_schemas_tie_addresses_to_states() {
    let (physical, extents) = (
        of_record(&schema("physical")),
        of_record(&schema("extents")),
    );
    let valid = |validator: &Validator, record: &dyn Fn() -> Value| validator.is_valid(&record());
    let unbacked = PhysicalRecord {
        paddr: None,
        pfn: None,
        ..samples::physical(b"")
    };
    assert!(!valid(&physical, &|| json_of(unbacked)));
    let backed = PhysicalRecord {
        paddr: Some(Hex(0)),
        ..samples::swapped(b"")
    };
    assert!(!valid(&physical, &|| json_of(backed)));
    let unmapped = ExtentRecord {
        paddr: None,
        pfn: None,
        state: State::Unmapped,
        ..samples::extent()
    };
    assert!(valid(&extents, &|| json_of(unmapped)));
    let resident = ResidentRecord {
        state: State::Ram,
        ..samples::resident(b"")
    };
    let schema = of_record(&schema("resident"));
    assert!(!valid(&schema, &|| json_of(resident)));
}

/// All schemas; a summary is one object, the others are arrays of records.
const SCHEMAS: [&str; 20] = [
    "physical",
    "pagetable",
    "extents",
    "virtual",
    "resident",
    "object",
    "frame",
    "owner",
    "machine",
    "machine-use",
    "machine-group",
    "owner-by-process",
    "files",
    "snapshots",
    "diff",
    "diff-frames",
    "summary",
    "summary-mapping",
    "metrics",
    "summary-group",
];

/// Returns the first cells of the table in docs/KERNELS.md: the fields, and the text behind a
/// colon.
fn rows_of_fields() -> Vec<(String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/KERNELS.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, section) = text.split_once("\n## Fields\n").expect("a section Fields");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
    let rows = rows.filter(|row| row.starts_with('`'));
    let cell = |row: &str| {
        assert_eq!(row.matches(" | ").count(), 4, "five cells: {row}");
        let first = row.split(" | ").next().unwrap_or_default();
        let (fields, rest) = first.split_once(": ").unwrap_or((first, ""));
        (fields.to_owned(), rest.to_owned())
    };
    rows.map(cell).collect()
}

/// Returns each text between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Adds the fields that an object at `at` of a schema can have, as `total.pss`.
fn add_fields(root: &Value, at: &Value, prefix: &str, fields: &mut BTreeSet<String>) {
    if let Some(reference) = at["$ref"].as_str() {
        let pointer = reference.strip_prefix('#').unwrap();
        add_fields(root, root.pointer(pointer).unwrap(), prefix, fields);
    }
    for part in ["anyOf", "oneOf", "allOf"] {
        for choice in at[part].as_array().into_iter().flatten() {
            add_fields(root, choice, prefix, fields);
        }
    }
    if at["items"].is_object() {
        add_fields(root, &at["items"], prefix, fields);
    }
    for (name, field) in at["properties"].as_object().into_iter().flatten() {
        let name = format!("{prefix}{name}");
        add_fields(root, field, &format!("{name}."), fields);
        fields.insert(name);
    }
}

#[test]
fn the_table_of_fields_has_a_row_for_every_field_of_the_schemas_and_for_no_other() {
    let mut files: Vec<_> =
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schemas"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
    files.sort_unstable();
    let mut known = SCHEMAS.map(|name| format!("{name}.json"));
    known.sort_unstable();
    assert_eq!(files, known);
    // By schema: `flags` of one is not `flags` of another.
    let of_each = SCHEMAS.map(|name| {
        let schema = schema(name);
        let mut fields = BTreeSet::new();
        add_fields(&schema, &schema, "", &mut fields);
        (name, fields)
    });
    let rows = rows_of_fields();
    let items = rows.iter().flat_map(|(fields, _)| fields.split(", "));
    let mut general = BTreeSet::new();
    let mut special = BTreeSet::new();
    for item in items {
        match quoted(item).collect::<Vec<_>>()[..] {
            [field] => drop(general.insert(field)),
            [field, of] => drop(special.insert((of, field))),
            _ => panic!("no field: {item}"),
        }
    }
    for (name, fields) in &of_each {
        for field in fields {
            let has_row = general.contains(&**field) || special.contains(&(*name, &**field));
            assert!(has_row, "{field} of {name} has no row");
        }
    }
    for (of, field) in &special {
        let has = |(name, fields): &(&str, BTreeSet<String>)| name == of && fields.contains(*field);
        assert!(of_each.iter().any(has), "{of} has no {field}");
    }
    for field in general {
        // One that has rows of its own for all that have it needs no other.
        let has = |(name, fields): &(&str, BTreeSet<String>)| {
            fields.contains(field) && !special.contains(&(*name, field))
        };
        assert!(of_each.iter().any(has), "no other record has {field}");
    }
}

#[test]
fn the_table_of_fields_says_of_every_kind_of_mapping_how_it_is_known() {
    let expected: BTreeSet<_> = MappingKind::ALL.iter().map(|kind| kind.name()).collect();
    let rows = rows_of_fields();
    let kinds = rows.iter().filter(|(fields, _)| fields == "`kind`");
    let stated: BTreeSet<_> = kinds.flat_map(|(_, what)| quoted(what)).collect();
    assert_eq!(stated, expected);
}
