//! Values of columns as plain objects of Python. Must not know records.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowDictionaryKeyType, Float64Type, Int32Type, Int64Type, Int8Type, TimestampMicrosecondType,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, FieldRef, TimeUnit};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

/// Returns a row as a dictionary.
pub(crate) fn row<'py>(
    py: Python<'py>,
    batch: &RecordBatch,
    row: usize,
) -> PyResult<Bound<'py, PyDict>> {
    dictionary(py, batch.schema_ref().fields(), batch.columns(), row)
}

fn dictionary<'py>(
    py: Python<'py>,
    fields: &[FieldRef],
    columns: &[arrow_array::ArrayRef],
    row: usize,
) -> PyResult<Bound<'py, PyDict>> {
    let values = PyDict::new(py);
    for (field, column) in fields.iter().zip(columns) {
        let name = PyString::intern(py, field.name());
        values.set_item(name, value(py, column, row)?)?;
    }
    Ok(values)
}

/// Returns a value. Columns have the bits of unsigned numbers as signed ones; here they are
/// what they were.
fn value<'py>(py: Python<'py>, array: &dyn Array, row: usize) -> PyResult<Bound<'py, PyAny>> {
    if array.is_null(row) {
        return Ok(py.None().into_bound(py));
    }
    Ok(match array.data_type() {
        DataType::Int64 => {
            let number = array.as_primitive::<Int64Type>().value(row);
            (number as u64).into_pyobject(py)?.into_any()
        }
        DataType::Float64 => {
            let real = array.as_primitive::<Float64Type>().value(row);
            real.into_pyobject(py)?.into_any()
        }
        DataType::Boolean => {
            let truth = array.as_boolean().value(row).into_pyobject(py)?;
            truth.to_owned().into_any()
        }
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => time(
            py,
            array.as_primitive::<TimestampMicrosecondType>().value(row),
        )?,
        DataType::Utf8 => PyString::new(py, array.as_string::<i32>().value(row)).into_any(),
        DataType::Binary => PyBytes::new(py, array.as_binary::<i32>().value(row)).into_any(),
        DataType::Dictionary(key, _) if **key == DataType::Int8 => word::<Int8Type>(py, array, row),
        DataType::Dictionary(key, _) if **key == DataType::Int32 => {
            word::<Int32Type>(py, array, row)
        }
        DataType::Struct(fields) => {
            dictionary(py, fields, array.as_struct().columns(), row)?.into_any()
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let list = PyList::empty(py);
            for item in 0..items.len() {
                list.append(value(py, &items, item)?)?;
            }
            list.into_any()
        }
        other => {
            let message = format!("a column has the type {other}, which no column of records has");
            return Err(PyTypeError::new_err(message));
        }
    })
}

fn word<'py, K: ArrowDictionaryKeyType<Native: Into<i64>>>(
    py: Python<'py>,
    array: &dyn Array,
    row: usize,
) -> Bound<'py, PyAny> {
    let words = array.as_dictionary::<K>();
    let key: i64 = words.keys().value(row).into();
    let word = words.values().as_string::<i32>().value(key as usize);
    PyString::intern(py, word).into_any()
}

/// Returns a time of day as a `datetime` of UTC.
pub(crate) fn time(py: Python<'_>, microseconds: i64) -> PyResult<Bound<'_, PyAny>> {
    let module = py.import("datetime")?;
    let utc = module.getattr("timezone")?.getattr("utc")?;
    let epoch = module
        .getattr("datetime")?
        .call_method1("fromtimestamp", (0, utc))?;
    let since = module.getattr("timedelta")?.call1((0, 0, microseconds))?;
    epoch.add(since)
}
