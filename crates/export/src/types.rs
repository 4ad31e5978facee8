//! Types of Rust that fields can have, and their values.

use process_introspection::{BuildId, HugePolicy};

use crate::field::{Field, FieldType, Kind, Visit};
use crate::name::{Name, NameBuf};
use crate::number::{DeviceNumber, Hex, SignedHex, Time};
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

        impl $crate::reading::StoredType for $type {
            fn read(
                field: &'static $crate::field::Field,
                source: &mut impl $crate::reading::Source,
            ) -> Result<Option<Self>, $crate::reading::MissingField> {
                let word = source.text(field);
                let known = word.map(|word| Self::ALL.into_iter().find(|one| one.name() == word));
                known.map(|one| one.ok_or_else(|| $crate::reading::missing(field))).transpose()
            }
        }
    )+};
}
pub(crate) use closed_list;
closed_list!(HugePolicy);
