//! The width of code and comments. rustfmt breaks neither comments nor the calls of macros.

use crate::rust::{Kind, pieces};

/// rustfmt's width.
pub(crate) const COLUMNS: usize = 100;

/// The lines of a file that are too wide, with their columns. The text of literals, which cannot
/// always be broken, does not count, nor does a comment of a single word, such as an address.
pub(crate) fn wide_lines(text: &str) -> Vec<(usize, usize)> {
    let chars: Vec<char> = text.chars().collect();
    let mut columns = vec![0];
    let mut start = 0;
    for (kind, end) in pieces(&chars) {
        let piece = &chars[start..end];
        let is_one_word = kind == Kind::Comment && !piece.contains(&'\n') && words(piece) <= 2;
        for &c in piece {
            if c == '\n' {
                columns.push(0);
            } else if kind != Kind::Literal && !is_one_word {
                *columns.last_mut().expect("there is a first line") += 1;
            }
        }
        start = end;
    }
    let numbered = columns.into_iter().enumerate();
    let wide = numbered.filter(|&(_, columns)| columns > COLUMNS);
    wide.map(|(index, columns)| (index + 1, columns)).collect()
}

/// Words of a comment, its marker among them.
fn words(comment: &[char]) -> usize {
    comment
        .split(|c| c.is_whitespace())
        .filter(|word| !word.is_empty())
        .count()
}

#[test]
fn code_and_comments_count_and_literals_and_addresses_do_not() {
    let long = "x".repeat(90);
    let text = format!(
        "// {long} 12345\n// {long} 1234567\n//! {long}{long}\nlet a = \"{long}{long}\";\n\
         let b = r#\"{long}\n{long}{long}\"#;\nlet {long} = 123456;\nlet c = 1; // a {long}\n"
    );
    assert_eq!(wide_lines(&text), [(2, 101), (7, 104), (8, 106)]);
}
