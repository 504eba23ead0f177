//! High and low water at a harbour, from the tide's constituents.
//!
//! The sea's height is a sum of cosines. Each constituent has a speed, which the sun and the moon
//! decide and which is the same everywhere, and an amplitude and a phase, which are measured at the
//! harbour. Between two turning points the height only rises or only falls.

use std::fmt;

/// One cosine of the tide.
#[derive(Clone, Copy, Debug)]
pub struct Constituent {
    pub name: &'static str,
    /// Degrees an hour.
    pub speed: f64,
    /// Metres.
    pub amplitude: f64,
    /// Degrees, at the start of the table.
    pub phase: f64,
}

/// The constituents of Skerrin Point.
pub const SKERRIN_POINT: [Constituent; 6] = [
    Constituent { name: "M2", speed: 28.984_104, amplitude: 1.42, phase: 118.0 },
    Constituent { name: "S2", speed: 30.000_000, amplitude: 0.51, phase: 152.5 },
    Constituent { name: "N2", speed: 28.439_730, amplitude: 0.29, phase: 97.3 },
    Constituent { name: "K1", speed: 15.041_069, amplitude: 0.12, phase: 201.9 },
    Constituent { name: "O1", speed: 13.943_036, amplitude: 0.09, phase: 44.6 },
    Constituent { name: "M4", speed: 57.968_208, amplitude: 0.06, phase: 310.2 },
];

/// A place where the sea turns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Turn {
    High { hour: f64, metres: f64 },
    Low { hour: f64, metres: f64 },
}

impl Turn {
    /// Hours since the start of the table.
    pub fn hour(&self) -> f64 {
        match *self {
            Turn::High { hour, .. } | Turn::Low { hour, .. } => hour,
        }
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, hour, metres) = match *self {
            Turn::High { hour, metres } => ("high", hour, metres),
            Turn::Low { hour, metres } => ("low", hour, metres),
        };
        let minutes = (hour * 60.0).round() as u64;
        write!(
            f,
            "day {} {:02}:{:02}  {kind:4}  {metres:+.2} m",
            minutes / 1440 + 1,
            minutes / 60 % 24,
            minutes % 60
        )
    }
}

/// A harbour's tide: its constituents and the mean height of its sea above the chart's zero.
pub struct Tide<'a> {
    pub constituents: &'a [Constituent],
    /// Metres.
    pub mean: f64,
}

impl Tide<'_> {
    /// The sea's height in metres, `hour` hours after the start of the table.
    pub fn height(&self, hour: f64) -> f64 {
        let waves = self.constituents.iter().map(|c| {
            let angle = (c.speed * hour - c.phase).to_radians();
            c.amplitude * angle.cos()
        });
        self.mean + waves.sum::<f64>()
    }

    /// How fast the sea rises, in metres an hour.
    pub fn slope(&self, hour: f64) -> f64 {
        let waves = self.constituents.iter().map(|c| {
            let angle = (c.speed * hour - c.phase).to_radians();
            -c.amplitude * c.speed.to_radians() * angle.sin()
        });
        waves.sum()
    }

    /// The turning points of the first `hours` hours, in order.
    pub fn turns(&self, hours: f64) -> Vec<Turn> {
        /// Hours. Two turning points are never nearer to each other.
        const STEP: f64 = 0.25;

        let mut turns = Vec::new();
        let mut hour = 0.0;
        while hour < hours {
            let (before, after) = (self.slope(hour), self.slope(hour + STEP));
            if before > 0.0 && after <= 0.0 {
                let hour = self.level_between(hour, hour + STEP);
                turns.push(Turn::High { hour, metres: self.height(hour) });
            } else if before < 0.0 && after >= 0.0 {
                let hour = self.level_between(hour, hour + STEP);
                turns.push(Turn::Low { hour, metres: self.height(hour) });
            }
            hour += STEP;
        }
        turns
    }

    /// Where the slope changes its sign between `low` and `high`, to a second.
    fn level_between(&self, mut low: f64, mut high: f64) -> f64 {
        let rises = self.slope(low) > 0.0;
        while high - low > 1.0 / 3600.0 {
            let middle = (low + high) / 2.0;
            if (self.slope(middle) > 0.0) == rises {
                low = middle;
            } else {
                high = middle;
            }
        }
        (low + high) / 2.0
    }
}

fn main() {
    let tide = Tide { constituents: &SKERRIN_POINT, mean: 2.35 };
    for turn in tide.turns(48.0) {
        println!("{turn}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn high_and_low_water_take_turns() {
        let tide = Tide { constituents: &SKERRIN_POINT, mean: 2.35 };
        let turns = tide.turns(24.0 * 29.5);
        for pair in turns.windows(2) {
            assert_ne!(matches!(pair[0], Turn::High { .. }), matches!(pair[1], Turn::High { .. }));
            assert!(pair[0].hour() < pair[1].hour());
        }
    }
}
