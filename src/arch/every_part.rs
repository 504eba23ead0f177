//! A family whose models may have every part. Nobody publishes one: tests need it, and the
//! self-test of devices.

use super::family::{Family, Format, source};
use super::llama::{GGUF_KEYS, HUGGING_FACE_KEYS, SOURCES, gate_rows};
use super::options::none;
use super::parts::{
    ATTN_NORM, ATTN_POST_NORM, DOWN, FFN_NORM, FFN_POST_NORM, GATE_UP, K_NORM, POSITIONS, Q_NORM,
    QKV, RECURRENT_CONV, RECURRENT_IN, RECURRENT_NORM, RECURRENT_OUT, RECURRENT_RATE,
    RECURRENT_SHIFT, ROUTER, SHARED_DOWN, SHARED_GATE_UP, hidden, intermediate, kv_rows, q_rows,
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
            (
                &QKV,
                &[
                    source("q", "q", q_rows),
                    source("k", "k", kv_rows),
                    source("v", "v", kv_rows),
                    source("attention_gate", "attention_gate", |c| {
                        c.qkv_rows() - c.first_gate()
                    }),
                ],
            ),
            (
                &RECURRENT_IN,
                &[source("recurrent_in", "recurrent_in", RECURRENT_IN.rows)],
            ),
            (
                &RECURRENT_CONV,
                &[source("conv", "conv", RECURRENT_CONV.rows)],
            ),
            (
                &RECURRENT_RATE,
                &[source("rate", "rate", RECURRENT_RATE.rows)],
            ),
            (
                &RECURRENT_SHIFT,
                &[source("shift", "shift", RECURRENT_SHIFT.rows)],
            ),
            (
                &RECURRENT_NORM,
                &[source(
                    "recurrent_norm",
                    "recurrent_norm",
                    RECURRENT_NORM.rows,
                )],
            ),
            (
                &RECURRENT_OUT,
                &[source("recurrent_out", "recurrent_out", RECURRENT_OUT.rows)],
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
                &SHARED_GATE_UP,
                &[
                    source("shared_gate#", "shared_gate#", gate_rows),
                    source("shared_up#", "shared_up#", intermediate),
                ],
            ),
            (
                &SHARED_DOWN,
                &[source("shared_down#", "shared_down#", hidden)],
            ),
            (
                &FFN_POST_NORM,
                &[source("ffn_post_norm", "ffn_post_norm", FFN_POST_NORM.rows)],
            ),
        ],
        SOURCES,
    ],
};
