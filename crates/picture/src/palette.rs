//! Colours of classes, once for pictures, the live view and documents. Words of classes are
//! those of tables and JSON: they come from the types of the library. Must not know pictures.

use process_introspection::{FrameUse, MappingKind};
use process_introspection_export::State;

use crate::color::Color;

/// Class of memory as pictures show it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Word of the class, as in tables and JSON.
    pub word: &'static str,
    /// Colour on a light background.
    pub light: Color,
    /// Colour on a dark background.
    pub dark: Color,
    /// Letter for screens without colours.
    pub letter: char,
}

const fn class(word: &'static str, light: u32, dark: u32, letter: char) -> Class {
    Class {
        word,
        light: Color(light),
        dark: Color(dark),
        letter,
    }
}

/// Light background of pictures.
pub const LIGHT: Color = Color(0xffffff);
/// Dark background of pictures.
pub const DARK: Color = Color(0x16181d);

/// Text and lines of pictures.
pub const TEXT: Class = class("text", 0x1f2328, 0xe6edf3, 'x');
/// Text of less weight.
pub const MUTED: Class = class("muted", 0x59636e, 0x9aa4af, 'x');
/// Places of bars and strips that nothing fills.
pub const TRACK: Class = class("track", 0xf0f2f5, 0x22252b, ' ');

/// Uses of frames, in the order of [`FrameUse::ALL`].
pub const USES: [Class; FrameUse::ALL.len()] = [
    class(FrameUse::Anonymous.name(), 0x5176e0, 0x3a76ef, 'A'),
    class(FrameUse::Shmem.name(), 0x16cff6, 0x62d5fc, 'M'),
    class(FrameUse::PageCacheMapped.name(), 0x1a6046, 0x137648, 'F'),
    class(FrameUse::PageCacheUnmapped.name(), 0xaddda0, 0xb2e2b2, 'f'),
    class(FrameUse::SwapCache.name(), 0x6c99fd, 0x7ea7fa, 'W'),
    class(FrameUse::Slab.name(), 0xf5a627, 0xe8b64b, 's'),
    class(FrameUse::PageTable.name(), 0xf36d5e, 0xc72b18, 'T'),
    class(FrameUse::HugetlbMapped.name(), 0x6b31a1, 0x8d1ba9, 'H'),
    class(FrameUse::HugetlbUnmapped.name(), 0xa985b5, 0xe47abf, 'h'),
    class(FrameUse::Zero.name(), 0xfed804, 0xf9e44b, 'Z'),
    class(FrameUse::Reserved.name(), 0x67717a, 0x7d8083, 'R'),
    class(FrameUse::Offline.name(), 0x593002, 0x5a3406, 'X'),
    class(FrameUse::Poisoned.name(), 0x270d0d, 0xfffeff, 'P'),
    class(FrameUse::Kernel.name(), 0x8d6c11, 0xae9861, 'K'),
    class(FrameUse::Free.name(), 0xe6eaf0, 0x27282f, '.'),
    class(FrameUse::Unflagged.name(), 0xb3b1ad, 0x4c4b52, '?'),
];

/// Kinds of mappings, in the order of [`MappingKind::ALL`]. Memory that is anonymous, shared,
/// of hugetlb or of files has the colour of that use.
pub const KINDS: [Class; MappingKind::ALL.len()] = [
    class(MappingKind::Anonymous.name(), 0x5176e0, 0x3a76ef, 'A'),
    class(MappingKind::Heap.name(), 0x7499fa, 0x7fa4fc, 'h'),
    class(MappingKind::Stack.name(), 0xe18b0b, 0xecad5f, 's'),
    class(MappingKind::ThreadStack.name(), 0xa97026, 0xe47b20, 'T'),
    class(MappingKind::Elf.name(), 0xb2c68b, 0xb5e6b1, 'e'),
    class(MappingKind::File.name(), 0x1a6046, 0x137648, 'f'),
    class(MappingKind::SharedMemory.name(), 0x16cff6, 0x62d5fc, 'M'),
    class(MappingKind::HugeTlb.name(), 0x6b31a1, 0x8d1ba9, 'H'),
    class(MappingKind::Device.name(), 0xa71a17, 0xd01510, 'D'),
    class(MappingKind::DmaBuf.name(), 0x741e6f, 0xb44cab, 'B'),
    class(MappingKind::Vdso.name(), 0x797284, 0xacaaa8, 'V'),
    class(MappingKind::Vvar.name(), 0xa29697, 0x8d8982, 'v'),
    class(MappingKind::Special.name(), 0xf4c835, 0xeadb2c, 'S'),
];

