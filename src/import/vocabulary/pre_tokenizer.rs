//! The pre-tokenizers that GGUF files name in `tokenizer.ggml.pre`.
//!
//! The names are those that llama.cpp knows. Each stands for the `pre_tokenizer` of the
//! tokenizer.json of the models that have it; the rules are facts of these models. A rule that is
//! slightly wrong costs ratio only, so aliases are generous.

use serde_json::{Value, json};

/// English contractions.
const CONTRACTIONS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)";

/// Letters after at most one character that is neither letter, digit nor line end.
const LETTERS: &str = r"[^\r\n\p{L}\p{N}]?\p{L}+";

/// Punctuation after at most one space, with the line ends behind it.
const MARKS: &str = r" ?[^\s\p{L}\p{N}]+[\r\n]*";

/// The same, and slashes count as line ends.
const MARKS_AND_SLASHES: &str = r" ?[^\s\p{L}\p{N}]+[\r\n/]*";

/// White space: up to the last line end, else all but the last space before a word.
const SPACES: &str = r"\s*[\r\n]+|\s+(?!\S)|\s+";

/// White space up to the first line end.
const SPACES_TO_LINE_END: &str = r"\s*[\r\n]|\s+(?!\S)|\s+";

/// Chinese characters and Japanese letters.
const HAN_AND_KANA: &str = "[一-龥぀-ゟ゠-ヿ]+";

/// Everything after U+0800 up to the Korean syllables that `DeepSeek`'s first models call Chinese.
const CJK: &str = "[一-龥ࠀ-一가-퟿]+";

/// The last rule of `DeepSeek`-V3.
const DEEPSEEK_V3: [&str; 5] = [
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"##,
    r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+",
    r" ?[\p{P}\p{S}]+[\r\n]*",
    r"\s*[\r\n]+",
    r"\s+(?!\S)|\s+",
];

/// Words of BLOOM: everything but these marks, after at most one space.
const BLOOM: &str = r" ?[^(\s|.,!?…。，、।۔،)]+";

/// How the text of a GGUF's model is cut into words, and what its tokens are written in.
pub(super) struct PreTokenizer {
    /// The `pre_tokenizer` of tokenizer.json.
    pub(super) fragment: Value,
    /// Whether tokens are written in the characters that stand for bytes.
    pub(super) byte_level: bool,
    /// Whether U+2581 takes the place of spaces before text is cut.
    pub(super) escaped_spaces: bool,
}

impl PreTokenizer {
    /// That of a `SentencePiece` vocabulary: all text is one word.
    pub(super) fn none() -> PreTokenizer {
        PreTokenizer {
            fragment: Value::Null,
            byte_level: false,
            escaped_spaces: true,
        }
    }

    /// The one with that name in `tokenizer.ggml.pre`.
    pub(super) fn named(name: &str) -> Option<PreTokenizer> {
        match name {
            "gemma4" | "granite-embed-multi-311m" | "sarvam-moe" => Some(PreTokenizer::none()),
            "whitespace" => Some(PreTokenizer {
                fragment: isolated(r"\S+"),
                escaped_spaces: false,
                ..PreTokenizer::none()
            }),
            _ => Some(PreTokenizer {
                fragment: byte_level(name)?,
                byte_level: true,
                escaped_spaces: false,
            }),
        }
    }
}

/// The pre-tokenizers of byte-level vocabularies.
fn byte_level(name: &str) -> Option<Value> {
    Some(match name {
        "default" | "gpt-2" | "gpt2" | "mpt" | "olmo" | "phi-2" | "jina-en" | "jina-es"
        | "jina-de" | "jina-v1-en" | "jina-v2-es" | "jina-v2-de" | "jina-v2-code"
        | "roberta-bpe" | "gigachat" | "a.x-4.0" | "mellum" | "modern-bert" | "jais"
        | "trillion" | "granite-docling" | "exaone4" => gpt2(),
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" | "minerva-7b"
        | "mellum2" => sequence([digits(true), gpt2()]),
        "falcon" => sequence([
            json!({"type": "Punctuation", "behavior": "Contiguous"}),
            gpt2(),
            digits(false),
            isolated("[0-9][0-9][0-9]"),
        ]),
        "chameleon" => sequence([
            isolated("<sentinel:[0-9]+>"),
            isolated("(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z"),
            isolated("([\\t\\n]|    |  )"),
            digits(true),
            json!({"type": "Punctuation", "behavior": "Isolated"}),
            gpt2(),
        ]),
        _ => splits(&rules(name)?),
    })
}

