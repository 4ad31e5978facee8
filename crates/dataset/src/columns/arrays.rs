//! Columns under construction, and the visitor that appends the values of a record to them.
//! Columns are in the order in which fields are visited, so none is looked up.

use std::slice::IterMut;
use std::sync::Arc;

use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BooleanArray, ListArray, PrimitiveArray, StructArray,
};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer};
use arrow_schema::{DataType, Fields as Columns};
use process_introspection_export::{
    DeviceNumber, Extra, Field, Fields, FlagCounts, Kind, Value, Visit,
};

use crate::columns::nulls::Nulls;
use crate::columns::schema::{columns, count_columns, is_in, item, time};
use crate::columns::text::{end_of, finished, Names, Texts, Words};

/// Columns of the fields of one record or group.
#[derive(Debug)]
pub(super) struct Group {
    columns: Vec<Column>,
}

/// Column of a field, or its columns.
#[derive(Debug)]
enum Column {
    /// None: the output does not contain the field.
    Absent,
    Numbers(Numbers),
    /// Bits of numbers that need not be whole.
    Reals(Numbers),
    Times(Numbers),
    Truths(Truths),
    Words(Words),
    Devices(Words, Option<DeviceNumber>),
    Texts(Texts),
    Names(Names),
    ListOfTexts(Lists, Texts),
    ListOfNumbers(Lists, Numbers),
    ListOfCounts(Lists, Texts, Numbers),
    /// Columns among those of the record.
    Flat(Group),
    Struct(Structs),
    ListOfStructs(Lists, Group, Columns),
}

impl Group {
    pub(super) fn new(fields: &'static [Field], extra: &'static [Extra]) -> Self {
        let columns = fields.iter().map(|field| Column::new(field, extra));
        Self {
            columns: columns.collect(),
        }
    }

    /// Returns the visitor that appends one record.
    #[inline]
    pub(super) fn row(&mut self) -> Row<'_> {
        Row {
            columns: self.columns.iter_mut(),
        }
    }

    fn push_nulls(&mut self, count: usize) {
        let columns = self.columns.iter_mut();
        columns.for_each(|column| column.push_nulls(count));
    }

    /// Returns the number of bytes of text, which has no fixed size.
    pub(super) fn text_bytes(&self) -> usize {
        self.columns.iter().map(Column::text_bytes).sum()
    }

    /// Returns the arrays and begins new ones.
    pub(super) fn finish(&mut self) -> Vec<ArrayRef> {
        let mut arrays = Vec::new();
        for column in &mut self.columns {
            column.finish(&mut arrays);
        }
        arrays
    }
}

impl Column {
    fn new(field: &'static Field, extra: &'static [Extra]) -> Self {
        if !is_in(field, extra) {
            return Self::Absent;
        }
        let group = |fields| {
            let columns = columns(fields, extra, false).into();
            (Group::new(fields, extra), columns)
        };
        match field.kind {
            Kind::Number | Kind::Hex | Kind::SignedHex | Kind::Decimal => {
                Self::Numbers(Numbers::new())
            }
            Kind::Real => Self::Reals(Numbers::new()),
            Kind::Time => Self::Times(Numbers::new()),
            Kind::Truth => Self::Truths(Truths::new()),
            Kind::Word => Self::Words(match field.words {
                Some(words) => Words::closed(&words()),
                None => Words::open(),
            }),
            Kind::Device => Self::Devices(Words::open(), None),
            Kind::Text => Self::Texts(Texts::new()),
            Kind::Name => Self::Names(Names::new()),
            Kind::Texts | Kind::Flags => Self::ListOfTexts(Lists::new(), Texts::new()),
            Kind::Numbers => Self::ListOfNumbers(Lists::new(), Numbers::new()),
            Kind::Counts => Self::ListOfCounts(Lists::new(), Texts::new(), Numbers::new()),
            Kind::Group(fields) if field.is_flat => Self::Flat(Group::new(fields, extra)),
            Kind::Group(fields) => {
                let (group, columns) = group(fields);
                Self::Struct(Structs::new(group, columns))
            }
            Kind::List(fields) => {
                let (group, columns) = group(fields);
                Self::ListOfStructs(Lists::new(), group, columns)
            }
        }
    }

    fn push_nulls(&mut self, count: usize) {
        match self {
            Self::Absent => {}
            Self::Numbers(numbers) | Self::Reals(numbers) | Self::Times(numbers) => {
                numbers.push_nulls(count);
            }
            Self::Truths(truths) => truths.push_nulls(count),
            Self::Words(words) | Self::Devices(words, _) => words.push_nulls(count),
            Self::Texts(texts) => texts.push_nulls(count),
            Self::Names(names) => names.push_nulls(count),
            Self::ListOfTexts(lists, _)
            | Self::ListOfNumbers(lists, _)
            | Self::ListOfCounts(lists, ..)
            | Self::ListOfStructs(lists, ..) => lists.push_nulls(count),
            Self::Flat(group) => group.push_nulls(count),
            Self::Struct(structs) => structs.push_nulls(count),
        }
    }

