//! Columns of the lists: their titles, widths, values, and the order that they give. Must not
//! know the state of the view, nor how cells are drawn.

use std::cmp::Ordering;
use std::time::Duration;

use process_introspection_export::rough;
use process_introspection_picture::palette::{self, Class};

use crate::text::printable_bytes;
use crate::top::model::{Exact, GroupRow, Key, MappingRow, ProcessRow, RegionRow, Time, Unread};

/// Number of a cell, and how far it can be trusted.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// As it was read, page by page.
    Exact(u64),
    /// By a counter of the kernel, or a sum with one.
    Estimate(u64),
    /// Not read yet. The number is the place in the order until then.
    Pending(u64),
    /// It cannot be known.
    Unknown,
}

impl Amount {
    fn of(known: Option<u64>) -> Self {
        known.map_or(Self::Unknown, Self::Exact)
    }

    /// Returns the number if it is known.
    pub(crate) fn known(self) -> Option<u64> {
        match self {
            Self::Exact(number) | Self::Estimate(number) => Some(number),
            Self::Pending(_) | Self::Unknown => None,
        }
    }

    /// Returns the rank in the order of a column: what is unknown is last.
    fn rank(self) -> u64 {
        match self {
            Self::Exact(number) | Self::Estimate(number) | Self::Pending(number) => number + 1,
            Self::Unknown => 0,
        }
    }
}

/// Unit of an amount.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Count,
    /// Part of another amount, in thousandths.
    Share,
}

/// Value of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Amount(Unit, Amount),
    /// Number that is a name: a PID, an address in hexadecimal.
    Number(u64),
    Address(Option<u64>),
    Text(String),
    /// Word that has a colour.
    Class(&'static Class),
    Age(Age),
}

/// Time since a row was read, or why it was not.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    Ended,
    Pending,
    Unread(Unread),
    Read(Duration),
}

/// Text of a cell with the marks that it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CellText {
    pub(crate) text: String,
    /// Whether the number is not exact.
    pub(crate) is_estimate: bool,
    /// Difference: more, less or none.
    pub(crate) change: Ordering,
    pub(crate) class: Option<&'static Class>,
}

impl CellText {
    fn plain(text: String) -> Self {
        Self {
            text,
            is_estimate: false,
            change: Ordering::Equal,
            class: None,
        }
    }
}

impl Cell {
    /// Returns the text of the cell.
    pub(crate) fn text(&self) -> CellText {
        let (unit, amount) = match self {
            Self::Amount(unit, amount) => (*unit, *amount),
            Self::Number(number) => return CellText::plain(number.to_string()),
            Self::Address(Some(address)) => return CellText::plain(format!("{address:x}")),
            Self::Address(None) => return CellText::plain("-".to_owned()),
            Self::Text(text) => return CellText::plain(text.clone()),
            Self::Class(class) => {
                return CellText {
                    class: Some(class),
                    ..CellText::plain(class.word.to_owned())
                }
            }
            Self::Age(age) => return CellText::plain(age.text()),
        };
        let is_estimate = matches!(amount, Amount::Estimate(_) | Amount::Pending(_));
        let mark = if is_estimate { "~" } else { "" };
        let text = match amount {
            Amount::Exact(number) | Amount::Estimate(number) => {
                format!("{mark}{}", unit.text(number))
            }
            Amount::Pending(_) => "..".to_owned(),
            Amount::Unknown => "-".to_owned(),
        };
        CellText {
            is_estimate,
            ..CellText::plain(text)
        }
    }

    /// Returns the text of the difference to an earlier cell; the text of the cell itself if it
    /// is no amount. A row that was not there had nothing.
    pub(crate) fn change_text(&self, before: Option<&Self>, has_ended: bool) -> CellText {
        let Self::Amount(unit, _) = self else {
            return self.text();
        };
        let Some((change, is_estimate)) = self.change(before, has_ended) else {
            return CellText::plain("-".to_owned());
        };
        let text = match change.cmp(&0) {
            Ordering::Equal => "=".to_owned(),
            Ordering::Greater => format!("+{}", unit.text(change.unsigned_abs() as u64)),
            Ordering::Less => format!("-{}", unit.text(change.unsigned_abs() as u64)),
        };
        CellText {
            is_estimate,
            change: change.cmp(&0),
            ..CellText::plain(format!("{}{text}", if is_estimate { "~" } else { "" }))
        }
    }

