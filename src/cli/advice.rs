//! Hints that say what to type when something is wrong.
//!
//! The errors of the library say what is wrong. Only the program knows its commands and options, so
//! the hints that name them are added here, and nowhere else.

use std::path::Path;

use llmzip::Error;
#[cfg(feature = "gpu")]
use llmzip::engine::EngineError;
#[cfg(feature = "gpu")]
use llmzip::engine::vulkan::DeviceError;
#[cfg(feature = "hub")]
use llmzip::hub::HubError;
use llmzip::store::catalogue::{CATALOGUE, entry};
use llmzip::store::{Store, StoreError, hex, is_free_name};

use super::text;

/// The sentence for an error of compressing or decompressing.
pub fn library(error: &Error) -> String {
    match error {
        Error::MissingModel { identity, name } => missing_model(identity, name.as_deref()),
        Error::MissingPrime { .. } => format!("{error}; name its file with --prime"),
        Error::Store(error) => store(error),
        #[cfg(feature = "gpu")]
        Error::Engine(EngineError::Device(DeviceError::Absent { .. })) => {
            format!("{error}; llmzip devices lists what there is")
        }
        _ => error.to_string(),
    }
}

/// The sentence for a file whose model is not on this machine. `name` is what the file calls it.
fn missing_model(identity: &[u8; 8], name: Option<&str>) -> String {
    let digits = hex(identity);
    // Files name models by at most 16 bytes.
    let name = name.map(
        |name| match CATALOGUE.iter().find(|it| is_short_for(name, it.name)) {
            Some(entry) => entry.name,
            None => name,
        },
    );
    match name {
        Some(name) if Store::of_user().installed(name).is_ok() => format!(
            "needs the model with blake3 {digits}..., which is another {name} than the one \
             installed; run: llmzip model add PATH --name NEW"
        ),
        Some(name) if entry(name).is_some() => {
            format!("needs model {name} (blake3 {digits}...); run: llmzip model pull {name}")
        }
        Some(name) if is_free_name(name) => format!(
            "needs model {name} (blake3 {digits}...); run: llmzip model add PATH --name {name}"
        ),
        Some(name) => {
            format!("needs model {name} (blake3 {digits}...); run: llmzip model add PATH")
        }
        None => format!("needs the model with blake3 {digits}...; run: llmzip model add PATH"),
    }
}

/// Whether `name` is the name of an entry, or its first 16 bytes.
fn is_short_for(name: &str, entry: &str) -> bool {
    name == entry || name.len() == 16 && entry.starts_with(name)
}

/// How to get a model again that is damaged or missing. Adding it again under its name replaces the
/// file; nothing needs to be removed, and files may need the model.
fn again(name: &str) -> String {
    let store = Store::of_user();
    let installed = store.installed(name).ok();
    match installed.and_then(|installed| store.origin(&installed.identity)) {
        Some(origin) => {
            let file = origin.file.map_or(String::new(), |file| format!(":{file}"));
            let (repository, commit) = (origin.repository, origin.commit);
            format!("; run: llmzip model pull {repository}@{commit}{file} --name {name}")
        }
        None => {
            format!("; add it again from the same source (llmzip model add PATH --name {name})")
        }
    }
}

/// The sentence for an error of the model store.
pub(super) fn store(error: &StoreError) -> String {
    let hint = match error {
        StoreError::NoHome => "; set LLMZIP_HOME".to_owned(),
        StoreError::Reserved(_) => "; choose another with --name".to_owned(),
        StoreError::Folder(path) => format!("; pack it first (llmzip model add {path})"),
        StoreError::Taken(name) => format!(
            "; choose another name with --name, or remove {name} if no file needs it \
             (llmzip model remove {name})"
        ),
        StoreError::Unknown(name) if entry(name).is_some() => {
            format!("; llmzip model pull {name} fetches it")
        }
        StoreError::Unknown(name) if Path::new(name).is_file() => {
            format!("; for the file, write ./{name}")
        }
        StoreError::Unknown(name) if Path::new(name).is_dir() => {
            format!("; for the folder, pack it first (llmzip model add ./{name})")
        }
        StoreError::Unknown(name) => match similar_model(name) {
            Some(similar) => format!("; did you mean {similar}?"),
            None => "; llmzip model list shows those installed".to_owned(),
        },
        StoreError::Damaged { name, .. } | StoreError::Missing(name) => again(name),
        StoreError::DamagedName(name) => {
            format!("; remove it (llmzip model remove {name}) and add it again")
        }
        _ => String::new(),
    };
    format!("{error}{hint}")
}

