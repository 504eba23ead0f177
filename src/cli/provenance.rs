//! What reports say of themselves: version, command line, date, machine and models.

use std::env;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use llmzip::machine::instructions::InstructionSet;
use llmzip::machine::pool;
use llmzip::report::{Candidate, ModelIdentity, Provenance};

use super::call;
use super::failure::Failure;
use super::meant::Resources;

/// The variable that fixes the date, for whoever must get the same bytes again:
/// <https://reproducible-builds.org/specs/source-date-epoch/>.
const FIXED_DATE: &str = "SOURCE_DATE_EPOCH";
const SECONDS_OF_A_DAY: u64 = 86_400;

/// By what, where and when a report on `candidates` is made, here and now.
pub(super) fn provenance(
    candidates: &[Candidate],
    resources: &Resources,
) -> Result<Provenance, Failure> {
    let kernels = InstructionSet::choose().map_err(|error| Failure::message(error.to_string()))?;
    Ok(Provenance {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: command(),
        date: date(seconds()),
        cpu: cpu(),
        cores: pool::usable_threads(0),
        system: format!("{} {}", env::consts::OS, env::consts::ARCH),
        threads: pool::usable_threads(resources.threads),
        kernels: kernels.name().to_owned(),
        models: ModelIdentity::of(candidates),
    })
}

/// The command line. The program is named without its folder, which differs from
/// one machine to another.
fn command() -> String {
    let typed = call::words().skip(1);
    let typed = typed.map(|word| quoted(&word.to_string_lossy()));
    let words: Vec<String> = std::iter::once("llmzip".to_owned()).chain(typed).collect();
    words.join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |char: char| char.is_alphanumeric() || "-_./,:=+@%".contains(char);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// Seconds since 1970.
fn seconds() -> u64 {
    let fixed = env::var(FIXED_DATE).ok();
    let fixed = fixed.and_then(|seconds| seconds.parse().ok());
    fixed.unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    })
}

/// Date and time in UTC of a number of seconds since 1970, as RFC 3339 writes them.
fn date(seconds: u64) -> String {
    let [year, month, day] = civil(seconds / SECONDS_OF_A_DAY);
    let second = seconds % SECONDS_OF_A_DAY;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Year, month and day of a number of days since 1970: `civil_from_days` of Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms". Years begin in March, so that a leap day is the
/// last of its year.
fn civil(days: u64) -> [u64; 3] {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    [year, month, day]
}

/// The processor's name; empty if the system does not tell it.
fn cpu() -> String {
    let name = of_linux().or_else(of_macos);
    let name = name.or_else(|| env::var("PROCESSOR_IDENTIFIER").ok());
    name.unwrap_or_default()
}

fn of_linux() -> Option<String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").ok()?;
    let field = |key: &str| {
        let lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        let mut values = lines.filter(|(found, _)| found.trim() == key);
        values.next().map(|(_, value)| value.trim().to_owned())
    };
    // What ARM processors are called stands under other names, if at all.
    ["model name", "Model", "Hardware"]
        .into_iter()
        .find_map(field)
}

fn of_macos() -> Option<String> {
    if !cfg!(target_os = "macos") {
        return None;
    }
    let mut sysctl = std::process::Command::new("/usr/sbin/sysctl");
    let told = sysctl
        .args(["-n", "machdep.cpu.brand_string"])
        .output()
        .ok()?;
    Some(String::from_utf8_lossy(&told.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, shown) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(date(seconds), shown);
        }
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, shown) in [
            ("--format=json", "--format=json"),
            ("a b", "'a b'"),
            ("it's", "'it'\\''s'"),
            ("", "''"),
            ("a<b>", "'a<b>'"),
        ] {
            assert_eq!(quoted(word), shown);
        }
    }
}
