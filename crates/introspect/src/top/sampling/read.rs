//! Thread that reads what is shown, and processes one by one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;

use std::sync::Arc;
use std::time::Duration;

use process_introspection::{
    for_each_process, AddrRange, Error, GroupMemory, GroupScope, HugePageSettings, MemoryGroups,
    PageSize, PassOptions, PhysicalMap, Process,
};

use super::order::Order;
use super::process::{self, Reading};
use super::{machine, Board, Common, Unreceived, Updates};
use crate::grouping::Property;
use crate::top::model::{
    Facts, GroupReading, Key, Machine, Mappings, Regions, Shown, Time, Unread, Update,
};

/// Time without progress after which the reading of a process is given up.
const DEADLINE: Duration = Duration::from_secs(2);

/// Longest time between two looks at the board.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// Processes whose facts are read together.
const TOGETHER: usize = 64;

type Sent = Result<(), Unreceived>;

/// Reads until nobody receives the results.
pub(super) fn run(common: &Arc<Common>, updates: &Updates) {
    let mounts = &common.settings.mounts;
    let huge = PageSize::base().pmd().bytes();
    let mut reader = Reader {
        common: Arc::clone(common),
        updates,
        map: Arc::new(PhysicalMap::read_in(mounts).ok()),
        settings: Arc::new(HugePageSettings::read_in(mounts, huge)),
        tried: HashMap::new(),
        facts: HashMap::new(),
        page: None,
        round: None,
        last_round: None,
        is_turn_of_visible: true,
    };
    while reader.step().is_ok() {}
}

/// Sum over groups that is being made.
struct Round {
    property: Property,
    groups: MemoryGroups<Vec<u8>>,
    lacking: HashSet<Key>,
    /// Groups with a process that could not be read.
    incomplete: HashSet<Vec<u8>>,
    are_all_incomplete: bool,
}

struct Reader<'a> {
    common: Arc<Common>,
    updates: &'a Updates,
    /// Map of physical addresses; `None` if it cannot be read.
    map: Arc<Option<PhysicalMap>>,
    settings: Arc<HugePageSettings>,
    tried: HashMap<Key, Time>,
    facts: HashMap<Key, Facts>,
    /// List or picture that was read as a whole, and when.
    page: Option<(Shown, Time)>,
    round: Option<Round>,
    /// Property and end of the last sum over groups.
    last_round: Option<(Property, Time)>,
    is_turn_of_visible: bool,
}

