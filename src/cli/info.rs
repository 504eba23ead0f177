//! `info`: shows what compressed files consist of.

use llmzip::container::{ContainerError, FrameTotals, Mode, ModelRef};
use llmzip::store::hex;
use serde_json::{Map, Value, json};

use super::contents::{Contents, FrameContents, ModeTotals, named};
use super::failure::Failure;
use super::folders::{self, Found};
use super::input;
use super::level::NO_MODEL;
use super::list;
use super::meant::{Accept, InfoJob, InfoStyle, Input, is_compressed};
use super::output;
use super::print;
use super::text::{self, Ratio};

pub(super) fn run(job: InfoJob) -> Result<bool, Failure> {
    let (inputs, mut all_well) = folders::find(&job.inputs, job.recursive, &is_compressed);
    output::refuse_stdout(inputs.iter().map(|found| &found.input))?;
    if job.style == InfoStyle::Row {
        print::result(list::HEADING)?;
    }
    let mut all = Totals::default();
    for Found { input, .. } in &inputs {
        let name = input::name(input);
        match contents(input) {
            Ok(contents) => {
                all.add(&contents);
                print::raw_result(&match job.style {
                    InfoStyle::Row => list::row(&name, &contents),
                    InfoStyle::Lines => to_text(&name, &contents),
                    InfoStyle::Json => to_json(&input::raw_name(input), &contents),
                })?;
            }
            Err(failure) => {
                print::error(&failure.about(name).to_string());
                all_well = false;
            }
        }
    }
    if inputs.len() > 1 {
        print::result(&all.shown(job.style))?;
    }
    Ok(all_well)
}

/// The lengths of several files.
#[derive(Default)]
struct Totals {
    files: usize,
    frames: u64,
    lengths: FrameTotals,
}

impl Totals {
    fn add(&mut self, contents: &Contents) {
        self.files += 1;
        self.frames += contents.frame_count();
        self.lengths.original_len += contents.totals.original_len;
        self.lengths.frame_len += contents.totals.frame_len;
    }

    fn shown(&self, style: InfoStyle) -> String {
        match style {
            InfoStyle::Row => list::total(self.files, self.frames, self.lengths),
            InfoStyle::Lines => heading(&format!("{} files", self.files), self.lengths),
            // Each line of JSON is about one file.
            InfoStyle::Json => String::new(),
        }
    }
}

fn contents(input: &Input) -> Result<Contents, Failure> {
    input::refuse_terminal(input)?;
    let opened = input::open(input, Accept::Pipes)?;
    Contents::read(opened.reader).map_err(|error| match error {
        ContainerError::Io(error) => Failure::Message(format!("cannot read: {error}")),
        error => Failure::Message(error.to_string()),
    })
}

fn to_text(name: &str, contents: &Contents) -> String {
    let mut text = heading(name, contents.totals);
    for (number, frame) in contents.frames.iter().enumerate() {
        if contents.frames.len() > 1 {
            text += &format!("  frame {}: {}\n", number + 1, lengths(frame.totals));
        }
        text += &frame_to_text(frame);
    }
    if contents.unlisted > 0 {
        text += &format!("  and {} more frames\n", contents.unlisted);
    }
    text
}

fn heading(name: &str, totals: FrameTotals) -> String {
    let lengths = lengths(totals);
    if totals.original_len == 0 {
        return format!("{name}: {lengths}\n");
    }
    let ratio = Ratio {
        original: totals.original_len,
        compressed: totals.frame_len,
    };
    format!("{name}: {lengths} ({ratio})\n")
}

fn lengths(totals: FrameTotals) -> String {
    format!("{} -> {} bytes", totals.frame_len, totals.original_len)
}

