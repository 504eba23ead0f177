//! Reads as much of Rust as is needed to know which paths a file names: tokens, `use` trees,
//! modules inside the file. Comments, literals and items under `#[cfg(test)]` are left out.

/// A path that a file names, such as `super::coder::Encoder`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Named {
    pub line: usize,
    /// The modules inside the file that the path stands in.
    pub inside: Vec<String>,
    pub segments: Vec<String>,
    /// The name that a `use` gives it in its module.
    pub bound: Option<String>,
    /// `pub use`, with any visibility: an interface, which by itself needs nothing.
    pub is_export: bool,
}

/// What a file names.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    pub named: Vec<Named>,
    /// Files declared as `#[cfg(test)] mod name;`.
    pub test_modules: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    PathSeparator,
    Symbol(char),
}

/// Tokens and the lines they stand on.
type Tokens = Vec<(Token, usize)>;

pub(crate) fn outline(text: &str) -> Outline {
    let mut reader = Reader {
        tokens: tokens(text),
        at: 0,
        depth: 0,
        inside: Vec::new(),
        outline: Outline::default(),
    };
    reader.read();
    reader.outline
}

/// What a piece of a file is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Space,
    Comment,
    /// Of a character or a string.
    Literal,
    Word,
    PathSeparator,
    Symbol,
}

/// The pieces that a file is made of, without a gap, each with the index behind its last character.
pub(crate) fn pieces(chars: &[char]) -> Vec<(Kind, usize)> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let piece = piece(chars, at);
        at = piece.1;
        pieces.push(piece);
    }
    pieces
}