    fn text_bytes(&self) -> usize {
        match self {
            Self::Texts(texts) | Self::ListOfTexts(_, texts) | Self::ListOfCounts(_, texts, _) => {
                texts.bytes()
            }
            Self::Names(names) => names.bytes(),
            Self::Flat(group)
            | Self::Struct(Structs { group, .. })
            | Self::ListOfStructs(_, group, _) => group.text_bytes(),
            _ => 0,
        }
    }

    fn finish(&mut self, arrays: &mut Vec<ArrayRef>) {
        let array: ArrayRef = match self {
            Self::Absent => return,
            Self::Numbers(numbers) => numbers.finish::<Int64Type>(DataType::Int64),
            Self::Reals(reals) => {
                let bits = reals.array::<Int64Type>();
                Arc::new(bits.unary::<_, Float64Type>(|bits| f64::from_bits(bits as u64)))
            }
            Self::Times(times) => times.finish::<TimestampMicrosecondType>(time()),
            Self::Truths(truths) => truths.finish(),
            Self::Words(words) | Self::Devices(words, _) => words.finish(),
            Self::Texts(texts) => texts.finish(),
            Self::Names(names) => return arrays.extend(names.finish()),
            Self::ListOfTexts(lists, texts) => lists.finish(DataType::Utf8, texts.finish()),
            Self::ListOfNumbers(lists, numbers) => lists.finish(
                DataType::Int64,
                numbers.finish::<Int64Type>(DataType::Int64),
            ),
            Self::ListOfCounts(lists, names, counts) => {
                let arrays = vec![names.finish(), counts.finish::<Int64Type>(DataType::Int64)];
                lists.finish_structs(&count_columns(), arrays)
            }
            Self::Flat(group) => return arrays.extend(group.finish()),
            Self::Struct(structs) => structs.finish(),
            Self::ListOfStructs(lists, group, columns) => {
                lists.finish_structs(columns, group.finish())
            }
        };
        arrays.push(array);
    }
}

/// Visitor that appends a record. A value goes to the next column.
pub(super) struct Row<'a> {
    columns: IterMut<'a, Column>,
}

impl Row<'_> {
    fn no_column(field: &Field) -> ! {
        unreachable!("{} has values that are not of its kind", field.name)
    }
}

impl Visit for Row<'_> {
    // Inlined, because the kind of value is known where a record is visited.
    #[inline(always)]
    fn value(&mut self, field: &'static Field, value: Value<'_>) {
        let Some(column) = self.columns.next() else {
            Self::no_column(field);
        };
        match (column, value) {
            (Column::Absent, _) => {}
            (Column::Numbers(numbers), Value::Null) => numbers.push_nulls(1),
            (Column::Words(words), Value::Null) => words.push_nulls(1),
            (Column::Struct(structs), Value::Null) => structs.push_nulls(1),
            (column, Value::Null) => column.push_nulls(1),
            (Column::Numbers(numbers), Value::Number(number) | Value::Decimal(number)) => {
                numbers.push(number);
            }
            (Column::Numbers(numbers), Value::Hex(number)) => numbers.push(number.0),
            (Column::Numbers(numbers), Value::SignedHex(number)) => {
                numbers.push(number.0 as u64);
            }
            (Column::Reals(reals), Value::Real(real)) => reals.push(real.get().to_bits()),
            (Column::Times(times), Value::Time(time)) => times.push(time.0 as u64),
            (Column::Truths(truths), Value::Truth(truth)) => truths.push(truth),
            (Column::Words(words), Value::Word(word)) => words.push(word),
            (Column::Devices(words, last), Value::Device(device)) => {
                // Objects of one file system follow each other.
                if *last != Some(device) || !words.push_again() {
                    words.push(&device.to_string());
                    *last = Some(device);
                }
            }
            (Column::Texts(texts), Value::Text(text)) => texts.push(text),
            (Column::Names(names), Value::Name(name)) => names.push(name.0),
            (Column::ListOfTexts(lists, items), Value::Texts(texts)) => {
                lists.push(texts.iter(), |text| items.push(text));
            }
            (Column::ListOfTexts(lists, items), Value::Flags(flags)) => {
                lists.push(flags.names(), |name| items.push(&name));
            }
            (Column::ListOfNumbers(lists, items), Value::Numbers(numbers)) => {
                lists.push(numbers.iter(), |&number| items.push(number));
            }
            (Column::ListOfCounts(lists, names, numbers), Value::Counts(FlagCounts(counts))) => {
                lists.push(counts.iter(), |(name, count)| {
                    names.push(name);
                    numbers.push(*count);
                });
            }
            _ => Self::no_column(field),
        }
    }

    #[inline]
    fn group(&mut self, field: &'static Field, record: &impl Fields) {
        match self.columns.next() {
            Some(Column::Absent) => {}
            Some(Column::Flat(group)) => record.visit(&mut group.row()),
            Some(Column::Struct(structs)) => record.visit(&mut structs.push()),
            _ => Self::no_column(field),
        }
    }

    fn list(&mut self, field: &'static Field, records: &[impl Fields]) {
        match self.columns.next() {
            Some(Column::Absent) => {}
            Some(Column::ListOfStructs(lists, group, _)) => {
                lists.push(records.iter(), |record| record.visit(&mut group.row()));
            }
            _ => Self::no_column(field),
        }
    }
}

