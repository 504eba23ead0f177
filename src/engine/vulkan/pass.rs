//! One pass through the layers on a device: the commands, in the order of the reference.

use std::ops::Range;
use std::sync::Arc;

use super::device::{Buffer, Commands, Device};
use super::error::DeviceError;
use super::parameters::Parameters;
use super::shader::{Shader, Variant};
use super::state::{LayerMemory, Stream, StreamLayout};
use super::table::{Sight, Slice, Table, recurrent_parts};
use super::weights::{Attention, DeviceMatrix, Layer, Mixer, Recurrence, Weights};
use super::workspace::{Workspace, slots, state_len};
use crate::arch::Config;
use crate::arch::block::{Activation, Norm};
use crate::arch::config::{GROUP, TILE};
use crate::engine::angles::Angles;
use crate::engine::passes::{Part, Run, Tracked};
use crate::engine::runtime::Predictions;
use crate::numerics::LOG2_E;
use crate::packed::PackedModel;

/// Up to so many rows, every weight is read once for a few rows; with more, tiles of rows and
/// weights are shared.
const FEW_ROWS: usize = 16;
/// Rows that the kernel for few rows computes at a time.
const FEW: usize = 8;
/// Multiplications after which commands are sent to the device: a slow one takes a fraction of a
/// second for them, and a system believes that a device hangs after two.
const CUT: u64 = 1 << 37;

/// What passes need of a runtime.
#[derive(Debug)]
pub(super) struct Layers {
    pub(super) device: Arc<Device>,
    pub(super) model: Arc<PackedModel>,
    pub(super) weights: Weights,
    pub(super) layout: StreamLayout,
    /// What layers see: all of them, or those that are not local and those that are.
    pub(super) sights: Vec<Sight>,
}

/// Where the inputs of a pass lie on the device.
#[derive(Debug)]
struct Inputs {
    tokens: u64,
    /// Of each kind of layer, with the addresses of its rows and its tasks.
    tables: Vec<(Table, u64, u64)>,
    /// Of each table of rotary steps.
    angles: Vec<u64>,
    /// Of recurrent layers.
    parts: u64,
    part_count: usize,
    /// Bytes of all.
    len: u64,
}

/// What the norm before a product adds to the residual stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Add {
    Nothing,
    /// Before the norm is taken.
    First,
    /// After it has been taken.
    Afterwards,
}

/// What takes the norm of the residual stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taker {
    Product,
    /// A mixture of experts, whose router takes what is not quantised.
    Mixture,
    /// The head; the state of a row is the norm quantised as a whole.
    Head,
}

/// A pass while its commands are recorded.
struct Recording<'a, 'd> {
    layers: &'a Layers,
    config: &'a Config,
    ws: &'a Workspace,
    commands: &'a mut Commands<'d>,
    rows: usize,
    /// Multiplications since the last cut.
    work: u64,
}

type Recorded = Result<(), DeviceError>;

impl Layers {
    /// The kinds of layers of a model: what they see.
    pub(super) fn sights(config: &Config) -> Vec<Sight> {
        let sight = |layer: usize| Sight {
            window: config.window_of(layer),
            sinks: config.sinks_of(layer),
            query_heads: config.heads,
            key_heads: config.kv_heads,
        };
        let mut sights: Vec<Sight> = Vec::new();
        for layer in 0..config.layers {
            if !sights.contains(&sight(layer)) {
                sights.push(sight(layer));
            }
        }
        sights
    }

