//! Text in HTML and SVG.

use super::numbers::one_line;

/// `text` on one line with the characters of markup escaped.
pub(super) fn escaped(text: &str) -> String {
    one_line(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_escaped() {
        assert_eq!(escaped("<a>&\n\""), "&lt;a&gt;&amp; &quot;");
    }
}
