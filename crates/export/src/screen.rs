//! Screen of text that is drawn line by line, with bars. Knows no record.

use crate::number::rough;

/// Width of a picture if the terminal's is unknown.
const WIDTH: usize = 80;

/// Lines of text of one width.
#[derive(Debug)]
pub(crate) struct Screen {
    text: String,
    /// Number of columns.
    pub(crate) width: usize,
    ascii: bool,
}

/// Returns a part of a whole as `12%`; `<1%` is more than nothing, and 100% is all.
pub fn percent(part: u64, whole: u64) -> String {
    match (u128::from(part) * 100).checked_div(u128::from(whole)) {
        None => "-".to_owned(),
        Some(0) if part > 0 => "<1%".to_owned(),
        Some(share) => format!("{share}%"),
    }
}

/// Returns a rounded size, `-` if it is unknown.
pub(crate) fn or_dash(bytes: Option<u64>) -> String {
    bytes.map_or("-".to_owned(), rough)
}

impl Screen {
    /// Returns an empty screen for a terminal of this width. Bars are of `#` alone with `ascii`.
    pub(crate) fn new(width: Option<usize>, ascii: bool) -> Self {
        Self {
            text: String::new(),
            width: width.unwrap_or(WIDTH).clamp(60, 100),
            ascii,
        }
    }

    /// Returns the lines.
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// Appends a line.
    pub(crate) fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    /// Appends phrases in as many lines as they need, the further ones indented.
    pub(crate) fn phrases(
        &mut self,
        indent: &str,
        separator: &str,
        phrases: impl Iterator<Item = String>,
    ) {
        let mut line = String::new();
        for phrase in phrases {
            let used = line.chars().count() + separator.len() + phrase.chars().count();
            if line.is_empty() {
                line = format!("{indent}{phrase}");
            } else if used <= self.width {
                line = line + separator + &phrase;
            } else {
                self.line(&line);
                line = format!("{indent}  {phrase}");
            }
        }
        self.line(&line);
    }

    /// Appends text, broken between words.
    pub(crate) fn prose(&mut self, indent: &str, text: &str) {
        self.phrases(indent, " ", text.split(' ').map(str::to_owned));
    }

    /// Appends a name, bytes, their part of a whole, and a bar.
    pub(crate) fn bar_line(&mut self, name: &str, bytes: u64, whole: u64, more: &str) {
        let start = format!(
            "  {name:<20}{:>6} {:>5}{more} ",
            rough(bytes),
            percent(bytes, whole)
        );
        let room = self.width.saturating_sub(start.chars().count()).min(40);
        let bar = self.bar(bytes, whole, room);
        self.line(&(start + &bar));
    }

    /// Returns a bar of at most `room` columns.
    pub(crate) fn bar(&self, part: u64, whole: u64, room: usize) -> String {
        const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
        let eighths = u128::from(part) * room as u128 * 8;
        let eighths = eighths.checked_div(u128::from(whole)).unwrap_or(0);
        // A part that was counted at another time can be more than the whole.
        let eighths = eighths.min(room as u128 * 8) as usize;
        // More than nothing is visible.
        let eighths = if part > 0 { eighths.max(1) } else { 0 };
        match self.ascii {
            true => "#".repeat(eighths.div_ceil(8)),
            false => "█".repeat(eighths / 8) + EIGHTHS[eighths % 8],
        }
    }
}
