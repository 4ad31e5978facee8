//! Colours: notation, lightness and distance as the eye sees them. Must not know classes.

use std::fmt;

/// Colour of the sRGB space: `0xrrggbb`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Color(pub u32);

/// Writes the notation of CSS and SVG: `#rrggbb`.
impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:06x}", self.0)
    }
}

impl Color {
    /// Returns red, green and blue, 0 to 255.
    pub const fn rgb(self) -> [u8; 3] {
        let [_, red, green, blue] = self.0.to_be_bytes();
        [red, green, blue]
    }

    /// Returns the contrast to another colour, 1 to 21, as WCAG 2.1 defines it.
    pub fn contrast(self, other: Self) -> f64 {
        let (one, other) = (self.luminance(), other.luminance());
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// Returns whichever of black and white has more contrast to this colour.
    pub fn text_color(self) -> Self {
        let (black, white) = (Self(0), Self(0xff_ff_ff));
        match self.contrast(black) >= self.contrast(white) {
            true => black,
            false => white,
        }
    }

    /// Returns the relative luminance, 0 to 1.
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.linear();
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// Returns red, green and blue as amounts of light, 0 to 1.
    fn linear(self) -> [f64; 3] {
        self.rgb().map(|value| {
            let value = f64::from(value) / 255.0;
            match value <= 0.04045 {
                true => value / 12.92,
                false => ((value + 0.055) / 1.055).powf(2.4),
            }
        })
    }

    /// Returns the distance to another colour for an eye, in the Oklab space: black and white
    /// have 1, and 0.02 is hard to see.
    pub fn distance(self, other: Self, eye: Eye) -> f64 {
        let (one, other) = (eye.lab(self.linear()), eye.lab(other.linear()));
        let squares = one
            .iter()
            .zip(other)
            .map(|(one, other)| (one - other).powi(2));
        squares.sum::<f64>().sqrt()
    }
}

/// Kind of colour vision.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Eye {
    /// All three kinds of cones.
    Normal,
    /// Without red cones.
    Protanopia,
    /// Without green cones.
    Deuteranopia,
    /// Without blue cones.
    Tritanopia,
}

impl Eye {
    /// All kinds.
    pub const ALL: [Self; 4] = [
        Self::Normal,
        Self::Protanopia,
        Self::Deuteranopia,
        Self::Tritanopia,
    ];

    /// Returns what this eye sees: the matrix by which it changes amounts of red, green and
    /// blue light (Machado, Oliveira, Fernandes: A Physiologically-based Model for Simulation
    /// of Color Vision Deficiency, 2009, severity 1).
    const fn matrix(self) -> [[f64; 3]; 3] {
        match self {
            Self::Normal => [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            Self::Protanopia => [
                [0.152286, 1.052583, -0.204868],
                [0.114503, 0.786281, 0.099216],
                [-0.003882, -0.048116, 1.051998],
            ],
            Self::Deuteranopia => [
                [0.367322, 0.860646, -0.227968],
                [0.280085, 0.672501, 0.047413],
                [-0.011820, 0.042940, 0.968881],
            ],
            Self::Tritanopia => [
                [1.255528, -0.076749, -0.178779],
                [-0.078411, 0.930809, 0.147602],
                [0.004733, 0.691367, 0.303900],
            ],
        }
    }

    /// Returns the light in the Oklab space (Ottosson, 2020).
    fn lab(self, light: [f64; 3]) -> [f64; 3] {
        let seen = multiply(self.matrix(), light).map(|value| value.clamp(0.0, 1.0));
        let cones = [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ];
        let lab = [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ];
        multiply(lab, multiply(cones, seen).map(f64::cbrt))
    }
}

fn multiply(matrix: [[f64; 3]; 3], vector: [f64; 3]) -> [f64; 3] {
    matrix.map(|row| row.iter().zip(vector).map(|(one, other)| one * other).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_and_distance_have_their_known_ends() {
        let (black, white, red) = (Color(0), Color(0xff_ff_ff), Color(0xff_00_00));
        assert!((black.contrast(white) - 21.0).abs() < 1e-9);
        assert_eq!(red.contrast(red), 1.0);
        for eye in Eye::ALL {
            assert!((black.distance(white, eye) - 1.0).abs() < 1e-3);
            assert_eq!(red.distance(red, eye), 0.0);
        }
        // Red and green of equal lightness are alike only without red or green cones.
        let (red, green) = (Color(0xc0_50_50), Color(0x50_88_28));
        let [normal, _, deuteranopia, _] = Eye::ALL.map(|eye| red.distance(green, eye));
        assert!(deuteranopia < normal / 3.0, "{deuteranopia} {normal}");
        assert_eq!(Color(0xff_ff_00).text_color(), black);
        assert_eq!(Color(0x00_00_80).text_color(), white);
        assert_eq!(Color(0x0a_0b_0c).to_string(), "#0a0b0c");
    }
}