    /// One pass of at most [`PASS`](super::state::PASS) rows. Without `predictions`, it only adds
    /// to the streams.
    pub(super) fn pass(
        &self,
        ws: &mut Workspace,
        runs: &mut [Run<'_, Stream>],
        parts: &[Part],
        predictions: Option<&mut Predictions>,
    ) -> Result<(), DeviceError> {
        let rows = parts.iter().map(|part| part.len).sum();
        let cleared: Vec<usize> = (parts.iter())
            .map(|part| part.run)
            .filter(|run| runs[*run].state.take_new())
            .collect();
        let inputs = self.inputs(ws, runs, parts);
        let wants = predictions.is_some();
        let first = ws.logit_rows.min(rows);
        self.record(ws, rows, |recording| {
            for run in &cleared {
                recording.commands.clear(&runs[*run].state.memory);
            }
            recording.load(&inputs);
            for (index, layer) in self.weights.layers.iter().enumerate() {
                recording.layer(index, layer, &inputs)?;
            }
            recording.finish_layers(wants)?;
            match wants {
                true => recording.logits(0, first),
                false => Ok(()),
            }
        })?;
        if let Some(predictions) = predictions {
            self.predict(ws, parts, rows, predictions)?;
        }
        for part in parts {
            runs[part.run].state.track_mut().advance(part.len);
        }
        Ok(())
    }

    /// Reads the predictions of a pass, whose first logits are there; the others are computed.
    fn predict(
        &self,
        ws: &Workspace,
        parts: &[Part],
        rows: usize,
        predictions: &mut Predictions,
    ) -> Result<(), DeviceError> {
        let config = self.model.config();
        let places: Vec<usize> = (parts.iter())
            .flat_map(|part| part.prediction..part.prediction + part.len)
            .collect();
        let states = &ws.download.bytes()[ws.logits.len() as usize..];
        let state_len = state_len(config);
        for (place, state) in places.iter().zip(states.chunks_exact(state_len)) {
            let state = state[..config.hidden].iter().map(|byte| *byte as i8);
            let places = predictions.state_mut(*place).iter_mut();
            places.zip(state).for_each(|(place, level)| *place = level);
        }
        for (piece, places) in places.chunks(ws.logit_rows).enumerate() {
            if piece > 0 {
                let begin = piece * ws.logit_rows;
                let count = places.len();
                self.record(ws, rows, |recording| recording.logits(begin, count))?;
            }
            let logits = ws.download.bytes().chunks_exact(config.vocab * 4);
            for (place, row) in places.iter().zip(logits) {
                predictions.set_logits(*place, row);
            }
        }
        Ok(())
    }

    /// Records commands about `rows` rows and runs them.
    fn record(
        &self,
        ws: &Workspace,
        rows: usize,
        record: impl FnOnce(&mut Recording<'_, '_>) -> Recorded,
    ) -> Result<(), DeviceError> {
        self.device.run(|commands| {
            record(&mut Recording {
                layers: self,
                config: self.model.config(),
                ws,
                commands,
                rows,
                work: 0,
            })
        })
    }

    /// Writes what the device must know of the rows of a pass.
    fn inputs(&self, ws: &mut Workspace, runs: &mut [Run<'_, Stream>], parts: &[Part]) -> Inputs {
        let config = self.model.config();
        let base = ws.inputs.address;
        let mut writer = Writer {
            bytes: ws.upload.bytes_mut(),
            used: 0,
        };
        let positions = || {
            parts.iter().flat_map(|part| {
                let first = runs[part.run].state.position_in_context();
                first..first + part.len as u64
            })
        };
        let tokens =
            (parts.iter()).flat_map(|part| &runs[part.run].tokens[part.start..][..part.len]);
        let tokens = tokens.zip(positions());
        // Only learned positions are looked up, and they are few.
        let tokens = tokens.flat_map(|(token, position)| [*token, position as u32]);
        let tokens = base + writer.words(tokens);
        let tables = self.sights.iter().map(|sight| {
            let table = sight.table(runs, parts);
            let rows = base + writer.words(table.rows.iter().copied());
            let tasks = base + writer.words(table.tasks.iter().copied());
            (table, rows, tasks)
        });
        let tables = tables.collect();
        let furthest = (config.window + config.sinks).saturating_sub(1) as u64;
        let mut angles = Angles::default();
        let mut of_steps = |steps: &Vec<u64>| {
            let begin = base + writer.words(std::iter::empty());
            for sinks in [false, true] {
                if sinks && config.sinks == 0 {
                    continue;
                }
                let most = if sinks { furthest } else { u64::MAX };
                angles.set(steps, positions().map(|position| position.min(most)));
                let pairs = steps.len();
                let rows = angles
                    .cos
                    .chunks_exact(pairs)
                    .zip(angles.sin.chunks_exact(pairs));
                let values = rows.flat_map(|(cos, sin)| cos.iter().chain(sin));
                writer.words_close(values.map(|value| value.to_bits()));
            }
            begin
        };
        let angles = self.weights.step_tables.iter().map(&mut of_steps).collect();
        let part_words = match config.block.recurrent {
            Some(_) => recurrent_parts(runs, parts),
            None => Vec::new(),
        };
        Inputs {
            tokens,
            tables,
            angles,
            parts: base + writer.words(part_words.into_iter()),
            part_count: parts.len(),
            len: writer.used as u64,
        }
    }
}

/// Writes words one behind the other.
struct Writer<'a> {
    bytes: &'a mut [u8],
    used: usize,
}

impl Writer<'_> {
    /// Appends words at the next multiple of 16 bytes, and returns where they begin.
    fn words(&mut self, words: impl Iterator<Item = u32>) -> u64 {
        self.used = self.used.next_multiple_of(16);
        let begin = self.used as u64;
        self.words_close(words);
        begin
    }