fn frame_to_text(frame: &FrameContents) -> String {
    let header = &frame.header;
    let model = match &header.model {
        None => NO_MODEL.to_owned(),
        Some(model) => model_to_text(model),
    };
    let numerics = header.model.as_ref().map(|model| model.numerics);
    let numerics = numerics.map(|version| format!(", numerics {version}"));
    let check = match header.checksum {
        true => "XXH3 of headers, payload and original",
        false => "XXH3 of headers and payload",
    };
    let prime = header.prime.as_ref().map_or(String::new(), |identity| {
        format!("  prime      blake3 {}...\n", hex(identity))
    });
    let mut text = format!(
        "  model      {model}\n  versions   format {}, predictor {}{}\n  preset     {}\n{prime}  \
         check      {check}\n  blocks     {}\n",
        llmzip::container::FORMAT_VERSION,
        header.predictor,
        numerics.unwrap_or_default(),
        header.preset,
        blocks_to_text(frame),
    );
    for (mode, totals) in modes(frame) {
        text += &format!(
            "    {mode:<8} {} {}, {} -> {} bytes\n",
            totals.blocks,
            if totals.blocks == 1 {
                "block"
            } else {
                "blocks"
            },
            totals.payload_len,
            totals.original_len
        );
    }
    text
}

fn model_to_text(model: &ModelRef) -> String {
    let name = match named(model) {
        Some(name) => format!("{}, ", text::printable(name)),
        None => String::new(),
    };
    format!(
        "{name}blake3 {}..., window {}",
        hex(&model.identity),
        1u32 << model.window_log2,
    )
}

fn blocks_to_text(frame: &FrameContents) -> String {
    let FrameTotals {
        blocks,
        frame_len,
        payload_len,
        ..
    } = frame.totals;
    let independent = match frame.header.independent_blocks {
        true => ", independent",
        false => "",
    };
    let streams = match frame.most_streams {
        0 | 1 => String::new(),
        streams => format!(", up to {streams} streams each"),
    };
    let overhead = frame_len - payload_len;
    format!("{blocks}{independent}{streams}; {overhead} bytes of overhead")
}

/// The modes that occur in a frame, with their names.
fn modes(frame: &FrameContents) -> impl Iterator<Item = (&'static str, ModeTotals)> {
    let names = [
        ("model", Mode::Model),
        ("experts", Mode::Experts),
        ("raw", Mode::Raw),
    ];
    names
        .into_iter()
        .map(|(name, mode)| (name, frame.of_mode(mode)))
        .filter(|(_, totals)| totals.blocks > 0)
}

fn to_json(name: &str, contents: &Contents) -> String {
    let file = json!({
        "file": name,
        "compressed_len": contents.totals.frame_len,
        "original_len": contents.totals.original_len,
        "bits_per_byte": bits_per_byte(contents.totals),
        "unlisted_frames": contents.unlisted,
    });
    // Each frame becomes text by itself: as values, many frames would take much more memory.
    let mut text = file.to_string();
    text.truncate(text.len() - "}".len());
    text += ",\"frames\":[";
    for (number, frame) in contents.frames.iter().enumerate() {
        if number > 0 {
            text.push(',');
        }
        text += &frame_to_json(frame).to_string();
    }
    text + "]}\n"
}

fn frame_to_json(frame: &FrameContents) -> Value {
    let header = &frame.header;
    let modes: Map<String, Value> = modes(frame)
        .map(|(mode, totals)| {
            let totals = json!({
                "blocks": totals.blocks,
                "original_len": totals.original_len,
                "payload_len": totals.payload_len,
            });
            (mode.to_owned(), totals)
        })
        .collect();
    json!({
        "format_version": llmzip::container::FORMAT_VERSION,
        "model": header.model.as_ref().map(|model| json!({
            "identity": hex(&model.identity),
            "name": named(model),
            "numerics": model.numerics,
            "window": 1u32 << model.window_log2,
        })),
        "predictor": header.predictor,
        "preset": header.preset,
        "prime": header.prime.as_ref().map(|identity| hex(identity)),
        "independent_blocks": header.independent_blocks,
        "checks_original": header.checksum,
        "compressed_len": frame.totals.frame_len,
        "original_len": frame.totals.original_len,
        "payload_len": frame.totals.payload_len,
        "blocks": frame.totals.blocks,
        "streams": frame.most_streams,
        "modes": modes,
    })
}

/// `null` for an empty file.
fn bits_per_byte(totals: FrameTotals) -> Option<f64> {
    let original = totals.original_len as f64;
    (original > 0.0).then(|| 8.0 * totals.frame_len as f64 / original)
}