fn piece(chars: &[char], at: usize) -> (Kind, usize) {
    let end = |is_part: &dyn Fn(char) -> bool| {
        at + chars[at..].iter().take_while(|&&c| is_part(c)).count()
    };
    match chars[at..] {
        ['/', '/', ..] => (Kind::Comment, end(&|c| c != '\n')),
        ['/', '*', ..] => (Kind::Comment, end_of_comment(chars, at)),
        ['"', ..] => (Kind::Literal, end_of_string(chars, at + 1)),
        ['\'', '\\', _, ..] | ['\'', _, '\'', ..] => (Kind::Literal, end_of_character(chars, at)),
        [':', ':', ..] => (Kind::PathSeparator, at + 2),
        [c, ..] if c.is_whitespace() => (Kind::Space, end(&char::is_whitespace)),
        [c, ..] if is_word(c) => {
            let end = end(&is_word);
            let is_prefix = matches!(chars[at..end], ['r'] | ['b' | 'c', 'r']);
            match end_of_raw_string(chars, end).filter(|_| is_prefix) {
                Some(end) => (Kind::Literal, end),
                None => (Kind::Word, end),
            }
        }
        _ => (Kind::Symbol, at + 1),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn tokens(text: &str) -> Tokens {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let (mut start, mut line) = (0, 1);
    for (kind, end) in pieces(&chars) {
        let piece = &chars[start..end];
        match kind {
            Kind::Space | Kind::Comment | Kind::Literal => {}
            Kind::Word => tokens.push((Token::Word(piece.iter().collect()), line)),
            Kind::PathSeparator => tokens.push((Token::PathSeparator, line)),
            Kind::Symbol => tokens.push((Token::Symbol(piece[0]), line)),
        }
        line += piece.iter().filter(|&&c| c == '\n').count();
        start = end;
    }
    tokens
}

fn end_of_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match chars[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] if depth == 1 => return at + 2,
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

fn end_of_string(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// The end of a literal such as `'a'` or `'\''`, which begins at `at`.
fn end_of_character(chars: &[char], at: usize) -> usize {
    let escaped = if chars[at + 1] == '\\' { 3 } else { 2 };
    let rest = &chars[at + escaped..];
    let inside = rest.iter().take_while(|&&c| c != '\'').count();
    (at + escaped + inside + 1).min(chars.len())
}

/// The end of a raw string whose `r` ends at `at`; `None` for anything else, such as `r#type`.
fn end_of_raw_string(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at..].iter().take_while(|&&c| c == '#').count();
    let open = at + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let closes = |from: usize| {
        chars[from] == '"' && chars[from + 1..].iter().take(hashes).all(|&c| c == '#')
    };
    let close = (open + 1..chars.len()).find(|&from| closes(from))?;
    Some(close + 1 + hashes)
}

struct Reader {
    tokens: Tokens,
    at: usize,
    /// Open braces.
    depth: usize,
    /// Open modules, each with the depth outside its braces.
    inside: Vec<(String, usize)>,
    outline: Outline,
}

impl Reader {
    fn read(&mut self) {
        while self.at < self.tokens.len() {
            match self.peek(0) {
                Some(Token::Symbol('#')) if self.is_symbol(1, '[') => self.attribute(),
                Some(Token::Symbol('{')) => {
                    self.depth += 1;
                    self.at += 1;
                }
                Some(Token::Symbol('}')) => self.close(),
                Some(Token::Word(word)) if word == "pub" => self.skip_visibility(),
                Some(Token::Word(word)) if word == "mod" => self.module(),
                Some(Token::Word(word)) if word == "use" => self.use_tree(),
                Some(Token::Word(_)) => self.path(),
                _ => self.at += 1,
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead).map(|(token, _)| token)
    }

    fn is_symbol(&self, ahead: usize, symbol: char) -> bool {
        self.peek(ahead) == Some(&Token::Symbol(symbol))
    }

    fn word(&self, ahead: usize) -> Option<String> {
        match self.peek(ahead) {
            Some(Token::Word(word)) => Some(word.clone()),
            _ => None,
        }
    }

    fn close(&mut self) {
        self.depth -= 1;
        if self
            .inside
            .last()
            .is_some_and(|(_, outside)| *outside == self.depth)
        {
            self.inside.pop();
        }
        self.at += 1;
    }

    /// Skips an attribute, and the item after it if that is for tests alone.
    fn attribute(&mut self) {
        let start = self.at;
        self.at += 1;
        self.skip_brackets();
        let words: Vec<&str> = self.tokens[start..self.at]
            .iter()
            .filter_map(|(token, _)| match token {
                Token::Word(word) => Some(word.as_str()),
                _ => None,
            })
            .collect();
        if words.first() == Some(&"cfg") && words.contains(&"test") && !words.contains(&"not") {
            self.skip_item();
        }
    }

    /// Skips `pub`, `pub(crate)`, `pub(in path)`: no use of that path.
    fn skip_visibility(&mut self) {
        self.at += 1;
        if self.is_symbol(0, '(') {
            self.skip_brackets();
        }
    }

    fn skip_item(&mut self) {
        while self.is_symbol(0, '#') {
            self.at += 1;
            self.skip_brackets();
        }
        if self.word(0).as_deref() == Some("pub") {
            self.skip_visibility();
        }
        let keyword = self.word(0);
        if keyword.as_deref() == Some("mod") && self.is_symbol(2, ';') {
            self.outline.test_modules.extend(self.word(1));
        }
        let is_use = keyword.as_deref() == Some("use");
        while self.at < self.tokens.len() {
            match self.peek(0) {
                Some(Token::Symbol(';')) => {
                    self.at += 1;
                    return;
                }
                Some(Token::Symbol('{')) => {
                    self.skip_brackets();
                    if !is_use {
                        return;
                    }
                }
                Some(Token::Symbol('(' | '[')) => self.skip_brackets(),
                _ => self.at += 1,
            }
        }
    }

    /// Skips from an opening bracket to behind the one that closes it.
    fn skip_brackets(&mut self) {
        let mut depth = 0;
        while self.at < self.tokens.len() {
            match self.peek(0) {
                Some(Token::Symbol('(' | '[' | '{')) => depth += 1,
                Some(Token::Symbol(')' | ']' | '}')) => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    fn module(&mut self) {
        if let Some(name) = self.word(1).filter(|_| self.is_symbol(2, '{')) {
            self.inside.push((name, self.depth));
            self.depth += 1;
            self.at += 2;
        }
        self.at += 1;
    }

    fn path(&mut self) {
        let line = self.tokens[self.at].1;
        let mut segments = Vec::new();
        while let Some(word) = self.word(0) {
            segments.push(word);
            self.at += 1;
            if self.peek(0) != Some(&Token::PathSeparator) {
                break;
            }
            self.at += 1;
        }
        if segments.len() > 1 {
            self.note(line, segments, None, false);
        }
    }

    fn use_tree(&mut self) {
        let before = self.at.checked_sub(1).map(|before| &self.tokens[before].0);
        let is_export = match before {
            Some(Token::Word(word)) => word == "pub",
            other => other == Some(&Token::Symbol(')')),
        };
        self.at += 1;
        self.branch(&[], is_export);
    }

    /// One branch of a `use` tree: `prefix` and what follows it, up to a comma, brace or semicolon.
    fn branch(&mut self, prefix: &[String], is_export: bool) {
        let line = self.tokens[self.at].1;
        let mut segments = prefix.to_vec();
        loop {
            match self.peek(0).cloned() {
                Some(Token::Word(word)) if word == "as" => {
                    let alias = self.word(1);
                    self.at += 2;
                    return self.note(line, segments, alias, is_export);
                }
                Some(Token::Word(word)) => segments.push(word),
                Some(Token::Symbol('*')) => segments.push("*".to_owned()),
                Some(Token::PathSeparator) => {}
                Some(Token::Symbol('{')) => return self.branches(&segments, is_export),
                _ => {
                    if segments.last().is_some_and(|last| last == "self") {
                        segments.pop();
                    }
                    let bound = segments.last().cloned();
                    return self.note(line, segments, bound, is_export);
                }
            }
            self.at += 1;
        }
    }

    fn branches(&mut self, prefix: &[String], is_export: bool) {
        self.at += 1;
        while !self.is_symbol(0, '}') {
            if self.is_symbol(0, ',') {
                self.at += 1;
            } else {
                self.branch(prefix, is_export);
            }
        }
        self.at += 1;
    }

    fn note(&mut self, line: usize, segments: Vec<String>, bound: Option<String>, is_export: bool) {
        let inside = self.inside.iter().map(|(name, _)| name.clone()).collect();
        self.outline.named.push(Named {
            line,
            inside,
            segments,
            bound,
            is_export,
        });
    }
}

#[test]
fn paths_are_found_where_the_compiler_finds_them() {
    let text = r##"
        //! crate::comment::A
        pub use child::Item as Other;
        use crate::{a::B, c::{self, *}};
        const QUOTE: char = '"';
        fn f<'a>(x: &'a str) -> super::g::H { "crate::text::A"; r#"crate::raw::"A"#; x.into() }
        mod inner { pub(in crate::a) use super::I; }
        #[cfg(test)]
        mod tests { use crate::test::A; }
        #[cfg(all(test, feature = "x"))]
        pub(crate) mod file;
        #[cfg(not(test))]
        fn k() { crate::last::k() }
    "##;
    let outline = outline(text);
    let paths: Vec<String> = outline
        .named
        .iter()
        .map(|named| named.inside.join("::") + "|" + &named.segments.join("::"))
        .collect();
    let wanted = [
        "|child::Item",
        "|crate::a::B",
        "|crate::c",
        "|crate::c::*",
        "|super::g::H",
        "inner|super::I",
        "|crate::last::k",
    ];
    assert_eq!(paths, wanted);
    assert_eq!(outline.test_modules, ["file"]);
    assert_eq!(outline.named[0].bound.as_deref(), Some("Other"));
    assert!(outline.named[0].is_export && !outline.named[1].is_export);
    assert!(outline.named[5].is_export);
    assert_eq!(outline.named[5].line, 7);
}
