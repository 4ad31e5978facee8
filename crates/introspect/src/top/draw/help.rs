//! Drawing of the help.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::line::Line;
use super::take_line;
use crate::top::keys::KEYS;
use crate::top::look::Look;
use crate::top::state::State;

/// Explanations below the keys.
const NOTES: &[&str] = &[
    "",
    "~  an estimate: the kernel's counter",
    "..  not read yet; -  cannot be known",
    "AGE  time since a row was read, page by page",
    "RESIDENT  in memory, shared pages whole",
    "PSS  shared pages by their part",
    "USS  pages of this process alone",
    "MEMORY  what nobody else maps, hugetlb too",
    "CHARGED  what the cgroups pay for",
    "HUGE  part that huge pages map",
    "EXTENTS  pieces of physical memory",
    "",
    "The figures arrive process by process: the view",
    "uses no more of a CPU than --budget allows.",
];

/// Draws the help from its first line on the screen.
pub(super) fn draw(state: &mut State, look: Look, area: Rect, screen: &mut Buffer) {
    let mut lines = Vec::new();
    let missing = state.missing.iter().map(|(long, _)| long.as_str());
    for text in missing {
        wrap(text, usize::from(area.width), &mut lines);
        lines.push(String::new());
    }
    let width = usize::from(area.width);
    for (key, meaning) in KEYS {
        match area.width {
            60.. => lines.push(format!("{key:<30} {meaning}")),
            _ => wrap(&format!("{key}: {meaning}"), width, &mut lines),
        }
    }
    NOTES.iter().for_each(|note| wrap(note, width, &mut lines));
    let most = lines.len().saturating_sub(usize::from(area.height));
    let first = state.help.unwrap_or(0).min(most);
    state.help = Some(first);
    let mut rest = area;
    for text in lines.iter().skip(first).take(usize::from(area.height)) {
        let area = take_line(&mut rest);
        let mut line = Line::new(area.width, look);
        line.plain(text);
        line.draw(area, screen);
    }
}

/// Appends text in lines of at most this width.
fn wrap(text: &str, width: usize, lines: &mut Vec<String>) {
    let mut line = String::new();
    for word in text.split(' ') {
        // Further lines are indented.
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::replace(&mut line, " ".to_owned()));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
}
