//! The file: a fixed template, its two inline blocks with their hashes in the policy, and the
//! data. Must not know what the data is.

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use process_introspection_export::Name;
use sha2::{Digest, Sha256};

const HTML: &str = include_str!("assets/report.html");
const CSS: &str = include_str!("assets/report.css");
/// The script: its parts in the order in which they need each other.
const JS: &str = concat!(
    include_str!("assets/js/text.js"),
    include_str!("assets/js/data.js"),
    include_str!("assets/js/state.js"),
    include_str!("assets/js/dom.js"),
    include_str!("assets/js/hilbert.js"),
    include_str!("assets/js/table.js"),
    include_str!("assets/js/chart.js"),
    include_str!("assets/js/mapdata.js"),
    include_str!("assets/js/mapview.js"),
    include_str!("assets/js/memory.js"),
    include_str!("assets/js/processes.js"),
    include_str!("assets/js/spaces.js"),
    include_str!("assets/js/details.js"),
    include_str!("assets/js/main.js"),
);

/// Bytes of a file with this title, without the data.
pub(super) fn size(title: &str) -> usize {
    file(title, b"").len()
}

/// Returns the file with this title. The data is JSON without characters that mean something in
/// HTML.
pub(super) fn file(title: &str, data: &[u8]) -> Vec<u8> {
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'",
        hash(JS),
        hash(CSS)
    );
    let title = markup(&Name(title.as_bytes()).printable());
    let parts = [
        ("{{title}}", title.as_bytes()),
        ("{{csp}}", policy.as_bytes()),
        ("{{css}}", CSS.as_bytes()),
        ("{{data}}", data),
        ("{{js}}", JS.as_bytes()),
    ];
    let mut places: Vec<_> = parts
        .into_iter()
        .filter_map(|(name, text)| Some((HTML.find(name)?, name, text)))
        .collect();
    places.sort_by_key(|&(at, ..)| at);
    let (mut file, mut end) = (Vec::with_capacity(HTML.len() + data.len()), 0);
    for (at, name, text) in places {
        file.extend_from_slice(&HTML.as_bytes()[end..at]);
        file.extend_from_slice(text);
        end = at + name.len();
    }
    file.extend_from_slice(&HTML.as_bytes()[end..]);
    file
}

/// Returns the hash of an inline block for a policy.
fn hash(block: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(block)))
}

/// Returns text as markup that shows it.
fn markup(text: &str) -> String {
    let mut markup = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => markup.push_str("&lt;"),
            '>' => markup.push_str("&gt;"),
            '&' => markup.push_str("&amp;"),
            '"' => markup.push_str("&quot;"),
            '\'' => markup.push_str("&#39;"),
            _ => markup.push(character),
        }
    }
    markup
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_has_each_place_once_and_no_block_ends_early() {
        for name in ["{{title}}", "{{csp}}", "{{css}}", "{{data}}", "{{js}}"] {
            assert_eq!(HTML.matches(name).count(), 1, "{name}");
        }
        for (block, end) in [(CSS, "</style"), (JS, "</script"), (JS, "<!--")] {
            assert!(!block.to_ascii_lowercase().contains(end), "{end}");
        }
    }
}
