//! A family of the tests, whose models may have every part.

use super::family::{Family, Format, source};
use super::llama::{GGUF_KEYS, HUGGING_FACE_KEYS, SOURCES, gate_rows};
use super::options::none;
use super::parts::{
    ATTN_NORM, ATTN_POST_NORM, DOWN, FFN_NORM, FFN_POST_NORM, GATE_UP, K_NORM, POSITIONS, Q_NORM,
    ROUTER, hidden, intermediate,
};

/// The table of the family.
pub(super) static FAMILY: Family = Family {
    name: "every part",
    members: &[],
    choices: &[],
    hugging_face: Format {
        keys: HUGGING_FACE_KEYS,
        older: &[],
        fixed: &[],
        options: none,
    },
    gguf: Format {
        keys: GGUF_KEYS,
        older: &[],
        fixed: &[],
        options: none,
    },
    hugging_face_layers: "layers",
    hugging_face_variants: &[],
    sources: &[
        &[
            (
                &POSITIONS,
                &[source("positions", "positions", POSITIONS.rows)],
            ),
            (
                &ATTN_NORM,
                &[source("attn_norm", "attn_norm", ATTN_NORM.rows)],
            ),
            (&Q_NORM, &[source("q_norm", "q_norm", Q_NORM.rows)]),
            (&K_NORM, &[source("k_norm", "k_norm", K_NORM.rows)]),
            (
                &ATTN_POST_NORM,
                &[source(
                    "attn_post_norm",
                    "attn_post_norm",
                    ATTN_POST_NORM.rows,
                )],
            ),
            (&FFN_NORM, &[source("ffn_norm", "ffn_norm", FFN_NORM.rows)]),
            (&ROUTER, &[source("router", "router", ROUTER.rows)]),
            (
                &GATE_UP,
                &[
                    source("gate#", "gate#", gate_rows),
                    source("up#", "up#", intermediate),
                ],
            ),
            (&DOWN, &[source("down#", "down#", hidden)]),
            (
                &FFN_POST_NORM,
                &[source("ffn_post_norm", "ffn_post_norm", FFN_POST_NORM.rows)],
            ),
        ],
        SOURCES,
    ],
};
