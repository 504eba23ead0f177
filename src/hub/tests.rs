//! Fetching from a hub that behaves well, and the cache.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use super::room::{FILES, FOLDER, Room, count, is_fetched, says};
use super::server::{About, COMMIT, Reply, Server, fixture, git_hash, listing, sha256, small_file};
use super::{Hub, HubError, Repository};
use crate::import::gguf::tests::tiny_gguf;

#[test]
fn a_model_that_cannot_be_used_is_refused_before_its_weights_are_fetched() {
    let config = br#"{"architectures": ["BertForMaskedLM"]}"#;
    let server = Server::start(move |request, reply| match request.name() {
        "config.json" => Reply::new(200, config.to_vec())
            .with("X-Repo-Commit", COMMIT)
            .with("ETag", &format!("\"{}\"", git_hash(config))),
        _ => reply,
    });
    let room = Room::new();
    let error = server.fetch(&room.cache()).unwrap_err().to_string();
    says(&error, "BertForMaskedLM");
    assert_eq!(count(&server, About::Bytes), 1);
}

#[test]
fn a_sound_repository_is_fetched_once_and_packs_to_the_frozen_bytes() {
    let (server, room) = (Server::sound(), Room::new());
    let folder = server.fetch(&room.cache()).unwrap();
    let mut source = crate::import::open(&folder).unwrap();
    source.set_wide(false);
    let packed = source.pack().unwrap();
    assert!(packed == crate::store::embedded::FIXTURE);
    room.is_intact();
    // Each file has one request about it and one for its bytes; that of the large file is
    // redirected, but not asked about again.
    assert_eq!(count(&server, About::Metadata), 3);
    assert_eq!(count(&server, About::Bytes), 3);

    assert_eq!(server.fetch(&room.cache()).unwrap(), folder);
    assert_eq!(count(&server, About::Metadata), 6);
    assert_eq!(count(&server, About::Bytes), 3);

    let offline = Hub::new("http://127.0.0.1:1", &room.cache(), None, true).unwrap();
    for name in ["owner/tiny", &format!("owner/tiny@{COMMIT}")] {
        let repository = Repository::parse(name).unwrap();
        assert_eq!(offline.fetch_path(&repository).unwrap(), folder);
    }
    for name in ["owner/other", "owner/tiny@dev"] {
        let repository = Repository::parse(name).unwrap();
        says(
            &offline.fetch_path(&repository).unwrap_err().to_string(),
            "the hub is offline",
        );
    }
}

#[cfg(unix)]
#[test]
fn the_cache_has_the_layout_of_other_tools() {
    let (server, room) = (Server::sound(), Room::new());
    server.fetch(&room.cache()).unwrap();
    let weights = sha256(&fixture("model.safetensors"));
    let link = fs::read_link(room.at(&format!("snapshots/{COMMIT}/model.safetensors"))).unwrap();
    assert_eq!(link, Path::new("../../blobs").join(&weights));
    assert_eq!(fs::read_to_string(room.at("refs/main")).unwrap(), COMMIT);
    let cache = hf_hub::Cache::new(room.cache());
    let found = cache
        .model("owner/tiny".to_owned())
        .get("config.json")
        .unwrap();
    assert!(fs::read(found).unwrap() == fixture("config.json"));
}

#[cfg(unix)]
#[test]
fn what_other_tools_have_fetched_is_not_fetched_again() {
    let room = Room::new();
    let snapshot = room.at(&format!("snapshots/{COMMIT}"));
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(room.at("blobs")).unwrap();
    for name in FILES {
        let body = fixture(name);
        let hash = match name.ends_with(".json") {
            true => git_hash(&body),
            false => sha256(&body),
        };
        fs::write(room.at(&format!("blobs/{hash}")), body).unwrap();
        // The weights have been fetched for another commit only.
        if name != "model.safetensors" {
            let target = format!("../../blobs/{hash}");
            std::os::unix::fs::symlink(target, snapshot.join(name)).unwrap();
        }
    }
    let server = Server::sound();
    is_fetched(&server, &room);
    assert_eq!(count(&server, About::Bytes), 0);
}

