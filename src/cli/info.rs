//! `info`: what is in a file, found from headers and checksums alone. Needs no model.

use std::io::{self, BufReader, Read, Write};

use llmzip::container::{
    Block, ContainerError, FrameHeader, FramePart, FrameReader, FrameTotals, Mode,
};
use llmzip::store::hex;
use serde_json::{Value, json};

use super::failure::Failure;
use super::input;
use super::meant::{self, Input};
use super::text::{self, Ratio};
use super::typed::InfoArgs;

/// What a compressed file consists of.
pub(super) struct Contents {
    pub(super) frames: Vec<Frame>,
    /// Of all frames together.
    pub(super) totals: FrameTotals,
}

/// What a frame consists of.
pub(super) struct Frame {
    pub(super) header: FrameHeader,
    pub(super) totals: FrameTotals,
    /// By mode: raw, experts, model.
    pub(super) modes: [Share; 3],
    /// The most streams in a block.
    streams: usize,
}

/// What one mode has of a frame.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Share {
    pub(super) blocks: u64,
    pub(super) original_len: u64,
    pub(super) payload_len: u64,
}

impl Contents {
    /// Reads a whole file; headers and payloads are checked, nothing is decoded.
    pub(super) fn read(input: impl Read) -> Result<Contents, ContainerError> {
        let mut reader = FrameReader::new(BufReader::new(input));
        let mut frames: Vec<Frame> = Vec::new();
        let mut totals = FrameTotals::default();
        while let Some(item) = reader.next()? {
            match (item, frames.last_mut()) {
                (FramePart::Header(header), _) => frames.push(Frame {
                    header,
                    totals: FrameTotals::default(),
                    modes: [Share::default(); 3],
                    streams: 0,
                }),
                (FramePart::Block(block), Some(frame)) => frame.count(&block),
                (FramePart::End(end), Some(frame)) => {
                    frame.totals = end;
                    totals.blocks += end.blocks;
                    totals.original_len += end.original_len;
                    totals.payload_len += end.payload_len;
                }
                (FramePart::Block(_) | FramePart::End(_), None) => {}
            }
        }
        // Auxiliary frames count, too.
        totals.frame_len = reader.offset();
        Ok(Contents { frames, totals })
    }

    /// The most streams in a block.
    pub(super) fn streams(&self) -> usize {
        let streams = self.frames.iter().map(|frame| frame.streams);
        streams.max().unwrap_or(0)
    }
}

impl Frame {
    fn count(&mut self, block: &Block) {
        let share = &mut self.modes[block.mode as usize];
        share.blocks += 1;
        share.original_len += u64::from(block.original_len);
        share.payload_len += block.payload.len() as u64;
        self.streams = self.streams.max(block.streams.len());
    }

    /// Modes that occur, with their names.
    fn shares(&self) -> impl Iterator<Item = (&'static str, Share)> {
        let names = [
            ("model", Mode::Model),
            ("experts", Mode::Experts),
            ("raw", Mode::Raw),
        ];
        names
            .into_iter()
            .map(|(name, mode)| (name, self.modes[mode as usize]))
            .filter(|(_, share)| share.blocks > 0)
    }
}

/// Runs `info`.
pub(super) fn run(args: InfoArgs) -> Result<bool, Failure> {
    let mut all_well = true;
    for input in meant::inputs(args.files) {
        let name = input::name(&input);
        match describe(&input, &name, args.json, args.force) {
            Ok(text) => write!(io::stdout(), "{text}").map_err(Failure::from_write)?,
            Err(Failure::Usage(message) | Failure::Said(message)) => {
                text::complain(&format!("{name}: {message}"));
                all_well = false;
            }
            Err(Failure::BrokenPipe) => return Err(Failure::BrokenPipe),
        }
    }
    Ok(all_well)
}

fn describe(input: &Input, name: &str, json: bool, follow: bool) -> Result<String, Failure> {
    input::refuse_terminal(input)?;
    let opened = input::open(input, follow)?;
    let contents = Contents::read(opened.reader).map_err(|error| match error {
        ContainerError::Io(error) => Failure::Said(format!("cannot read: {error}")),
        error => Failure::Said(error.to_string()),
    })?;
    Ok(if json {
        format!("{}\n", to_json(name, &contents))
    } else {
        to_text(name, &contents)
    })
}

