//! Keyword arguments as options of the library. They have the names of the command's options.

use std::sync::Arc;

use llmzip::cli::LEVELS;
use llmzip::machine::pool::usable_threads;
use llmzip::{DecoderOptions, EncoderOptions, Prime};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::dictionary::LlmzDict;
use crate::models;
use crate::watch::Watch;

/// The level that uses the default model.
pub(crate) const DEFAULT_LEVEL: u8 = 5;

/// Data of at most so many bytes is coded by one thread, unless a number was named: the others
/// would take longer to wake up than they save.
const SHORT: usize = 1 << 10;
/// The same of compressed data.
const SHORT_COMPRESSED: usize = 1 << 9;

/// How to compress, and who watches.
pub(crate) struct Compressing {
    pub(crate) options: EncoderOptions,
    pub(crate) watch: Arc<Watch>,
}

/// How to decompress, and who watches.
pub(crate) struct Decompressing {
    pub(crate) options: DecoderOptions,
    pub(crate) watch: Arc<Watch>,
}

/// The keyword arguments of one call.
struct Keywords<'a, 'py>(Option<&'a Bound<'py, PyDict>>);

impl<'py> Keywords<'_, 'py> {
    /// Refuses any but these.
    fn check(&self, known: &[&str]) -> PyResult<()> {
        let Some(given) = self.0 else {
            return Ok(());
        };
        for name in given.keys() {
            let name: String = name.extract()?;
            if !known.contains(&name.as_str()) {
                return Err(PyTypeError::new_err(format!(
                    "unexpected keyword argument '{name}'; there are {}",
                    known.join(", ")
                )));
            }
        }
        Ok(())
    }

    /// The argument called `name`, unless it is not given, or `None`.
    fn any(&self, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        let value = self.0.map_or(Ok(None), |given| given.get_item(name))?;
        Ok(value.filter(|value| !value.is_none()))
    }

    fn number(&self, name: &str) -> PyResult<Option<u64>> {
        let Some(value) = self.any(name)? else {
            return Ok(None);
        };
        let number: i64 = value.extract().map_err(|error: PyErr| {
            match error.is_instance_of::<PyOverflowError>(value.py()) {
                true => PyValueError::new_err(format!("{name} is out of range")),
                false => wrong_type(name, "an int", &value),
            }
        })?;
        let number = u64::try_from(number);
        let number = number.map_err(|_| PyValueError::new_err(format!("{name} is below 0")))?;
        Ok(Some(number))
    }

    fn switch(&self, name: &str) -> PyResult<Option<bool>> {
        let Some(value) = self.any(name)? else {
            return Ok(None);
        };
        let switch = value.extract();
        switch
            .map(Some)
            .map_err(|_| wrong_type(name, "a bool", &value))
    }

    fn text(&self, name: &str) -> PyResult<Option<String>> {
        let Some(value) = self.any(name)? else {
            return Ok(None);
        };
        // A path of a packed model may be a `Path`.
        let path = value.py().import("os")?.getattr("fspath")?.call1((&value,));
        let text = path.and_then(|path| path.extract());
        text.map(Some)
            .map_err(|_| wrong_type(name, "a str or a path", &value))
    }

    /// The number of threads; 0 is one for each processor. `is_short`: there is little to do.
    fn threads(&self, is_short: bool) -> PyResult<usize> {
        match self.number("threads")? {
            None | Some(0) => Ok(usize::from(is_short)),
            Some(threads) => Ok(as_size(threads)),
        }
    }

    fn watch(&self, py: Python<'_>) -> PyResult<Arc<Watch>> {
        let progress = self.any("progress")?;
        if let Some(value) = progress.as_ref().filter(|value| !value.is_callable()) {
            return Err(wrong_type("progress", "callable", value));
        }
        Watch::new(py, progress.map(Bound::unbind))
    }

    /// The primes: one, or several of which the right one is taken.
    fn primes(&self) -> PyResult<Vec<Arc<Prime>>> {
        let Some(value) = self.any("prime")? else {
            return Ok(Vec::new());
        };
        let several = value.cast::<PyTuple>();
        let given: Vec<Bound<'py, PyAny>> = match several {
            Ok(several) => several.iter().collect(),
            Err(_) => vec![value.clone()],
        };
        let primes = given.iter().map(|one| match one.cast::<LlmzDict>() {
            Ok(dictionary) => dictionary.get().prime(one.py()),
            Err(_) => Err(wrong_type("prime", "an LlmzDict", one)),
        });
        primes.collect()
    }
}

fn wrong_type(name: &str, wanted: &str, got: &Bound<'_, PyAny>) -> PyErr {
    let got = got.get_type().name();
    let got = got.map_or_else(|_| "?".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("{name} must be {wanted}, not {got}"))
}

impl Compressing {
    const NAMES: [&'static str; 10] = [
        "model",
        "prime",
        "threads",
        "streams",
        "block_size",
        "frame_size",
        "experts",
        "check",
        "independent_blocks",
        "progress",
    ];

    /// Reads the arguments of one call, with the length of the data if that is known.
    pub(crate) fn new(
        py: Python<'_>,
        len: Option<usize>,
        level: Option<i64>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Compressing> {
        let given = Keywords(keywords);
        given.check(&Compressing::NAMES)?;
        let model = given.text("model")?;
        // A model alone is used as by the level that has the default one.
        let number = level.unwrap_or(DEFAULT_LEVEL.into());
        let level = LEVELS.iter().find(|one| i64::from(one.number) == number);
        let level = level
            .ok_or_else(|| PyValueError::new_err(format!("level {number}: levels are 1 to 9")))?;
        let threads = given.threads(len.is_some_and(|len| len <= SHORT))?;
        let model = model.as_deref().unwrap_or(level.model);
        let mut primes = given.primes()?.into_iter();
        let (prime, another) = (primes.next(), primes.next());
        if another.is_some() {
            return Err(PyTypeError::new_err("data is compressed after one prime"));
        }
        let mut options = EncoderOptions::new()
            .model(models::get(py, model, threads)?)
            .preset(level.preset)
            .wanted_gain(level.wanted_gain)
            .prime(prime)
            .workers(usable_threads(threads))
            .streams(given.number("streams")?.map(as_size))
            .frame_len(given.number("frame_size")?)
            .experts(given.switch("experts")?.unwrap_or(true))
            .checksum(given.switch("check")?.unwrap_or(true))
            .independent_blocks(given.switch("independent_blocks")?.unwrap_or(false));
        if let Some(len) = given.number("block_size")? {
            // What is out of range is refused by the encoder.
            options = options.block_len(u32::try_from(len).unwrap_or(u32::MAX));
        }
        Ok(Compressing {
            options,
            watch: given.watch(py)?,
        })
    }
}

fn as_size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Decompressing {
    const NAMES: [&'static str; 4] = ["prime", "threads", "limit", "progress"];

    /// Reads the arguments of one call, with the length of the data if that is known.
    pub(crate) fn new(
        py: Python<'_>,
        len: Option<usize>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Decompressing> {
        let given = Keywords(keywords);
        given.check(&Decompressing::NAMES)?;
        let threads = given.threads(len.is_some_and(|len| len <= SHORT_COMPRESSED))?;
        let mut options = DecoderOptions::new(&models::installed(py, threads))
            .workers(usable_threads(threads))
            .limit(given.number("limit")?);
        options.primes = given.primes()?;
        Ok(Decompressing {
            options,
            watch: given.watch(py)?,
        })
    }
}