    /// Appends words.
    fn words_close(&mut self, words: impl Iterator<Item = u32>) {
        for word in words {
            self.bytes[self.used..self.used + 4].copy_from_slice(&word.to_ne_bytes());
            self.used += 4;
        }
    }
}

impl Recording<'_, '_> {
    fn dispatch(
        &mut self,
        variant: Variant,
        parameters: &Parameters,
        groups: [usize; 3],
    ) -> Recorded {
        let pipeline = self.layers.device.pipeline(variant)?;
        let groups = groups.map(|count| count as u32);
        self.commands.dispatch(pipeline, parameters.bytes(), groups);
        Ok(())
    }

    /// Copies the inputs to the device.
    fn load(&mut self, inputs: &Inputs) {
        let ws = self.ws;
        self.commands
            .copy((&ws.upload, 0), (&ws.inputs, 0), inputs.len);
    }

    fn layer(&mut self, index: usize, layer: &Layer, inputs: &Inputs) -> Recorded {
        let (config, ws, wide) = (self.config, self.ws, self.config.block.wide);
        if index == 0 {
            self.embed(inputs)?;
        }
        // The result of the layer before is still to be added.
        let before = index
            .checked_sub(1)
            .map(|before| &self.layers.weights.layers[before]);
        let add = before.map_or(Add::Nothing, |_| Add::First);
        let post = before.and_then(|before| before.ffn_post_norm);
        self.norm(layer.attn_norm, add, post, wide.qkv, Taker::Product)?;
        match &layer.mixer {
            Mixer::Attention(attention) => {
                self.product(&attention.qkv, wide.qkv, &ws.wide)?;
                self.attention(index, attention, inputs)?;
                self.quantise_attended(wide.out)?;
                self.product(&attention.out, wide.out, &ws.projected)?;
            }
            Mixer::Recurrence(recurrence) => {
                self.product(&recurrence.inputs, wide.qkv, &ws.wide)?;
                self.recurrence(index, recurrence, inputs)?;
                self.product(&recurrence.out, wide.out, &ws.projected)?;
            }
        }

        let add = match config.block.parallel {
            true => Add::Afterwards,
            false => Add::First,
        };
        let taker = match layer.router {
            None => Taker::Product,
            Some(_) => Taker::Mixture,
        };
        let post = layer.attn_post_norm;
        self.norm(layer.ffn_norm, add, post, wide.gate_up, taker)?;
        match layer.router {
            None => {
                self.product(&layer.gate_up, wide.gate_up, &ws.wide)?;
                self.activate(self.rows, wide.down)?;
                self.product(&layer.down, wide.down, &ws.projected)?;
            }
            Some(router) => self.mixture(layer, router)?,
        }
        if self.work > CUT {
            self.work = 0;
            self.commands.cut()?;
        }
        Ok(())
    }

    fn embed(&mut self, inputs: &Inputs) -> Recorded {
        let weights = &self.layers.weights;
        let embed = &weights.embed;
        let addresses = [
            embed.levels,
            embed.scales,
            weights.positions,
            inputs.tokens,
            self.ws.x.address,
        ];
        let has_positions = usize::from(weights.positions != 0);
        let words = [self.config.hidden, embed.groups(), has_positions];
        let parameters = Parameters::new(&addresses).words(&words);
        self.dispatch((Shader::Embed, [0; 3]), &parameters, [self.rows, 1, 1])
    }

