//! Pictures for documents: SVG of bounded size, legible 800 pixels wide, in a light and a dark
//! theme, without scripts and without references. Equal records give equal bytes.

mod canvas;
mod chart;
pub mod classes;
pub mod machine;
pub mod physical;
pub mod resident;
mod rows;
mod square;
mod stretches;
pub mod summary;
mod text;
mod usage_rows;

use process_introspection_export::{ProcessIdentity, State};

use crate::palette;
use canvas::Fill;

/// Process that a picture is about.
#[derive(Clone, Debug)]
struct Owner {
    pid: u32,
    command: Vec<u8>,
}

impl Owner {
    fn of(process: ProcessIdentity<'_>) -> Self {
        Self {
            pid: process.pid,
            command: process.command.0.to_vec(),
        }
    }

    /// Returns the title of a picture of `what`, and the command below it, which is empty if
    /// the process is not known.
    fn heading<'a>(owner: Option<&'a Self>, what: &str) -> (String, &'a [u8]) {
        match owner {
            Some(owner) => (format!("{what} of process {}", owner.pid), &owner.command),
            None => (what.to_owned(), b""),
        }
    }
}

/// Returns the place of a state in the order of [`palette::STATES`].
fn index_of(state: State) -> usize {
    let found = State::ALL.iter().position(|&one| one == state);
    found.expect("each state is one of all")
}

/// Returns the width of text that has this class in the style sheets of pictures, at least as
/// large as in the fonts in which it is shown; `None` if there is no such class.
pub fn width_of(class: &str, words: &str) -> Option<f64> {
    let mut styles = text::Style::ALL.into_iter();
    let style = styles.find(|style| style.class() == class)?;
    Some(text::width(words, style))
}

/// Returns the colour of a size on the scale that begins at the smallest one and has a step for
/// each power of two.
fn size_fill(size: u64, smallest: u64) -> Fill {
    let steps = (size / smallest.max(1)).max(1).ilog2() as usize;
    let step = steps.min(palette::SIZES_LIGHT.len() - 1);
    Fill::new(palette::SIZES_LIGHT[step], palette::SIZES_DARK[step])
}
