//! Reading of records: a format that can be read gives the values of fields, and records
//! are made of them again. Knows no format.

use std::fmt;

use crate::field::{Field, Fields};
use crate::name::NameBuf;
use crate::number::{DeviceNumber, Hex, Time};
use crate::value::FlagCounts;

/// Stored record, as a format that can be read sees it. Each method returns `None` for
/// null, and for a field that is not stored.
pub trait Source {
    /// Returns a number of any kind; its bits, if it is signed.
    fn number(&mut self, field: &'static Field) -> Option<u64>;

    /// Returns a truth value.
    fn truth(&mut self, field: &'static Field) -> Option<bool>;

    /// Returns a word or a text.
    fn text(&mut self, field: &'static Field) -> Option<&str>;

    /// Returns all bytes of a name.
    fn name(&mut self, field: &'static Field) -> Option<Vec<u8>>;

    /// Returns a list of texts.
    fn texts(&mut self, field: &'static Field) -> Option<Vec<String>>;

    /// Returns a list of numbers.
    fn numbers(&mut self, field: &'static Field) -> Option<Vec<u64>>;

    /// Returns names of flags with their numbers.
    fn counts(&mut self, field: &'static Field) -> Option<Vec<(String, u64)>>;

    /// Reads a record within the record. The fields of a flat group are those of this
    /// record.
    fn group<R>(&mut self, field: &'static Field, read: impl FnOnce(&mut Self) -> R) -> Option<R>;

    /// Reads a list of records, each with a call of `read`.
    fn list<R>(
        &mut self,
        field: &'static Field,
        read: impl FnMut(&mut Self) -> R,
    ) -> Option<Vec<R>>;
}

/// Field that a record needs, but that is not stored, is null, or has a value that this
/// version does not know.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct MissingField {
    /// Name of the field.
    pub name: &'static str,
}

impl fmt::Display for MissingField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name;
        write!(
            f,
            "the field {name} is missing, or has a value that this version does not know"
        )
    }
}

impl std::error::Error for MissingField {}

/// Record that can be made of its stored fields.
pub trait FromSource: Fields + Sized {
    /// Reads a record. Fields that this version does not have are ignored.
    ///
    /// # Errors
    /// [`MissingField`].
    fn from_source(source: &mut impl Source) -> Result<Self, MissingField>;
}

/// Type of a field that can be read.
pub trait StoredType: Sized {
    /// Reads the value; `None` if it is null.
    ///
    /// # Errors
    /// [`MissingField`].
    fn read(field: &'static Field, source: &mut impl Source) -> Result<Option<Self>, MissingField>;
}

/// Reads a field that cannot be null, unless its type can.
///
/// # Errors
/// [`MissingField`].
pub fn read_field<T: StoredType>(
    field: &'static Field,
    source: &mut impl Source,
) -> Result<T, MissingField> {
    T::read(field, source)?.ok_or_else(|| missing(field))
}

pub(crate) fn missing(field: &'static Field) -> MissingField {
    MissingField { name: field.name }
}

impl<T: StoredType> StoredType for Option<T> {
    fn read(field: &'static Field, source: &mut impl Source) -> Result<Option<Self>, MissingField> {
        T::read(field, source).map(Some)
    }
}

impl<R: FromSource> StoredType for R {
    fn read(field: &'static Field, source: &mut impl Source) -> Result<Option<Self>, MissingField> {
        source
            .group(field, |source| R::from_source(source))
            .transpose()
    }
}

impl<R: FromSource> StoredType for Vec<R> {
    fn read(field: &'static Field, source: &mut impl Source) -> Result<Option<Self>, MissingField> {
        let records = source.list(field, |source| R::from_source(source));
        records
            .map(|records| records.into_iter().collect())
            .transpose()
    }
}

/// Implements [`StoredType`] for types of which every stored value is one.
macro_rules! stored_type {
    ($($type:ty, $field:ident, $source:ident => $value:expr;)+) => {$(
        impl StoredType for $type {
            fn read(
                $field: &'static Field,
                $source: &mut impl Source,
            ) -> Result<Option<Self>, MissingField> {
                Ok($value)
            }
        }
    )+};
}
stored_type! {
    u64, field, source => source.number(field);
    bool, field, source => source.truth(field);
    Hex, field, source => source.number(field).map(Self);
    Time, field, source => source.number(field).map(|bits| Self(bits as i64));
    String, field, source => source.text(field).map(str::to_owned);
    NameBuf, field, source => source.name(field).map(Self);
    Vec<String>, field, source => source.texts(field);
    Vec<u64>, field, source => source.numbers(field);
    FlagCounts, field, source => source.counts(field).map(Self);
}

/// Implements [`StoredType`] for types that some stored values do not have.
macro_rules! narrow_type {
    ($($type:ty, $field:ident, $source:ident => $value:expr;)+) => {$(
        impl StoredType for $type {
            fn read(
                $field: &'static Field,
                $source: &mut impl Source,
            ) -> Result<Option<Self>, MissingField> {
                $value.map(|value| value.ok_or_else(|| missing($field))).transpose()
            }
        }
    )+};
}
narrow_type! {
    u32, field, source => source.number(field).map(|number| number.try_into().ok());
    u8, field, source => source.number(field).map(|number| number.try_into().ok());
    DeviceNumber, field, source => source.text(field).map(Self::from_text);
    // A word of a closed list.
    &'static str, field, source => source.text(field).map(|text| {
        let words = field.words.map(|words| words()).unwrap_or_default();
        words.into_iter().find(|word| *word == text)
    });
}