    /// Adds `projected`, normed by `post` if that is given, to the residual stream, and quantises
    /// the norm of the stream for what takes it.
    fn norm(
        &mut self,
        norm: Option<u64>,
        add: Add,
        post: Option<u64>,
        wide: bool,
        taker: Taker,
    ) -> Recorded {
        let (config, ws) = (self.config, self.ws);
        let flags = [
            (add == Add::First, 1),
            (add == Add::Afterwards, 2),
            (post.is_some(), 4),
            (norm.is_some(), 8),
            (config.block.norm == Norm::Layer, 16),
            (wide, 32),
            (taker == Taker::Head, 64),
            (taker == Taker::Mixture, 128),
        ];
        let flags = flags
            .iter()
            .map(|(set, flag)| usize::from(*set) * flag)
            .sum();
        let addresses = [
            ws.x.address,
            ws.projected.address,
            post.unwrap_or(0),
            norm.unwrap_or(0),
            ws.levels.levels.address,
            ws.levels.scales.address,
            ws.states.address,
            ws.mixture.as_ref().map_or(0, |mixed| mixed.taken.address),
        ];
        let groups = config.hidden.div_ceil(GROUP);
        let words = [config.hidden, groups, state_len(config) / 4];
        let parameters = Parameters::new(&addresses)
            .words(&words)
            .float(config.norm_eps);
        self.dispatch(
            (Shader::Norm, [0; 3]),
            &parameters.words(&[flags]),
            [self.rows, 1, 1],
        )
    }

    /// The product of the quantised rows with a matrix: [rows, matrix.rows].
    fn product(&mut self, matrix: &DeviceMatrix, wide: bool, result: &Buffer) -> Recorded {
        let rows = 0..self.rows;
        self.product_of(matrix, rows, wide, result, None)
    }

    /// The same of some of the rows; with `logit_cap`, the results are logits.
    fn product_of(
        &mut self,
        matrix: &DeviceMatrix,
        taken: Range<usize>,
        wide: bool,
        result: &Buffer,
        logit_cap: Option<f32>,
    ) -> Recorded {
        let (groups, level_rows) = (matrix.groups(), 1 + usize::from(wide));
        let levels = &self.ws.levels;
        let before = (taken.start * level_rows * groups) as u64;
        let addresses = [
            levels.levels.address + before * GROUP as u64,
            levels.scales.address + before * 4,
            matrix.levels,
            matrix.scales,
            matrix.bias,
            result.address,
            0,
        ];
        let rows = taken.len();
        let flags = usize::from(matrix.bias != 0) + 2 * usize::from(logit_cap.is_some());
        let words = [rows, matrix.rows, groups, matrix.rows, flags];
        let parameters = Parameters::new(&addresses)
            .words(&words)
            .float(logit_cap.unwrap_or(0.0))
            .words(&[0]);
        let tiles = matrix.rows.div_ceil(TILE);
        self.work += (rows * matrix.rows * matrix.columns * level_rows) as u64;
        if rows <= FEW_ROWS {
            let variant = (Shader::ProductFew, [level_rows as u32, FEW as u32, 0]);
            return self.dispatch(variant, &parameters, [tiles, rows.div_ceil(FEW), 1]);
        }
        // Each thread computes TM times TN results; small tiles where large ones would leave most
        // of a device idle.
        let (large, small) = ((4, 8), (2, 4));
        let groups_of = |(tm, tn): (usize, usize)| [tiles.div_ceil(tn), rows.div_ceil(16 * tm), 1];
        let enough = groups_of(large).iter().product::<usize>() >= ENOUGH_WORKGROUPS;
        let tile = if enough { large } else { small };
        let constants = [level_rows as u32, tile.0 as u32, tile.1 as u32];
        self.dispatch(
            (Shader::ProductMany, constants),
            &parameters,
            groups_of(tile),
        )
    }

