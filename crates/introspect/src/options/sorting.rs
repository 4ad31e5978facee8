//! `--sort` and `--top`: order and length of a list that is complete before it is written.
//! Must not know what is listed.

use clap::error::ErrorKind;
use clap::{value_parser, Args};
use process_introspection_export::{Field, Fields, SortField};

#[derive(Debug, Args)]
pub(crate) struct SortOptions {
    /// Sort by a field of JSON, such as total.pss or path
    #[arg(long, value_name = "COLUMN")]
    sort: Option<String>,
    /// List the first N only
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    top: Option<u64>,
}

impl SortOptions {
    /// Returns whether the list has another order or length than the usual ones.
    pub(crate) fn is_present(&self) -> bool {
        self.sort.is_some() || self.top.is_some()
    }

    /// Refuses a column that records with these fields do not have.
    pub(crate) fn check(&self, fields: &'static [Field]) -> Result<(), clap::Error> {
        self.field(fields).map(drop)
    }

    /// Returns the length of the list, if there is one.
    pub(crate) fn top(&self) -> Option<usize> {
        let top = self.top?;
        Some(usize::try_from(top).unwrap_or(usize::MAX))
    }

    /// Brings records, which are in the usual order, into the requested one, and removes those
    /// that are not wanted.
    pub(crate) fn arrange<R: Fields>(&self, records: &mut Vec<R>) -> Result<(), clap::Error> {
        self.order(records)?;
        if let Some(top) = self.top() {
            records.truncate(top);
        }
        Ok(())
    }

    /// Brings records, which are in the usual order, into the requested one.
    pub(crate) fn order<R: Fields>(&self, records: &mut [R]) -> Result<(), clap::Error> {
        if let Some(field) = self.field(R::FIELDS)? {
            records.sort_by_cached_key(|record| field.key(record));
        }
        Ok(())
    }

    fn field(&self, fields: &'static [Field]) -> Result<Option<SortField>, clap::Error> {
        let Some(name) = &self.sort else {
            return Ok(None);
        };
        let field = SortField::find(fields, name);
        let field = field.map_err(|error| {
            clap::Error::raw(ErrorKind::ValueValidation, format!("--sort: {error}"))
        })?;
        Ok(Some(field))
    }
}
