//! Text in HTML and SVG.

use super::numbers::one_line;

/// `text` on one line with the characters of markup escaped. Two that XML forbids are replaced.
pub(super) fn escaped(text: &str) -> String {
    one_line(text)
        .replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// `text` on one line with what Markdown takes for markup escaped. An underscore within a word, as
/// names have, is none.
pub(super) fn markdown(text: &str) -> String {
    let mut escaped = String::new();
    for char in one_line(text).chars() {
        if matches!(
            char,
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '&' | '|' | '~'
        ) {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_escaped() {
        assert_eq!(escaped("<a>&\n\""), "&lt;a&gt;&amp; &quot;");
        assert_eq!(escaped("a\u{ffff}"), "a\u{fffd}");
        assert_eq!(
            markdown("<b> [a](b)\n|x_y`"),
            "\\<b\\> \\[a\\](b) \\|x_y\\`"
        );
    }
}
