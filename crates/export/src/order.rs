//! Order of records by one of their fields. Knows no kind of record.

use std::cmp::Reverse;
use std::fmt;

use crate::field::{Field, Fields, Kind, Visit};
use crate::name::Name;
use crate::value::Value;

/// Field by which records of one kind are sorted.
///
/// ```
/// use process_introspection_export::{ExtentRecord, Fields, SortField};
///
/// assert!(SortField::find(ExtentRecord::FIELDS, "size").is_ok());
/// let unknown = SortField::find(ExtentRecord::FIELDS, "length").unwrap_err();
/// assert_eq!(
///     unknown.to_string(),
///     "there is no column \"length\"; there are vaddr, size, paddr, pfn, state, node"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortField {
    /// Names of the groups that contain it, and its own.
    path: Vec<String>,
}

/// Position of a record in the order of a field: numbers descend and times with them, true
/// precedes false, addresses and texts ascend, and null is last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortKey(Key);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(Reverse<u64>),
    Time(Reverse<i64>),
    Truth(Reverse<bool>),
    Address(u64),
    Offset(i64),
    Text(Vec<u8>),
    Null,
}

/// Error: records have no field of this name that has an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownColumn {
    name: String,
    known: Vec<String>,
}

impl fmt::Display for UnknownColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, known } = self;
        let name = Name(name.as_bytes()).printable();
        write!(
            f,
            "there is no column \"{name}\"; there are {}",
            known.join(", ")
        )
    }
}

impl std::error::Error for UnknownColumn {}

impl SortField {
    /// Finds a field by its name in JSON; the field of an object follows the object's name
    /// and a point, `total.pss`.
    ///
    /// # Errors
    /// [`UnknownColumn`], also for lists, which have no order.
    pub fn find(fields: &'static [Field], name: &str) -> Result<Self, UnknownColumn> {
        let mut known = Vec::new();
        add_names(fields, "", &mut known);
        match known.iter().any(|known| known == name) {
            true => Ok(Self {
                path: name.split('.').map(str::to_owned).collect(),
            }),
            false => Err(UnknownColumn {
                name: name.to_owned(),
                known,
            }),
        }
    }

    /// Returns the position of a record.
    pub fn key(&self, record: &impl Fields) -> SortKey {
        let mut search = Search {
            path: &self.path,
            found: Key::Null,
        };
        record.visit(&mut search);
        SortKey(search.found)
    }
}

/// Appends the names of the fields that have an order, and that every output has.
fn add_names(fields: &[Field], prefix: &str, names: &mut Vec<String>) {
    for field in fields.iter().filter(|field| field.extra.is_none()) {
        let name = format!("{prefix}{}", field.name);
        match field.kind {
            Kind::Group(inner) if field.is_flat => add_names(inner, prefix, names),
            Kind::Group(inner) => add_names(inner, &format!("{name}."), names),
            Kind::List(_) | Kind::Texts | Kind::Numbers | Kind::Flags | Kind::Counts => {}
            _ => names.push(name),
        }
    }
}

/// Visitor that takes the value of one field.
struct Search<'a> {
    path: &'a [String],
    found: Key,
}

impl Visit for Search<'_> {
    fn value(&mut self, field: &'static Field, value: Value<'_>) {
        if matches!(self.path, [name] if name == field.name) {
            self.found = Key::of(value);
        }
    }

    fn group(&mut self, field: &'static Field, record: &impl Fields) {
        if field.is_flat {
            return record.visit(self);
        }
        let Some((first, rest)) = self.path.split_first() else {
            return;
        };
        if first == field.name {
            let whole = std::mem::replace(&mut self.path, rest);
            record.visit(self);
            self.path = whole;
        }
    }

    fn list(&mut self, _field: &'static Field, _records: &[impl Fields]) {}
}

impl Key {
    fn of(value: Value<'_>) -> Self {
        match value {
            Value::Number(number) | Value::Decimal(number) => Self::Number(Reverse(number)),
            Value::Real(number) => Self::Number(Reverse(number.rank())),
            Value::Hex(number) => Self::Address(number.0),
            Value::SignedHex(number) => Self::Offset(number.0),
            Value::Truth(truth) => Self::Truth(Reverse(truth)),
            Value::Word(text) | Value::Text(text) => Self::Text(text.as_bytes().to_vec()),
            Value::Device(device) => Self::Text(device.to_string().into_bytes()),
            Value::Name(Name(b"")) => Self::Null,
            Value::Name(Name(name)) => Self::Text(name.to_vec()),
            Value::Time(time) => Self::Time(Reverse(time.0)),
            Value::Null
            | Value::Texts(_)
            | Value::Numbers(_)
            | Value::Flags(_)
            | Value::Counts(_) => Self::Null,
        }
    }
}
