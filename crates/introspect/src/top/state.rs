//! State of the view: what is known, and what is shown of it. Changed by news of the samplers
//! and by actions of the user; must not know keys, nor how it is drawn.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::grouping::Property;
use crate::text::printable_bytes;
use crate::top::columns::{group_name, Listed, RowId};
use crate::top::groups::{self, GroupReadings};
use crate::top::list::{Before, List, Move};
use crate::top::model::{
    Counted, GroupRow, Interest, Key, Machine, MachineContent, MappingRow, Mappings, ProcessRow,
    RegionRow, Regions, Shown, Time, Totals, Update,
};
use crate::top::table::Table;

/// How long a process that has ended is still listed.
const ENDED_FOR: Duration = Duration::from_secs(10);

/// Page of the view: a list or a picture. Enter opens a further one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Page {
    pub(crate) shown: Shown,
    /// Group whose processes are listed, with its property.
    pub(crate) group: Option<(Property, Vec<u8>)>,
    pub(crate) list: List,
}

impl Page {
    fn new(shown: Shown) -> Self {
        Self {
            shown,
            group: None,
            list: List::default(),
        }
    }
}

/// Part of the picture of the machine that a small screen shows.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub(crate) enum Panel {
    #[default]
    Uses,
    Map,
    Payers,
    Free,
}

/// Everything as it was at the mark.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) at: Time,
    processes: Vec<ProcessRow>,
    groups: Option<(Property, Vec<GroupRow>)>,
    mappings: Option<Mappings>,
    /// Bytes of each use of frames.
    pub(crate) uses: Option<BTreeMap<&'static str, u64>>,
}

/// State of the view.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) now: Time,
    /// In the order of their keys.
    processes: Vec<ProcessRow>,
    pub(crate) totals: Totals,
    /// Whether processes were listed at all.
    pub(crate) has_processes: bool,
    groups: GroupReadings,
    mappings: Option<Mappings>,
    regions: Option<Regions>,
    pub(crate) machine: Option<Machine>,
    /// Pages from the first to the one that is shown; never empty.
    pages: Vec<Page>,
    pub(crate) panel: Panel,
    pub(crate) mark: Option<Mark>,
    /// Whether changes since the mark are shown.
    pub(crate) shows_changes: bool,
    /// Whether the filter is being typed.
    pub(crate) is_filtering: bool,
    /// First line of the help, if it is shown.
    pub(crate) help: Option<usize>,
    /// Reason why the list that is shown cannot be read.
    pub(crate) failure: Option<String>,
    /// What cannot be seen without privileges, and why: in full, and for narrow screens.
    pub(crate) missing: Option<(String, String)>,
    /// Part of one CPU that the view uses, in thousandths.
    pub(crate) load: Option<u32>,
}

impl State {
    /// Returns the state before anything is known. The view begins with processes or groups,
    /// and with the mappings of a process before them if one is named.
    pub(crate) fn new(by: Option<Property>, process: Option<Key>) -> Self {
        let first = Page::new(by.map_or(Shown::Processes, Shown::Groups));
        let opened = process.map(|key| Page::new(Shown::Mappings(key)));
        Self {
            now: Time::ZERO,
            processes: Vec::new(),
            totals: Totals::default(),
            has_processes: false,
            groups: GroupReadings::default(),
            mappings: None,
            regions: None,
            machine: None,
            pages: [first].into_iter().chain(opened).collect(),
            panel: Panel::default(),
            mark: None,
            shows_changes: false,
            is_filtering: false,
            help: None,
            failure: None,
            missing: None,
            load: None,
        }
    }

    /// Returns the page that is shown.
    pub(crate) fn page(&self) -> &Page {
        self.pages.last().expect("there is always a page")
    }

    /// Returns the page that is shown, to change it.
    pub(crate) fn page_mut(&mut self) -> &mut Page {
        self.pages.last_mut().expect("there is always a page")
    }

