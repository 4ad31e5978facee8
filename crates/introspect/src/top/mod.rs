//! Live view in a terminal. The state is changed by keys and by news of samplers, and drawn
//! whenever it has changed; state, keys, sampling and drawing do not know each other.

mod columns;
mod draw;
mod frame_map;
mod groups;
mod keys;
mod list;
mod look;
mod model;
mod sampling;
mod signals;
mod state;
mod table;
mod terminal;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use process_introspection::{Frames, Mounts, Process};
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use crate::failure::Failure;
use crate::grouping::Property;
use keys::Effect;
use look::Look;
use model::Key;
use sampling::{Samplers, Settings};
use signals::Signals;
use state::State;
use terminal::Terminal;

/// Time within which the first screen is drawn, whatever is known by then.
const FIRST_SCREEN: Duration = Duration::from_millis(150);

/// Time between two drawings of news. Keys are drawn at once.
const NEWS: Duration = Duration::from_millis(250);

/// Time after which ages on the screen are drawn again.
const TICK: Duration = Duration::from_secs(1);

/// Longest wait for a key: signals and news are looked for in between.
const PATIENCE: Duration = Duration::from_millis(50);

/// Options of the view: its content and its cost.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) mounts: Mounts,
    pub(crate) interval: Duration,
    /// Part of one CPU that may be used, in thousandths.
    pub(crate) budget: u32,
    /// Property of groups that are shown first.
    pub(crate) by: Option<Property>,
}

/// Shows the view until the user ends it; first the mappings of `process`, if there is one.
pub(crate) fn run(options: Options, process: Option<&Process>) -> Result<(), Failure> {
    let start = Instant::now();
    let key = |process: &Process| -> Result<Key, Failure> {
        Ok(Key {
            pid: process.unique_pid()?.pid(),
            started: process.info()?.started,
        })
    };
    let mut state = State::new(options.by, process.map(key).transpose()?);
    state.missing = missing(&options.mounts);
    let settings = Settings {
        mounts: options.mounts,
        interval: options.interval,
        budget: options.budget,
        start,
    };
    let signals = Signals::watch()?;
    let samplers = Samplers::start(settings, state.interest())?;
    let mut view = View {
        state,
        look: Look::of_environment(),
        start,
        signals,
        samplers,
        terminal: Terminal::enter()?,
    };
    view.run()
}

/// Returns what cannot be seen without privileges, and why: in full, and for narrow screens.
fn missing(mounts: &Mounts) -> Option<(String, String)> {
    let sees_frames = Process::current().is_ok_and(|process| process.sees_frames());
    let (long, short) = match (sees_frames, Frames::open_in(mounts)) {
        (true, Ok(_)) => return None,
        (true, Err(_)) => (
            "without root's files on page frames: no MEMORY; PSS, USS by smaps_rollup",
            "no root: MEMORY unknown, see ?",
        ),
        (false, _) => (
            "without root: only own processes, and no MEMORY, EXTENTS, addresses",
            "no root: own processes only, see ?",
        ),
    };
    Some((long.to_owned(), short.to_owned()))
}

struct View {
    state: State,
    look: Look,
    start: Instant,
    signals: Signals,
    samplers: Samplers,
    terminal: Terminal,
}

/// Change that an event has made.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Handled {
    Nothing,
    Something,
    Quit,
}

impl View {
    fn run(&mut self) -> Result<(), Failure> {
        self.take_in(FIRST_SCREEN);
        let mut drawn = self.draw()?;
        let mut is_changed = false;
        loop {
            self.signals.check()?;
            if self.signals.take_stop() {
                self.stop()?;
            }
            if self.signals.take_continued() {
                // The shell may have changed the terminal meanwhile.
                self.terminal.leave_for(|| ())?;
                drawn = self.draw()?;
            }
            let had_processes = self.state.has_processes;
            is_changed |= self.take_in(Duration::ZERO);
            let age = drawn.elapsed();
            // Nobody waits longer than necessary for the first list.
            let is_first = self.state.has_processes != had_processes;
            if age >= TICK || is_first || is_changed && age >= NEWS {
                drawn = self.draw()?;
                is_changed = false;
            }
            match self.handle_events()? {
                Handled::Quit => return Ok(()),
                Handled::Nothing => {}
                Handled::Something => {
                    drawn = self.draw()?;
                    is_changed = false;
                }
            }
        }
    }

    /// Takes in news, waiting for the first at most this long. Returns whether there were some.
    fn take_in(&mut self, patience: Duration) -> bool {
        let updates = self.samplers.updates(patience);
        let is_changed = !updates.is_empty();
        for update in updates {
            self.state.update(update, self.start.elapsed());
        }
        is_changed
    }

    /// Draws the state, and returns the time. What is read next depends on what is visible.
    fn draw(&mut self) -> Result<Instant, Failure> {
        self.state.now = self.start.elapsed();
        let (state, look) = (&mut self.state, self.look);
        self.terminal.draw(|frame| {
            let area = frame.area();
            draw::draw(state, look, area, frame.buffer_mut());
        })?;
        self.samplers.set_interest(self.state.interest());
        Ok(Instant::now())
    }

    /// Waits for a key or a change of the terminal's size, and takes in all that came.
    fn handle_events(&mut self) -> Result<Handled, Failure> {
        let failed = |error| Failure::io("read the terminal", &error);
        let (mut handled, mut patience) = (Handled::Nothing, PATIENCE);
        while event::poll(patience).map_err(failed)? {
            patience = Duration::ZERO;
            handled = Handled::Something;
            let Event::Key(key) = event::read().map_err(failed)? else {
                continue;
            };
            if key.kind == KeyEventKind::Release {
                continue;
            }
            match keys::press(&mut self.state, key) {
                Effect::None => {}
                Effect::Quit => return Ok(Handled::Quit),
                Effect::Suspend => self.stop()?,
                Effect::Redraw => self.terminal.forget()?,
            }
        }
        Ok(handled)
    }

    /// Gives the terminal back to the shell until it continues this process.
    fn stop(&mut self) -> Result<(), Failure> {
        let signals = &self.signals;
        self.terminal.leave_for(|| signals.stop())
    }
}