/// The regular expressions by which text is cut, one after the other.
fn rules(name: &str) -> Option<Vec<String>> {
    let three = || r"\p{N}{1,3}".to_owned();
    Some(match name {
        "llama-bpe" | "llama3" | "llama-v3" | "falcon3" | "falcon-h1" | "pixtral" | "midm-2.0"
        | "lfm2" | "jina-v5-nano" | "smaug-bpe" | "dbrx" | "glm4" | "chatglm-bpe" => {
            vec![any(&[CONTRACTIONS, LETTERS, r"\p{N}{1,3}", MARKS, SPACES])]
        }
        "qwen2" | "deepseek-r1-qwen" | "kormo" | "f2llmv2" | "stablelm2" | "hunyuan" | "megrez"
        | "grok-2" | "solar-open" => vec![qwen2()],
        "qwen35" => vec![any(&[
            CONTRACTIONS,
            r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+",
            r"\p{N}",
            r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*",
            SPACES,
        ])],
        "ufakzeka" => vec![any(&[LETTERS, r"\p{N}", MARKS, SPACES])],
        "laguna" => vec![r"[^\n]+|[\n]+".to_owned(), qwen2()],
        "minicpm5" => vec![
            three(),
            any(&[CONTRACTIONS, LETTERS, r"\p{N}+", MARKS, SPACES]),
        ],
        "seed-coder" => vec![any(&[
            CONTRACTIONS,
            LETTERS,
            r"\p{N}{1}",
            r" ?[^\s\p{L}\p{N}\r\n]+",
            SPACES,
        ])],
        "bailingmoe" | "bailingmoe2" | "llada-moe" => vec![any(&[
            "'(?i:[sdmt]|ll|ve|re)",
            r"[^\r\n\p{L}\p{N}]?+\p{L}+",
            r"\p{N}",
            r" ?[^\s\p{L}\p{N}]++[\r\n]*",
            SPACES_TO_LINE_END,
        ])],
        "exaone-moe" => vec![any(&[
            CONTRACTIONS,
            r"[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+",
            r"\p{N}",
            r" ?[^\s\p{L}\p{N}]+[\r\n/]?",
            SPACES_TO_LINE_END,
        ])],
        "jais-2" => {
            let runs = [512, 256, 128, 64, 32, 16, 8, 4];
            let runs: String = runs.map(|run| format!(r"\s{{{run}}}(?!\S)|")).concat();
            let spaces = format!(r"\s*[\r\n]+|{runs}\s{{1,2}}(?!\S)|\s{{1}}");
            vec![any(&[CONTRACTIONS, LETTERS, r"\p{N}{1,3}", MARKS, &spaces])]
        }
        "tekken" => vec![cased("", r"\p{N}", MARKS_AND_SLASHES)],
        "gpt-4o" | "llama4" | "kanana2" | "talkie" | "minimax-m2" | "granite-embed-multi-97m" => {
            vec![gpt4o()]
        }
        "tiny_aya" | "cohere2moe" => vec![r"\d{1,3}(?=(?:\d{3})*\b)".to_owned(), gpt4o()],
        "youtu" => vec![
            any(&[
                "[가-힣ㄱ-ㆎ]+",
                "[！…“”‘’—：；，、-〿︰-﹏]+",
                "[ㄅ-ㄯ]+",
                HAN_AND_KANA,
            ]),
            cased(CONTRACTIONS, r"\p{N}", MARKS_AND_SLASHES),
        ],
        "kimi-k2" => {
            let words = cased(CONTRACTIONS, r"\p{N}{1,3}", MARKS);
            vec![any(&[
                r"\p{Han}+",
                &words.replace(r"\p{M}]", r"\p{M}&&[^\p{Han}]]"),
            ])]
        }
        "superbpe" => vec![r"\p{N}+".to_owned(), r"(?=(\d{3})+(?!\d))".to_owned()],
        "deepseek-llm" => [
            r"[\r\n]",
            // All letters with case, without those of mathematics.
            r"\s?[\p{Lu}\p{Ll}\p{Lt}--[\x{1D400}-\x{1D7CB}]]+",
            "\\s?[!-/:-~！-／：-～‘-‟　-。]+",
            r"\s+$",
            CJK,
            r"\p{N}",
        ]
        .map(str::to_owned)
        .to_vec(),
        "deepseek-coder" => [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK, r"\p{N}"]
            .map(str::to_owned)
            .to_vec(),
        "deepseek-v3" | "hunyuan-dense" | "joyai-llm" | "hy_v4" => {
            vec![three(), HAN_AND_KANA.to_owned(), any(&DEEPSEEK_V3)]
        }
        "spark2_5" => {
            let mut last = DEEPSEEK_V3;
            (last[2], last[3]) = (r" ?[\p{P}\p{S}]+", r"[\r\n]");
            vec![
                three(),
                HAN_AND_KANA.to_owned(),
                any(&last),
                r"\p{N}".to_owned(),
            ]
        }
        "afmoe" => vec![
            r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))".to_owned(),
            [
                "[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿",
                "က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+",
            ]
            .concat(),
            any(&DEEPSEEK_V3),
        ],
        "bloom" | "poro-chat" | "gpt3-finnish" => vec![BLOOM.to_owned()],
        "viking" => vec![BLOOM.to_owned(), r"\p{N}".to_owned()],
        _ => return None,
    })
}