    /// Returns the difference of amounts, and whether it is an estimate; `None` if one of them
    /// is not known.
    fn change(&self, before: Option<&Self>, has_ended: bool) -> Option<(i128, bool)> {
        let amount = |cell: Option<&Self>| match cell {
            Some(Self::Amount(_, amount)) => *amount,
            _ => Amount::Exact(0),
        };
        let (now, before) = match has_ended {
            true => (Amount::Exact(0), amount(before.or(Some(self)))),
            false => (amount(Some(self)), amount(before)),
        };
        let is_estimate = [now, before]
            .iter()
            .any(|amount| matches!(amount, Amount::Estimate(_)));
        let change = i128::from(now.known()?) - i128::from(before.known()?);
        Some((change, is_estimate))
    }

    /// Returns the rank in the order of its column.
    pub(crate) fn rank(&self) -> Rank {
        match self {
            Self::Amount(_, amount) => Rank::Number(amount.rank().into()),
            Self::Number(number) => Rank::Number((*number).into()),
            Self::Address(address) => Rank::Number(address.map_or(-1, i128::from)),
            Self::Text(text) => Rank::Text(text.clone()),
            Self::Class(class) => Rank::Text(class.word.to_owned()),
            Self::Age(age) => Rank::Number(match age {
                Age::Read(age) => age.as_millis() as i128,
                Age::Pending => i128::MAX - 1,
                Age::Unread(_) => i128::MAX - 2,
                Age::Ended => i128::MAX,
            }),
        }
    }

    /// Returns the rank of its difference to an earlier cell, more or less: what is unknown is
    /// last.
    pub(crate) fn change_rank(&self, before: Option<&Self>, has_ended: bool) -> Rank {
        match self {
            Self::Amount(..) => {
                let change = self.change(before, has_ended);
                Rank::Number(change.map_or(-1, |(change, _)| change.abs()))
            }
            other => other.rank(),
        }
    }

    /// Returns whether the text stands at the right of its column.
    pub(crate) fn is_right(&self) -> bool {
        !matches!(self, Self::Text(_) | Self::Class(_))
    }
}

impl Unit {
    fn text(self, number: u64) -> String {
        match self {
            Self::Bytes => rough(number),
            Self::Count => number.to_string(),
            Self::Share => format!("{}%", number / 10),
        }
    }
}

impl Age {
    fn text(self) -> String {
        match self {
            Self::Ended => "ended".to_owned(),
            Self::Pending => "..".to_owned(),
            Self::Unread(Unread::Denied) => "denied".to_owned(),
            Self::Unread(Unread::Silent) => "silent".to_owned(),
            Self::Unread(Unread::Failed) => "failed".to_owned(),
            Self::Read(age) => age_text(age),
        }
    }
}

/// Returns an age in at most three characters.
pub(crate) fn age_text(age: Duration) -> String {
    match age.as_secs() {
        seconds @ ..=99 => format!("{seconds}s"),
        seconds @ 100..=5999 => format!("{}m", seconds / 60),
        seconds @ 6000..=359_999 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86400),
    }
}

/// Rank of a row in the order of a column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Number(i128),
    Text(String),
}

/// Column of a list of rows.
#[derive(Debug)]
pub(crate) struct Column<R> {
    pub(crate) title: &'static str,
    /// Width in characters; the last column has what is left.
    pub(crate) width: u16,
    /// Narrow screens leave out columns with a high number first.
    pub(crate) importance: u8,
    pub(crate) cell: fn(&R, Time) -> Cell,
}

/// Identity of a row in its list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RowId {
    Process(Key),
    Group(Vec<u8>),
    /// First address of a mapping or a region.
    Address(u64),
}

/// Row of a list.
pub(crate) trait Listed: Sized + 'static {
    /// Columns from left to right.
    const COLUMNS: &'static [Column<Self>];
    /// Index of the column by which the list is sorted at first, and whether descending.
    const ORDER: (usize, bool);

    fn id(&self) -> RowId;

    /// Returns the texts in which a filter is looked for.
    fn texts(&self) -> Vec<String>;

    /// Returns whether the memory does not exist any more.
    fn has_ended(&self) -> bool {
        false
    }
}

const fn column<R>(
    title: &'static str,
    width: u16,
    importance: u8,
    cell: fn(&R, Time) -> Cell,
) -> Column<R> {
    Column {
        title,
        width,
        importance,
        cell,
    }
}