    /// The products of rows with the experts that `routes` gives them, of a matrix in which
    /// `outputs` rows belong to each expert.
    fn routed(
        &mut self,
        matrix: &DeviceMatrix,
        outputs: usize,
        routes: &Buffer,
        wide: bool,
        result: &Buffer,
    ) -> Recorded {
        let rows = self.rows * slots(self.config);
        let levels = &self.ws.levels;
        let addresses = [
            levels.levels.address,
            levels.scales.address,
            matrix.levels,
            matrix.scales,
            0,
            result.address,
            routes.address,
        ];
        let words = [rows, outputs, matrix.groups(), outputs, 4];
        let parameters = Parameters::new(&addresses)
            .words(&words)
            .float(0.0)
            .words(&[outputs]);
        self.work += (rows * outputs * matrix.columns) as u64;
        let variant = (Shader::ProductFew, [1 + u32::from(wide), 1, 0]);
        self.dispatch(variant, &parameters, [outputs.div_ceil(TILE), rows, 1])
    }

    /// `projected` becomes what the experts make of the rows.
    fn mixture(&mut self, layer: &Layer, router: u64) -> Recorded {
        let (config, ws) = (self.config, self.ws);
        let (Some(mixture), Some(mixed)) = (config.block.mixture, &ws.mixture) else {
            return Ok(());
        };
        let (slots, wide) = (slots(config), config.block.wide);
        let addresses = [
            mixed.taken.address,
            router,
            mixed.scores.address,
            mixed.routes.address,
            mixed.pairs.address,
            mixed.shares.address,
        ];
        let normalised = usize::from(mixture.normalised);
        let words = [
            config.hidden,
            mixture.count,
            mixture.used,
            mixture.shared,
            normalised,
        ];
        let parameters = Parameters::new(&addresses).words(&words);
        self.dispatch((Shader::Route, [0; 3]), &parameters, [self.rows, 1, 1])?;

        let inner = config.gate_up_rows();
        self.routed(&layer.gate_up, inner, &mixed.routes, wide.gate_up, &ws.wide)?;
        self.activate(self.rows * slots, wide.down)?;
        self.routed(
            &layer.down,
            config.hidden,
            &mixed.pairs,
            wide.down,
            &mixed.given,
        )?;

        let addresses = [
            mixed.given.address,
            mixed.shares.address,
            ws.projected.address,
        ];
        let parameters = Parameters::new(&addresses).words(&[config.hidden, slots]);
        let groups = [self.rows, config.hidden.div_ceil(128), 1];
        self.dispatch((Shader::Combine, [0; 3]), &parameters, groups)
    }

    /// The recurrence of a layer: its quantised results are what the next product takes.
    fn recurrence(&mut self, index: usize, weights: &Recurrence, inputs: &Inputs) -> Recorded {
        let (config, ws) = (self.config, self.ws);
        let Some(shape) = config.block.recurrence(index) else {
            return Ok(());
        };
        let LayerMemory::Recurrence(first) = self.layers.layout.layers[index] else {
            panic!("layer {index} has no recurrence");
        };
        let sizes = [
            first as usize,
            shape.key_heads,
            shape.value_heads,
            shape.key_dim,
            shape.value_dim,
            shape.taps,
        ];
        let addresses = [
            inputs.parts,
            ws.wide.address,
            weights.conv,
            weights.numbers,
            ws.attended.address,
        ];
        let parameters = Parameters::new(&addresses)
            .words(&sizes)
            .words(&[shape.rows()])
            .float(config.norm_eps)
            .float(1.0 / (shape.key_dim as f32).sqrt());
        let groups = [shape.value_heads, inputs.part_count, 1];
        self.dispatch((Shader::Recur, [0; 3]), &parameters, groups)?;
        // All heads have read the rows that are kept.
        let parameters = Parameters::new(&[inputs.parts, ws.wide.address])
            .words(&sizes)
            .words(&[shape.rows()]);
        let groups = [shape.kept_rows().div_ceil(128), inputs.part_count, 1];
        self.dispatch((Shader::Keep, [0; 3]), &parameters, groups)?;

        let (columns, flags) = (shape.values(), 8 * usize::from(config.block.wide.out));
        let addresses = [ws.attended.address, 0];
        self.quantise(addresses, [self.rows, columns], [columns, 0], flags)
    }