fn any(alternatives: &[&str]) -> String {
    alternatives.join("|")
}

fn qwen2() -> String {
    any(&[CONTRACTIONS, LETTERS, r"\p{N}", MARKS, SPACES])
}

fn gpt4o() -> String {
    cased(CONTRACTIONS, r"\p{N}{1,3}", MARKS_AND_SLASHES)
}

/// Words that end where a small letter is followed by a capital one, each with the `contraction`
/// behind it if there is one.
fn cased(contraction: &str, digits: &str, marks: &str) -> String {
    let end = match contraction {
        "" => String::new(),
        contraction => format!("{contraction}?"),
    };
    let capitals = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]";
    let small = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]";
    let before = r"[^\r\n\p{L}\p{N}]?";
    any(&[
        &format!("{before}{capitals}*{small}+{end}"),
        &format!("{before}{capitals}+{small}*{end}"),
        digits,
        marks,
        SPACES,
    ])
}

fn isolated(pattern: &str) -> Value {
    json!({"type": "Split", "pattern": {"Regex": pattern},
           "behavior": "Isolated", "invert": false})
}

fn digits(individual: bool) -> Value {
    json!({"type": "Digits", "individual_digits": individual})
}

/// The splitting of GPT-2.
fn gpt2() -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
           "use_regex": true})
}

fn sequence<const N: usize>(parts: [Value; N]) -> Value {
    json!({"type": "Sequence", "pretokenizers": parts.to_vec()})
}