fn bytes(amount: Amount) -> Cell {
    Cell::Amount(Unit::Bytes, amount)
}

/// Returns the part of resident memory that huge entries map.
fn share(exact: &Exact) -> Amount {
    let share = |huge| (u128::from(huge) * 1000).checked_div(u128::from(exact.resident));
    match exact.huge.map(share) {
        Some(share) => Amount::Exact(share.unwrap_or(0) as u64),
        None => Amount::Unknown,
    }
}

/// Row with amounts of an exact reading.
trait Measured {
    /// Returns an amount of the reading, or why there is none.
    fn amount(&self, of: impl Fn(&Exact) -> Amount) -> Amount;
}

const fn pss<R: Measured>(importance: u8) -> Column<R> {
    column("PSS", 6, importance, |row, _| {
        bytes(row.amount(|exact| Amount::of(exact.pss)))
    })
}

const fn uss<R: Measured>(importance: u8) -> Column<R> {
    column("USS", 6, importance, |row, _| {
        bytes(row.amount(|exact| Amount::of(exact.uss)))
    })
}

const fn swap<R: Measured>(importance: u8) -> Column<R> {
    column("SWAP", 6, importance, |row, _| {
        bytes(row.amount(|exact| Amount::Exact(exact.swap)))
    })
}

const fn hugetlb<R: Measured>(importance: u8) -> Column<R> {
    column("HUGETLB", 7, importance, |row, _| {
        bytes(row.amount(|exact| Amount::Exact(exact.hugetlb)))
    })
}

const fn huge<R: Measured>(importance: u8) -> Column<R> {
    column("HUGE", 5, importance, |row, _| {
        Cell::Amount(Unit::Share, row.amount(share))
    })
}

const fn extents<R: Measured>(width: u16, importance: u8) -> Column<R> {
    column("EXTENTS", width, importance, |row, _| {
        let amount = row.amount(|exact| Amount::of(exact.extents));
        Cell::Amount(Unit::Count, amount)
    })
}

impl Measured for ProcessRow {
    fn amount(&self, of: impl Fn(&Exact) -> Amount) -> Amount {
        match (&self.exact, self.unread) {
            (Some((exact, _)), _) => of(exact),
            (None, Some(_)) => Amount::Unknown,
            (None, None) => Amount::Pending(self.counted.resident),
        }
    }
}

impl ProcessRow {
    /// Returns the best that is known of its resident memory.
    pub(crate) fn resident(&self) -> Amount {
        match &self.exact {
            Some((exact, _)) => Amount::Exact(exact.resident),
            None => Amount::Estimate(self.counted.resident),
        }
    }

    fn age(&self, now: Time) -> Age {
        match (self.ended, &self.exact, self.unread) {
            (Some(_), ..) => Age::Ended,
            (_, Some((_, at)), _) => Age::Read(now.saturating_sub(*at)),
            (_, None, Some(why)) => Age::Unread(why),
            (_, None, None) => Age::Pending,
        }
    }
}

impl Listed for ProcessRow {
    const ORDER: (usize, bool) = (3, true);
    const COLUMNS: &'static [Column<Self>] = &[
        column("PID", 7, 0, |row, _| {
            Cell::Number(row.counted.key.pid.into())
        }),
        column("UID", 5, 8, |row, _| {
            let uid = row.facts.as_ref().map(|facts| facts.uid.to_string());
            Cell::Text(uid.unwrap_or_default())
        }),
        column("RESIDENT", 8, 1, |row, _| bytes(row.resident())),
        pss(2),
        uss(4),
        column("MEMORY", 6, 7, |row, _| {
            bytes(row.amount(|exact| Amount::of(exact.memory)))
        }),
        swap(5),
        hugetlb(9),
        huge(6),
        extents(8, 7),
        column("AGE", 6, 3, |row, now| Cell::Age(row.age(now))),
        column("COMMAND", 14, 0, |row, _| {
            Cell::Text(printable_bytes(&row.counted.command))
        }),
    ];

    fn id(&self) -> RowId {
        RowId::Process(self.counted.key)
    }

    fn texts(&self) -> Vec<String> {
        vec![
            printable_bytes(&self.counted.command),
            self.counted.key.pid.to_string(),
        ]
    }

    fn has_ended(&self) -> bool {
        self.ended.is_some()
    }
}

