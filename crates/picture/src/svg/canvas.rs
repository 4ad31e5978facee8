//! Drawing layer: elements of SVG, the style sheet for both themes, title and description.
//! All text that reaches a document passes its escapes. Must not know records.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::color::Color;
use crate::palette::{self, Class};
use crate::svg::text::{self, Style};

/// Width of pictures.
pub(crate) const WIDTH: f64 = 800.0;
/// Empty space at the edges.
pub(crate) const MARGIN: f64 = 20.0;

/// Colours of an area on both backgrounds.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fill {
    light: u32,
    dark: u32,
}

impl Fill {
    /// Returns the fill with these colours.
    pub(crate) const fn new(light: Color, dark: Color) -> Self {
        Self {
            light: light.0,
            dark: dark.0,
        }
    }

    /// Returns its name in the style sheet, which is the same in every picture, so that
    /// pictures in one document agree.
    fn name(self) -> String {
        format!("c{:06x}-{:06x}", self.light, self.dark)
    }
}

impl From<&Class> for Fill {
    fn from(class: &Class) -> Self {
        Self::new(class.light, class.dark)
    }
}

/// Side of text that stands at its position.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rectangle.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) struct Rect {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Rect {
    pub(crate) const fn new(x: f64, y: f64, width: f64, height: f64) -> Self {
        Self {
            x,
            y,
            width,
            height,
        }
    }
}

/// Picture while it is drawn.
#[derive(Debug, Default)]
pub(crate) struct Canvas {
    body: String,
    fills: BTreeSet<Fill>,
}

/// Number as text, with a decimal at most.
pub(crate) struct Decimal(pub(crate) f64);

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenths = (self.0 * 10.0).round() as i64;
        let sign = if tenths < 0 { "-" } else { "" };
        let (whole, tenth) = (tenths.abs() / 10, tenths.abs() % 10);
        match tenth {
            0 => write!(f, "{sign}{whole}"),
            _ => write!(f, "{sign}{whole}.{tenth}"),
        }
    }
}

impl Canvas {
    /// Draws text on a line; `y` is the line's.
    pub(crate) fn text(&mut self, x: f64, y: f64, style: Style, align: Align, words: &str) {
        if words.is_empty() {
            return;
        }
        let anchor = match align {
            Align::Left => "",
            Align::Right => " text-anchor=\"end\"",
        };
        let (x, y, class) = (Decimal(x), Decimal(y), style.class());
        let _ = write!(
            self.body,
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\"{anchor}>"
        );
        text::push_escaped(words, &mut self.body);
        self.body.push_str("</text>\n");
    }

    /// Fills a rectangle.
    pub(crate) fn fill(&mut self, rect: Rect, fill: impl Into<Fill>) {
        self.cells(fill, &[rect]);
    }

    /// Fills a rectangle, and draws its edge, which shows also where colours are those of the
    /// background.
    pub(crate) fn framed(&mut self, rect: Rect, fill: impl Into<Fill>) {
        self.fill(rect, fill);
        self.frame(rect);
    }

    /// Draws the edge of a rectangle, inside of it.
    pub(crate) fn frame(&mut self, rect: Rect) {
        let (x, y) = (Decimal(rect.x + 0.5), Decimal(rect.y + 0.5));
        let (width, height) = (
            Decimal((rect.width - 1.0).max(0.0)),
            Decimal((rect.height - 1.0).max(0.0)),
        );
        let _ = writeln!(
            self.body,
            "<rect class=\"edge\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
        );
    }

    /// Fills many rectangles in one colour.
    pub(crate) fn cells(&mut self, fill: impl Into<Fill>, cells: &[Rect]) {
        if cells.is_empty() {
            return;
        }
        let fill = fill.into();
        self.fills.insert(fill);
        let _ = write!(self.body, "<path class=\"{}\" d=\"", fill.name());
        for cell in cells {
            let (x, y) = (Decimal(cell.x), Decimal(cell.y));
            let (width, height) = (Decimal(cell.width), Decimal(cell.height));
            let back = Decimal(-cell.width);
            let _ = write!(self.body, "M{x} {y}h{width}v{height}h{back}z");
        }
        self.body.push_str("\"/>\n");
    }