/// Splits in front of byte-level characters.
fn splits(patterns: &[String]) -> Value {
    let mut parts: Vec<Value> = patterns.iter().map(|pattern| isolated(pattern)).collect();
    parts.push(
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
               "use_regex": false}),
    );
    json!({"type": "Sequence", "pretokenizers": parts})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::Splitter;

    /// All names that llama.cpp knew in November 2026.
    const NAMES: &str = "\
        default minicpm5 llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 \
        jina-v5-nano deepseek-llm deepseek-coder deepseek-v3 spark2_5 youtu falcon mpt \
        starcoder gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum \
        modern-bert jais-2 gemma4 granite-embed-multi-311m sarvam-moe jina-v1-en \
        jina-v2-code roberta-bpe whitespace refact command-r qwen2 deepseek-r1-qwen kormo \
        f2llmv2 qwen35 stablelm2 olmo dbrx smaug-bpe poro-chat glm4 chatglm-bpe viking jais \
        tekken smollm codeshell bloom gpt3-finnish exaone exaone4 exaone-moe chameleon \
        minerva-7b megrez gpt-4o llama4 kanana2 talkie granite-embed-multi-97m tiny_aya \
        cohere2moe superbpe trillion granite-docling bailingmoe bailingmoe2 llada-moe \
        seed-coder hunyuan hunyuan-dense hy_v4 joyai-llm kimi-k2 ufakzeka grok-2 afmoe \
        laguna minimax-m2 solar-open mellum2";

    fn words(name: &str, text: &str) -> Vec<String> {
        let named = PreTokenizer::named(name).unwrap();
        let splitter = Splitter::new(&named.fragment, named.escaped_spaces).unwrap();
        let words = splitter.words(text).into_iter();
        words
            .map(|(start, end)| text[start..end].to_owned())
            .collect()
    }

    #[test]
    fn every_name_has_a_sound_pre_tokenizer() {
        let text =
            "It's 1234567 \u{e9}t\u{e9}s,  \u{4f60}\u{597d}\n\n  parseHTTP(\u{ac00}\u{b098})\r\n";
        for name in NAMES.split_whitespace() {
            let words = words(name, text);
            assert_eq!(words.concat().replace('\u{2581}', " "), text, "{name}");
            let whole = matches!(name, "gemma4" | "granite-embed-multi-311m" | "sarvam-moe");
            assert_eq!(words.len() == 1, whole, "{name}: {words:?}");
        }
        assert!(PreTokenizer::named("martian").is_none());
    }

    #[test]
    fn words_are_those_of_the_models() {
        for (name, text, cut) in [
            ("gpt-2", "it's 123  a", &["it", "'s", " 123", " ", " a"][..]),
            ("smollm", "a 123", &["a", " ", "1", "2", "3"]),
            (
                "llama-bpe",
                "It'S 1234.\n\nx",
                &["It", "'S", " ", "123", "4", ".\n\n", "x"],
            ),
            ("qwen2", "(ab 12", &["(ab", " ", "1", "2"]),
            ("qwen35", "\u{915}\u{93f}", &["\u{915}\u{93f}"]),
            ("tekken", "parseHTTP/x", &["parse", "HTTP", "/x"]),
            ("gpt-4o", "XMLHttp's 1234", &["XMLHttp's", " ", "123", "4"]),
            (
                "kimi-k2",
                "ab\u{4f60}\u{597d}c",
                &["ab", "\u{4f60}\u{597d}", "c"],
            ),
            ("falcon", "a12345!?b", &["a", "123", "45", "!?", "b"]),
            (
                "deepseek-llm",
                "ab \u{4f60}12\n",
                &["ab", " ", "\u{4f60}", "1", "2", "\n"],
            ),
            ("deepseek-v3", "a=b 1234", &["a", "=b", " ", "123", "4"]),
            ("tiny_aya", "1234567", &["1", "234", "567"]),
            ("superbpe", "1234567 ab", &["1", "234", "567", " ab"]),
            ("afmoe", "12345 x", &["12", "345", " x"]),
            ("bloom", "a b, c", &["a", " b", ",", " c"]),
            ("viking", "a 12", &["a", " ", "1", "2"]),
            ("laguna", "a\n\nb", &["a", "\n\n", "b"]),
            ("seed-coder", "a;\n", &["a", ";", "\n"]),
            ("jais-2", "a       b", &["a", "    ", "  ", " b"]),
        ] {
            assert_eq!(words(name, text), cut, "{name}");
        }
    }
}
