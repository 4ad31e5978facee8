//! Keys and what they do to the state. Must not know samplers, nor how the state is drawn.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::top::list::Move;
use crate::top::state::{Sorting, State};

/// Effect of a key outside of the state.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    /// End the view.
    Quit,
    /// Stop the process until the shell continues it.
    Suspend,
    /// Draw all of the screen again.
    Redraw,
}

/// Keys with their meaning, as the help lists them.
pub(crate) const KEYS: &[(&str, &str)] = &[
    ("arrows, PgUp, PgDn, Home, End", "select a row"),
    ("Enter", "open: group, process, mapping"),
    ("Esc, Backspace", "back"),
    ("p", "processes"),
    ("g", "groups: command, cgroup, unit, container, user"),
    ("m", "machine; Tab: its next part"),
    ("< >", "sort by the column beside; 1 to 9: by that column"),
    ("r", "reverse the order"),
    ("/", "filter; Esc removes it"),
    ("Space, k", "set the mark"),
    ("d", "changes since the mark"),
    ("^L", "draw the screen again"),
    ("^Z", "stop; fg continues"),
    ("q, ^C", "quit"),
];

/// Applies a key to the state.
pub(crate) fn press(state: &mut State, key: KeyEvent) -> Effect {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Effect::Quit,
            KeyCode::Char('z') => Effect::Suspend,
            KeyCode::Char('l') => Effect::Redraw,
            // What some terminals send for Backspace.
            KeyCode::Char('h') => press(state, KeyCode::Backspace.into()),
            _ => Effect::None,
        };
    }
    if key.modifiers.contains(KeyModifiers::ALT) {
        // Esc and a key that came together: terminals send the same for both.
        press(state, KeyCode::Esc.into());
        return press(state, key.code.into());
    }
    if state.is_filtering {
        type_filter(state, key.code);
        return Effect::None;
    }
    if let Some(to) = move_of(key.code) {
        state.move_selection(to);
        return Effect::None;
    }
    if state.help.is_some() {
        match key.code {
            KeyCode::Char('q' | '?') | KeyCode::Esc | KeyCode::Backspace | KeyCode::Enter => {
                state.help = None;
            }
            _ => {}
        }
        return Effect::None;
    }
    match key.code {
        KeyCode::Char('q') => return Effect::Quit,
        KeyCode::Char('?') | KeyCode::F(1) => state.help = Some(0),
        KeyCode::Enter => state.open(),
        KeyCode::Esc if !state.page().list.filter.is_empty() => {
            state.page_mut().list.filter.clear();
        }
        KeyCode::Esc | KeyCode::Backspace => state.back(),
        KeyCode::Char('p') => state.show_processes(),
        KeyCode::Char('g') => state.show_groups(),
        KeyCode::Char('m') => state.toggle_machine(),
        KeyCode::Tab => state.next_panel(),
        KeyCode::Char('/') if state.is_list() => state.is_filtering = true,
        KeyCode::Char('<') | KeyCode::Left => state.sort(Sorting::Beside(-1)),
        KeyCode::Char('>') | KeyCode::Right => state.sort(Sorting::Beside(1)),
        KeyCode::Char('r') => state.sort(Sorting::Reverse),
        KeyCode::Char(digit @ '1'..='9') => {
            state.sort(Sorting::By(digit as usize - '1' as usize));
        }
        KeyCode::Char(' ' | 'k') => state.set_mark(),
        KeyCode::Char('d') => state.toggle_changes(),
        _ => {}
    }
    Effect::None
}

fn move_of(code: KeyCode) -> Option<Move> {
    Some(match code {
        KeyCode::Up => Move::Up,
        KeyCode::Down => Move::Down,
        KeyCode::PageUp => Move::PageUp,
        KeyCode::PageDown => Move::PageDown,
        KeyCode::Home => Move::First,
        KeyCode::End => Move::Last,
        _ => return None,
    })
}

/// Applies a key while the filter is typed: every character belongs to it.
fn type_filter(state: &mut State, code: KeyCode) {
    let filter = &mut state.page_mut().list.filter;
    match code {
        KeyCode::Char(character) => filter.push(character),
        KeyCode::Backspace => {
            if filter.pop().is_none() {
                state.is_filtering = false;
            }
        }
        KeyCode::Esc => {
            filter.clear();
            state.is_filtering = false;
        }
        KeyCode::Enter => state.is_filtering = false,
        other => {
            if let Some(to) = move_of(other) {
                state.move_selection(to);
            }
        }
    }
}
