//! Line of text that leaves out what does not fit. Must not know what it says.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use crate::top::look::Look;

/// Line of text of at most a number of columns.
pub(super) struct Line {
    spans: Vec<Span<'static>>,
    used: u16,
    width: u16,
    look: Look,
}

impl Line {
    pub(super) fn new(width: u16, look: Look) -> Self {
        Self {
            spans: Vec::new(),
            used: 0,
            width,
            look,
        }
    }

    /// Appends text, whose end is cut off if it does not fit.
    pub(super) fn styled(&mut self, text: &str, style: Style) {
        let text = fitted(text, self.width.saturating_sub(self.used), self.look);
        let span = Span::styled(text, style);
        self.used += span.width() as u16;
        self.spans.push(span);
    }

    pub(super) fn plain(&mut self, text: &str) {
        self.styled(text, Style::new());
    }

    /// Appends a phrase, if all of it fits.
    pub(super) fn phrase(&mut self, text: &str) {
        let text = shown(text, self.look);
        let gap = if self.used > 0 { "  " } else { "" };
        let span = Span::raw(format!("{gap}{text}"));
        let width = span.width() as u16;
        if self.used + width <= self.width {
            self.used += width;
            self.spans.push(span);
        }
    }

    /// Appends a key and its meaning, if both fit.
    pub(super) fn key(&mut self, key: &str, meaning: &str) {
        let gap = if self.used > 0 { "  " } else { "" };
        let width = (gap.len() + key.chars().count() + 1 + meaning.chars().count()) as u16;
        if self.used + width <= self.width {
            self.used += width;
            self.spans.push(Span::raw(gap));
            self.spans
                .push(Span::styled(key.to_owned(), self.look.title()));
            self.spans.push(Span::raw(format!(" {meaning}")));
        }
    }

    pub(super) fn draw(self, area: Rect, screen: &mut Buffer) {
        if area.height > 0 {
            screen.set_line(area.x, area.y, &self.spans.into(), area.width);
        }
    }
}

/// Returns text that the terminal can show.
pub(super) fn shown(text: &str, look: Look) -> String {
    match look.ascii {
        true => text
            .chars()
            .map(|one| if one.is_ascii() { one } else { '?' })
            .collect(),
        false => text.to_owned(),
    }
}

/// Returns a name in at most `width` columns. The end of a path says more than its beginning.
pub(super) fn fitted_name(text: &str, width: u16, look: Look) -> String {
    let text = shown(text, look);
    if !text.starts_with('/') || Span::raw(&*text).width() <= usize::from(width) || width == 0 {
        return fitted(&text, width, look);
    }
    let mark = if look.ascii { '<' } else { '…' };
    let places = text.char_indices().map(|(place, _)| &text[place..]);
    let mut ends = places.filter(|end| Span::raw(*end).width() < usize::from(width));
    format!("{mark}{}", ends.next().unwrap_or_default())
}

/// Returns the beginning of a text, with a mark if its end is cut off.
pub(super) fn fitted(text: &str, width: u16, look: Look) -> String {
    let text = shown(text, look);
    if Span::raw(&*text).width() <= usize::from(width) {
        return text;
    }
    let mark = if look.ascii { '>' } else { '…' };
    let mut beginning = String::new();
    for character in text.chars() {
        let mut longer = beginning.clone();
        longer.push(character);
        if Span::raw(&*longer).width() >= usize::from(width) {
            break;
        }
        beginning = longer;
    }
    if width > 0 {
        beginning.push(mark);
    }
    beginning
}
