//! Drawing: the state on a screen of any size. Must not know samplers, and changes nothing
//! but the part of a list that is on the screen.

mod help;
mod line;
mod list;
mod machine;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::top::columns::age_text;
use crate::top::look::Look;
use crate::top::model::Shown;
use crate::top::state::State;
use line::Line;
use process_introspection_export::rough;

/// Draws the state.
pub(crate) fn draw(state: &mut State, look: Look, area: Rect, screen: &mut Buffer) {
    if area.width == 0 || area.height == 0 {
        return;
    }
    screen.set_style(area, ratatui::style::Style::reset());
    let mut rest = area;
    draw_header(state, look, take_line(&mut rest), screen);
    let footer = Rect {
        y: area.bottom() - 1,
        height: 1,
        ..area
    };
    rest.height = rest.height.saturating_sub(1);
    if state.help.is_some() {
        help::draw(state, look, rest, screen);
    } else {
        draw_remarks(state, look, &mut rest, screen);
        match state.page().shown {
            Shown::Machine => machine::draw(state, look, rest, screen),
            _ => list::draw(state, look, rest, screen),
        }
    }
    if area.height > 1 {
        draw_footer(state, look, footer, screen);
    }
}

/// Cuts the first line off an area.
fn take_line(area: &mut Rect) -> Rect {
    let line = Rect {
        height: area.height.min(1),
        ..*area
    };
    area.y += line.height;
    area.height -= line.height;
    line
}

/// Draws what is shown, of how much, and the sums of the machine.
fn draw_header(state: &State, look: Look, area: Rect, screen: &mut Buffer) {
    let mut line = Line::new(area.width, look);
    if state.help.is_some() {
        line.styled("introspect top: keys and words", look.title());
        return line.draw(area, screen);
    }
    line.styled(&state.title(), look.title());
    let (alive, read) = state.counts();
    if let Shown::Processes | Shown::Groups(_) = state.page().shown {
        line.phrase(&format!("{read} of {alive} read"));
    }
    if let Some(at) = read_at(state) {
        line.phrase(&format!(
            "read {} ago",
            age_text(state.now.saturating_sub(at))
        ));
    }
    if let Shown::Regions(key, start, _) = state.page().shown {
        if let Some(cut) = state.regions_of(key, start).filter(|one| one.is_cut) {
            line.phrase(&format!("only the first {}", cut.rows.len()));
        }
    }
    if let (true, Some(mark)) = (state.shows_changes, &state.mark) {
        let age = age_text(state.now.saturating_sub(mark.at));
        line.phrase(&format!("CHANGES in {age}"));
    }
    if let (Some(memory), Some(free)) = (state.totals.memory, state.totals.free) {
        line.phrase(&format!("{} RAM, {} free", rough(memory), rough(free)));
    }
    if let Some(load) = state.load {
        line.phrase(&format!("own CPU {}.{}%", load / 10, load % 10));
    }
    line.draw(area, screen);
}

/// Returns the time at which what is shown was read, if all of it was read together.
fn read_at(state: &State) -> Option<crate::top::model::Time> {
    match state.page().shown {
        Shown::Mappings(key) => state.mappings_of(key).map(|one| one.at),
        Shown::Regions(key, start, _) => state.regions_of(key, start).map(|one| one.at),
        Shown::Machine => state.machine.as_ref().map(|one| one.at),
        Shown::Processes | Shown::Groups(_) => None,
    }
}

/// Draws what cannot be seen, and why.
fn draw_remarks(state: &State, look: Look, rest: &mut Rect, screen: &mut Buffer) {
    if let Some((long, short)) = &state.missing {
        let area = take_line(rest);
        let mut line = Line::new(area.width, look);
        let fits = long.chars().count() <= usize::from(area.width);
        line.styled(if fits { long } else { short }, look.faint());
        line.draw(area, screen);
    }
    if let Some(why) = &state.failure {
        let area = take_line(rest);
        let mut line = Line::new(area.width, look);
        line.styled(why, look.title());
        line.draw(area, screen);
    }
}

/// Draws the filter, or the most important keys.
fn draw_footer(state: &State, look: Look, area: Rect, screen: &mut Buffer) {
    let mut line = Line::new(area.width, look);
    let filter = &state.page().list.filter;
    if state.is_filtering {
        line.plain(&format!("filter: {filter}_"));
        line.phrase("Enter keeps it, Esc removes it");
        return line.draw(area, screen);
    }
    if !filter.is_empty() {
        line.styled(&format!("filter: {filter}"), look.title());
    }
    let keys: &[(&str, &str)] = match state.page().shown {
        _ if state.help.is_some() => &[("Esc", "back"), ("q", "quit")],
        Shown::Machine => &[
            ("?", "help"),
            ("Esc", "back"),
            ("Tab", "next part"),
            ("Space", "mark"),
            ("d", "changes"),
            ("q", "quit"),
        ],
        Shown::Regions(..) => &[
            ("?", "help"),
            ("Esc", "back"),
            ("/", "filter"),
            ("q", "quit"),
        ],
        Shown::Mappings(_) => &[
            ("?", "help"),
            ("Enter", "regions"),
            ("Esc", "back"),
            ("<>", "sort"),
            ("/", "filter"),
            ("Space", "mark"),
            ("d", "changes"),
            ("q", "quit"),
        ],
        Shown::Processes | Shown::Groups(_) => &[
            ("?", "help"),
            ("Enter", "open"),
            ("m", "machine"),
            ("g", "groups"),
            ("<>", "sort"),
            ("/", "filter"),
            ("Space", "mark"),
            ("d", "changes"),
            ("q", "quit"),
        ],
    };
    for (key, meaning) in keys {
        line.key(key, meaning);
    }
    line.draw(area, screen);
}
