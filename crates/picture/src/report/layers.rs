//! Layers of the map in the document: cells of all levels, and exact runs, as bytes. Must not
//! know where classes come from.

use crate::map::pyramid::Pyramid;
use crate::map::space::Space;
use crate::report::encode::deflated;
use crate::report::records::ClassRecord;

/// One classification of the frames of a map.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Name: use, payer, owner, size, node or change.
    pub name: &'static str,
    /// Title.
    pub title: &'static str,
    /// Classes by their numbers.
    pub classes: Vec<ClassRecord>,
    /// Cells.
    pub pyramid: Pyramid,
}

/// Class of cells without frames.
const NO_FRAMES: u8 = u8::MAX;

impl Layer {
    /// Returns the cells up to a level: the classes of all levels, then the purities.
    fn cells(&self, level: u32) -> String {
        let levels = &self.pyramid.levels[..=level as usize];
        let cells = || levels.iter().flatten();
        let classes = cells().map(|cell| cell.class.unwrap_or(NO_FRAMES));
        let bytes: Vec<u8> = classes.chain(cells().map(|cell| cell.purity)).collect();
        deflated(&bytes)
    }
}

/// Map of the machine's frames.
#[derive(Clone, Debug)]
pub struct MapPicture {
    /// Frames in their line.
    pub space: Space,
    /// Layers, each with the same levels.
    pub layers: Vec<Layer>,
    /// Runs of the layer of uses, see [`super::frames::FrameLayers`]; `None` if they are too
    /// many.
    pub runs: Option<Vec<u8>>,
    /// Command that lists the frames of a range, with `{start}` and `{end}` in place of the
    /// hexadecimal digits of addresses.
    pub runs_command: String,
}

impl MapPicture {
    /// Returns the object of the map in at most so many bytes: with as many levels as fit, then
    /// with the exact runs if they fit. `None` if not even one level fits.
    pub(super) fn write(&self, most: usize) -> Option<Vec<u8>> {
        let finest = self.layers.iter().map(|layer| layer.pyramid.levels.len());
        let finest = finest.min()?.checked_sub(1)? as u32;
        let text = (0..=finest).rev().find_map(|level| {
            let text = self.levels(level, finest);
            (text.len() + NO_RUNS.len() <= most).then_some(text)
        })?;
        let runs = self.runs.as_ref().map(|runs| {
            let data = deflated(runs);
            format!(",\"runs\":{{\"layer\":\"use\",\"data\":\"{data}\"}}}}")
        });
        let runs = runs.filter(|runs| text.len() + runs.len() <= most);
        Some((text + runs.as_deref().unwrap_or(NO_RUNS)).into_bytes())
    }

    /// Returns the beginning of the object, all but the runs.
    fn levels(&self, level: u32, finest: u32) -> String {
        let shift = self.layers.first().map_or(0, |layer| layer.pyramid.shift);
        let shift = shift + 2 * (finest - level);
        let pieces = self.space.pieces().iter();
        let pieces: Vec<_> = pieces
            .map(|piece| format!("[{},{},{}]", piece.pfn, piece.frames, piece.place))
            .collect();
        let layers = self.layers.iter().map(|layer| {
            let (name, title) = (layer.name, layer.title);
            let cells = layer.cells(level);
            format!(
                "{{\"name\":\"{name}\",\"title\":\"{title}\",\"classes\":\"{name}\",\"cells\":\"{cells}\"}}"
            )
        });
        let layers: Vec<_> = layers.collect();
        format!(
            "{{\"page_size\":{},\"pieces\":[{}],\"shift\":{shift},\"level\":{level},\
             \"layers\":[{}],\"runs_command\":\"{}\"",
            self.space.page(),
            pieces.join(","),
            layers.join(","),
            self.runs_command,
        )
    }
}

const NO_RUNS: &str = ",\"runs\":null}";