/// States of memory, in the order of [`State::ALL`].
pub const STATES: [Class; State::ALL.len()] = [
    class(State::Ram.name(), 0x5176e0, 0x3a76ef, 'R'),
    class(State::Device.name(), 0xa71a17, 0xd01510, 'D'),
    class(State::Zero.name(), 0xfed804, 0xf9e44b, 'Z'),
    class(State::Resident.name(), 0x16beea, 0x6bb8d4, 'r'),
    class(State::NotPresent.name(), 0xd9dfe4, 0x30312e, '.'),
    class(State::Swapped.name(), 0x661394, 0x8b26a3, 'W'),
    class(State::Guard.name(), 0x726d76, 0x5b6667, 'G'),
    class(State::Poisoned.name(), 0x270d0d, 0xfffeff, 'P'),
    class(State::Migrating.name(), 0xc16717, 0xf79513, 'm'),
    class(State::Marker.name(), 0xa5c878, 0xa8daab, 'k'),
    class(State::Unknown.name(), 0x999999, 0x938885, '?'),
    class(State::Unmapped.name(), 0xf8fbf9, 0x151615, ' '),
];

/// Changes of frames between two times, in the order of [`FrameChanged::ALL`]. Colours are those
/// of uses, which differ for every eye.
pub const CHANGES: [Class; FrameChanged::ALL.len()] = [
    class(FrameChanged::Unchanged.name(), 0xe6eaf0, 0x27282f, '.'),
    class(FrameChanged::BecameUsed.name(), 0x5176e0, 0x3a76ef, 'U'),
    class(FrameChanged::Freed.name(), 0xf5a627, 0xe8b64b, 'F'),
    class(FrameChanged::ChangedUse.name(), 0x6b31a1, 0x8d1ba9, 'C'),
    class(FrameChanged::Appeared.name(), 0x16cff6, 0x62d5fc, 'A'),
    class(FrameChanged::Gone.name(), 0x270d0d, 0xfffeff, 'G'),
];

/// Change of a frame between two times.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum FrameChanged {
    /// It has the same use.
    Unchanged,
    /// It was free.
    BecameUsed,
    /// It is free.
    Freed,
    /// It was in use and is in another use.
    ChangedUse,
    /// It was no RAM that is online.
    Appeared,
    /// It is no RAM that is online any more.
    Gone,
}

impl FrameChanged {
    /// All changes.
    pub const ALL: [Self; 6] = [
        Self::Unchanged,
        Self::BecameUsed,
        Self::Freed,
        Self::ChangedUse,
        Self::Appeared,
        Self::Gone,
    ];

    /// Returns its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::BecameUsed => "became used",
            Self::Freed => "freed",
            Self::ChangedUse => "changed use",
            Self::Appeared => "appeared",
            Self::Gone => "gone",
        }
    }

    /// Returns the change from one use to another; `None` for a use is no RAM that is online.
    pub fn of([before, after]: [Option<FrameUse>; 2]) -> Self {
        match (before, after) {
            (before, after) if before == after => Self::Unchanged,
            (None, _) => Self::Appeared,
            (_, None) => Self::Gone,
            (Some(FrameUse::Free), _) => Self::BecameUsed,
            (_, Some(FrameUse::Free)) => Self::Freed,
            _ => Self::ChangedUse,
        }
    }
}

/// Colours of classes that are named when a picture is made (payers, owners, nodes), on both
/// backgrounds.
pub const SERIES: [Color; 10] = [
    Color(0x5759e6),
    Color(0xbc420b),
    Color(0x2fd0f5),
    Color(0xb6a851),
    Color(0x4098ff),
    Color(0x7858a6),
    Color(0xf068b4),
    Color(0x9c546c),
    Color(0xf1a89e),
    Color(0xbc784f),
];

/// Payers, owners or nodes beyond [`SERIES`].
pub const OTHER: Class = class("other", 0x8a8f98, 0x8a8f98, 'o');
/// Frames that several owners share.
pub const SHARED: Class = class("several", 0x2e3440, 0xd8dee9, '+');
/// Frames that belong to nobody of the series.
pub const NOBODY: Class = class("none", 0xe6eaf0, 0x27282f, '.');

