//! Declaration of records: each field once, with its name, type, unit, meaning and
//! table column. Every format is a [`Visit`] of these fields, and one that can be read is a
//! [`Source`] of them. Knows no format.

use std::fmt;

use crate::value::Value;

/// One field of a record.
#[derive(Copy, Clone, Debug)]
pub struct Field {
    /// Name in every format; a [`Kind::Name`] also has one that ends in `_hex`.
    pub name: &'static str,
    /// Meaning, as text of one paragraph with a space before each line.
    pub meaning: &'static str,
    /// Type of its values.
    pub kind: Kind,
    /// Unit of a number.
    pub unit: Unit,
    /// Smallest number.
    pub least: u64,
    /// Largest number.
    pub most: Option<u64>,
    /// All words of a closed list.
    pub words: Option<fn() -> Vec<&'static str>>,
    /// Regular expression that text matches.
    pub pattern: Option<&'static str>,
    /// Whether it can be null.
    pub is_nullable: bool,
    /// Meaning of null.
    pub null: &'static str,
    /// Whether JSON leaves it out if it is null.
    pub is_optional: bool,
    /// Whether the fields of this group stand among those of the record.
    pub is_flat: bool,
    /// Column group that a layout must have for CSV to contain it.
    pub extra: Option<Extra>,
    /// Column of the table.
    pub column: Option<Column>,
}

/// Type of the values of a field.
#[derive(Copy, Clone, Debug)]
pub enum Kind {
    /// Number.
    Number,
    /// Number that need not be whole.
    Real,
    /// Number that is written in hexadecimal.
    Hex,
    /// Signed number that is written in hexadecimal.
    SignedHex,
    /// Decimal number of more than 53 bits, which JSON has as text.
    Decimal,
    /// True or false.
    Truth,
    /// Word that this program or the kernel chose.
    Word,
    /// Text that anybody could have chosen.
    Text,
    /// Device number, `fe:00`.
    Device,
    /// Name as text, and all its bytes in a second field if it is not UTF-8.
    Name,
    /// Time of day.
    Time,
    /// List of texts.
    Texts,
    /// List of numbers.
    Numbers,
    /// Names of the flags of a page frame.
    Flags,
    /// Names of flags, each with a number of pages.
    Counts,
    /// Fields of a record within the record.
    Group(&'static [Field]),
    /// List of records.
    List(&'static [Field]),
}

/// Unit of a number.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// None: a count, an address, an index.
    None,
    /// Bytes; tables have them as sizes.
    Bytes,
    /// Base pages.
    Pages,
}

/// Fields or columns that only some outputs of a record have.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Extra {
    /// Column of the NUMA node.
    Node,
    /// Column of the process.
    Pid,
    /// Fields of the process, in lists of several.
    Process,
    /// Fields of the page facts.
    Details,
}

/// Column of a table.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Position in the table. Of several fields with one position, the first that has a
    /// value is shown.
    pub place: usize,
    /// Title in the header line; empty if another field of this place has it.
    pub title: &'static str,
    /// Width in characters. The last column has 0: it gets the rest of the line.
    pub width: usize,
    /// Presentation of values.
    pub show: Show,
    /// Column group that a layout must have for this column.
    pub extra: Option<Extra>,
}

/// Presentation of the values of a column.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Show {
    /// Text at the left.
    Left,
    /// Number at the right; bytes as an exact size.
    Right,
    /// Bytes at the right, rounded down to five characters.
    Rough,
    /// `s` or `p` for shared or private, behind the protection in one cell.
    Sharing,
    /// Command line: on a narrow terminal its end is cut off.
    Command,
}

