//! Text of the part of a list that is on the screen. Must not know the screen's width, colours
//! or borders.

use crate::top::columns::{CellText, Listed};
use crate::top::list::{Before, List};
use crate::top::model::Time;

/// Rows of a list on the screen, with all of their columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) columns: Vec<TableColumn>,
    pub(crate) rows: Vec<TableRow>,
    /// Number of rows that the filter lets through, and number of all.
    pub(crate) count: (usize, usize),
    /// Index of the first row on the screen.
    pub(crate) first: usize,
}

/// Column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableColumn {
    pub(crate) title: &'static str,
    pub(crate) width: u16,
    pub(crate) importance: u8,
    pub(crate) is_right: bool,
    /// Whether it gives the order, and whether that descends.
    pub(crate) order: Option<bool>,
}

/// Row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableRow {
    pub(crate) cells: Vec<CellText>,
    pub(crate) is_selected: bool,
    pub(crate) has_ended: bool,
}

impl Table {
    /// Arranges a list, and returns the text of at most `height` rows. With `before` amounts
    /// are changes since then.
    pub(crate) fn new<R: Listed>(
        list: &mut List,
        rows: &[&R],
        before: Option<&Before<'_, R>>,
        now: Time,
        height: usize,
    ) -> Self {
        let order = list.arrange(rows, before, now, height);
        let range = list.range();
        let selected = list.selected().cloned();
        let shown = order[range.clone()].iter().map(|&index| {
            let row = rows[index];
            let then = before.and_then(|before| before.get(&row.id()));
            let cells = R::COLUMNS.iter().map(|column| {
                let cell = (column.cell)(row, now);
                match before {
                    None => cell.text(),
                    Some(_) => {
                        let then = then.map(|row| (column.cell)(row, now));
                        cell.change_text(then.as_ref(), row.has_ended())
                    }
                }
            });
            TableRow {
                cells: cells.collect(),
                is_selected: selected.as_ref() == Some(&row.id()),
                has_ended: row.has_ended(),
            }
        });
        let (by, descending) = list.order::<R>();
        let columns = R::COLUMNS.iter().enumerate().map(|(index, column)| {
            let is_right = rows.first().map(|row| (column.cell)(row, now).is_right());
            TableColumn {
                title: column.title,
                width: column.width,
                importance: column.importance,
                is_right: is_right.unwrap_or(index + 1 < R::COLUMNS.len()),
                order: (index == by).then_some(descending),
            }
        });
        Self {
            rows: shown.collect(),
            columns: columns.collect(),
            count: (order.len(), rows.len()),
            first: range.start,
        }
    }
}
