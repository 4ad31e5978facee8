//! The schemas in docs/schemas say of each kind of record what is written.

mod samples;

use std::collections::BTreeSet;

use jsonschema::Validator;
use process_introspection::MappingKind;
use process_introspection_export::{
    ExtentRecord, Format, Hex, PhysicalRecord, Record, ResidentRecord, State,
};
use serde_json::{json, Value};

fn schema(name: &str) -> Value {
    let path = format!(
        "{}/../../docs/schemas/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap()
}

/// For one record, as in a line of JSON lines.
fn of_record(schema: &Value) -> Validator {
    let mut of_record = schema.clone();
    let top = of_record.as_object_mut().unwrap();
    top.remove("type");
    let items = top.remove("items").unwrap();
    top.extend(items.as_object().unwrap().clone());
    jsonschema::draft202012::new(&of_record).unwrap()
}

/// The schema takes these records, and no record that lacks a field, has one
/// more, or has one of another type.
fn check<R: Record>(name: &str, records: &[R]) {
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
                field.ends_with("path_hex"),
                "{name}: no {field}"
            );
            let mut other = line.clone();
            other[field] = json!([]);
            assert!(!record.is_valid(&other), "{name}: {field} of another type");
        }
        let mut more = line.clone();
        more["surprise"] = json!(1);
        assert!(!record.is_valid(&more), "{name}: one more");
    }
    check_names::<R>(name, &schema);
}

/// The schema's fields are those of CSV.
fn check_names<R: Record>(name: &str, schema: &Value) {
    let record = &schema["$defs"]["record"];
    let mut fields: BTreeSet<_> = record["properties"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    if fields.remove("swap") {
        fields.extend(["swap_type", "swap_offset"]);
    }
    assert_eq!(fields, R::LAYOUT.fields.iter().copied().collect(), "{name}");
}

#[test]
fn every_kind_of_record_is_as_its_schema_says() {
    for name in [b"/bin/x".as_slice(), b"/caf\xe9", b""] {
        check(
            "physical",
            &[samples::physical(name), samples::swapped(name)],
        );
        check("pagetable", &[samples::page_table(name)]);
        check("virtual", &[samples::virtual_region(name)]);
        check("virtual-resident", &[samples::resident(name)]);
        check("object", &[samples::object(name)]);
    }
    check("extents", &[samples::extent()]);
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
        ("extents", without(&[State::Resident])),
        (
            "virtual-resident",
            without(&[State::Ram, State::Device, State::Zero, State::Unmapped]),
        ),
    ] {
        let schema = schema(name);
        let stated = enumerated(&schema, "/$defs/record/properties/state/enum");
        assert_eq!(stated, expected, "{name}");
    }
}

#[test]
fn the_schemas_name_every_kind_of_mapping() {
    let expected: BTreeSet<_> = MappingKind::ALL.iter().map(|kind| kind.name()).collect();
    for name in [
        "physical",
        "pagetable",
        "virtual",
        "virtual-resident",
        "object",
    ] {
        assert_eq!(
            enumerated(&schema(name), "/$defs/kind/enum"),
            expected,
            "{name}"
        );
    }
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
    assert!(!valid(&physical, &|| serde_json::to_value(unbacked).unwrap()));
    let backed = PhysicalRecord {
        paddr: Some(Hex(0)),
        ..samples::swapped(b"")
    };
    assert!(!valid(&physical, &|| serde_json::to_value(backed).unwrap()));
    let unmapped = ExtentRecord {
        paddr: None,
        pfn: None,
        state: State::Unmapped,
        ..samples::extent()
    };
    assert!(valid(&extents, &|| serde_json::to_value(unmapped).unwrap()));
    let resident = ResidentRecord {
        state: State::Ram,
        ..samples::resident(b"")
    };
    let schema = of_record(&schema("virtual-resident"));
    assert!(!valid(&schema, &|| serde_json::to_value(resident).unwrap()));
}