    /// Queries, keys and values of a layer, in `ws.wide`, become the outputs of its query heads, in
    /// `ws.attended`.
    fn attention(&mut self, index: usize, weights: &Attention, inputs: &Inputs) -> Recorded {
        let config = self.config;
        if let Some([queries, keys]) = weights.qk_norms {
            self.head_norm(queries, 0, config.heads * config.head_dim)?;
            let (offset, count) = (
                config.heads * config.head_dim,
                config.kv_heads * config.head_dim,
            );
            self.head_norm(keys, offset, count)?;
        }
        let sight = (self.layers.sights.iter()).position(|sight| {
            (sight.window, sight.sinks) == (config.window_of(index), config.sinks_of(index))
        });
        let sight = sight.unwrap_or(0);
        let (table, rows, tasks) = &inputs.tables[sight];
        self.heads(index, *rows, inputs.angles[weights.steps])?;
        for slice in &table.slices {
            self.slice(index, sight, slice, *rows, *tasks)?;
        }
        Ok(())
    }

    /// Norms `count` values of each row of `ws.wide`, as many at a time as the norm has weights.
    fn head_norm(&mut self, (norm, len): (u64, usize), offset: usize, count: usize) -> Recorded {
        let addresses = [self.ws.wide.address, norm];
        let parameters = Parameters::new(&addresses)
            .words(&[self.config.qkv_rows(), offset, len])
            .float(self.config.norm_eps);
        let groups = [self.rows, count / len, 1];
        self.dispatch((Shader::HeadNorm, [0; 3]), &parameters, groups)
    }

    fn planes(&self, index: usize) -> [usize; 5] {
        let LayerMemory::Attention(planes) = self.layers.layout.layers[index] else {
            panic!("layer {index} has no attention");
        };
        let words = [
            planes.first,
            planes.size,
            planes.ring,
            planes.key_words,
            planes.head_dim,
        ];
        words.map(|word| word as usize)
    }

    /// Rotates and quantises queries, keys and values, and stores the last two.
    fn heads(&mut self, index: usize, table: u64, angles: u64) -> Recorded {
        let (config, ws) = (self.config, self.ws);
        let addresses = [
            ws.wide.address,
            table,
            angles,
            ws.queries.levels.address,
            ws.queries.scales.address,
        ];
        let words = [
            self.rows,
            config.qkv_rows(),
            config.heads,
            config.kv_heads,
            1 + usize::from(config.block.wide.queries),
            usize::from(config.sinks_of(index) > 0),
        ];
        let parameters = Parameters::new(&addresses)
            .words(&self.planes(index))
            .words(&words)
            .float(LOG2_E / (config.head_dim as f32).sqrt());
        let groups = [self.rows, config.heads + 2 * config.kv_heads, 1];
        self.dispatch((Shader::Heads, [0; 3]), &parameters, groups)
    }

    /// Attention of the rows of a slice.
    fn slice(
        &mut self,
        index: usize,
        sight: usize,
        slice: &Slice,
        table: u64,
        tasks: u64,
    ) -> Recorded {
        let (config, ws) = (self.config, self.ws);
        let stride = self.layers.sights[sight].score_stride();
        let planes = self.planes(index);
        let has_sinks = usize::from(config.sinks_of(index) > 0);
        let tasks = tasks + (slice.first_task * super::table::TASK_WORDS * 4) as u64;
        let (heads, kv_heads) = (config.heads, config.kv_heads);
        let level_rows = 1 + u32::from(config.block.wide.queries);
        let cap = match config.block.score_cap {
            0.0 => 0.0,
            cap => cap * LOG2_E,
        };

        let addresses = [
            tasks,
            ws.queries.levels.address,
            ws.queries.scales.address,
            ws.scores.address,
        ];
        let parameters = Parameters::new(&addresses)
            .words(&planes)
            .words(&[self.rows, heads, kv_heads, slice.first_row, stride])
            .float(cap)
            .words(&[has_sinks]);
        let blocks = slice.columns.div_ceil(128) + has_sinks;
        let groups = [blocks, kv_heads, slice.tasks];
        self.dispatch((Shader::Scores, [level_rows, 0, 0]), &parameters, groups)?;

        let addresses = [
            table,
            ws.scores.address,
            ws.weights.address,
            ws.factors.address,
        ];
        let parameters = Parameters::new(&addresses)
            .words(&planes)
            .words(&[heads, kv_heads, slice.first_row, stride])
            .float(config.largest_weight());
        let groups = [slice.rows * heads, 1, 1];
        self.dispatch((Shader::Softmax, [0; 3]), &parameters, groups)?;

        let addresses = [
            tasks,
            ws.weights.address,
            ws.factors.address,
            ws.attended.address,
        ];
        let parameters = Parameters::new(&addresses).words(&planes).words(&[
            heads,
            kv_heads,
            slice.first_row,
            stride,
            has_sinks,
        ]);
        let groups = [config.head_dim.div_ceil(64), kv_heads, slice.tasks];
        let dots = slice.rows * heads * slice.columns * config.head_dim;
        self.work += 2 * dots as u64;
        self.dispatch((Shader::Values, [0; 3]), &parameters, groups)
    }

