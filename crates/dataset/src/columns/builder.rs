//! Batches of records.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use process_introspection_export::{Extra, Field, Fields};

use crate::columns::arrays::Group;
use crate::columns::schema::schema;

/// Builder of batches from records of one kind.
///
/// ```
/// use std::collections::HashMap;
///
/// use arrow_array::cast::AsArray;
/// use arrow_array::types::Int64Type;
/// use process_introspection_dataset::columns::Builder;
/// use process_introspection_export::{ExtentRecord, Fields, Hex, State};
///
/// let mut builder = Builder::new(ExtentRecord::FIELDS, &[], HashMap::new());
/// builder.push(&ExtentRecord {
///     vaddr: Hex(0x7f0000001000),
///     size: 4096,
///     paddr: None,
///     pfn: None,
///     state: State::NotPresent,
///     node: None,
/// });
/// let batch = builder.finish();
/// let column = |name| batch.column_by_name(name).expect("declared");
/// assert_eq!(column("vaddr").as_primitive::<Int64Type>().value(0), 0x7f0000001000);
/// assert_eq!(column("paddr").null_count(), 1);
/// ```
#[derive(Debug)]
pub struct Builder {
    schema: SchemaRef,
    fields: &'static [Field],
    group: Group,
    rows: usize,
}

impl Builder {
    /// Number of records after which a batch is full.
    pub const ROWS: usize = 16 << 10;
    /// Number of bytes of text after which a batch is full.
    const TEXT_BYTES: usize = 8 << 20;
    /// Number of records after which the bytes of text are counted again.
    const INTERVAL: usize = 64;

    /// Returns a builder of batches of records with these fields; see
    /// [`schema`](crate::columns::schema()) for the arguments.
    pub fn new(
        fields: &'static [Field],
        extra: &'static [Extra],
        metadata: HashMap<String, String>,
    ) -> Self {
        Self {
            schema: Arc::new(schema(fields, extra, metadata)),
            fields,
            group: Group::new(fields, extra),
            rows: 0,
        }
    }

    /// Returns the schema of the batches.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Returns the number of records since the last batch.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Returns whether there are no records since the last batch.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Appends a record.
    ///
    /// # Panics
    /// If the record is of another kind than the builder, and its values show it.
    #[inline]
    pub fn push<R: Fields>(&mut self, record: &R) {
        debug_assert!(
            self.fields.iter().map(name).eq(R::FIELDS.iter().map(name)),
            "a record of another kind"
        );
        record.visit(&mut self.group.row());
        self.rows += 1;
    }

    /// Returns whether the batch should end: it has [`Self::ROWS`] records, or its texts have
    /// several MiB.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.rows >= Self::ROWS
            || self.rows % Self::INTERVAL == 0 && self.group.text_bytes() > Self::TEXT_BYTES
    }

    /// Returns the records since the last batch.
    pub fn finish(&mut self) -> RecordBatch {
        self.rows = 0;
        RecordBatch::try_new(Arc::clone(&self.schema), self.group.finish())
            .expect("columns of the schema")
    }
}

fn name(field: &Field) -> &str {
    field.name
}
