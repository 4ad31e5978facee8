//! Columns of a batch that was read, in the order in which a record's fields are read. Knows
//! no rows.

use std::fmt;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowDictionaryKeyType, Float64Type, Int32Type, Int64Type, Int8Type, TimestampMicrosecondType,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Int32Array, Int64Array, ListArray, StringArray,
    StructArray,
};
use arrow_schema::DataType;
use process_introspection_export::{Field, Kind};

use crate::columns::schema::BYTES;

/// Column whose type is none that its field can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongType {
    /// Name of the column.
    pub column: String,
    /// Its type.
    pub data_type: DataType,
}

impl fmt::Display for WrongType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { column, data_type } = self;
        write!(
            f,
            "the column {column} has the type {data_type}, which is not its own"
        )
    }
}

impl std::error::Error for WrongType {}

/// Column of a field, or its columns.
#[derive(Debug)]
pub(super) enum Stored {
    /// Not stored: its values are null.
    Absent,
    /// Also times of day, and bits of numbers that need not be whole.
    Numbers(Int64Array),
    Truths(BooleanArray),
    Texts(Texts),
    /// Words, and the closed list that they are of.
    Words(Texts, Vec<&'static str>),
    Names(Texts, Option<BinaryArray>),
    List(ListArray, Box<Stored>),
    Struct(StructArray, Vec<Stored>),
    Flat(Vec<Stored>),
}

/// Texts, or words of a dictionary.
#[derive(Debug)]
pub(super) struct Texts {
    keys: Option<Int32Array>,
    texts: StringArray,
}

impl Texts {
    pub(super) fn get(&self, row: usize) -> Option<&str> {
        let row = match &self.keys {
            Some(keys) if keys.is_null(row) => return None,
            Some(keys) => usize::try_from(keys.value(row)).ok()?,
            None => row,
        };
        self.texts.is_valid(row).then(|| self.texts.value(row))
    }

    fn of(array: &ArrayRef) -> Option<Self> {
        fn keys<K: ArrowDictionaryKeyType<Native: Into<i32>>>(array: &ArrayRef) -> Option<Texts> {
            let array = array.as_dictionary_opt::<K>()?;
            Some(Texts {
                keys: Some(array.keys().unary(Into::into)),
                texts: array.values().as_string_opt()?.clone(),
            })
        }
        let plain = || {
            Some(Self {
                keys: None,
                texts: array.as_string_opt()?.clone(),
            })
        };
        plain()
            .or_else(|| keys::<Int8Type>(array))
            .or_else(|| keys::<Int32Type>(array))
    }
}

/// Columns of a batch or a struct, by name.
pub(super) trait Named {
    /// Returns the column of this name.
    fn column(&self, name: &str) -> Option<&ArrayRef>;
}

impl Named for arrow_array::RecordBatch {
    fn column(&self, name: &str) -> Option<&ArrayRef> {
        self.column_by_name(name)
    }
}

impl Named for StructArray {
    fn column(&self, name: &str) -> Option<&ArrayRef> {
        self.column_by_name(name)
    }
}

/// Returns the columns of fields.
pub(super) fn find(fields: &'static [Field], all: &impl Named) -> Result<Vec<Stored>, WrongType> {
    fields
        .iter()
        .map(|field| Stored::find(field, all))
        .collect()
}

impl Stored {
    fn find(field: &'static Field, all: &impl Named) -> Result<Self, WrongType> {
        if let Kind::Group(fields) = field.kind {
            if field.is_flat {
                return Ok(Self::Flat(find(fields, all)?));
            }
        }
        let Some(array) = all.column(field.name) else {
            return Ok(Self::Absent);
        };
        let wrong = |name: &str, array: &ArrayRef| WrongType {
            column: name.to_owned(),
            data_type: array.data_type().clone(),
        };
        if let Kind::Name = field.kind {
            let bytes_name = format!("{}{}", field.name, BYTES);
            let bytes = all.column(&bytes_name);
            let bytes = bytes.map(|bytes| match bytes.as_binary_opt::<i32>() {
                Some(bytes) => Ok(bytes.clone()),
                None => Err(wrong(&bytes_name, bytes)),
            });
            let texts = Texts::of(array).ok_or_else(|| wrong(field.name, array))?;
            return Ok(Self::Names(texts, bytes.transpose()?));
        }
        match (Self::of(field.kind, array)?, field.words) {
            (Some(Self::Texts(texts)), Some(words)) => Ok(Self::Words(texts, words())),
            (stored, _) => stored.ok_or_else(|| wrong(field.name, array)),
        }
    }

    /// Returns the column of values of a kind, `None` if its type is another.
    fn of(kind: Kind, array: &ArrayRef) -> Result<Option<Self>, WrongType> {
        let structs = |fields, array: &ArrayRef| match array.as_struct_opt() {
            Some(structs) => Ok(Some(Self::Struct(structs.clone(), find(fields, structs)?))),
            None => Ok(None),
        };
        Ok(match kind {
            Kind::Number | Kind::Hex | Kind::SignedHex | Kind::Decimal => numbers(array),
            Kind::Real => array
                .as_primitive_opt::<Float64Type>()
                .map(|reals| Self::Numbers(reals.unary(|real| real.to_bits() as i64))),
            Kind::Time => array
                .as_primitive_opt::<TimestampMicrosecondType>()
                .map(|times| Self::Numbers(times.reinterpret_cast())),
            Kind::Truth => array.as_boolean_opt().cloned().map(Self::Truths),
            Kind::Word | Kind::Text | Kind::Device | Kind::Name => {
                Texts::of(array).map(Self::Texts)
            }
            Kind::Group(fields) => structs(fields, array)?,
            Kind::Texts | Kind::Numbers | Kind::Flags | Kind::Counts | Kind::List(_) => {
                let Some(list) = array.as_list_opt::<i32>() else {
                    return Ok(None);
                };
                let items = match kind {
                    Kind::List(fields) => structs(fields, list.values())?,
                    Kind::Numbers => numbers(list.values()),
                    Kind::Counts => counts(list.values()),
                    _ => Texts::of(list.values()).map(Self::Texts),
                };
                items.map(|items| Self::List(list.clone(), Box::new(items)))
            }
        })
    }

    /// Returns whether it has no value in a row.
    pub(super) fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Absent => true,
            Self::Numbers(numbers) => numbers.is_null(row),
            Self::Truths(truths) => truths.is_null(row),
            Self::Texts(texts) | Self::Words(texts, _) | Self::Names(texts, _) => {
                texts.get(row).is_none()
            }
            Self::List(list, _) => list.is_null(row),
            Self::Struct(structs, _) => structs.is_null(row),
            Self::Flat(columns) => columns.iter().all(|column| column.is_null(row)),
        }
    }
}

fn numbers(array: &ArrayRef) -> Option<Stored> {
    let numbers = array.as_primitive_opt::<Int64Type>()?;
    Some(Stored::Numbers(numbers.clone()))
}

/// Returns names of flags and their numbers.
fn counts(array: &ArrayRef) -> Option<Stored> {
    let structs = array.as_struct_opt()?;
    let names = Texts::of(structs.column_by_name("name")?)?;
    let counts = numbers(structs.column_by_name("count")?)?;
    let columns = vec![Stored::Texts(names), counts];
    Some(Stored::Struct(structs.clone(), columns))
}
