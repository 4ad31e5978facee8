//! Look of the screen: colours or none, blocks or ASCII. Must not know what is drawn.

use std::env;

use process_introspection_picture::color::Color;
use process_introspection_picture::palette::{Class, DARK};
use ratatui::style::{Color as Paint, Modifier, Style};

use crate::text::has_utf8;

/// Colours that the terminal has.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Colors {
    None,
    /// 256 colours of xterm.
    Indexed,
    /// Any colour.
    All,
}

/// Look of the screen.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// Whether only ASCII is drawn.
    pub(crate) ascii: bool,
    pub(crate) colors: Colors,
    /// Whether the background of the terminal is light.
    pub(crate) is_light: bool,
}

impl Look {
    /// Returns the look that the environment asks for: `NO_COLOR` (no-color.org),
    /// `COLORTERM`, `COLORFGBG` (`foreground;background` of the 16 colours, which some
    /// terminals set), and the locale.
    pub(crate) fn of_environment() -> Self {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        let text = |name| set(name).and_then(|value| value.into_string().ok());
        let colors = match text("COLORTERM").as_deref() {
            _ if set("NO_COLOR").is_some() => Colors::None,
            Some("truecolor" | "24bit") => Colors::All,
            _ => Colors::Indexed,
        };
        let background =
            text("COLORFGBG").and_then(|colors| colors.rsplit(';').next()?.parse::<u8>().ok());
        Self {
            ascii: !has_utf8(),
            colors,
            is_light: matches!(background, Some(7 | 9..=15)),
        }
    }

    /// Returns the style of text that has less weight than other text.
    pub(crate) fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Returns the style of titles of columns and of parts.
    pub(crate) fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Returns the style of the selected row, and of the line of titles.
    pub(crate) fn inverse(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Returns the style of a text that names a class.
    pub(crate) fn word(self, class: &Class) -> Style {
        // A colour that is hard to read on the background is not for text.
        let color = self.color_of(class);
        let background = if self.is_light {
            Color(0xff_ff_ff)
        } else {
            DARK
        };
        match self.paint(color) {
            Some(paint) if color.contrast(background) >= 3.0 => Style::new().fg(paint),
            _ => Style::new(),
        }
    }

    /// Returns the style of a cell that shows a class: its colour is the background.
    pub(crate) fn cell(self, class: &Class) -> Style {
        let color = self.color_of(class);
        match (self.paint(color), self.paint(color.text_color())) {
            (Some(color), Some(text)) => Style::new().bg(color).fg(text),
            _ => Style::new(),
        }
    }

    fn color_of(self, class: &Class) -> Color {
        match self.is_light {
            true => class.light,
            false => class.dark,
        }
    }

    fn paint(self, color: Color) -> Option<Paint> {
        let [red, green, blue] = color.rgb();
        match self.colors {
            Colors::None => None,
            Colors::Indexed => Some(Paint::Indexed(indexed(color))),
            Colors::All => Some(Paint::Rgb(red, green, blue)),
        }
    }
}

/// Returns the nearest of xterm's colours 16 to 255: a cube of 6 levels for each of red, green
/// and blue, and 24 greys.
fn indexed(color: Color) -> u8 {
    const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let wanted = color.rgb();
    let distance = |[red, green, blue]: [u8; 3]| -> u32 {
        let found = [red, green, blue].into_iter().zip(wanted);
        found
            .map(|(one, other)| u32::from(one.abs_diff(other)).pow(2))
            .sum()
    };
    let color_at = |index: u8| match index {
        16..=231 => {
            let place = index - 16;
            let level = |place: u8| LEVELS[usize::from(place % 6)];
            [level(place / 36), level(place / 6), level(place)]
        }
        grey => [8 + 10 * grey.saturating_sub(232); 3],
    };
    let nearest = (16..=255).min_by_key(|&index| distance(color_at(index)));
    nearest.unwrap_or(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_indexed_color_is_found() {
        for (color, index) in [
            (0x00_00_00, 16),
            (0xff_ff_ff, 231),
            (0xff_00_00, 196),
            (0x5f_87_af, 67),
            (0x12_12_12, 233),
            (0x80_80_80, 244),
        ] {
            assert_eq!(indexed(Color(color)), index, "{color:06x}");
        }
    }
}
