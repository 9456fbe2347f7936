//! The size of one SMS segment: 160 septets of the GSM 7-bit alphabet (3GPP TS 23.038), or 70 UTF-16 units of other
//! text. Pure.

const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
                     ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// Each takes two septets: an escape and a character.
const EXTENDED: &str = "^{}\\[~]|€";

/// Whether the GSM alphabet has all characters of the text.
#[cfg(test)]
pub(super) fn is_gsm7(text: &str) -> bool {
    septets(text).is_some()
}

/// Whether the text fits one segment of its encoding.
pub(super) fn fits_one(text: &str) -> bool {
    match septets(text) {
        Some(septets) => septets <= 160,
        None => text.encode_utf16().count() <= 70,
    }
}

fn septets(text: &str) -> Option<usize> {
    text.chars()
        .map(|c| match c {
            _ if BASIC.contains(c) => Some(1),
            _ if EXTENDED.contains(c) => Some(2),
            _ => None,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accents_of_the_gsm_alphabet_are_not_the_ones_one_expects() {
        assert!(is_gsm7("clave ñ é Ñ"));
        assert!(!is_gsm7("código"), "ó is not in it");
        assert_eq!(BASIC.chars().count(), 127, "128 less the escape");
    }

    #[test]
    fn a_segment_is_160_septets_or_70_units() {
        assert!(fits_one(&"a".repeat(160)) && !fits_one(&"a".repeat(161)));
        assert!(fits_one(&"€".repeat(80)) && !fits_one(&"€".repeat(81)));
        assert!(fits_one(&"ó".repeat(70)) && !fits_one(&"ó".repeat(71)));
        assert!(fits_one(&"😀".repeat(35)) && !fits_one(&"😀".repeat(36)));
    }
}
