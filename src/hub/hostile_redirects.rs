//! Redirects of a hub that does what it should not, and where the token goes.

use super::room::{Room, count, failure, is_fetched, says};
use super::server::{About, COMMIT, Reply, Server, fixture, git_hash};

#[test]
fn the_token_goes_to_the_hub_alone() {
    // A sound hub keeps large files elsewhere.
    let server = Server::sound();
    is_fetched(&server, &Room::new());
    let without = |server: &Server| {
        let requests = server.requests();
        assert!(requests.iter().any(|request| request.elsewhere));
        for request in requests {
            assert_eq!(request.token, !request.elsewhere, "{request:?}");
        }
    };
    without(&server);
    for about in [About::Listing, About::Metadata, About::Bytes] {
        let server = Server::with_places(move |request, reply, places| {
            match request.about() == about && !request.elsewhere {
                true => Reply::redirect(&format!("{}{}", places[1], request.path)),
                false if about == About::Metadata && request.about() == about => {
                    let hash = git_hash(&fixture("config.json"));
                    reply.with("X-Repo-Commit", COMMIT).with("ETag", &hash)
                }
                false => reply,
            }
        });
        let _ = server.fetch(&Room::new().cache());
        without(&server);
    }
}

#[test]
fn another_server_cannot_choose_where_the_token_is_used() {
    let server = Server::with_places(|request, reply, places| {
        match (request.elsewhere, request.path.as_str()) {
            (true, "/store/model.safetensors") => {
                Reply::redirect(&format!("{}/chosen/elsewhere", places[0]))
            }
            _ => reply,
        }
    });
    says(&failure(&server), "403");
    let requests = server.requests();
    let chosen = requests.iter().find(|it| it.path == "/chosen/elsewhere");
    assert!(!chosen.unwrap().token);
}

#[test]
fn redirects_on_the_hub_itself_are_followed() {
    // As a hub does whose repository has another name today.
    let server = Server::start(|request, reply| {
        let path = request.path.replace("/owner/tiny", "/new/tiny");
        match path == request.path {
            true => reply,
            false => Reply {
                status: 307,
                ..Reply::redirect(&path)
            },
        }
    });
    is_fetched(&server, &Room::new());
    // As a hub does that keeps small files in a cache of its own: before it says what they are, or
    // together with that.
    for says in [false, true] {
        let server = Server::start(move |request, reply| {
            let small = request.name().ends_with(".json");
            if !small || request.path.starts_with("/api/resolve-cache") {
                return reply;
            }
            let body = fixture(request.name());
            let redirect = Reply::redirect(&format!("/api/resolve-cache{}", request.path));
            match says {
                true => redirect
                    .with("X-Repo-Commit", COMMIT)
                    .with("X-Linked-Etag", &git_hash(&body))
                    .with("X-Linked-Size", &body.len().to_string()),
                false => redirect,
            }
        });
        is_fetched(&server, &Room::new());
    }
}

#[test]
fn redirects_end() {
    let round = Server::start(|request, _| Reply::redirect(&request.path));
    says(&failure(&round), "redirects more than 5 times");
    assert_eq!(round.requests().len(), 6);
    for about in [About::Metadata, About::Bytes] {
        let server = Server::start(move |request, reply| match request.about() == about {
            true => Reply::redirect(&format!("/more{}", request.path)),
            false => reply,
        });
        says(&failure(&server), "redirects more than 5 times");
        assert_eq!(count(&server, about), 6);
    }
}

#[test]
fn redirects_to_what_is_no_server_are_refused() {
    for about in [About::Listing, About::Metadata, About::Bytes] {
        for location in [
            "http://[::1",
            "?x",
            "file:///etc/passwd",
            "ftp://127.0.0.1/x",
            "http://user:word@127.0.0.1/x",
            "http://",
        ] {
            let server = Server::start(move |request, reply| match request.about() == about {
                true => Reply::redirect(location),
                false => reply,
            });
            says(&failure(&server), "the hub redirects to");
        }
        let server = Server::start(move |request, reply| match request.about() == about {
            true => Reply {
                status: 302,
                ..reply
            },
            false => reply,
        });
        says(&failure(&server), "not where to");
    }
}