/// The installed model, or the one that can be fetched by a short name, that was meant.
fn similar_model(name: &str) -> Option<String> {
    let installed = llmzip::Models::installed().names().unwrap_or_default();
    let names = installed
        .iter()
        .map(String::as_str)
        .chain(CATALOGUE.iter().map(|entry| entry.name));
    text::similar(name, names).map(str::to_owned)
}

/// The sentence for an error of fetching a model.
#[cfg(feature = "hub")]
pub(super) fn hub(error: &HubError) -> String {
    let hint = match error {
        HubError::Unreachable { .. } => {
            "; check the network, or add a local file: llmzip model add PATH"
        }
        HubError::Status {
            status: 401 | 403, ..
        } => "; if you have access, set HF_TOKEN",
        HubError::Corrupt { .. } | HubError::Silent { .. } => "; try again",
        HubError::Pinned { .. } => {
            "; to take what the hub has, name the repository (llmzip model pull OWNER/REPO)"
        }
        HubError::Endpoint(_) => "; set HF_ENDPOINT",
        HubError::Proxy(_) | HubError::Certificates(_) => "; set it anew, or unset it",
        HubError::Token => "; set HF_TOKEN anew",
        HubError::Offline { .. } => "; unset HF_HUB_OFFLINE to fetch it",
        HubError::NoHome => "; set HF_HOME",
        HubError::Several { .. } => "; name one (llmzip model pull OWNER/REPO:NAME)",
        HubError::BadName(_) => " (llmzip model list --available)",
        _ => "",
    };
    format!("{error}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_model_comes_with_the_command_that_gets_it() {
        let identity = [0x3f, 0x9c, 1, 2, 3, 4, 5, 6];
        assert_eq!(
            missing_model(&identity, Some("smollm2-135m")),
            "needs model smollm2-135m (blake3 3f9c010203040506...); \
             run: llmzip model pull smollm2-135m"
        );
        assert!(missing_model(&identity, Some("mine")).contains("model add PATH --name mine"));
        assert!(missing_model(&identity, Some("owner/model@main")).ends_with("model add PATH"));
        assert!(missing_model(&identity, None).contains("3f9c"));
        let name = Some("smollm2-135m".to_owned());
        let error = Error::MissingModel { identity, name };
        assert!(library(&error).ends_with("run: llmzip model pull smollm2-135m"));
    }

    #[test]
    fn errors_of_the_store_come_with_a_command() {
        let unknown = |name: &str| store(&StoreError::Unknown(name.to_owned()));
        assert_eq!(
            unknown("unheard-of"),
            "no model unheard-of; llmzip model list shows those installed"
        );
        assert_eq!(unknown("mimi"), "no model mimi; did you mean mini?");
        assert_eq!(
            unknown("smollm2-360m"),
            "no model smollm2-360m; llmzip model pull smollm2-360m fetches it"
        );
        let taken = store(&StoreError::Taken("mine".to_owned()));
        assert!(taken.contains("choose another name with --name"), "{taken}");
        assert!(taken.contains("(llmzip model remove mine)"), "{taken}");
        let folder = store(&StoreError::Folder("a/b".to_owned()));
        assert!(folder.contains("(llmzip model add a/b)"), "{folder}");
    }

    #[cfg(feature = "hub")]
    #[test]
    fn errors_of_the_hub_come_with_what_to_do() {
        let refused = |status| {
            let what = "owner/repo".to_owned();
            let retry_after = None;
            hub(&HubError::Status {
                what,
                status,
                retry_after,
            })
        };
        assert!(refused(403).contains("HF_TOKEN"));
        assert!(!refused(500).contains("HF_TOKEN"));
        let unreachable = hub(&HubError::Unreachable {
            server: "http://127.0.0.1:1".to_owned(),
            reason: "refused".to_owned(),
        });
        assert!(unreachable.contains("llmzip model add PATH"));
    }
}
