//! Answers of a hub that does what it should not: statuses, names, sizes, lies.

use std::fs;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::room::{FILES, Room, count, failure, is_fetched, says};
use super::server::{About, COMMIT, Reply, Server, fixture, git_hash, listing, sha256};
use super::{Hub, HubError, Repository};
use crate::store::{Pin, PinnedFile};

#[test]
fn statuses_become_sentences() {
    let stages = [
        (About::Listing, "owner/tiny"),
        (About::Metadata, "config.json"),
        (About::Bytes, "config.json"),
    ];
    for (about, what) in stages {
        for status in [
            101, 204, 300, 304, 305, 400, 401, 403, 404, 416, 429, 500, 503, 599, 999,
        ] {
            let server = Server::start(move |request, reply| match request.about() == about {
                true => Reply { status, ..reply },
                false => reply,
            });
            let error = failure(&server);
            says(&error, &format!("{what}: the hub answered {status}"));
        }
    }
    let refused = Server::start(|_, _| Reply::new(403, Vec::new()));
    says(&failure(&refused), "private or gated");
}

#[test]
fn what_is_no_http_becomes_a_sentence() {
    for head in [
        &b"SSH-2.0-OpenSSH_9.6\r\n"[..],
        b"HTTP/1.1 099 Status\r\n\r\n",
        b"HTTP/1.1 200 Status\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 Status\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 Status\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 Status\r\n\x1b[2J: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            use std::io::{Read, Write};
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(head);
            }
        });
        let room = Room::new();
        let hub = Hub::new(&address, &room.cache(), None, false).unwrap();
        let error = hub.fetch_path(&Repository::parse("owner/tiny").unwrap());
        let error = error.unwrap_err().to_string();
        assert!(!error.contains(char::is_control), "{error:?}");
        room.is_intact();
    }
}

#[test]
fn names_that_a_hub_chooses_never_become_paths() {
    let up = "../../../../victim/.bashrc";
    for name in ["ETag", "X-Linked-Etag"] {
        let server =
            Server::start(
                move |request, reply| match request.is_config(About::Metadata) {
                    true => reply.with(name, &format!("\"{up}\"")),
                    false => reply,
                },
            );
        says(&failure(&server), "announces no hash");
    }
    let server = Server::start(move |_, reply| reply.with("X-Repo-Commit", "../../../../victim2"));
    says(&failure(&server), "does not confirm");
    for commit in ["../../../../../x", "main", "", &COMMIT[1..]] {
        let body = listing(commit, &FILES);
        let server = Server::start(move |request, reply| match request.about() {
            About::Listing => Reply::new(200, body.clone()),
            _ => reply,
        });
        says(&failure(&server), "names no commit");
    }
    // Names that are not asked for are not looked at.
    let names = [
        "../../evil",
        "/etc/passwd",
        "a\0b",
        "..\\c",
        "\u{1b}[2J",
        "model.safetensors",
    ];
    let server = Server::start(move |request, reply| match request.about() {
        About::Listing => Reply::new(200, listing(COMMIT, &names)),
        _ => reply,
    });
    is_fetched(&server, &Room::new());
}

/// A hub whose only list of shards has this map.
fn with_shards(map: serde_json::Value) -> Server {
    let index = serde_json::json!({"weight_map": map});
    let index = index.to_string().into_bytes();
    Server::start(move |request, reply| match request.name() {
        "main" => Reply::new(200, listing(COMMIT, &["model.safetensors.index.json"])),
        "model.safetensors.index.json" => Reply::new(200, index.clone())
            .with("X-Repo-Commit", COMMIT)
            .with("ETag", &git_hash(&index)),
        _ => reply,
    })
}

#[test]
fn names_of_shards_stay_in_the_folder() {
    for shard in [
        "../../evil.safetensors",
        "/tmp/evil.safetensors",
        "..\\evil.safetensors",
        "a\u{0}b.safetensors",
        "\u{1b}[2J.safetensors",
        "\u{202e}evil.safetensors",
        "C:evil.safetensors",
        ".safetensors",
    ] {
        let server = with_shards(serde_json::json!({"a": shard}));
        let room = Room::new();
        let error = server.fetch(&room.cache()).unwrap_err().to_string();
        says(&error, "no name of a safetensors file");
        assert!(
            !error.contains(char::is_control) && !error.contains('\u{202e}'),
            "{error}"
        );
        assert_eq!(
            fs::read(room.0.path().join("victim/.bashrc")).unwrap(),
            b"mine"
        );
        assert_eq!(fs::read_dir(room.0.path()).unwrap().count(), 2);
    }
    let shards: serde_json::Map<_, _> = (0..1001)
        .map(|n| (n.to_string(), format!("{n}.safetensors").into()))
        .collect();
    let server = with_shards(shards.into());
    let error = server.fetch(&Room::new().cache()).unwrap_err().to_string();
    says(&error, "names 1001 files");
}

#[test]
fn only_the_first_answer_about_a_file_counts() {
    let server = Server::start(|request, reply| match request.is_config(About::Bytes) {
        true => reply
            .with("ETag", "\"../../../../victim/.bashrc\"")
            .with("X-Linked-Etag", "\"../../../../victim/.bashrc\"")
            .with("X-Linked-Size", "209715200")
            .with("X-Repo-Commit", "../../../../victim2"),
        false => reply,
    });
    is_fetched(&server, &Room::new());
    // A weak tag is a hash all the same.
    let server = Server::start(|request, reply| match request.is_config(About::Metadata) {
        true => {
            let hash = git_hash(&fixture("config.json"));
            reply.with("ETag", &format!("W/\"{hash}\""))
        }
        false => reply,
    });
    is_fetched(&server, &Room::new());
}

