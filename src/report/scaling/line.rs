//! The law for one exponent, where it is linear in its other two parameters.

/// The best c and a for one exponent.
pub(super) struct Line {
    pub(super) c: f64,
    pub(super) a: f64,
    /// Sum of squared residuals.
    pub(super) loss: f64,
}

impl Line {
    pub(super) fn new(series: &[(f64, f64)], b: f64) -> Line {
        let n = series.len() as f64;
        let xs = || series.iter().map(|p| p.0.powf(-b));
        let ys = || series.iter().map(|p| p.1);
        let (mean_x, mean_y) = (xs().sum::<f64>() / n, ys().sum::<f64>() / n);
        let spread: f64 = xs().map(|x| (x - mean_x).powi(2)).sum();
        let slope = xs().zip(ys()).map(|(x, y)| (x - mean_x) * (y - mean_y));
        let mut a = slope.sum::<f64>() / spread;
        let mut c = mean_y - a * mean_x;
        if c < 0.0 {
            c = 0.0;
            a = xs().zip(ys()).map(|(x, y)| x * y).sum::<f64>() / xs().map(|x| x * x).sum::<f64>();
        }
        let line = Line { c, a, loss: 0.0 };
        let loss = series.iter().map(|&(x, y)| (y - line.at(x, b)).powi(2));
        Line {
            loss: loss.sum(),
            ..line
        }
    }

    pub(super) fn at(&self, x: f64, b: f64) -> f64 {
        self.c + self.a * x.powf(-b)
    }
}
