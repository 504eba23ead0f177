//! A hub on the loopback address that offers the fixture, and connections to it that end too early.

use crate::loopback_hub::Hub;
use crate::program::run;
use crate::trials::Trials;
use crate::world::{Allowed, Work, World};

pub(crate) fn leaves(trials: &mut Trials) {
    for _ in 0..trials.wanted {
        let bytes = trials.random.below(210_000);
        let hub = Hub::that_leaves_after(bytes);
        let mut world = World::random(trials, &[Work::Pull]);
        world.use_hub(&hub);
        let ran = run(&mut world.llmzip());
        let what = format!("{} from a hub that sends {bytes} bytes", world.shown());
        let checked = world.check(&ran, Allowed::NOTHING).and_then(|()| {
            // What arrived is kept, and the rest comes from a sound hub.
            world.use_hub(&trials.kit.hub);
            world.check_second_run()
        });
        trials.record(&what, &ran, checked);
    }
}