/// Scale of sizes, from small to large, on a light background.
pub const SIZES_LIGHT: [Color; 12] = [
    Color(0xf3dc9a),
    Color(0xd6d39d),
    Color(0xb8c99f),
    Color(0x99c0a0),
    Color(0x78b6a0),
    Color(0x52aba0),
    Color(0x3a999c),
    Color(0x398093),
    Color(0x37688a),
    Color(0x344f80),
    Color(0x303676),
    Color(0x2b1a6b),
];
/// Scale of sizes on a dark background.
pub const SIZES_DARK: [Color; 12] = [
    Color(0x3b2b86),
    Color(0x3c438b),
    Color(0x3c598f),
    Color(0x3a6e92),
    Color(0x368295),
    Color(0x2f9797),
    Color(0x48a898),
    Color(0x73b598),
    Color(0x97c197),
    Color(0xb9ce94),
    Color(0xdada91),
    Color(0xfbe68c),
];

/// Returns the class of a use.
pub fn of_use(one: FrameUse) -> &'static Class {
    named(&USES, one.name())
}

/// Returns the class of a kind of mapping.
pub fn of_kind(kind: MappingKind) -> &'static Class {
    named(&KINDS, kind.name())
}

/// Returns the class of a state of memory.
pub fn of_state(state: State) -> &'static Class {
    named(&STATES, state.name())
}

fn named(classes: &'static [Class], word: &str) -> &'static Class {
    let class = classes.iter().find(|class| class.word == word);
    class.expect("each value has a class: see the test")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::color::Eye;

    #[test]
    fn each_value_has_one_class_with_its_word_and_a_letter_of_its_own() {
        let uses = FrameUse::ALL.map(FrameUse::name).to_vec();
        let kinds = MappingKind::ALL.map(MappingKind::name).to_vec();
        let states = State::ALL.map(State::name).to_vec();
        for (classes, words) in [(&USES[..], uses), (&KINDS, kinds), (&STATES, states)] {
            let own: Vec<_> = classes.iter().map(|class| class.word).collect();
            assert_eq!(own, words);
            let letters: HashSet<_> = classes.iter().map(|class| class.letter).collect();
            assert_eq!(letters.len(), classes.len(), "{own:?}");
        }
    }

    /// Differences of 0.05 are seen side by side.
    #[test]
    fn colours_of_one_picture_differ_for_every_eye() {
        let extra = [OTHER, SHARED, NOBODY];
        let series = |dark: bool| -> Vec<Color> {
            let extra = extra
                .iter()
                .map(|class| if dark { class.dark } else { class.light });
            SERIES.into_iter().chain(extra).collect()
        };
        let of = |classes: &[Class], dark: bool| -> Vec<Color> {
            let color = |class: &Class| if dark { class.dark } else { class.light };
            classes.iter().map(color).collect()
        };
        for dark in [false, true] {
            for colors in [
                of(&USES, dark),
                of(&KINDS, dark),
                of(&STATES, dark),
                of(&CHANGES, dark),
                series(dark),
            ] {
                for (index, one) in colors.iter().enumerate() {
                    for other in &colors[..index] {
                        for eye in Eye::ALL {
                            let distance = one.distance(*other, eye);
                            assert!(distance > 0.05, "{one} {other} {eye:?}: {distance}");
                        }
                    }
                }
            }
        }
    }

    /// Strips have both at full height: RAM by the size of its runs, and device memory.
    #[test]
    fn sizes_differ_from_device_memory_for_every_eye() {
        let device = of_state(State::Device);
        for (color, sizes) in [(device.light, SIZES_LIGHT), (device.dark, SIZES_DARK)] {
            for (size, eye) in sizes
                .iter()
                .flat_map(|size| Eye::ALL.map(|eye| (size, eye)))
            {
                let distance = color.distance(*size, eye);
                assert!(distance > 0.05, "{size} {eye:?}: {distance}");
            }
        }
    }

    #[test]
    fn text_is_legible_on_both_backgrounds() {
        for (class, least) in [(TEXT, 7.0), (MUTED, 4.5)] {
            assert!(class.light.contrast(LIGHT) >= least, "{}", class.word);
            assert!(class.dark.contrast(DARK) >= least, "{}", class.word);
        }
    }

    #[test]
    fn sizes_get_steadily_darker_or_lighter_for_every_eye() {
        for (scale, background) in [(SIZES_LIGHT, LIGHT), (SIZES_DARK, DARK)] {
            for eye in Eye::ALL {
                let mut steps = scale
                    .windows(2)
                    .map(|two| two[1].distance(background, eye) - two[0].distance(background, eye));
                assert!(steps.all(|step| step > 0.0), "{background} {eye:?}");
            }
        }
    }
}
