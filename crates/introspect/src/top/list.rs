//! State of one list: its order, its filter, the selected row and the part on the screen.
//! Must not know what the rows are, nor which keys change it.

use std::collections::HashMap;
use std::ops::Range;

use crate::top::columns::{Listed, Rank, RowId};
use crate::top::model::Time;

/// State of a list of rows.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct List {
    /// Index of the column that gives the order, and whether it descends; `None` for the
    /// order of the kind of list.
    order: Option<(usize, bool)>,
    pub(crate) filter: String,
    selected: Option<RowId>,
    /// Index of the selected row in `ids`.
    at: usize,
    /// Index of the first row on the screen.
    first: usize,
    /// Number of rows on the screen.
    height: usize,
    /// Rows that the filter lets through, in their order.
    ids: Vec<RowId>,
}

/// Rows of a list as they were at the mark.
pub(crate) type Before<'a, R> = HashMap<RowId, &'a R>;

/// Direction of a move of the selection.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
}

impl List {
    /// Returns the index of the column that gives the order, and whether it descends.
    pub(crate) fn order<R: Listed>(&self) -> (usize, bool) {
        self.order.unwrap_or(R::ORDER)
    }

    /// Sorts by the column with this index; in its usual direction at first, and then reversed.
    pub(crate) fn sort_by<R: Listed>(&mut self, column: usize) {
        if column >= R::COLUMNS.len() {
            return;
        }
        let (current, descending) = self.order::<R>();
        self.order = Some(match column == current {
            true => (column, !descending),
            false => (column, descends_at_first::<R>(column)),
        });
    }

    /// Sorts by the next column to the left or to the right.
    pub(crate) fn sort_beside<R: Listed>(&mut self, step: isize) {
        let (current, _) = self.order::<R>();
        let last = R::COLUMNS.len() - 1;
        let column = current.saturating_add_signed(step).min(last);
        self.order = Some((column, descends_at_first::<R>(column)));
    }

    /// Reverses the order.
    pub(crate) fn reverse<R: Listed>(&mut self) {
        let (column, descending) = self.order::<R>();
        self.order = Some((column, !descending));
    }

    /// Moves the selection.
    pub(crate) fn move_selection(&mut self, to: Move) {
        let page = self.height.max(1);
        let last = self.ids.len().saturating_sub(1);
        self.at = match to {
            Move::Up => self.at.saturating_sub(1),
            Move::Down => self.at + 1,
            Move::PageUp => self.at.saturating_sub(page),
            Move::PageDown => self.at + page,
            Move::First => 0,
            Move::Last => last,
        }
        .min(last);
        // At the top, the selection stays at the top.
        self.selected = match to {
            Move::First => None,
            _ => self.ids.get(self.at).cloned(),
        };
        self.scroll();
    }

    /// Returns the selected row, if there are rows.
    pub(crate) fn selected(&self) -> Option<&RowId> {
        self.ids.get(self.at)
    }

    /// Returns the rows on the screen, from the top.
    pub(crate) fn visible(&self) -> &[RowId] {
        &self.ids[self.range()]
    }

    /// Returns the range of the rows on the screen.
    pub(crate) fn range(&self) -> Range<usize> {
        let end = (self.first + self.height).min(self.ids.len());
        self.first.min(end)..end
    }

    /// Filters and sorts the rows, and returns their indices; with `before` by the change since
    /// then. The selection stays on its row, or at its place if the row is gone.
    pub(crate) fn arrange<R: Listed>(
        &mut self,
        rows: &[&R],
        before: Option<&Before<'_, R>>,
        now: Time,
        height: usize,
    ) -> Vec<usize> {
        let (column, descending) = self.order::<R>();
        let cell = R::COLUMNS[column].cell;
        let filter = self.filter.to_lowercase();
        let is_shown = |row: &R| {
            let mut texts = row.texts().into_iter();
            filter.is_empty() || texts.any(|text| text.to_lowercase().contains(&filter))
        };
        let rank = |row: &R| -> Rank {
            let Some(before) = before else {
                return cell(row, now).rank();
            };
            let then = before.get(&row.id()).map(|row| cell(row, now));
            cell(row, now).change_rank(then.as_ref(), row.has_ended())
        };
        let shown = rows
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, row)| is_shown(row));
        let mut ranked: Vec<_> = shown.map(|(index, row)| (rank(row), index)).collect();
        ranked.sort_by(|(one, first), (other, second)| {
            let order = match descending {
                true => other.cmp(one),
                false => one.cmp(other),
            };
            order.then(first.cmp(second))
        });
        let order: Vec<usize> = ranked.into_iter().map(|(_, index)| index).collect();
        self.ids = order.iter().map(|&index| rows[index].id()).collect();
        let found = self.selected.as_ref();
        let found = found.and_then(|id| self.ids.iter().position(|one| one == id));
        self.at = found.unwrap_or(self.at.min(self.ids.len().saturating_sub(1)));
        self.height = height;
        self.scroll();
        order
    }

    /// Scrolls as little as brings the selected row onto the screen.
    fn scroll(&mut self) {
        let last = (self.at + 1).saturating_sub(self.height);
        self.first = self.first.clamp(last, self.at.max(last));
        // Rows fill the screen if there are enough.
        let fill = self.ids.len().saturating_sub(self.height);
        self.first = self.first.min(fill);
    }
}

/// Returns whether a column has its largest values first: amounts have.
fn descends_at_first<R: Listed>(column: usize) -> bool {
    !["PID", "UID", "VADDR", "PADDR", "AGE"].contains(&R::COLUMNS[column].title)
        && column + 1 < R::COLUMNS.len()
}