#[test]
fn a_damaged_file_in_the_cache_is_fetched_again_and_refused_offline() {
    let (server, room) = (Server::sound(), Room::new());
    let folder = server.fetch(&room.cache()).unwrap();
    let mut body = fixture("model.safetensors");
    body[1000] ^= 1;
    fs::write(
        folder.join("model.safetensors").canonicalize().unwrap(),
        body,
    )
    .unwrap();
    let offline = Hub::new("http://127.0.0.1:1", &room.cache(), None, true).unwrap();
    let error = offline.fetch_path(&Repository::parse("owner/tiny").unwrap());
    says(
        &error.unwrap_err().to_string(),
        "model.safetensors: in the cache, its hash is",
    );
    is_fetched(&server, &room);
}

#[test]
fn two_fetches_at_once_do_not_disturb_each_other() {
    let (server, room) = (Server::sound(), Room::new());
    std::thread::scope(|scope| {
        let fetches: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| server.fetch(&room.cache()).unwrap()))
            .collect();
        for fetch in fetches {
            let folder = fetch.join().unwrap();
            let weights = fs::read(folder.join("model.safetensors")).unwrap();
            assert!(weights == fixture("model.safetensors"));
        }
    });
    room.is_intact();
    assert_eq!(count(&server, About::Bytes), 3);
}