impl Reader<'_> {
    /// Reads one thing, or waits.
    fn step(&mut self) -> Sent {
        let board = self.common.board().clone();
        self.forget_ended(&board);
        let shown = board.interest.shown;
        if board.processes.counted.is_empty() {
            self.common.wait(LONGEST_WAIT);
            return Ok(());
        }
        let age = match self.page {
            Some((of, at)) if of == shown => Some(self.common.now().saturating_sub(at)),
            _ => None,
        };
        let is_page = !matches!(shown, Shown::Processes | Shown::Groups(_));
        if is_page && age.is_none() {
            return self.read_page(&board, true);
        }
        let rest = self.common.rest();
        if !rest.is_zero() {
            self.common.wait(rest.min(LONGEST_WAIT));
            return Ok(());
        }
        if is_page && age >= Some(self.common.settings.interval) {
            return self.read_page(&board, false);
        }
        if self.read_facts(&board)? {
            return Ok(());
        }
        self.begin_round(&board);
        let order = Order {
            processes: &board.processes.counted,
            visible: &board.interest.visible,
            lacking: self.round.as_ref().map(|round| &round.lacking),
            tried: &self.tried,
            interval: self.common.settings.interval,
        };
        match order.next(self.common.now(), self.is_turn_of_visible) {
            Some(key) => {
                self.is_turn_of_visible = !self.is_turn_of_visible;
                self.read_process(&board, key, false)
            }
            None => {
                self.common.wait(LONGEST_WAIT);
                Ok(())
            }
        }
    }

    /// Reads the list or the picture that is shown as a whole.
    fn read_page(&mut self, board: &Board, urgent: bool) -> Sent {
        let shown = board.interest.shown;
        let failed = match shown {
            Shown::Mappings(key) => {
                self.read_process(board, key, urgent)?;
                None
            }
            Shown::Regions(key, start, end) => self.read_regions(board, key, start, end)?,
            Shown::Machine => {
                let check = || self.common.check(board.page, urgent);
                match machine::read(&self.common.settings.mounts, check) {
                    Ok(Some(content)) => {
                        let at = self.common.now();
                        self.updates
                            .send(Update::Machine(Machine { content, at }))?;
                        None
                    }
                    // Something else is shown.
                    Ok(None) => return Ok(()),
                    Err(error) => Some(error.to_string()),
                }
            }
            Shown::Processes | Shown::Groups(_) => None,
        };
        self.page = Some((shown, self.common.now()));
        match failed {
            Some(why) => self.updates.send(Update::Failed(shown, why)),
            None => Ok(()),
        }
    }

    /// Forgets processes that have ended.
    fn forget_ended(&mut self, board: &Board) {
        let processes = &board.processes;
        if self.tried.len() > 2 * processes.counted.len() + TOGETHER {
            self.tried.retain(|&key, _| processes.find(key).is_some());
            self.facts.retain(|&key, _| processes.find(key).is_some());
        }
        if let Some(round) = &mut self.round {
            round.lacking.retain(|&key| processes.find(key).is_some());
        }
    }

    /// Reads facts of some processes whose facts are shown and not known. Returns whether there
    /// were such.
    fn read_facts(&mut self, board: &Board) -> Result<bool, Unreceived> {
        let needs_all = match board.interest.shown {
            Shown::Groups(property) => property != Property::Command,
            _ => false,
        };
        let all = board.processes.counted.iter().map(|one| one.key);
        let all = all.filter(|_| needs_all);
        let visible = board.interest.visible.iter().copied();
        let unknown = visible
            .chain(all)
            .filter(|key| !self.facts.contains_key(key));
        let unknown: Vec<_> = unknown.take(TOGETHER).collect();
        let mounts = &self.common.settings.mounts;
        let found = unknown.iter().filter_map(|&key| {
            let (_, info) = board.processes.find(key)?.identify(mounts).ok()?;
            Some((key, Facts::from(info)))
        });
        let found: Vec<_> = found.collect();
        if found.is_empty() {
            return Ok(false);
        }
        self.facts.extend(found.iter().cloned());
        self.publish_cgroups();
        self.updates.send(Update::Facts(found))?;
        Ok(true)
    }

    /// Hands the cgroups of all processes to the thread that reads what they pay for.
    fn publish_cgroups(&self) {
        let cgroups = self
            .facts
            .values()
            .filter_map(|facts| facts.cgroup.as_ref());
        let cgroups: BTreeMap<_, _> = cgroups.map(|cgroup| (&cgroup.path, cgroup)).collect();
        let cgroups = cgroups.into_values().cloned().collect();
        self.common.board().cgroups = Arc::new(cgroups);
    }

    /// Begins a sum over groups, if groups are shown and all of the last one is done.
    fn begin_round(&mut self, board: &Board) {
        let Shown::Groups(property) = board.interest.shown else {
            self.round = None;
            return;
        };
        let is_running = self
            .round
            .as_ref()
            .is_some_and(|round| round.property == property);
        let now = self.common.now();
        let is_due = self.last_round.is_none_or(|(of, at)| {
            of != property || now.saturating_sub(at) >= self.common.settings.interval
        });
        if !is_running && is_due && !board.processes.counted.is_empty() {
            self.round = Some(Round {
                property,
                groups: MemoryGroups::new(),
                lacking: board.processes.counted.iter().map(|one| one.key).collect(),
                incomplete: HashSet::new(),
                are_all_incomplete: false,
            });
        }
    }

    /// Reads a process, and its mappings if they are shown.
    fn read_process(&mut self, board: &Board, key: Key, urgent: bool) -> Sent {
        let with_mappings = board.interest.shown == Shown::Mappings(key);
        let (map, settings) = (Arc::clone(&self.map), Arc::clone(&self.settings));
        let (common, page) = (Arc::clone(&self.common), board.page);
        let look = move |process: Process| -> Result<Option<Reading>, Error> {
            let read;
            let map = match &*map {
                Some(map) => map,
                None => {
                    read = PhysicalMap::read_in(process.mounts())?;
                    &read
                }
            };
            let check = || common.check(page, urgent);
            process::read(process, map, &settings, with_mappings, check)
        };
        let found = self.look_at(board, key, look);
        let at = self.common.now();
        let found = match found {
            // Something else is shown: it is tried again.
            Some(Ok((_, None))) => return Ok(()),
            Some(Ok((facts, Some(reading)))) => {
                self.facts.insert(key, facts.clone());
                self.updates.send(Update::Facts(vec![(key, facts)]))?;
                Ok(reading)
            }
            Some(Err(error)) if error.is_permission_denied() => Err(Some(Unread::Denied)),
            Some(Err(error)) if error.is_silent() => Err(Some(Unread::Silent)),
            Some(Err(error)) if !error.is_gone() => Err(Some(Unread::Failed)),
            // It has ended.
            Some(Err(_)) | None => Err(None),
        };
        self.tried.insert(key, at);
        self.add_to_round(key, &found);
        match found {
            Ok(reading) => {
                if with_mappings {
                    let rows = reading.mappings;
                    self.updates
                        .send(Update::Mappings(Mappings { key, rows, at }))?;
                }
                self.updates
                    .send(Update::Read(key, Ok(reading.exact), at))?;
            }
            Err(Some(why)) => {
                self.updates.send(Update::Read(key, Err(why), at))?;
                if with_mappings {
                    let text = match why {
                        Unread::Denied => {
                            "its memory may not be read: that takes its user, or root"
                        }
                        Unread::Silent => "it does not answer: another program holds its mmap lock",
                        Unread::Failed => "its memory cannot be read",
                    };
                    let shown = board.interest.shown;
                    self.updates.send(Update::Failed(shown, text.to_owned()))?;
                }
            }
            Err(None) if with_mappings && board.processes.find(key).is_none() => {
                let text = "the process has ended".to_owned();
                self.updates
                    .send(Update::Failed(board.interest.shown, text))?;
            }
            Err(None) => {}
        }
        self.end_round()
    }

    /// Calls `look` with a process and returns its result, with the facts of the process;
    /// `None` if it is not listed any more.
    fn look_at<T: Send + 'static>(
        &self,
        board: &Board,
        key: Key,
        look: impl Fn(Process) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Option<Result<(Facts, T), Error>> {
        let mounts = &self.common.settings.mounts;
        let (unique, info) = match board.processes.find(key)?.identify(mounts) {
            Ok(identified) => identified,
            Err(error) => return Some(Err(error)),
        };
        let options = PassOptions::new().threads(1).mounts(mounts);
        let mut result = None;
        for_each_process(vec![unique], &options.deadline(DEADLINE), look, |found| {
            result = result.take().or(found);
            ControlFlow::Continue(())
        });
        let result = result?.and_then(|looked| looked);
        Some(result.map(|found| (info.into(), found)))
    }

    /// Adds a process to the sum over groups. One that could not be read makes its group
    /// incomplete, or all groups if it is not known which that is; one that has ended does not.
    fn add_to_round(&mut self, key: Key, found: &Result<Reading, Option<Unread>>) {
        let Some(round) = &mut self.round else { return };
        if !round.lacking.remove(&key) {
            return;
        }
        let name = self.facts.get(&key);
        let name = name.map(|facts| facts.group(round.property));
        match (found, name) {
            (Ok(reading), Some(name)) => {
                round.groups.add_process([(name, reading.part.clone())]);
            }
            (Err(None), _) => {}
            (_, Some(name)) => _ = round.incomplete.insert(name),
            (_, None) => round.are_all_incomplete = true,
        }
    }

    /// Hands over the sum over groups once all processes were read.
    fn end_round(&mut self) -> Sent {
        let Some(round) = self.round.take_if(|round| round.lacking.is_empty()) else {
            return Ok(());
        };
        self.last_round = Some((round.property, self.common.now()));
        let Some(map) = &*self.map else { return Ok(()) };
        let mounts = &self.common.settings.mounts;
        let are_all = round.incomplete.is_empty() && !round.are_all_incomplete;
        let Ok(found) = round.groups.finish(GroupScope::Rows, are_all, mounts, map) else {
            return Ok(());
        };
        let own = |(name, memory): (Vec<u8>, GroupMemory)| {
            let own = memory.frames.and_then(|frames| frames.own);
            let is_complete = !round.are_all_incomplete && !round.incomplete.contains(&name);
            let own = own.filter(|_| is_complete);
            (name, own)
        };
        self.updates.send(Update::Groups(GroupReading {
            property: round.property,
            memory: found.rows.into_iter().map(own).collect(),
            at: self.common.now(),
        }))
    }

    /// Reads the regions of a mapping. Returns why they cannot be read.
    fn read_regions(
        &self,
        board: &Board,
        key: Key,
        start: u64,
        end: u64,
    ) -> Result<Option<String>, Unreceived> {
        let Some(range) = AddrRange::new(start, end) else {
            return Ok(Some("the range is empty".to_owned()));
        };
        let map = Arc::clone(&self.map);
        let look = move |process: Process| match &*map {
            Some(map) => process::regions(&process, range, map),
            None => process::regions(&process, range, &PhysicalMap::read_in(process.mounts())?),
        };
        Ok(match self.look_at(board, key, look) {
            Some(Ok((_, (rows, is_cut)))) => {
                let at = self.common.now();
                self.updates.send(Update::Regions(Regions {
                    key,
                    start,
                    rows,
                    is_cut,
                    at,
                }))?;
                None
            }
            Some(Err(error)) => Some(error.to_string()),
            None => Some("the process has ended".to_owned()),
        })
    }
}