#[test]
fn heads_and_listings_have_limits() {
    let server = Server::start(|_, reply| reply.with("X-Long", &"x".repeat(100_000)));
    says(
        &failure(&server),
        "the head of the answer has more than 65536 bytes",
    );
    let server = Server::start(|_, mut reply| {
        for n in 0..1000 {
            reply.headers.push((format!("X-{n}"), "x".to_owned()));
        }
        reply
    });
    says(&failure(&server), "not HTTP");
    for text in [
        "[".repeat(1 << 20),
        "<html>welcome</html>".to_owned(),
        "{}".to_owned(),
        "{\"sha\": \"\u{1b}[2J\", \"siblings\": \"\u{1b}[2J\"}".to_owned(),
        "{\"sha\": 1, \"siblings\": []}".to_owned(),
        "\u{feff}\u{0}".to_owned(),
        String::new(),
    ] {
        let server = Server::start(move |request, reply| match request.about() {
            About::Listing => Reply::new(200, text.clone().into_bytes()),
            _ => reply,
        });
        says(&failure(&server), "owner/tiny: its listing is unreadable");
    }
}

#[test]
fn sizes_must_fit_the_kind_of_file() {
    for (size, part) in [
        ("1000000000000000000", "at most 4194304"),
        ("18446744073709551615", "at most 4194304"),
        ("18446744073709551616", "no size"),
        ("-1", "no size"),
        ("0", "empty"),
        ("", "no size"),
    ] {
        let server =
            Server::start(
                move |request, reply| match request.is_config(About::Metadata) {
                    true => reply.with("X-Linked-Size", size),
                    false => reply,
                },
            );
        says(&failure(&server), part);
        assert_eq!(count(&server, About::Bytes), 0);
    }
}

#[test]
fn a_commit_that_is_asked_for_is_the_one_that_is_answered() {
    let server = Server::start(|request, reply| match request.about() {
        About::Listing => Reply::new(200, listing(COMMIT, &FILES)),
        _ => reply,
    });
    let room = Room::new();
    let fetch = |commit: &str| {
        let repository = Repository::parse(&format!("owner/tiny@{commit}")).unwrap();
        server.client(&room.cache()).fetch_path(&repository)
    };
    let other = COMMIT.replace('0', "f");
    says(&fetch(&other).unwrap_err().to_string(), "another commit");
    assert!(fetch(COMMIT).is_ok());
}

#[test]
fn a_hub_that_changes_its_mind_between_two_files_gives_one_commit() {
    let calls = AtomicUsize::new(0);
    let server = Server::start(move |request, reply| {
        let is_later = calls.fetch_add(1, Ordering::Relaxed) > 4;
        match request.about() {
            About::Metadata if is_later => reply.with("X-Repo-Commit", &COMMIT.replace('0', "f")),
            _ => reply,
        }
    });
    says(
        &failure(&server),
        "does not confirm that it is of commit 0123456789",
    );
}

#[test]
fn a_short_name_means_the_same_files_on_every_hub() {
    let pinned = |sha256: fn(&str) -> String| {
        let file = |name: &str| PinnedFile {
            name: name.to_owned(),
            size: fixture(name).len() as u64,
            hash: sha256(name),
        };
        let pin = Pin {
            commit: COMMIT.to_owned(),
            files: FILES.iter().map(|name| file(name)).collect(),
        };
        Repository::parse("owner/tiny").unwrap().pinned_to(pin)
    };
    let (server, room) = (Server::sound(), Room::new());
    let right = pinned(|name| sha256(&fixture(name)));
    server.client(&room.cache()).fetch_path(&right).unwrap();
    // The commit is known, so that nobody needs to be asked for it.
    assert_eq!(count(&server, About::Listing), 0);

    // A hub with another configuration under the same commit, and one with other weights.
    for wrong in ["config.json", "model.safetensors"] {
        let other = match wrong {
            "config.json" => pinned(|name| sha256(name.trim_start_matches("model").as_bytes())),
            _ => pinned(|name| match name {
                "model.safetensors" => sha256(b""),
                _ => sha256(&fixture(name)),
            }),
        };
        let server = Server::sound();
        for offline in [false, true] {
            let hub = match offline {
                true => Hub::new(&server.own, &room.cache(), None, true).unwrap(),
                false => server.client(&room.cache()),
            };
            match hub.fetch_path(&other).unwrap_err() {
                HubError::Pinned { file, .. } => assert_eq!(file, wrong),
                error => panic!("{error}"),
            }
        }
    }
    let short = Repository::parse("smollm2-135m").unwrap();
    let server = Server::start(|request, reply| match request.about() {
        // Any commit is confirmed.
        About::Metadata => {
            let commit = request.path.split('/').nth(4).unwrap();
            reply.with("X-Repo-Commit", commit)
        }
        _ => reply,
    });
    let error = server
        .client(&Room::new().cache())
        .fetch_path(&short)
        .unwrap_err();
    says(
        &error.to_string(),
        "not the file that the short name stands for",
    );
    assert_eq!(count(&server, About::Bytes), 0);
}
