//! Drawing of lists: the columns that fit, and the rows on the screen.

use std::cmp::Ordering;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;

use super::line::{fitted_name, Line};
use super::take_line;
use crate::top::columns::CellText;
use crate::top::look::Look;
use crate::top::state::State;
use crate::top::table::{Table, TableColumn, TableRow};

/// Draws the list of the page.
pub(super) fn draw(state: &mut State, look: Look, area: Rect, screen: &mut Buffer) {
    let mut rest = area;
    let titles = take_line(&mut rest);
    let Some(table) = state.table(usize::from(rest.height)) else {
        if state.failure.is_none() {
            let mut line = Line::new(titles.width, look);
            line.styled("reading ...", look.faint());
            line.draw(titles, screen);
        }
        return;
    };
    let columns = fitting(&table, area.width);
    draw_titles(&table, &columns, look, titles, screen);
    for row in &table.rows {
        draw_row(row, &columns, &table, look, take_line(&mut rest), screen);
    }
    if table.rows.is_empty() && rest.height > 0 {
        let (_, all) = table.count;
        let text = match (all, state.page().list.filter.is_empty()) {
            _ if !state.has_processes => "reading ...",
            (0, _) | (_, true) => "nothing to show",
            _ => "the filter lets nothing through (Esc removes it)",
        };
        let area = take_line(&mut rest);
        let mut line = Line::new(area.width, look);
        line.styled(text, look.faint());
        line.draw(area, screen);
    }
}

/// Column that is drawn, with its place.
struct Place {
    index: usize,
    x: u16,
    width: u16,
}

/// Returns the columns that fit: the most important ones, in their order. The last one has the
/// rest of the width.
fn fitting(table: &Table, width: u16) -> Vec<Place> {
    let mut shown: Vec<usize> = (0..table.columns.len()).collect();
    // The column of the order stays, so that it can be seen.
    let importance = |column: &TableColumn| match column.order {
        Some(_) => 0,
        None => column.importance,
    };
    let needed = |shown: &[usize]| -> u16 {
        let widths = shown.iter().map(|&index| table.columns[index].width + 1);
        widths.sum::<u16>().saturating_sub(1)
    };
    while needed(&shown) > width && shown.len() > 1 {
        let least = shown.iter().enumerate();
        let Some((at, _)) = least.max_by_key(|(_, &index)| importance(&table.columns[index]))
        else {
            break;
        };
        shown.remove(at);
    }
    let mut x = 0;
    let last = shown.last().copied();
    let places = shown.into_iter().map(|index| {
        let rest = width.saturating_sub(x);
        let width = match Some(index) == last {
            true => rest,
            false => table.columns[index].width.min(rest),
        };
        let place = Place { index, x, width };
        x += width + 1;
        place
    });
    places.collect()
}

fn draw_titles(table: &Table, columns: &[Place], look: Look, area: Rect, screen: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    screen.set_style(area, look.inverse());
    for place in columns {
        let column = &table.columns[place.index];
        let arrow = match (column.order, look.ascii) {
            (None, _) => "",
            (Some(true), false) => "▼",
            (Some(false), false) => "▲",
            (Some(true), true) => "v",
            (Some(false), true) => "^",
        };
        // The arrow may replace the blank beside a title that fills its column.
        let text = format!("{}{arrow}", column.title);
        let style = match column.order {
            Some(_) => look.inverse().add_modifier(Modifier::BOLD),
            None => look.inverse(),
        };
        let is_full = column.title.len() >= usize::from(place.width);
        let extra = u16::from(!arrow.is_empty() && is_full);
        let width = place.width + extra;
        let rest = area.width.saturating_sub(place.x);
        draw_text(
            &text,
            column.is_right,
            style,
            look,
            (area, place.x, width.min(rest)),
            screen,
        );
    }
    let (shown, all) = table.count;
    let place = match shown == all {
        true => format!("{all}"),
        false => format!("{shown}/{all}"),
    };
    let used = columns.last().map_or(0, |place| {
        place.x + table.columns[place.index].title.len() as u16 + 2
    });
    let width = place.len() as u16;
    if used + width < area.width {
        screen.set_string(area.right() - width, area.y, place, look.inverse());
    }
}

fn draw_row(
    row: &TableRow,
    columns: &[Place],
    table: &Table,
    look: Look,
    area: Rect,
    screen: &mut Buffer,
) {
    if area.height == 0 {
        return;
    }
    for place in columns {
        let cell = &row.cells[place.index];
        let style = style(cell, row, look);
        let is_right = table.columns[place.index].is_right;
        draw_text(
            &cell.text,
            is_right,
            style,
            look,
            (area, place.x, place.width),
            screen,
        );
    }
    if row.is_selected {
        screen.set_style(area, look.inverse());
    }
}

fn style(cell: &CellText, row: &TableRow, look: Look) -> Style {
    let style = match cell.class {
        Some(class) => look.word(class),
        None => Style::new(),
    };
    match cell.change {
        _ if row.has_ended || cell.is_estimate => style.patch(look.faint()),
        Ordering::Equal => style,
        _ => style.patch(look.title()),
    }
}

fn draw_text(
    text: &str,
    is_right: bool,
    style: Style,
    look: Look,
    (area, x, width): (Rect, u16, u16),
    screen: &mut Buffer,
) {
    let text = fitted_name(text, width, look);
    let used = Span::raw(&*text).width() as u16;
    let x = match is_right {
        true => x + width.saturating_sub(used),
        false => x,
    };
    screen.set_stringn(area.x + x, area.y, text, usize::from(width), style);
}
