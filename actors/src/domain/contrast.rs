//! Colours that can be read: WCAG 2.2, relative luminance and contrast ratio.

use super::Colour;

/// The least contrast of text and its background (WCAG 2.2, success criterion 1.4.3).
const LEGIBLE: f64 = 4.5;

type Rgb = [u8; 3];

impl Default for Colour {
    /// That of this product.
    fn default() -> Self {
        Self::from_rgb([0x1f, 0x5f, 0xd6])
    }
}

impl Colour {
    pub fn white() -> Self {
        Self::from_rgb([255; 3])
    }

    /// White or black, whichever is easier to read on this colour. The contrast is at least 4.5.
    pub fn text(&self) -> Self {
        let own = self.rgb();
        let [black, white] = [[0; 3], [255; 3]];
        Self::from_rgb(if contrast(own, white) >= contrast(own, black).min(LEGIBLE) { white } else { black })
    }

    /// This colour as a text on `background`: mixed with black or white until the contrast is 4.5.
    pub fn legible_on(&self, background: &Self) -> Self {
        let (own, background) = (self.rgb(), background.rgb());
        let towards = background_text(background);
        let mix = |tenths: u8| {
            let channel = |at: usize| {
                let (from, to) = (f64::from(own[at]), f64::from(towards[at]));
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two bytes")]
                let byte = (from + (to - from) * f64::from(tenths) / 20.0).round() as u8;
                byte
            };
            [channel(0), channel(1), channel(2)]
        };
        Self::from_rgb((0..20).map(mix).find(|mixed| contrast(*mixed, background) >= LEGIBLE).unwrap_or(towards))
    }

    fn rgb(&self) -> Rgb {
        let byte = |at: usize| self.as_str().get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        [byte(0), byte(2), byte(4)].map(Option::unwrap_or_default)
    }
}

fn background_text(background: Rgb) -> Rgb {
    if contrast(background, [0; 3]) > contrast(background, [255; 3]) { [0; 3] } else { [255; 3] }
}

/// 1 (equal) to 21 (black and white).
fn contrast(one: Rgb, other: Rgb) -> f64 {
    let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
    one.max(other) / one.min(other)
}

fn luminance(rgb: Rgb) -> f64 {
    let linear = |byte: u8| {
        let share = f64::from(byte) / 255.0;
        if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    };
    let [red, green, blue] = rgb.map(linear);
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colour(text: &str) -> Colour {
        text.parse().expect("a colour")
    }

    #[test]
    fn the_ratio_is_that_of_the_standard() {
        let ratio = |one: &str, other: &str| contrast(colour(one).rgb(), colour(other).rgb());
        assert!((ratio("000000", "ffffff") - 21.0).abs() < 0.001);
        assert!((ratio("777777", "ffffff") - 4.48).abs() < 0.01, "{}", ratio("777777", "ffffff"));
    }

    #[test]
    fn a_button_can_be_read_in_every_colour() {
        assert_eq!(colour("1f5fd6").text(), colour("ffffff"));
        assert_eq!(colour("ffcc00").text(), colour("000000"));
        for step in 0..4096_u32 {
            let channel = |shift: u32| (step >> shift & 15) * 17;
            let any = colour(&format!("{:02x}{:02x}{:02x}", channel(8), channel(4), channel(0)));
            assert!(contrast(any.rgb(), any.text().rgb()) >= LEGIBLE, "{any}");
            for background in ["ffffff", "f5f6f8", "161d27", "0e131a"] {
                let text = any.legible_on(&colour(background));
                assert!(contrast(text.rgb(), colour(background).rgb()) >= LEGIBLE, "{any} on {background}: {text}");
            }
        }
    }
}