    /// Quantises what attention gives, times its gates if there are any.
    fn quantise_attended(&mut self, wide: bool) -> Recorded {
        let (config, ws) = (self.config, self.ws);
        let columns = config.heads * config.head_dim;
        let gates = ws.wide.address + (config.first_gate() * 4) as u64;
        let flags = usize::from(config.block.attention_gate) + 8 * usize::from(wide);
        let strides = [columns, config.qkv_rows()];
        self.quantise(
            [ws.attended.address, gates],
            [self.rows, columns],
            strides,
            flags,
        )
    }

    /// Quantises what the function of the feed-forward block makes of `rows` rows in `ws.wide`.
    fn activate(&mut self, rows: usize, wide: bool) -> Recorded {
        let (config, ws) = (self.config, self.ws);
        let stride = config.gate_up_rows();
        let up = ws.wide.address + (config.intermediate * 4) as u64;
        let flags = 2 + 4 * usize::from(!config.block.ungated) + 8 * usize::from(wide);
        let addresses = [ws.wide.address, up];
        self.quantise(
            addresses,
            [rows, config.intermediate],
            [stride, stride],
            flags,
        )
    }

    fn quantise(
        &mut self,
        [values, gates]: [u64; 2],
        [rows, columns]: [usize; 2],
        strides: [usize; 2],
        flags: usize,
    ) -> Recorded {
        let levels = &self.ws.levels;
        let addresses = [values, gates, levels.levels.address, levels.scales.address];
        let groups = columns.div_ceil(GROUP);
        let kind = match self.config.block.activation {
            Activation::Silu => 0,
            Activation::Gelu => 1,
            Activation::GeluTanh => 2,
            Activation::Relu => 3,
            Activation::ReluSquared => 4,
        };
        let words = [columns, strides[0], strides[1], groups, flags, kind];
        let parameters = Parameters::new(&addresses).words(&words);
        // A workgroup quantises eight groups.
        let workgroups = [rows, groups.div_ceil(8), 1];
        self.dispatch((Shader::Quantise, [0; 3]), &parameters, workgroups)
    }

    /// Adds the result of the last layer; with `wants`, what the head takes is quantised and
    /// states are copied to where the processor reads them.
    fn finish_layers(&mut self, wants: bool) -> Recorded {
        if !wants {
            return Ok(());
        }
        let (ws, weights) = (self.ws, &self.layers.weights);
        let post = weights.layers.last().and_then(|layer| layer.ffn_post_norm);
        let wide = self.config.block.wide.head;
        let norm = Some(weights.final_norm);
        self.norm(norm, Add::First, post, wide, Taker::Head)?;
        let len = (self.rows * state_len(self.config)) as u64;
        self.commands
            .copy((&ws.states, 0), (&ws.download, ws.logits.len()), len);
        Ok(())
    }

    /// The logits of `count` rows from `first` on, where the processor reads them.
    fn logits(&mut self, first: usize, count: usize) -> Recorded {
        let (config, ws) = (self.config, self.ws);
        let head = &self.layers.weights.head;
        let (wide, cap) = (config.block.wide.head, Some(config.block.logit_cap));
        self.product_of(head, first..first + count, wide, &ws.logits, cap)?;
        let len = (count * config.vocab * 4) as u64;
        self.commands.copy((&ws.logits, 0), (&ws.download, 0), len);
        Ok(())
    }
}

/// Workgroups that keep a large device busy.
const ENOUGH_WORKGROUPS: usize = 256;