    /// Returns the processes that are not known to have ended, and how many of them were read.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let alive = self.processes.iter().filter(|row| row.ended.is_none());
        let read = alive.clone().filter(|row| row.exact.is_some());
        (alive.count(), read.count())
    }

    /// Returns the row of a process.
    pub(crate) fn process(&self, key: Key) -> Option<&ProcessRow> {
        let index = self
            .processes
            .binary_search_by_key(&key, |row| row.counted.key);
        Some(&self.processes[index.ok()?])
    }

    /// Takes in news.
    pub(crate) fn update(&mut self, update: Update, now: Time) {
        self.now = now;
        match update {
            Update::Counted(counted, totals) => {
                self.totals = totals;
                self.has_processes = true;
                self.count(counted);
            }
            Update::Facts(all) => {
                for (key, facts) in all {
                    if let Some(row) = self.process_mut(key) {
                        row.facts = Some(facts);
                    }
                }
            }
            Update::Read(key, result, at) => {
                if let Some(row) = self.process_mut(key) {
                    match result {
                        Ok(exact) => (row.exact, row.unread) = (Some((exact, at)), None),
                        Err(why) => row.unread = Some(why),
                    }
                }
            }
            Update::Groups(reading) => self.groups.reading = Some(reading),
            Update::Charges(charges) => self.groups.charges = charges,
            Update::Mappings(mappings) => {
                self.failure = None;
                self.mappings = Some(mappings);
            }
            Update::Regions(regions) => {
                self.failure = None;
                self.regions = Some(regions);
            }
            Update::Machine(machine) => {
                self.failure = None;
                self.machine = Some(machine);
            }
            Update::Failed(shown, why) if shown == self.page().shown => self.failure = Some(why),
            Update::Failed(..) => {}
            Update::Load(load) => self.load = Some(load),
        }
    }

    fn process_mut(&mut self, key: Key) -> Option<&mut ProcessRow> {
        let index = self
            .processes
            .binary_search_by_key(&key, |row| row.counted.key);
        Some(&mut self.processes[index.ok()?])
    }

    /// Takes in the processes that there are now, in the order of their keys.
    fn count(&mut self, counted: Vec<Counted>) {
        let now = self.now;
        let mut before = std::mem::take(&mut self.processes).into_iter().peekable();
        let mut rows = Vec::with_capacity(counted.len());
        let keep = |mut row: ProcessRow, rows: &mut Vec<ProcessRow>, mark: Option<&Mark>| {
            let ended = *row.ended.get_or_insert(now);
            let is_marked = mark.is_some_and(|mark| mark.has(row.counted.key));
            if is_marked || now.saturating_sub(ended) < ENDED_FOR {
                rows.push(row);
            }
        };
        for counted in counted {
            while let Some(gone) = before.next_if(|row| row.counted.key < counted.key) {
                keep(gone, &mut rows, self.mark.as_ref());
            }
            rows.push(match before.next_if(|row| row.counted.key == counted.key) {
                Some(row) => ProcessRow {
                    counted,
                    ended: None,
                    ..row
                },
                None => ProcessRow::new(counted),
            });
        }
        before.for_each(|gone| keep(gone, &mut rows, self.mark.as_ref()));
        self.processes = rows;
    }

    /// Arranges the list of the page and returns its text, at most `height` rows; `None` if the
    /// page is no list, or nothing is known of it yet.
    pub(crate) fn table(&mut self, height: usize) -> Option<Table> {
        let mut list = std::mem::take(&mut self.page_mut().list);
        let mark = self.mark.as_ref().filter(|_| self.shows_changes);
        let now = self.now;
        let page = self.page();
        let table = match page.shown {
            Shown::Processes => {
                let rows = self.listed_processes(page.group.as_ref());
                let before = mark.map(|mark| by_id(&mark.processes));
                Some(Table::new(&mut list, &rows, before.as_ref(), now, height))
            }
            Shown::Groups(by) => {
                let rows = groups::rows(by, &self.processes, &self.groups);
                let rows: Vec<_> = rows.iter().collect();
                let before = mark.map(|mark| match &mark.groups {
                    Some((of, groups)) if *of == by => by_id(groups),
                    _ => Before::new(),
                });
                Some(Table::new(&mut list, &rows, before.as_ref(), now, height))
            }
            Shown::Mappings(key) => self.mappings_of(key).map(|mappings| {
                let rows: Vec<_> = mappings.rows.iter().collect();
                let before = mark.and_then(|mark| {
                    let before = mark.mappings.as_ref().filter(|before| before.key == key)?;
                    Some(by_id(&before.rows))
                });
                Table::new(&mut list, &rows, before.as_ref(), now, height)
            }),
            Shown::Regions(key, start, _) => self.regions_of(key, start).map(|regions| {
                let rows: Vec<_> = regions.rows.iter().collect();
                Table::new(&mut list, &rows, None, now, height)
            }),
            Shown::Machine => None,
        };
        self.page_mut().list = list;
        table
    }

    /// Returns the processes of a list, those that have ended only for a while.
    fn listed_processes(&self, group: Option<&(Property, Vec<u8>)>) -> Vec<&ProcessRow> {
        let is_listed = |row: &&ProcessRow| {
            let is_member = group.is_none_or(|(property, name)| {
                groups::name(*property, row).is_some_and(|of| *of == name[..])
            });
            let is_recent = row
                .ended
                .is_none_or(|ended| self.now.saturating_sub(ended) < ENDED_FOR);
            is_member && (is_recent || self.shows_changes)
        };
        self.processes.iter().filter(is_listed).collect()
    }

    /// Returns the mappings of a process, if they were read.
    pub(crate) fn mappings_of(&self, key: Key) -> Option<&Mappings> {
        self.mappings.as_ref().filter(|one| one.key == key)
    }

    /// Returns the regions of a mapping, if they were read.
    pub(crate) fn regions_of(&self, key: Key, start: u64) -> Option<&Regions> {
        let regions = self.regions.as_ref();
        regions.filter(|one| (one.key, one.start) == (key, start))
    }

    /// Returns what samplers should read.
    pub(crate) fn interest(&self) -> Interest {
        let page = self.page();
        let visible = page.list.visible().iter();
        Interest {
            shown: page.shown,
            visible: match page.shown {
                Shown::Processes => visible
                    .filter_map(|id| match id {
                        RowId::Process(key) => Some(*key),
                        _ => None,
                    })
                    .collect(),
                _ => Vec::new(),
            },
        }
    }

    /// Returns the title of the page.
    pub(crate) fn title(&self) -> String {
        let of_process = |key: Key| {
            let row = self.process(key);
            let command = row.map(|row| printable_bytes(&row.counted.command));
            let ended = match row {
                Some(row) if row.ended.is_none() => "",
                Some(_) => ", which has ended",
                None => "",
            };
            format!("{} {}{ended}", key.pid, command.unwrap_or_default())
        };
        let page = self.page();
        match (page.shown, &page.group) {
            (Shown::Processes, None) => "processes".to_owned(),
            (Shown::Processes, Some((property, name))) => {
                let name = group_name(name);
                format!("processes of {} {name}", groups::word(*property))
            }
            (Shown::Groups(property), _) => format!("groups by {}", groups::word(property)),
            (Shown::Mappings(key), _) => format!("mappings of {}", of_process(key)),
            (Shown::Regions(key, start, end), _) => {
                format!("regions of {start:x}-{end:x} of {}", of_process(key))
            }
            (Shown::Machine, _) => "machine".to_owned(),
        }
    }

    /// Opens the selected row.
    pub(crate) fn open(&mut self) {
        let page = self.page();
        let next = match (page.shown, page.list.selected()) {
            (Shown::Processes, Some(RowId::Process(key))) => Page::new(Shown::Mappings(*key)),
            (Shown::Groups(property), Some(RowId::Group(name))) => Page {
                group: Some((property, name.clone())),
                ..Page::new(Shown::Processes)
            },
            (Shown::Mappings(key), Some(RowId::Address(start))) => {
                let rows = self.mappings_of(key).map(|mappings| &mappings.rows[..]);
                let mut rows = rows.unwrap_or_default().iter();
                match rows.find(|row| row.start == *start) {
                    Some(row) => Page::new(Shown::Regions(key, row.start, row.end)),
                    None => return,
                }
            }
            _ => return,
        };
        self.push(next);
    }

    /// Returns to the page before, or removes the filter of the first one.
    pub(crate) fn back(&mut self) {
        self.failure = None;
        if self.pages.len() > 1 {
            self.pages.pop();
        } else {
            self.page_mut().list.filter.clear();
        }
    }

    fn push(&mut self, page: Page) {
        self.failure = None;
        self.pages.push(page);
    }

    /// Shows the machine, or the page before it again.
    pub(crate) fn toggle_machine(&mut self) {
        match self.page().shown {
            Shown::Machine => self.back(),
            _ => self.push(Page::new(Shown::Machine)),
        }
    }

    /// Shows all processes.
    pub(crate) fn show_processes(&mut self) {
        self.failure = None;
        self.pages = vec![Page::new(Shown::Processes)];
    }

    /// Shows groups, by the next property if groups are shown.
    pub(crate) fn show_groups(&mut self) {
        self.failure = None;
        let by = match self.page().shown {
            Shown::Groups(property) => groups::after(property),
            _ => groups::FIRST,
        };
        self.pages = vec![Page::new(Shown::Groups(by))];
    }

    /// Shows the next part of the picture of the machine.
    pub(crate) fn next_panel(&mut self) {
        self.panel = match self.panel {
            Panel::Uses => Panel::Map,
            Panel::Map => Panel::Payers,
            Panel::Payers => Panel::Free,
            Panel::Free => Panel::Uses,
        };
    }

    /// Marks everything as it is now. Changes are shown by [`State::toggle_changes`].
    pub(crate) fn set_mark(&mut self) {
        let alive = |row: &&ProcessRow| row.ended.is_none();
        let groups = match self.page().shown {
            Shown::Groups(by) => Some((by, groups::rows(by, &self.processes, &self.groups))),
            _ => None,
        };
        self.mark = Some(Mark {
            at: self.now,
            processes: self.processes.iter().filter(alive).cloned().collect(),
            groups,
            mappings: self.mappings.clone(),
            uses: self.machine.as_ref().and_then(uses),
        });
    }

    /// Shows changes since the mark, or what there is. Sets the mark if there is none.
    pub(crate) fn toggle_changes(&mut self) {
        if self.mark.is_none() {
            self.set_mark();
        }
        self.shows_changes = !self.shows_changes;
    }

    /// Moves the selection, or scrolls the help.
    pub(crate) fn move_selection(&mut self, to: Move) {
        match &mut self.help {
            None => self.page_mut().list.move_selection(to),
            Some(first) => {
                *first = match to {
                    Move::Up => first.saturating_sub(1),
                    Move::Down => *first + 1,
                    Move::PageUp => first.saturating_sub(10),
                    Move::PageDown => *first + 10,
                    Move::First => 0,
                    Move::Last => usize::MAX,
                };
            }
        }
    }

    /// Changes the order of the list.
    pub(crate) fn sort(&mut self, sorting: Sorting) {
        let page = self.page_mut();
        match page.shown {
            Shown::Processes => sorting.apply::<ProcessRow>(&mut page.list),
            Shown::Groups(_) => sorting.apply::<GroupRow>(&mut page.list),
            Shown::Mappings(_) => sorting.apply::<MappingRow>(&mut page.list),
            Shown::Regions(..) => sorting.apply::<RegionRow>(&mut page.list),
            Shown::Machine => {}
        }
    }

    /// Returns whether the page is a list, which can be filtered and sorted.
    pub(crate) fn is_list(&self) -> bool {
        self.page().shown != Shown::Machine
    }
}

/// Change of the order of a list.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sorting {
    /// By the column that many to the right of the current one.
    Beside(isize),
    /// By the column with this index.
    By(usize),
    Reverse,
}

impl Sorting {
    fn apply<R: Listed>(self, list: &mut List) {
        match self {
            Self::Beside(step) => list.sort_beside::<R>(step),
            Self::By(column) => list.sort_by::<R>(column),
            Self::Reverse => list.reverse::<R>(),
        }
    }
}

impl Mark {
    fn has(&self, key: Key) -> bool {
        let found = self
            .processes
            .binary_search_by_key(&key, |row| row.counted.key);
        found.is_ok()
    }
}

/// Returns the bytes of each use of frames, if they were counted.
fn uses(machine: &Machine) -> Option<BTreeMap<&'static str, u64>> {
    match &machine.content {
        MachineContent::Frames(record, _) => {
            let uses = record.uses.iter();
            Some(uses.map(|one| (one.r#use, one.bytes)).collect())
        }
        MachineContent::Counters { counters, .. } => Some(counters.iter().copied().collect()),
    }
}

fn by_id<R: Listed>(rows: &[R]) -> Before<'_, R> {
    rows.iter().map(|row| (row.id(), row)).collect()
}