    /// Draws a horizontal line.
    pub(crate) fn line(&mut self, x: f64, y: f64, width: f64) {
        let (x, y, width) = (Decimal(x), Decimal(y), Decimal(width));
        let _ = writeln!(self.body, "<path class=\"edge\" d=\"M{x} {y}h{width}\"/>");
    }

    /// Returns the document. `title` names the picture, and `description` says in a sentence
    /// what it shows.
    pub(crate) fn finish(self, height: f64, title: &str, description: &str) -> String {
        let id = hash(&[title, description, &self.body]);
        let height = Decimal(height.ceil());
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"introspect\" \
             viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
             aria-labelledby=\"t{id:016x} d{id:016x}\">\n<title id=\"t{id:016x}\">"
        );
        text::push_escaped(title, &mut svg);
        let _ = write!(svg, "</title>\n<desc id=\"d{id:016x}\">");
        text::push_escaped(description, &mut svg);
        svg.push_str("</desc>\n<style>\n");
        self.push_styles(&mut svg);
        let _ = write!(
            svg,
            "</style>\n<rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>\n"
        );
        svg.push_str(&self.body);
        svg.push_str("</svg>\n");
        svg
    }

    fn push_styles(&self, svg: &mut String) {
        const SANS: &str = "system-ui,-apple-system,\"Segoe UI\",\"DejaVu Sans\",sans-serif";
        const FIXED: &str =
            "ui-monospace,SFMono-Regular,Menlo,Consolas,\"Liberation Mono\",\"DejaVu Sans Mono\",monospace";
        let _ = writeln!(
            svg,
            ".introspect text{{font-family:{SANS};white-space:pre;direction:ltr;unicode-bidi:bidi-override}}"
        );
        for style in Style::ALL {
            let (class, size) = (style.class(), style.size());
            let weight = if style.is_bold() {
                ";font-weight:600"
            } else {
                ""
            };
            let family = match style.is_fixed() {
                true => format!(";font-family:{FIXED}"),
                false => String::new(),
            };
            let _ = writeln!(
                svg,
                ".introspect .{class}{{font-size:{size}px{weight}{family}}}"
            );
        }
        self.push_theme(svg, |fill| fill.light, palette::LIGHT);
        svg.push_str("@media (prefers-color-scheme:dark){\n");
        self.push_theme(svg, |fill| fill.dark, palette::DARK);
        svg.push_str("}\n");
    }

    fn push_theme(&self, svg: &mut String, color: fn(Fill) -> u32, page: Color) {
        let text = Color(color(Fill::from(&palette::TEXT)));
        let muted = Color(color(Fill::from(&palette::MUTED)));
        let _ = writeln!(svg, ".introspect .page{{fill:{page}}}");
        for style in Style::ALL {
            let fill = if style.is_muted() { muted } else { text };
            let _ = writeln!(svg, ".introspect .{}{{fill:{fill}}}", style.class());
        }
        let _ = writeln!(
            svg,
            ".introspect .edge{{fill:none;stroke:{text};stroke-opacity:.25}}"
        );
        for &fill in &self.fills {
            let _ = writeln!(
                svg,
                ".introspect .{}{{fill:{}}}",
                fill.name(),
                Color(color(fill))
            );
        }
    }
}

/// Returns a number that differs between documents that are not alike (FNV-1a).
fn hash(texts: &[&str]) -> u64 {
    let bytes = texts.iter().flat_map(|text| text.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_a_decimal_at_most() {
        for (number, text) in [
            (0.0, "0"),
            (-0.04, "0"),
            (2.0, "2"),
            (2.25, "2.3"),
            (-7.5, "-7.5"),
            (199.96, "200"),
        ] {
            assert_eq!(Decimal(number).to_string(), text);
        }
    }
}
