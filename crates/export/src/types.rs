//! Types of Rust that fields can have, and their values.

use process_introspection::{BuildId, HugePolicy};

use crate::field::{missing, Field, FieldType, Kind, MissingField, Source, StoredType, Visit};
use crate::name::{Name, NameBuf};
use crate::number::{DeviceNumber, Hex, Real, SignedHex, Time};
use crate::value::{Decimal, FlagCounts, FlagNames, Text, Value};

/// Implements [`FieldType`] for a type whose values are of one kind.
macro_rules! field_type {
    ($($type:ty: $kind:ident $(($pattern:literal))?, $self:ident => $value:expr;)+) => {$(
        impl FieldType for $type {
            const KIND: Kind = Kind::$kind;
            $(const PATTERN: Option<&'static str> = Some($pattern);)?

            #[inline]
            fn visit_as(&$self, field: &'static Field, visit: &mut impl Visit) {
                visit.value(field, Value::$kind($value));
            }
        }
    )+};
}
field_type! {
    u64: Number, self => *self;
    u32: Number, self => u64::from(*self);
    u8: Number, self => u64::from(*self);
    bool: Truth, self => *self;
    Real: Real, self => *self;
    Hex: Hex, self => *self;
    SignedHex: SignedHex, self => *self;
    Decimal: Decimal, self => self.0;
    &str: Word, self => self;
    String: Text, self => self;
    Text<'_>: Text, self => self.0;
    DeviceNumber: Device, self => *self;
    Name<'_>: Name, self => *self;
    NameBuf: Name, self => Name(&self.0);
    Time: Time, self => *self;
    Vec<String>: Texts, self => self;
    Vec<u64>: Numbers, self => self;
    FlagNames: Flags, self => *self;
    FlagCounts: Counts, self => self;
    BuildId: Word("^([0-9a-f]{2}){1,64}$"), self => &self.to_string();
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
    // Null is an empty name.
    NameBuf, field, source => Some(Self(source.name(field).unwrap_or_default()));
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
    Real, field, source => source.number(field).map(|bits| Self::new(f64::from_bits(bits)));
}

/// A word of a closed list.
impl StoredType for &'static str {
    fn read(field: &'static Field, source: &mut impl Source) -> Result<Option<Self>, MissingField> {
        source.word(field)
    }
}

/// Implements [`FieldType`] for closed lists: types with `ALL` and `name`.
macro_rules! closed_list {
    ($($type:ty),+) => {$(
        impl $crate::field::FieldType for $type {
            const KIND: $crate::field::Kind = $crate::field::Kind::Word;
            const WORDS: Option<fn() -> Vec<&'static str>> =
                Some(|| <$type>::ALL.iter().map(|one| one.name()).collect());

            #[inline]
            fn visit_as(
                &self,
                field: &'static $crate::field::Field,
                visit: &mut impl $crate::field::Visit,
            ) {
                visit.value(field, $crate::value::Value::Word(self.name()));
            }
        }

        impl $crate::field::StoredType for $type {
            fn read(
                field: &'static $crate::field::Field,
                source: &mut impl $crate::field::Source,
            ) -> Result<Option<Self>, $crate::field::MissingField> {
                let word = source.text(field);
                let known = word.map(|word| Self::ALL.into_iter().find(|one| one.name() == word));
                known.map(|one| one.ok_or_else(|| $crate::field::missing(field))).transpose()
            }
        }
    )+};
}
closed_list!(HugePolicy);

/// Declares a closed list: each value once, with its name.
macro_rules! word_list {
    (
        $(#[$about:meta])+
        pub enum $type:ident { $($(#[$meaning:meta])+ $value:ident = $name:literal,)+ }
    ) => {
        $(#[$about])+
        pub enum $type {
            $($(#[$meaning])+ $value,)+
        }

        impl $type {
            /// All values.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$value),+];

            /// Returns its name in every format.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)+
                }
            }
        }

        $crate::types::closed_list!($type);
    };
}
pub(crate) use {closed_list, word_list};