/// Defines methods of [`Field`] that set one of its properties.
macro_rules! setters {
    ($($(#[$about:meta])+ $name:ident($($argument:ident: $type:ty),*): $property:ident = $value:expr;)+) => {$(
        $(#[$about])+
        pub const fn $name(mut self, $($argument: $type),*) -> Self {
            self.$property = $value;
            self
        }
    )+};
}

impl Field {
    /// Declares a field of values of type `T`.
    pub const fn new<T: FieldType>(name: &'static str, meaning: &'static str) -> Self {
        Self {
            name,
            meaning,
            kind: T::KIND,
            unit: Unit::None,
            least: 0,
            most: None,
            words: T::WORDS,
            pattern: T::PATTERN,
            is_nullable: T::IS_NULLABLE,
            null: "",
            is_optional: false,
            is_flat: false,
            extra: None,
            column: None,
        }
    }

    setters! {
        /// Sets a name that is no identifier of Rust.
        named(name: &'static str): name = name;
        /// Sets the unit.
        bytes(): unit = Unit::Bytes;
        /// Sets the unit.
        pages(): unit = Unit::Pages;
        /// Sets the smallest number.
        least(least: u64): least = least;
        /// Sets the largest number.
        most(most: u64): most = Some(most);
        /// Sets the closed list of its words.
        one_of(words: fn() -> Vec<&'static str>): words = Some(words);
        /// Sets the regular expression that its text matches.
        pattern(pattern: &'static str): pattern = Some(pattern);
        /// Sets the meaning of null.
        null(null: &'static str): null = null;
        /// Leaves it out of JSON if it is null.
        optional(): is_optional = true;
        /// Puts the fields of the group among those of the record.
        flat(): is_flat = true;
        /// Leaves it out of CSV without these extra columns.
        extra(extra: Extra): extra = Some(extra);
        /// Sets a column of text.
        text(place: usize, title: &'static str, width: usize):
            column = Some(Column::new(place, title, width, Show::Left));
        /// Sets a column of numbers or addresses.
        number(place: usize, title: &'static str, width: usize):
            column = Some(Column::new(place, title, width, Show::Right));
        /// Sets a column of rounded sizes.
        rough(place: usize, title: &'static str, width: usize):
            column = Some(Column::new(place, title, width, Show::Rough));
        /// Sets the last column, of command lines.
        command(place: usize, title: &'static str):
            column = Some(Column::new(place, title, 0, Show::Command));
        /// Sets a column that other fields share.
        also(place: usize, show: Show): column = Some(Column::new(place, "", 0, show));
    }

    /// Leaves its column out of tables without these extra columns.
    pub const fn column_extra(mut self, extra: Extra) -> Self {
        if let Some(column) = &mut self.column {
            column.extra = Some(extra);
        }
        self
    }
}

impl Column {
    const fn new(place: usize, title: &'static str, width: usize, show: Show) -> Self {
        Self {
            place,
            title,
            width,
            show,
            extra: None,
        }
    }
}

/// Record of declared fields.
pub trait Fields {
    /// Its fields, in the order of every format.
    const FIELDS: &'static [Field];
    /// Meaning of the record.
    const MEANING: &'static str;

    /// Hands each field with its value to the visitor, in order.
    fn visit(&self, visit: &mut impl Visit);
}

/// Format: takes the fields of a record.
pub trait Visit {
    /// Takes the value of a field. A null group or list comes here, too.
    fn value(&mut self, field: &'static Field, value: Value<'_>);

    /// Takes a record within the record.
    fn group(&mut self, field: &'static Field, record: &impl Fields);

    /// Takes a list of records.
    fn list(&mut self, field: &'static Field, records: &[impl Fields]);
}

/// Type of Rust that a field can have.
pub trait FieldType {
    /// The type that formats see.
    const KIND: Kind;
    /// Whether it can be null.
    const IS_NULLABLE: bool = false;
    /// All words, where it is a closed list.
    const WORDS: Option<fn() -> Vec<&'static str>> = None;
    /// Regular expression that its text matches.
    const PATTERN: Option<&'static str> = None;

    /// Hands its value to the visitor.
    fn visit_as(&self, field: &'static Field, visit: &mut impl Visit);
}

impl<T: FieldType> FieldType for Option<T> {
    const KIND: Kind = T::KIND;
    const IS_NULLABLE: bool = true;
    const WORDS: Option<fn() -> Vec<&'static str>> = T::WORDS;
    const PATTERN: Option<&'static str> = T::PATTERN;

    #[inline]
    fn visit_as(&self, field: &'static Field, visit: &mut impl Visit) {
        match self {
            Some(value) => value.visit_as(field, visit),
            None => visit.value(field, Value::Null),
        }
    }
}

impl<R: Fields> FieldType for R {
    const KIND: Kind = Kind::Group(R::FIELDS);

    fn visit_as(&self, field: &'static Field, visit: &mut impl Visit) {
        visit.group(field, self);
    }
}

impl<R: Fields> FieldType for Vec<R> {
    const KIND: Kind = Kind::List(R::FIELDS);

    fn visit_as(&self, field: &'static Field, visit: &mut impl Visit) {
        visit.list(field, self);
    }
}

/// Stored record, as a format that can be read sees it. Each method returns `None` for
/// null, and for a field that is not stored.
pub trait Source {
    /// Returns a number of any kind; its bits, if it is signed or need not be whole.
    fn number(&mut self, field: &'static Field) -> Option<u64>;

    /// Returns a truth value.
    fn truth(&mut self, field: &'static Field) -> Option<bool>;

    /// Returns a word or a text.
    fn text(&mut self, field: &'static Field) -> Option<&str>;

    /// Returns a word of the field's closed list.
    ///
    /// # Errors
    /// [`MissingField`] if it is none of them.
    fn word(&mut self, field: &'static Field) -> Result<Option<&'static str>, MissingField>;

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

/// Declares a record: the struct, its [`Field`]s and the visit of its values.
///
/// The documentation of a field is its meaning in schemas and documents. Behind `=`
/// stand calls of [`Field`]'s methods. Fields in `besides` are in no format. A record
/// that is declared as `struct NAME: Readable` is [`FromSource`](crate::FromSource).
///
/// ```
/// use process_introspection_export::{record, Fields};
///
/// record! {
///     /// Memory on a node.
///     pub struct NodeUsage {
///         /// NUMA node.
///         pub node: Option<u32> = null("if it is unknown"),
///         /// Bytes on the node.
///         pub size: u64 = bytes(),
///     }
/// }
/// assert_eq!(NodeUsage::FIELDS[1].name, "size");
/// ```
#[macro_export]
macro_rules! record {
    (
        $(#[doc = $about:literal])+
        $(#[derive($($derive:ident),+)])?
        $visible:vis struct $record:ident $(<$life:lifetime>)? $(: $readable:ident)? {
            $(
                $(#[doc = $meaning:literal])+
                $shown:vis $field:ident: $type:ty
                    $(= $($call:ident($($argument:expr),* $(,)?)).+)?,
            )+
        }
        $(besides {
            $(
                $(#[doc = $note:literal])+
                pub $more:ident: $more_type:ty,
            )+
        })?
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, Eq $($(, $derive)+)?)]
        $visible struct $record $(<$life>)? {
            $($(#[doc = $meaning])+ $shown $field: $type,)+
            $($($(#[doc = $note])+ pub $more: $more_type,)+)?
        }

        impl $(<$life>)? $crate::field::Fields for $record $(<$life>)? {
            const FIELDS: &'static [$crate::field::Field] = &[$(
                $crate::field::Field::new::<$type>(
                    stringify!($field),
                    concat!($($meaning),+),
                )$($(.$call($($argument),*))+)?,
            )+];
            const MEANING: &'static str = concat!($($about),+);

            #[inline]
            fn visit(&self, visit: &mut impl $crate::field::Visit) {
                let [$($field),+] = Self::FIELDS else {
                    unreachable!("as many as the record has");
                };
                $($crate::field::FieldType::visit_as(&self.$field, $field, visit);)+
            }
        }

        $crate::readable! { $($readable)?; $record $($field: $type,)+ }
    };
}
pub(crate) use record;

/// Implements [`FromSource`](crate::FromSource) for a record that [`record!`] declares.
#[doc(hidden)]
#[macro_export]
macro_rules! readable {
    (; $($record:tt)+) => {};
    (Readable; $record:ident $($field:ident: $type:ty,)+) => {
        impl $crate::field::FromSource for $record {
            fn from_source(
                source: &mut impl $crate::field::Source,
            ) -> Result<Self, $crate::field::MissingField> {
                let [$($field),+] = <Self as $crate::field::Fields>::FIELDS else {
                    unreachable!("as many as the record has");
                };
                Ok(Self {
                    $($field: $crate::field::read_field($field, source)?,)+
                })
            }
        }
    };
}
