//! By what, where and when a report was made. Every format carries it.

use serde_json::{Value, json};

use super::Candidate;
use super::markup::{escaped, markdown};
use super::numbers::one_line;
use crate::store::hex;

/// By what, where and when a report was made. The caller fills it in: a report knows neither
/// command line nor clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// Version of llmzip.
    pub version: String,
    /// The command line, as a shell takes it.
    pub command: String,
    /// Date and time in UTC, as `2026-11-27T17:21:32Z`.
    pub date: String,
    /// Name of the processor; empty if the system does not tell it.
    pub cpu: String,
    /// Cores that the system shows.
    pub cores: usize,
    /// Operating system and architecture.
    pub system: String,
    /// Threads that models use.
    pub threads: usize,
    /// Set of kernels that models use.
    pub kernels: String,
    /// The models measured, from the smallest to the largest.
    pub models: Vec<ModelIdentity>,
}

/// Which model was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelIdentity {
    /// The name that reports call it by.
    pub name: String,
    /// BLAKE3 hash of the packed model in hexadecimal digits.
    pub blake3: String,
    /// Number of parameters.
    pub parameters: u64,
    /// Bytes of the packed model.
    pub bytes: u64,
}

/// Names of the columns that [`Provenance::cells`] fills.
pub(super) const COLUMNS: [&str; 8] = [
    "llmzip_version",
    "command",
    "date",
    "cpu",
    "cores",
    "threads",
    "kernels",
    "model_blake3",
];

impl ModelIdentity {
    /// The models of those `candidates` that have one.
    pub fn of(candidates: &[Candidate]) -> Vec<ModelIdentity> {
        let of_one = |candidate: &Candidate| {
            let hash = candidate.identity()?;
            Some(ModelIdentity {
                name: candidate.name().to_owned(),
                blake3: hex(&hash),
                parameters: candidate.parameters(),
                bytes: candidate.model_bytes(),
            })
        };
        candidates.iter().filter_map(of_one).collect()
    }
}

impl Provenance {
    /// One JSON object, specified in `docs/REPORTS.md`.
    pub(super) fn json(&self) -> Value {
        let model = |model: &ModelIdentity| {
            json!({
                "name": model.name,
                "blake3": model.blake3,
                "parameters": model.parameters,
                "bytes": model.bytes,
            })
        };
        json!({
            "llmzip_version": self.version,
            "command": self.command,
            "date": self.date,
            "machine": {
                "cpu": self.known_cpu(),
                "cores": self.cores,
                "system": self.system,
            },
            "threads": self.threads,
            "kernels": self.kernels,
            "models": self.models.iter().map(model).collect::<Vec<_>>(),
        })
    }

    /// The cells of [`COLUMNS`] in a row about the model called `model`. The last one is empty for
    /// anything but a model.
    pub(super) fn cells(&self, model: &str) -> Vec<String> {
        let identity = self.models.iter().find(|one| one.name == model);
        vec![
            self.version.clone(),
            self.command.clone(),
            self.date.clone(),
            self.cpu.clone(),
            self.cores.to_string(),
            self.threads.to_string(),
            self.kernels.clone(),
            identity.map_or_else(String::new, |one| one.blake3.clone()),
        ]
    }

    /// Two lines: the command, and everything else but the models.
    pub(super) fn lines(&self) -> [String; 2] {
        let cpu = self.known_cpu().unwrap_or("unknown processor");
        [
            one_line(&self.command),
            one_line(&format!(
                "llmzip {}, {}, {cpu}, cores: {}, threads: {}, kernels: {}, {}",
                self.version, self.date, self.cores, self.threads, self.kernels, self.system
            )),
        ]
    }

    /// A paragraph of Markdown, the command as code.
    pub(super) fn markdown(&self) -> String {
        let [command, rest] = self.lines();
        let models: Vec<String> = self.models.iter().map(short).collect();
        let models = models.join(", ");
        let models = if models.is_empty() { "none" } else { &models };
        let rest = markdown(&format!("{rest}. Models: {models}."));
        format!("    {command}\n\n{rest}\n")
    }

    /// A table in HTML.
    pub(super) fn html(&self) -> String {
        let [command, rest] = self.lines();
        let models: String = self
            .models
            .iter()
            .map(|model| {
                format!(
                    "<li>{}: {} parameters, {} bytes, blake3 <code>{}</code></li>\n",
                    escaped(&model.name),
                    model.parameters,
                    model.bytes,
                    model.blake3
                )
            })
            .collect();
        format!(
            "<section id=\"provenance\"><h2>How this was made</h2>\n<p><code>{}</code></p>\n\
             <p>{}</p>\n<ul>\n{models}</ul></section>\n",
            escaped(&command),
            escaped(&rest)
        )
    }

    fn known_cpu(&self) -> Option<&str> {
        (!self.cpu.is_empty()).then_some(&self.cpu)
    }
}

/// Name and first digits of the identity, as `llmzip model list` shows them.
fn short(model: &ModelIdentity) -> String {
    let digits = model.blake3.get(..16).unwrap_or(&model.blake3);
    format!("{} ({digits})", one_line(&model.name))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::report) fn provenance() -> Provenance {
        Provenance {
            version: "1.2.3".to_owned(),
            command: "llmzip scaling 'a<b>.txt'".to_owned(),
            date: "2026-11-27T17:21:32Z".to_owned(),
            cpu: "Example, 4 GHz".to_owned(),
            cores: 4,
            system: "linux x86_64".to_owned(),
            threads: 2,
            kernels: "avx2".to_owned(),
            models: vec![ModelIdentity {
                name: "m1".to_owned(),
                blake3: "ab".repeat(32),
                parameters: 1,
                bytes: 2,
            }],
        }
    }

    #[test]
    fn every_column_has_a_cell_and_only_models_an_identity() {
        let made = provenance();
        for (name, identity) in [("m1", "ab".repeat(32)), ("xz -9e", String::new())] {
            let cells = made.cells(name);
            assert_eq!(cells.len(), COLUMNS.len());
            assert_eq!(cells.last(), Some(&identity));
        }
    }

    #[test]
    fn a_processor_without_a_name_is_said_to_be_unknown() {
        let mut made = provenance();
        assert_eq!(made.json()["machine"]["cpu"], "Example, 4 GHz");
        made.cpu.clear();
        assert_eq!(made.json()["machine"]["cpu"], Value::Null);
        assert!(made.lines()[1].contains("unknown processor"));
    }

    #[test]
    fn names_are_escaped_in_html() {
        let html = provenance().html();
        assert!(html.contains("a&lt;b&gt;.txt") && html.contains(&"ab".repeat(32)));
    }
}