fn to_text(name: &str, contents: &Contents) -> String {
    let FrameTotals {
        original_len,
        frame_len,
        ..
    } = contents.totals;
    let mut text = format!("{name}: {frame_len} -> {original_len} bytes");
    if original_len > 0 {
        let ratio = Ratio {
            original: original_len,
            compressed: frame_len,
        };
        text += &format!(" ({ratio})");
    }
    text += "\n";
    for (number, frame) in contents.frames.iter().enumerate() {
        let header = &frame.header;
        if contents.frames.len() > 1 {
            let FrameTotals {
                original_len,
                frame_len,
                ..
            } = frame.totals;
            text += &format!(
                "  frame {}: {frame_len} -> {original_len} bytes\n",
                number + 1
            );
        }
        text += &match &header.model {
            None => "  model      none\n".to_owned(),
            Some(model) => format!(
                "  model      {}blake3 {}..., numerics {}, window {}\n",
                model
                    .name
                    .as_ref()
                    .map(|name| format!("{name}, "))
                    .unwrap_or_default(),
                hex(&model.identity),
                model.numerics,
                1u32 << model.window_log2,
            ),
        };
        text += &format!(
            "  predictor  {}, preset {}\n",
            header.predictor, header.preset
        );
        text += &format!(
            "  check      {}\n",
            if header.checksum {
                "XXH3 of headers, payload and original"
            } else {
                "XXH3 of headers and payload"
            }
        );
        let overhead = frame.totals.frame_len - frame.totals.payload_len;
        let blocks = frame.totals.blocks;
        let independent = if header.independent_blocks {
            ", independent"
        } else {
            ""
        };
        let streams = match frame.streams {
            0 | 1 => String::new(),
            streams => format!(", up to {streams} streams each"),
        };
        text +=
            &format!("  blocks     {blocks}{independent}{streams}; {overhead} bytes of overhead\n");
        for (mode, share) in frame.shares() {
            text += &format!(
                "    {mode:<8} {} {}, {} -> {} bytes\n",
                share.blocks,
                if share.blocks == 1 { "block" } else { "blocks" },
                share.payload_len,
                share.original_len
            );
        }
    }
    text
}

fn to_json(name: &str, contents: &Contents) -> Value {
    let frames: Vec<Value> = contents.frames.iter().map(frame_to_json).collect();
    json!({
        "file": name,
        "compressed_len": contents.totals.frame_len,
        "original_len": contents.totals.original_len,
        "bits_per_byte": bits_per_byte(contents.totals),
        "frames": frames,
    })
}

fn frame_to_json(frame: &Frame) -> Value {
    let header = &frame.header;
    let modes: serde_json::Map<String, Value> = frame
        .shares()
        .map(|(mode, share)| {
            let share = json!({
                "blocks": share.blocks,
                "original_len": share.original_len,
                "payload_len": share.payload_len,
            });
            (mode.to_owned(), share)
        })
        .collect();
    json!({
        "format_version": llmzip::container::FORMAT_VERSION,
        "model": header.model.as_ref().map(|model| json!({
            "identity": hex(&model.identity),
            "name": model.name,
            "numerics": model.numerics,
            "window": 1u32 << model.window_log2,
        })),
        "predictor": header.predictor,
        "preset": header.preset,
        "independent_blocks": header.independent_blocks,
        "checks_original": header.checksum,
        "compressed_len": frame.totals.frame_len,
        "original_len": frame.totals.original_len,
        "payload_len": frame.totals.payload_len,
        "blocks": frame.totals.blocks,
        "streams": frame.streams,
        "modes": modes,
    })
}

/// `null` for nothing compressed.
fn bits_per_byte(totals: FrameTotals) -> Option<f64> {
    let original = totals.original_len as f64;
    (original > 0.0).then(|| 8.0 * totals.frame_len as f64 / original)
}
