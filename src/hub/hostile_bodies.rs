//! Bodies of a hub that does what it should not: silent, slow, endless, short, wrong.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::room::{Room, failure, is_fetched, says};
use super::server::{About, Body, Reply, Server, fixture, sha256};

#[test]
fn silence_ends_in_a_sentence() {
    let start = Instant::now();
    for about in [About::Listing, About::Metadata, About::Bytes] {
        // Nothing at all.
        let server = Server::start(move |request, reply| match request.about() == about {
            true => {
                std::thread::sleep(Duration::from_secs(20));
                reply
            }
            false => reply,
        });
        says(
            &failure(&server.for_the_impatient()),
            "the hub was silent for 500ms",
        );
    }
    for about in [About::Listing, About::Bytes] {
        let server = Server::start(move |request, reply| match request.about() == about {
            true => reply.sending(|body| Body::Stalled(body, 20)),
            false => reply,
        });
        says(
            &failure(&server.for_the_impatient()),
            "the hub was silent for 500ms",
        );
    }
    assert!(start.elapsed() < Duration::from_secs(18));
}

#[test]
fn a_drip_ends_in_a_sentence() {
    let start = Instant::now();
    let pause = Duration::from_millis(50);
    let endless = |first: &'static [u8], again: &[u8]| Body::Endless(first, again.to_vec(), pause);
    // A head that never ends, answers that are none, and bodies without a byte of the file.
    let drips = [
        (About::Metadata, endless(b"", b"X-More: more\r\n"), "silent"),
        (
            About::Metadata,
            endless(b"\r\n", b"HTTP/1.1 103 Hints\r\n\r\n"),
            "",
        ),
        (
            About::Bytes,
            endless(b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n"),
            "slowly",
        ),
        (
            About::Listing,
            endless(b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n[\r\n"),
            "slowly",
        ),
    ];
    for (about, body, part) in drips {
        let server = Server::start(move |request, reply| match request.about() == about {
            true => Reply {
                status: if part.is_empty() { 103 } else { reply.status },
                body: body.clone(),
                ..reply
            },
            false => reply,
        });
        says(&failure(&server.for_the_impatient()), part);
    }
    assert!(start.elapsed() < Duration::from_secs(18));
}

#[test]
fn a_file_that_drips_ends_whatever_its_length() {
    let start = Instant::now();
    // 20 bytes a second of some 87,000.
    let server = Server::start(|request, reply| match request.is_weights(About::Bytes) {
        true => Reply {
            body: Body::Endless(b"\r\n", vec![b'x'], Duration::from_millis(50)),
            ..reply
        },
        false => reply,
    });
    let server = server.for_the_impatient();
    let error = server.fetch(&Room::new().cache()).unwrap_err();
    says(&error.to_string(), "sends too slowly");
    assert!(start.elapsed() < Duration::from_secs(40));
}

#[test]
fn no_more_is_read_than_was_announced() {
    // Zeros for ever, as fast as they are read.
    let pour = |first| Body::Endless(first, vec![b'0'; 1 << 16], Duration::ZERO);
    let server = Server::start(
        move |request, reply| match request.is_config(About::Bytes) {
            true => Reply {
                body: pour(b"\r\n"),
                ..reply
            },
            false => reply,
        },
    );
    says(&failure(&server), "its hash is");
    let server = Server::start(move |request, reply| match request.about() {
        About::Listing => Reply {
            body: pour(b"\r\n"),
            ..reply
        },
        _ => reply,
    });
    says(&failure(&server), "more than 33554432 bytes");
    // The right bytes with others behind them: those are not read.
    let server = Server::start(|request, reply| match request.about() {
        About::Bytes => reply.sending(|mut body| {
            body.extend_from_slice(b"more");
            Body::Chunks(body)
        }),
        _ => reply,
    });
    is_fetched(&server, &Room::new());
}

#[test]
fn wrong_short_and_compressed_bodies_are_noticed() {
    let change = |change: fn(Vec<u8>) -> Body| {
        Server::start(
            move |request, reply| match request.is_weights(About::Bytes) {
                true if request.elsewhere => reply.sending(change),
                _ => reply,
            },
        )
    };
    let wrong = change(|mut body| {
        body[5000] ^= 1;
        Body::Whole(body)
    });
    says(&failure(&wrong), "its hash is");
    let long = change(|mut body| {
        body.push(0);
        Body::Whole(body)
    });
    says(&failure(&long), "announced were");
    let short = change(|body| Body::Whole(body[1..].to_vec()));
    says(&failure(&short), "announced were");
    let short = change(|body| Body::Chunks(body[..5000].to_vec()));
    says(&failure(&short), "5000 bytes arrived of");
    let short = change(|body| Body::ToTheEnd(body[..5000].to_vec()));
    says(&failure(&short), "5000 bytes arrived of");
    let cut = change(|body| Body::Cut(body, 5000));
    says(&failure(&cut), "the connection broke");
    let empty = change(|_| Body::Whole(Vec::new()));
    says(&failure(&empty), "announced were");
    for about in [About::Listing, About::Bytes] {
        let server = Server::start(move |request, reply| match request.about() == about {
            true => reply.with("Content-Encoding", "gzip"),
            false => reply,
        });
        says(&failure(&server), "the encoding \"gzip\"");
    }
}

/// A room in which a fetch broke after the first 5,000 bytes of the weights.
fn interrupted() -> Room {
    let server = Server::start(|request, reply| match request.is_weights(About::Bytes) {
        true if request.range.is_some() => Reply::new(503, Vec::new()),
        true if request.elsewhere => reply.sending(|body| Body::Cut(body, 5000)),
        _ => reply,
    });
    let room = Room::new();
    server.fetch(&room.cache()).unwrap_err();
    let part = format!(
        "blobs/{}.llmzip-part",
        sha256(&fixture("model.safetensors"))
    );
    assert_eq!(fs::metadata(room.at(&part)).unwrap().len(), 5000);
    room
}

#[test]
fn an_interrupted_fetch_goes_on() {
    let (server, room) = (Server::sound(), interrupted());
    is_fetched(&server, &room);
    let requests = server.requests();
    let bytes = requests.iter().filter(|it| it.is_weights(About::Bytes));
    let ranges: Vec<_> = bytes.map(|it| it.range.clone()).collect();
    assert_eq!(ranges, [Some("bytes=5000-".to_owned())]);
    // Nothing but complete contents is left.
    assert_eq!(fs::read_dir(room.at("blobs")).unwrap().count(), 3);
}

#[test]
fn a_connection_that_breaks_is_made_anew_but_not_for_ever() {
    let breaking = |after: usize| {
        Server::start(
            move |request, reply| match request.is_weights(About::Bytes) {
                true if request.elsewhere => reply.sending(move |body| match body.len() > after {
                    true => Body::Cut(body, after),
                    false => Body::Whole(body),
                }),
                _ => reply,
            },
        )
    };
    let server = breaking(50_000);
    is_fetched(&server, &Room::new());
    let requests = server.requests();
    let bytes = requests
        .iter()
        .filter(|it| it.is_weights(About::Bytes) && it.elsewhere);
    let ranges: Vec<_> = bytes.map(|it| it.range.clone()).collect();
    let resumed = |start: usize| Some(format!("bytes={start}-"));
    assert_eq!(
        ranges,
        [None, resumed(50_000), resumed(100_000), resumed(150_000)]
    );
    let server = breaking(1_000);
    says(&failure(&server), "the connection broke");
    let requests = server.requests();
    let bytes = requests
        .iter()
        .filter(|it| it.is_weights(About::Bytes) && it.elsewhere);
    assert_eq!(bytes.count(), 10);
}

#[test]
fn a_busy_hub_is_asked_again_unless_it_asks_for_much_patience() {
    let busy = |status: u16, retry_after: &'static str| {
        // Two of three questions.
        let count = AtomicUsize::new(0);
        Server::start(
            move |_, reply| match count.fetch_add(1, Ordering::Relaxed) % 3 {
                2 => reply,
                _ => Reply::new(status, Vec::new()).with("Retry-After", retry_after),
            },
        )
    };
    for (status, retry_after) in [(503, "0"), (429, "soon"), (500, "")] {
        is_fetched(&busy(status, retry_after), &Room::new());
    }
    says(&failure(&busy(429, "3600")), "asks to wait 3600 s");
    for long in ["99999999999999999999", "Sun, 06 Nov 2099 08:49:37 GMT"] {
        let error = failure(&busy(429, long));
        assert!(error.ends_with("429 (too many requests)"), "{error}");
    }
    says(&failure(&busy(404, "0")), "404");
}

#[test]
fn a_server_without_parts_sends_everything_again() {
    let server = Server::start(|request, reply| match request.is_weights(About::Bytes) {
        true => Reply::new(200, fixture("model.safetensors")),
        false => reply,
    });
    is_fetched(&server, &interrupted());
}

#[test]
fn a_server_that_sends_another_part_is_refused_and_then_asked_anew() {
    type Change = fn(Reply) -> Reply;
    let refusals: [(Change, &str); 4] = [
        (
            |reply| reply.with("Content-Range", "bytes 0-86683/86684"),
            "the hub sent the part",
        ),
        (
            |reply| reply.without("Content-Range"),
            "the hub sent no part",
        ),
        (|_| Reply::new(416, Vec::new()), "416"),
        (
            |reply| {
                reply.sending(|mut body| {
                    body[0] ^= 1;
                    Body::Whole(body)
                })
            },
            "its hash is",
        ),
    ];
    for (change, part) in refusals {
        let server = Server::start(
            move |request, reply| match request.is_weights(About::Bytes) {
                true => change(reply),
                false => reply,
            },
        );
        let room = interrupted();
        says(&server.fetch(&room.cache()).unwrap_err().to_string(), part);
        room.is_intact();
        let sound = Server::sound();
        is_fetched(&sound, &room);
        let requests = sound.requests();
        let again = requests.iter().find(|it| it.is_weights(About::Bytes));
        assert_eq!(again.unwrap().range, None, "{part}");
    }
    // A server that is busy is asked for the rest later.
    let busy = Server::start(|request, reply| match request.is_weights(About::Bytes) {
        true => Reply::new(503, Vec::new()),
        false => reply,
    });
    let room = interrupted();
    says(&busy.fetch(&room.cache()).unwrap_err().to_string(), "503");
    let sound = Server::sound();
    is_fetched(&sound, &room);
    assert!(
        sound
            .requests()
            .iter()
            .any(|it| it.range.as_deref() == Some("bytes=5000-"))
    );
}