/// Column of numbers.
#[derive(Debug)]
struct Numbers {
    values: Vec<i64>,
    /// Number of nulls at the end that are not stored yet: many columns have little else.
    owed: usize,
    nulls: Nulls,
}

impl Numbers {
    fn new() -> Self {
        Self {
            values: Vec::new(),
            owed: 0,
            nulls: Nulls::default(),
        }
    }

    #[inline]
    fn push(&mut self, number: u64) {
        if self.owed > 0 {
            self.pay();
        }
        self.values.push(number as i64);
    }

    #[inline]
    fn push_nulls(&mut self, count: usize) {
        self.owed += count;
    }

    #[cold]
    fn pay(&mut self) {
        let (start, end) = (self.values.len(), self.values.len() + self.owed);
        self.nulls.extend(start..end);
        self.values.resize(end, 0);
        self.owed = 0;
    }

    fn finish<T: ArrowPrimitiveType<Native = i64>>(&mut self, data_type: DataType) -> ArrayRef {
        Arc::new(self.array::<T>().with_data_type(data_type))
    }

    fn array<T: ArrowPrimitiveType<Native = i64>>(&mut self) -> PrimitiveArray<T> {
        self.pay();
        let values = std::mem::take(&mut self.values);
        self.values.reserve(values.len());
        let nulls = self.nulls.finish(values.len());
        PrimitiveArray::<T>::new(values.into(), nulls)
    }
}

/// Column of truth values.
#[derive(Debug)]
struct Truths {
    values: BooleanBufferBuilder,
    nulls: Nulls,
}

impl Truths {
    fn new() -> Self {
        Self {
            values: BooleanBufferBuilder::new(0),
            nulls: Nulls::default(),
        }
    }

    #[inline]
    fn push(&mut self, truth: bool) {
        self.values.append(truth);
    }

    fn push_nulls(&mut self, count: usize) {
        let start = self.values.len();
        self.nulls.extend(start..start + count);
        self.values.append_n(count, false);
    }

    fn finish(&mut self) -> ArrayRef {
        let nulls = self.nulls.finish(self.values.len());
        Arc::new(BooleanArray::new(self.values.finish(), nulls))
    }
}

/// Column of groups.
#[derive(Debug)]
struct Structs {
    group: Group,
    columns: Columns,
    count: usize,
    /// Number of nulls at the end that are not stored yet.
    owed: usize,
    nulls: Nulls,
}

impl Structs {
    fn new(group: Group, columns: Columns) -> Self {
        Self {
            group,
            columns,
            count: 0,
            owed: 0,
            nulls: Nulls::default(),
        }
    }

    /// Returns the visitor that appends a group.
    fn push(&mut self) -> Row<'_> {
        if self.owed > 0 {
            self.pay();
        }
        self.count += 1;
        self.group.row()
    }

    #[inline]
    fn push_nulls(&mut self, count: usize) {
        self.owed += count;
    }

    #[cold]
    fn pay(&mut self) {
        let end = self.count + self.owed;
        self.nulls.extend(self.count..end);
        self.group.push_nulls(self.owed);
        (self.count, self.owed) = (end, 0);
    }

    fn finish(&mut self) -> ArrayRef {
        self.pay();
        let nulls = self.nulls.finish(self.count);
        self.count = 0;
        let arrays = self.group.finish();
        Arc::new(StructArray::new(self.columns.clone(), arrays, nulls))
    }
}

/// Lists of a column whose items are in another.
#[derive(Debug)]
struct Lists {
    /// End of each list in the items.
    ends: Vec<i32>,
    count: usize,
    nulls: Nulls,
}

impl Lists {
    fn new() -> Self {
        Self {
            ends: vec![0],
            count: 0,
            nulls: Nulls::default(),
        }
    }

    fn push<T>(&mut self, items: impl Iterator<Item = T>, mut push: impl FnMut(T)) {
        for item in items {
            push(item);
            self.count += 1;
        }
        self.ends.push(end_of(self.count));
    }

    fn push_nulls(&mut self, count: usize) {
        let start = self.ends.len() - 1;
        self.nulls.extend(start..start + count);
        self.ends.resize(start + count + 1, end_of(self.count));
    }

    fn finish(&mut self, data_type: DataType, items: ArrayRef) -> ArrayRef {
        let Self { ends, nulls, .. } = std::mem::replace(self, Self::new());
        let (ends, nulls) = finished(ends, nulls);
        Arc::new(ListArray::new(item(data_type), ends, items, nulls))
    }

    fn finish_structs(&mut self, columns: &Columns, arrays: Vec<ArrayRef>) -> ArrayRef {
        let nulls: Option<NullBuffer> = None;
        let structs = StructArray::new(columns.clone(), arrays, nulls);
        self.finish(DataType::Struct(columns.clone()), Arc::new(structs))
    }
}
