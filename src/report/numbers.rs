//! Quotients and numbers as reports print them.

use std::time::Duration;

/// Compressed bits per original byte; `None` for an empty file.
pub fn bits_per_byte(original: u64, compressed: u64) -> Option<f64> {
    (original > 0).then(|| 8.0 * compressed as f64 / original as f64)
}

/// Bytes per second; `None` if there are no bytes or no time passed.
pub fn speed(bytes: u64, duration: Duration) -> Option<f64> {
    let seconds = duration.as_secs_f64();
    (bytes > 0 && seconds > 0.0).then(|| bytes as f64 / seconds)
}

/// Formats bytes per second as `49 KB/s`, in powers of 1000.
pub fn rate(bytes: u64, duration: Duration) -> String {
    per_second(bytes as f64 / duration.as_secs_f64().max(1e-3))
}

/// Formats `rate` bytes per second like [`rate`].
pub(super) fn per_second(rate: f64) -> String {
    let (size, decimals, unit) = unit(rate);
    format!("{:.decimals$} {unit}", rate / size)
}

/// The unit in which a rate is shown: its bytes per second, its decimals, and its name.
fn unit(rate: f64) -> (f64, usize, &'static str) {
    match rate {
        ..1e3 => (1.0, 0, "B/s"),
        ..1e6 => (1e3, 0, "KB/s"),
        ..1e9 => (1e6, 1, "MB/s"),
        _ => (1e9, 1, "GB/s"),
    }
}

/// Formats a rate and the range that holds it as `49 [47-51] KB/s`.
#[cfg(feature = "compare")]
pub(super) fn per_second_within(rate: f64, [low, high]: [f64; 2]) -> String {
    let (size, decimals, unit) = unit(rate);
    let shown = |rate: f64| format!("{:.decimals$}", rate / size);
    format!("{} [{}-{}] {unit}", shown(rate), shown(low), shown(high))
}

/// Formats bytes as `12 MB`, in powers of 1000.
pub fn size(bytes: u64) -> String {
    let size = bytes as f64;
    match bytes {
        1 => "1 byte".to_owned(),
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.0} KB", size / 1e3),
        1_000_000..1_000_000_000 => format!("{:.0} MB", size / 1e6),
        1_000_000_000..1_000_000_000_000 => format!("{:.1} GB", size / 1e9),
        _ => format!("{:.1} TB", size / 1e12),
    }
}

/// Formats a large number, such as that of parameters, as `134.5 M` or `94.9 k`.
pub fn parameters(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{:.1} k", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} M", count as f64 / 1e6),
        _ => format!("{:.2} G", count as f64 / 1e9),
    }
}

/// Formats a round number of parameters as `100 k`.
pub(super) fn round_parameters(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{} k", count / 1_000),
        1_000_000..1_000_000_000 => format!("{} M", count / 1_000_000),
        1_000_000_000..1_000_000_000_000 => format!("{} G", count / 1_000_000_000),
        _ => format!("{} T", count / 1_000_000_000_000),
    }
}

/// Formats a length in bytes as `12.3 MB`, in powers of 1000.
pub(super) fn length(bytes: f64) -> String {
    match bytes {
        ..1e4 => format!("{bytes:.0} bytes"),
        ..1e6 => format!("{:.0} kB", bytes / 1e3),
        ..1e9 => format!("{:.0} MB", bytes / 1e6),
        ..1e12 => format!("{:.0} GB", bytes / 1e9),
        _ => format!("{:.0} TB", bytes / 1e12),
    }
}

/// Formats a number with `decimals` decimals, and `None` as `-`.
pub(super) fn or_dash(number: Option<f64>, decimals: usize) -> String {
    number.map_or_else(|| "-".to_owned(), |number| format!("{number:.decimals$}"))
}

/// `text` on one line. Control characters, which a file's name may contain, become spaces.
pub(super) fn one_line(text: &str) -> String {
    let plain = |char: char| if char.is_control() { ' ' } else { char };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_no_ratio() {
        assert_eq!(bits_per_byte(0, 29), None);
        assert_eq!(bits_per_byte(8, 1), Some(1.0));
        assert_eq!(speed(0, Duration::from_secs(1)), None);
        assert_eq!(speed(1, Duration::ZERO), None);
        assert_eq!(or_dash(None, 3), "-");
        assert_eq!(or_dash(Some(1.0), 3), "1.000");
    }

    #[test]
    fn large_numbers_are_short() {
        assert_eq!(rate(152_089, Duration::from_millis(3100)), "49 KB/s");
        assert_eq!(size(300_000_000), "300 MB");
        assert_eq!(parameters(0), "0");
        assert_eq!(parameters(134_515_008), "134.5 M");
        assert_eq!(round_parameters(100_000), "100 k");
        #[cfg(feature = "compare")]
        assert_eq!(per_second_within(2e6, [9e5, 2.25e6]), "2.0 [0.9-2.2] MB/s");
        assert_eq!(round_parameters(10_000_000_000), "10 G");
        assert_eq!(length(999.0), "999 bytes");
        assert_eq!(length(18.7e6), "19 MB");
        assert_eq!(length(2e12), "2 TB");
        assert_eq!(one_line("a\nb\u{1b}c"), "a b c");
    }
}
