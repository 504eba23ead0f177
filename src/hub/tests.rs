//! Fetching from a server that behaves well, and from servers that do not.

use std::fs;
use std::net::TcpListener;

use super::server::{COMMIT, Fault, Server, fixture};
use super::{Hub, Repository};

#[test]
fn a_sound_repository_is_fetched_once_and_packs_to_the_frozen_bytes() {
    let server = Server::start(Fault::Nothing);
    let cache = tempfile::tempdir().unwrap();
    let folder = server.fetch(cache.path()).unwrap();
    let packed = crate::import::open(&folder).unwrap().pack().unwrap();
    assert!(packed == crate::store::embedded::FIXTURE);

    let downloads = |requests: &[String]| {
        let large = requests.iter().filter(|path| path.starts_with("/cdn/"));
        large.count()
    };
    let first = downloads(&server.requests());
    assert_eq!(server.fetch(cache.path()).unwrap(), folder);
    // The second time only the size is asked for.
    assert_eq!(downloads(&server.requests()), first + 1);

    let offline = Hub::new("http://127.0.0.1:1", cache.path(), None, true).unwrap();
    let commit = Repository::parse(&format!("owner/tiny@{COMMIT}")).unwrap();
    assert_eq!(offline.fetch(&commit).unwrap(), folder);
    let other = Repository::parse("owner/other").unwrap();
    let error = offline.fetch(&other).unwrap_err().to_string();
    assert!(error.contains("the hub is offline"), "{error}");
}

/// The sentence of a failed fetch; nothing wrong may be left in the cache.
fn failure(fault: Fault) -> String {
    let server = Server::start(fault);
    let cache = tempfile::tempdir().unwrap();
    let error = server.fetch(cache.path()).unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
    // A sound server then mends it.
    let again = Server::start(Fault::Nothing);
    let folder = again.fetch(cache.path()).unwrap();
    assert!(fs::read(folder.join("model.safetensors")).unwrap() == fixture("model.safetensors"));
    error
}

#[test]
fn a_refusal_is_a_sentence_with_the_likely_cause() {
    let error = failure(Fault::Forbidden);
    assert!(
        error.contains("403") && error.contains("private or gated"),
        "{error}"
    );
}

#[test]
fn short_long_and_wrong_bodies_are_noticed() {
    let error = failure(Fault::ShortBody);
    assert!(error.contains("bytes arrived of"), "{error}");
    let error = failure(Fault::LongBody);
    assert!(error.contains("bytes arrived of"), "{error}");
    let error = failure(Fault::WrongByte);
    assert!(error.contains("its hash is"), "{error}");
}

#[test]
fn answers_without_sense_are_refused() {
    assert!(failure(Fault::NoHash).contains("no hash"));
    assert!(failure(Fault::NotJson).contains("owner/tiny"));
    assert!(failure(Fault::BadShard).contains("shard name"));
}

#[test]
fn no_network_is_one_sentence() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::new(&address, cache.path(), None, false).unwrap();
    let error = hub.fetch(&Repository::parse("smollm2-135m").unwrap());
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("cannot reach http://127"), "{error}");
    assert!(!error.contains('\n'), "{error}");
}

#[test]
fn names_of_repositories() {
    let short = Repository::parse("smollm2-360m").unwrap();
    assert_eq!(
        (&*short.id, &*short.revision),
        ("HuggingFaceTB/SmolLM2-360M", "main")
    );
    let full = Repository::parse("a/b-1.5@refs/pr/1").unwrap();
    assert_eq!((&*full.id, &*full.revision), ("a/b-1.5", "refs/pr/1"));
    for bad in [
        "", "a", "a/", "/b", "a/b/c", "a/..", "a/b@", "a/b@../x", "a b/c",
    ] {
        assert!(Repository::parse(bad).is_err(), "{bad}");
    }
}