#[cfg(unix)]
#[test]
fn links_do_not_lead_out_of_the_cache() {
    use std::os::unix::fs::symlink;
    let weights = sha256(&fixture("model.safetensors"));
    let outside = |room: &Room| {
        let path = room.0.path().join("outside");
        fs::create_dir_all(&path).unwrap();
        path
    };
    // A folder of the cache that is a link.
    for folder in ["", "blobs", "snapshots", "refs"] {
        let room = Room::new();
        let (place, target) = (room.at(folder), outside(&room));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        let place = place.to_str().unwrap().trim_end_matches('/');
        symlink(&target, place).unwrap();
        let error = Server::sound()
            .fetch(&room.cache())
            .unwrap_err()
            .to_string();
        says(&error, "leads out of the cache");
        assert_eq!(fs::read_dir(&target).unwrap().count(), 0, "{folder}");
    }
    // Links in the place of files are replaced, not written through.
    let snapshot = format!("snapshots/{COMMIT}");
    let planted = [
        format!("blobs/{weights}"),
        format!("blobs/{weights}.llmzip-part"),
        format!("{snapshot}/model.safetensors"),
        "refs/main".to_owned(),
    ];
    for place in planted {
        let room = Room::new();
        let path = room.at(&place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(room.0.path().join("victim/.bashrc"), &path).unwrap();
        is_fetched(&Server::sound(), &room);
    }
    // A file outside is not taken for one of the cache, even if it has the right content.
    let room = Room::new();
    let target = outside(&room).join(&weights);
    fs::write(&target, fixture("model.safetensors")).unwrap();
    fs::create_dir_all(room.at(&snapshot)).unwrap();
    symlink(&target, room.at(&format!("{snapshot}/model.safetensors"))).unwrap();
    let folder = Server::sound().fetch(&room.cache()).unwrap();
    let real = folder.join("model.safetensors").canonicalize().unwrap();
    assert!(real.starts_with(room.cache().canonicalize().unwrap()));
}

#[cfg(unix)]
#[test]
fn a_note_of_a_commit_that_is_none_is_not_followed() {
    let room = Room::new();
    fs::create_dir_all(room.at("refs")).unwrap();
    fs::write(room.at("refs/main"), "../../../../victim").unwrap();
    let offline = Hub::new("http://127.0.0.1:1", &room.cache(), None, true).unwrap();
    let error = offline.fetch_path(&Repository::parse("owner/tiny").unwrap());
    says(&error.unwrap_err().to_string(), "the hub is offline");
}

#[test]
fn no_network_is_one_sentence() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let room = Room::new();
    let hub = Hub::new(&address, &room.cache(), None, false).unwrap();
    for name in ["owner/tiny", "smollm2-135m"] {
        let error = hub
            .fetch_path(&Repository::parse(name).unwrap())
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("cannot reach http://127"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn the_address_of_a_page_names_its_repository() {
    let parsed = |text: &str| Repository::parse(text).unwrap();
    for page in [
        "https://huggingface.co/owner/Tiny-1.5",
        "hf.co/owner/Tiny-1.5/",
        "huggingface.co/owner/Tiny-1.5/tree/main",
    ] {
        assert_eq!(parsed(page), parsed("owner/Tiny-1.5"), "{page}");
    }
    let branch = parsed("https://hf.co/owner/tiny/tree/refs/pr/3");
    assert_eq!(branch, parsed("owner/tiny@refs/pr/3"));
    for bad in [
        "https://hub.example/owner/tiny",
        "https://hf.co/owner",
        "hf.co/",
    ] {
        assert!(Repository::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_cache_and_the_token_may_lie_apart() {
    let (server, room) = (Server::sound(), Room::new());
    let token = room.0.path().join("elsewhere");
    fs::write(&token, "secret\n").unwrap();
    let hub = |with_token: bool| {
        Hub::of_environment(&|name| match name {
            "HF_ENDPOINT" => Some(server.own.clone().into()),
            "HF_HOME" => Some(room.0.path().join("nowhere").into()),
            "HF_HUB_CACHE" => Some(room.cache().into()),
            "HF_TOKEN_PATH" if with_token => Some(token.clone().into()),
            _ => None,
        })
    };
    let tiny = Repository::parse("owner/tiny").unwrap();
    let error = hub(false)
        .unwrap()
        .fetch_path(&tiny)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("403") || error.contains("restricted"),
        "{error}"
    );
    let folder = hub(true).unwrap().fetch_path(&tiny).unwrap();
    assert!(folder.starts_with(room.cache()));
}

#[test]
fn a_proxy_is_asked_and_named() {
    let (server, room) = (Server::sound(), Room::new());
    // A port at which nobody listens.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = free.local_addr().unwrap();
    drop(free);
    let hub = |bypassed: &str| {
        Hub::of_environment(&|name| match name {
            "HF_ENDPOINT" => Some(server.own.clone().into()),
            "HF_HOME" => Some(room.0.path().into()),
            "HF_TOKEN" => Some("secret".into()),
            "ALL_PROXY" => Some(format!("http://me:word@{nobody}").into()),
            "NO_PROXY" => Some(bypassed.into()),
            _ => None,
        })
    };
    let tiny = Repository::parse("owner/tiny").unwrap();
    let error = hub("").unwrap().fetch_path(&tiny).unwrap_err().to_string();
    let named = format!("through the proxy {nobody} (");
    assert!(error.contains(&named) && !error.contains("word"), "{error}");
    hub("127.0.0.1").unwrap().fetch_path(&tiny).unwrap();
}

#[cfg(unix)]
#[test]
fn variables_that_are_no_text_are_refused_and_not_ignored() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let room = Room::new();
    let home = room.0.path().join("home");
    let with = |name: &str, value: &[u8]| {
        Hub::of_environment(&|asked| match asked {
            "HF_HOME" => Some(home.clone().into_os_string()),
            asked => (asked == name).then(|| OsString::from_vec(value.to_vec())),
        })
    };
    with("HF_ENDPOINT", b"").unwrap();
    let error = with("HF_ENDPOINT", b"http://hub\xff").unwrap_err();
    assert!(matches!(error, HubError::Endpoint(_)), "{error}");
    for proxy in [b"http://hub\xff", &b"http://hub:99999"[..]] {
        let error = with("https_proxy", proxy).unwrap_err();
        assert!(matches!(error, HubError::Proxy(_)), "{error}");
    }
    let error = with("HF_TOKEN", b"secret\xff").unwrap_err();
    assert!(matches!(error, HubError::Token), "{error}");
    fs::create_dir_all(&home).unwrap();
    fs::write(home.join("token"), b"secret\xff").unwrap();
    let error = with("", b"").unwrap_err();
    assert!(matches!(error, HubError::Token), "{error}");
    with("HF_TOKEN", b"another").unwrap();
    for token in ["sécret", "two\nlines"] {
        let error = with("HF_TOKEN", token.as_bytes()).unwrap_err();
        assert!(matches!(error, HubError::Token), "{error}");
    }
    fs::remove_file(home.join("token")).unwrap();
    let error = with("HF_ENDPOINT", b"http://me:word@hub:99999")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("\"http://hub:99999\"") && !error.contains("word"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn pipes_in_the_cache_keep_nobody_waiting() {
    let room = Room::new();
    let pipe = |path: &Path| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let made = std::process::Command::new("mkfifo").arg(path).status();
        assert!(made.unwrap().success());
    };
    pipe(&room.0.path().join("home/token"));
    pipe(&room.at("refs/main"));
    let lock = room.cache().join(".locks").join(FOLDER).join("llmzip.lock");
    pipe(&lock);
    let server = Server::sound();
    let hub = |offline: bool| {
        // Without a token, the one in the file is looked for.
        let token = (!offline).then(|| "secret".to_owned());
        Hub::new(&server.own, &room.cache(), token, offline).unwrap()
    };
    let repository = Repository::parse("owner/tiny").unwrap();
    hub(true).fetch_path(&repository).unwrap_err();
    hub(false).fetch_path(&repository).unwrap_err();
    fs::remove_file(lock).unwrap();
    hub(false).fetch_path(&repository).unwrap();
}

#[test]
fn what_is_no_address_or_no_token_is_refused() {
    let room = Room::new();
    let hub = |endpoint: &str, token: &str| {
        Hub::new(endpoint, &room.cache(), Some(token.to_owned()), false)
    };
    for bad in [
        "",
        "hub.example",
        "file:///etc",
        "ftp://hub.example",
        "http://",
        "https://\n",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:abc",
        "https://hub.example:65536/path",
    ] {
        assert!(
            matches!(hub(bad, "secret"), Err(HubError::Endpoint(_))),
            "{bad}"
        );
    }
    assert!(matches!(
        hub("https://hub.example", "a\nb"),
        Err(HubError::Token)
    ));
    let hub = hub("https://hub.example/", " secret\n").unwrap();
    assert!(!format!("{hub:?}").contains("secret"));
}

/// A hub whose repository holds files with these names, each a GGUF model.
fn gguf_hub(
    names: &'static [&'static str],
    model: impl Fn() -> Vec<u8> + Send + Sync + 'static,
) -> Server {
    Server::start(move |request, reply| match request.about() {
        About::Listing => Reply::new(200, listing(COMMIT, names)),
        _ if names.contains(&request.name()) => small_file(request, model()),
        _ => reply,
    })
}

#[test]
fn a_gguf_model_of_a_repository_is_fetched_by_its_name() {
    let names = &[
        "README.md",
        "Tiny-Q4_0.gguf",
        "Tiny-Q8_0.gguf",
        "mmproj.gguf",
    ];
    let (server, room) = (gguf_hub(names, tiny_gguf), Room::new());
    let fetch = |name: &str| {
        let repository = Repository::parse(name).unwrap();
        server
            .client(&room.cache())
            .fetch(&repository, &mut |_, _, _| {})
    };
    says(
        &fetch("owner/tiny").unwrap_err().to_string(),
        "several GGUF models: Tiny-Q4_0.gguf",
    );
    says(
        &fetch("owner/tiny:Q2_K").unwrap_err().to_string(),
        "is called Q2_K: Tiny-Q4_0.gguf",
    );
    assert_eq!(count(&server, About::Bytes), 0);
    let fetched = fetch("owner/tiny:q8_0").unwrap();
    assert_eq!(fetched.origin.file.as_deref(), Some("Tiny-Q8_0.gguf"));
    assert_eq!(fetched.pin.unwrap().files.len(), 1);
    assert!(fs::read(&fetched.path).unwrap() == tiny_gguf());
    assert!(crate::import::open(&fetched.path).is_ok());
    assert_eq!(count(&server, About::Bytes), 1);

    let offline = Hub::new("http://127.0.0.1:1", &room.cache(), None, true).unwrap();
    for name in ["owner/tiny:Q8_0", "owner/tiny"] {
        let repository = Repository::parse(name).unwrap();
        assert_eq!(
            offline.fetch_path(&repository).unwrap(),
            fetched.path,
            "{name}"
        );
    }
    let absent = Repository::parse("owner/tiny:Q4_0").unwrap();
    says(
        &offline.fetch_path(&absent).unwrap_err().to_string(),
        "Q4_0 of owner/tiny is not in the",
    );
}

#[test]
fn all_files_of_a_split_gguf_model_are_fetched() {
    let names = &["m-00002-of-00002.gguf", "m-00001-of-00002.gguf"];
    let (server, room) = (gguf_hub(names, tiny_gguf), Room::new());
    let path = server.fetch(&room.cache()).unwrap();
    assert!(path.ends_with("m-00001-of-00002.gguf"));
    assert!(path.with_file_name(names[0]).exists());
}

#[test]
fn a_gguf_model_of_another_kind_is_refused_before_all_of_it_is_fetched() {
    let other = || {
        let tiny = tiny_gguf();
        let at = tiny.windows(5).position(|it| it == b"llama").unwrap();
        let mut other = [&tiny[..at], b"blama", &tiny[at + 5..]].concat();
        other.resize(10_000_000, 0);
        other
    };
    let (server, room) = (gguf_hub(&["m.gguf"], other), Room::new());
    let mut most = 0;
    let repository = Repository::parse("owner/tiny").unwrap();
    let hub = server.client(&room.cache());
    let error = hub
        .fetch(&repository, &mut |_, done, _| most = done)
        .unwrap_err();
    says(&error.to_string(), "architecture blama");
    assert!(most < 1_000_000, "{most}");
    assert_eq!(fs::read_dir(room.at("blobs")).unwrap().count(), 0);
    let (server, room) = (gguf_hub(&["m.gguf"], || vec![b'x'; 100]), Room::new());
    says(
        &server.fetch(&room.cache()).unwrap_err().to_string(),
        "not a GGUF file",
    );
}

#[test]
fn names_of_repositories() {
    let short = Repository::parse("smollm2-360m").unwrap();
    let commit = "f8027fd0eaeea54caa13c31d31b9fdc459c38b49";
    assert_eq!(
        (&*short.id, &*short.revision),
        ("HuggingFaceTB/SmolLM2-360M", commit)
    );
    assert!(short.pin.is_some());
    // Who names a revision, or the repository, takes what the hub has.
    for name in ["smollm2-360m@main", "HuggingFaceTB/SmolLM2-360M"] {
        let free = Repository::parse(name).unwrap();
        assert_eq!(
            (&*free.id, &*free.revision),
            ("HuggingFaceTB/SmolLM2-360M", "main")
        );
        assert!(free.pin.is_none());
    }
    let full = Repository::parse("a/b-1.5@refs/pr/1").unwrap();
    assert_eq!((&*full.id, &*full.revision), ("a/b-1.5", "refs/pr/1"));
    for (text, place, file) in [
        ("a/b:Q8_0", "a/b@main", Some("Q8_0")),
        ("a/b@v1:m.gguf", "a/b@v1", Some("m.gguf")),
        ("hf.co/a/b:Q4_K_M", "a/b@main", Some("Q4_K_M")),
        (
            "https://huggingface.co/a/b/blob/main/m.gguf",
            "a/b@main",
            Some("m.gguf"),
        ),
        (
            "https://huggingface.co/a/b/resolve/v1/m.gguf?download=true",
            "a/b@v1",
            Some("m.gguf"),
        ),
        ("https://huggingface.co/a/b/tree/main", "a/b@main", None),
    ] {
        let repository = Repository::parse(text).unwrap();
        assert_eq!(format!("{}@{}", repository.id, repository.revision), place);
        assert_eq!(repository.file.as_deref(), file, "{text}");
    }
    for bad in [
        "a/b:",
        "a/b:../x",
        "a/b:x/y.gguf",
        "a/b:x:y",
        "smollm2-135m:Q8 0",
        "",
        "a",
        "a/",
        "/b",
        "a/b/c",
        "a/..",
        "a/b@",
        "a/b@../x",
        "a b/c",
        "a/b@x\0",
        "a/b@x/../../y",
        "a--b/c",
        "a/b--c",
        "a/b@\u{1b}[2J",
    ] {
        let error = Repository::parse(bad).unwrap_err().to_string();
        assert!(!error.contains(char::is_control), "{error:?}");
    }
}
