//! Decides where a model runs, and makes its runtime.

use std::fmt;
use std::sync::Arc;

use crate::Error;
use crate::engine::{
    DeviceChoice, DeviceNews, Engine, EngineError, EngineOptions, Fallback, OnDeviceNews, Primary,
    Runtime,
};
use crate::packed::PackedModel;
use crate::store::Store;

/// [`DeviceChoice::Auto`] runs smaller models on the processor, the built-in ones among them. The
/// size is a guess: it was not measured on a card.
#[cfg(feature = "gpu")]
const SMALLEST_ON_DEVICE: usize = 64 << 20;

/// Where models should run, and who is told what becomes of that.
#[derive(Clone, Default)]
pub(super) struct Placement {
    pub(super) choice: DeviceChoice,
    pub(super) news: Option<OnDeviceNews>,
    /// Where it is noted which devices compute the right bits.
    #[cfg_attr(
        not(feature = "gpu"),
        allow(dead_code, reason = "a build without devices tests none")
    )]
    pub(super) store: Option<Store>,
}

impl Placement {
    /// The device's runtime for a model, which lends the coder so many threads; `None` if the model
    /// should run on the processor.
    pub(super) fn primary(
        &self,
        packed: &Arc<PackedModel>,
        threads: usize,
    ) -> Result<Option<Arc<Primary>>, Error> {
        if self.choice == DeviceChoice::Cpu {
            return Ok(None);
        }
        let runtime = self.on_device(packed, threads)?;
        let news = self.news.clone();
        let on_stop = move |error: &EngineError| {
            if let Some(news) = &news {
                news(&DeviceNews::Stopped(error.to_string()));
            }
        };
        Ok(runtime.map(|runtime| Primary::new(runtime, on_stop)))
    }

    #[cfg(feature = "gpu")]
    fn on_device(
        &self,
        packed: &Arc<PackedModel>,
        threads: usize,
    ) -> Result<Option<Arc<dyn Runtime>>, Error> {
        if self.choice == DeviceChoice::Auto && packed.size() < SMALLEST_ON_DEVICE {
            let small = "a model of less than 64 MiB is likely to be faster there";
            self.tell(&DeviceNews::Avoided(small.to_owned()));
            return Ok(None);
        }
        match super::devices::engine(&self.choice, packed, self.store.as_ref()) {
            Ok(engine) => {
                self.tell(&DeviceNews::Runs(engine.device().name.clone()));
                Ok(Some(Arc::new(engine.with_threads(threads))))
            }
            Err(error) if self.choice == DeviceChoice::Auto => {
                self.tell(&DeviceNews::Avoided(error.to_string()));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(not(feature = "gpu"))]
    fn on_device(&self, _: &Arc<PackedModel>, _: usize) -> Result<Option<Arc<dyn Runtime>>, Error> {
        match self.choice {
            DeviceChoice::Cpu | DeviceChoice::Auto => Ok(None),
            DeviceChoice::Gpu | DeviceChoice::Named(_) => {
                Err(Error::Unsupported(crate::engine::NO_GPU))
            }
        }
    }

    #[cfg(feature = "gpu")]
    fn tell(&self, what: &DeviceNews) {
        if let Some(news) = &self.news {
            news(what);
        }
    }
}

impl fmt::Debug for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placement")
            .field("choice", &self.choice)
            .finish_non_exhaustive()
    }
}

/// The runtime of a model: its device's, behind which the processor stands, or the processor's.
pub(super) fn runtime(
    primary: Option<&Arc<Primary>>,
    packed: Arc<PackedModel>,
    options: EngineOptions,
) -> Result<Arc<dyn Runtime>, Error> {
    Ok(match primary {
        Some(primary) => Arc::new(Fallback::new(Arc::clone(primary), options)),
        None => Arc::new(Engine::new(packed, options)?),
    })
}