impl Measured for GroupRow {
    fn amount(&self, of: impl Fn(&Exact) -> Amount) -> Amount {
        match (&self.exact, self.unread) {
            (Some((exact, _)), _) => of(exact),
            (None, Some(_)) => Amount::Unknown,
            (None, None) => Amount::Pending(self.resident),
        }
    }
}

impl Measured for MappingRow {
    fn amount(&self, of: impl Fn(&Exact) -> Amount) -> Amount {
        of(&self.exact)
    }
}

impl GroupRow {
    fn age(&self, now: Time) -> Age {
        match (&self.exact, self.unread) {
            (Some((_, at)), _) => Age::Read(now.saturating_sub(*at)),
            (None, Some(why)) => Age::Unread(why),
            (None, None) => Age::Pending,
        }
    }
}

impl Listed for GroupRow {
    const ORDER: (usize, bool) = (2, true);
    const COLUMNS: &'static [Column<Self>] = &[
        column("PROCS", 5, 1, |row, _| Cell::Number(row.processes)),
        column("RESIDENT", 8, 2, |row, _| {
            bytes(match &row.exact {
                Some((exact, _)) => Amount::Exact(exact.resident),
                None => Amount::Estimate(row.resident),
            })
        }),
        pss(0),
        uss(6),
        column("MEMORY", 6, 4, |row, _| {
            bytes(match row.memory {
                Some(memory) => Amount::of(memory),
                None => row.amount(|exact| Amount::Pending(exact.resident)),
            })
        }),
        column("CHARGED", 7, 5, |row, _| bytes(Amount::of(row.charged))),
        swap(7),
        hugetlb(9),
        huge(8),
        extents(8, 9),
        column("AGE", 6, 3, |row, now| Cell::Age(row.age(now))),
        column("GROUP", 16, 0, |row, _| Cell::Text(group_name(&row.name))),
    ];

    fn id(&self) -> RowId {
        RowId::Group(self.name.clone())
    }

    fn texts(&self) -> Vec<String> {
        vec![group_name(&self.name)]
    }
}

impl Listed for MappingRow {
    const ORDER: (usize, bool) = (2, true);
    const COLUMNS: &'static [Column<Self>] = &[
        column("VADDR", 12, 0, |row, _| Cell::Address(Some(row.start))),
        column("SIZE", 6, 3, |row, _| {
            bytes(Amount::Exact(row.end - row.start))
        }),
        column("RESIDENT", 8, 1, |row, _| {
            bytes(Amount::Exact(row.exact.resident))
        }),
        pss(4),
        swap(5),
        hugetlb(9),
        huge(6),
        extents(7, 7),
        column("LARGEST", 7, 8, |row, _| bytes(Amount::of(row.largest))),
        column("PROT", 4, 6, |row, _| Cell::Text(row.protection.to_owned())),
        column("KIND", 9, 8, |row, _| {
            Cell::Class(palette::of_kind(row.kind))
        }),
        column("NAME", 16, 0, |row, _| Cell::Text(row.name.clone())),
    ];

    fn id(&self) -> RowId {
        RowId::Address(self.start)
    }

    fn texts(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.kind.name().to_owned(),
            self.protection.to_owned(),
            format!("{:x}", self.start),
        ]
    }
}

impl Listed for RegionRow {
    const ORDER: (usize, bool) = (0, false);
    const COLUMNS: &'static [Column<Self>] = &[
        column("VADDR", 12, 0, |row, _| Cell::Address(Some(row.start))),
        column("SIZE", 7, 1, |row, _| bytes(Amount::Exact(row.size))),
        column("PADDR", 12, 0, |row, _| Cell::Address(row.physical)),
        column("PAGE", 5, 2, |row, _| bytes(Amount::of(row.page))),
        column("NODE", 4, 3, |row, _| {
            Cell::Amount(Unit::Count, Amount::of(row.node.map(u64::from)))
        }),
        column("STATE", 11, 0, |row, _| {
            Cell::Class(palette::of_state(row.state))
        }),
    ];

    fn id(&self) -> RowId {
        RowId::Address(self.start)
    }

    fn texts(&self) -> Vec<String> {
        vec![
            row_address(self.start),
            self.physical.map(row_address).unwrap_or_default(),
            self.state.name().to_owned(),
        ]
    }
}

/// Returns the name of a group as one line; `-` for processes in no such group.
pub(crate) fn group_name(name: &[u8]) -> String {
    match name {
        [] => "-".to_owned(),
        name => printable_bytes(name),
    }
}

fn row_address(address: u64) -> String {
    format!("{address:x}")
}
