//! A hub on the loopback address, for tests. It answers as the real one does, or as a test wants.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::client::Patience;
use super::error::HubError;
use super::fetch::Hub;
use super::repository::Repository;
use crate::store::hex;

/// The only commit of the hub's repository `owner/tiny`.
pub(super) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Long enough for a loaded machine.
const PATIENT: Patience = Patience {
    connect: Duration::from_secs(30),
    silence: Duration::from_secs(30),
    pause: Duration::from_millis(1),
};
/// Short enough for a test of silence.
const IMPATIENT: Patience = Patience {
    connect: Duration::from_secs(30),
    silence: Duration::from_millis(500),
    pause: Duration::from_millis(1),
};

/// A file of the fixture model, which the hub offers.
pub(super) fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fixture-hf");
    fs::read(folder.join(name)).unwrap()
}

/// The hash that git gives a content.
pub(super) fn git_hash(body: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", body.len()));
    hash.update(body);
    hex(&hash.finalize())
}

/// The SHA-256 of a content.
pub(super) fn sha256(body: &[u8]) -> String {
    hex(&Sha256::digest(body))
}

/// Which question a request asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    Listing,
    /// What a file is.
    Metadata,
    /// The bytes of a file.
    Bytes,
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) path: String,
    /// What `Range` says.
    pub(super) range: Option<String>,
    pub(super) token: bool,
    /// Whether it came to the second server, which is not the hub's own.
    pub(super) elsewhere: bool,
}

impl Request {
    fn read(stream: &TcpStream, elsewhere: bool) -> io::Result<Request> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut request = Request {
            path: line.split(' ').nth(1).unwrap_or_default().to_owned(),
            range: None,
            token: false,
            elsewhere,
        };
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
                return Ok(request);
            }
            let header = header.trim().to_ascii_lowercase();
            if let Some(range) = header.strip_prefix("range: ") {
                request.range = Some(range.to_owned());
            }
            request.token |= header.contains("secret");
        }
    }

    /// The last part of the path.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    pub(super) fn about(&self) -> About {
        match self.range.as_deref() {
            _ if self.path.starts_with("/api/models/") => About::Listing,
            Some("bytes=0-0") => About::Metadata,
            _ => About::Bytes,
        }
    }

    /// Whether the request asks this about the configuration, the first file that is fetched.
    pub(super) fn is_config(&self, about: About) -> bool {
        self.name() == "config.json" && self.about() == about
    }

    /// Whether the request asks this about the weights, which are kept elsewhere.
    pub(super) fn is_weights(&self, about: About) -> bool {
        self.name() == "model.safetensors" && self.about() == about
    }
}

/// How a body is sent.
#[derive(Debug, Clone)]
pub(super) enum Body {
    /// With its length.
    Whole(Vec<u8>),
    /// In chunks, without its length.
    Chunks(Vec<u8>),
    /// Without its length, up to the end of the connection.
    ToTheEnd(Vec<u8>),
    /// With its length, but only so many bytes of it. Then the connection ends.
    Cut(Vec<u8>, usize),
    /// So many bytes of it, then nothing.
    Stalled(Vec<u8>, usize),
    /// The first bytes after the head, then others again and again, with a pause after each.
    Endless(&'static [u8], Vec<u8>, Duration),
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Body,
}

impl Reply {
    pub(super) fn new(status: u16, body: Vec<u8>) -> Reply {
        Reply {
            status,
            headers: Vec::new(),
            body: Body::Whole(body),
        }
    }

    pub(super) fn redirect(to: &str) -> Reply {
        Reply::new(302, Vec::new()).with("Location", to)
    }

    /// The same answer with one header changed.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: &str) -> Reply {
        self = self.without(name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub(super) fn without(mut self, name: &str) -> Reply {
        self.headers.retain(|(other, _)| other != name);
        self
    }

    /// The same answer with its body changed.
    #[must_use]
    pub(super) fn sending(mut self, change: impl FnOnce(Vec<u8>) -> Body) -> Reply {
        if let Body::Whole(body) = self.body {
            self.body = change(body);
        }
        self
    }

    fn send(&self, mut stream: TcpStream) -> io::Result<()> {
        write!(
            stream,
            "HTTP/1.1 {} Status\r\nConnection: close\r\n",
            self.status
        )?;
        for (name, value) in &self.headers {
            write!(stream, "{name}: {value}\r\n")?;
        }
        let sized = |stream: &mut TcpStream, length: usize| {
            write!(stream, "Content-Length: {length}\r\n\r\n")
        };
        match &self.body {
            Body::Whole(body) => {
                sized(&mut stream, body.len())?;
                stream.write_all(body)
            }
            Body::Cut(body, sent) => {
                sized(&mut stream, body.len())?;
                stream.write_all(&body[..*sent])
            }
            Body::Stalled(body, sent) => {
                sized(&mut stream, body.len())?;
                stream.write_all(&body[..*sent])?;
                std::thread::sleep(Duration::from_secs(20));
                Ok(())
            }
            Body::Chunks(body) => {
                write!(stream, "Transfer-Encoding: chunked\r\n\r\n")?;
                for chunk in body.chunks(1000) {
                    write!(stream, "{:x}\r\n", chunk.len())?;
                    stream.write_all(chunk)?;
                    write!(stream, "\r\n")?;
                }
                write!(stream, "0\r\n\r\n")
            }
            Body::ToTheEnd(body) => {
                write!(stream, "\r\n")?;
                stream.write_all(body)
            }
            Body::Endless(first, again, pause) => {
                stream.write_all(first)?;
                // Ends when the other side has gone.
                loop {
                    stream.write_all(again)?;
                    std::thread::sleep(*pause);
                }
            }
        }
    }
}

impl Hub {
    /// Fetches a model, and returns where it is.
    pub(super) fn fetch_path(&self, repository: &Repository) -> Result<PathBuf, HubError> {
        let fetched = self.fetch(repository, &mut |_, _, _| {})?;
        Ok(fetched.path)
    }
}

/// Changes the answer that a sound hub gives to a request.
type Change = dyn Fn(&Request, Reply) -> Reply + Send + Sync;

/// A hub: one server that lists the repository and sends small files itself, and another one to
/// which it redirects for large files.
pub(super) struct Server {
    /// The address of the hub's own server.
    pub(super) own: String,
    requests: Arc<Mutex<Vec<Request>>>,
    patience: Patience,
}

impl Server {
    /// A hub that does nothing wrong.
    pub(super) fn sound() -> Server {
        Server::start(|_, reply| reply)
    }

    /// A hub whose answers are changed.
    pub(super) fn start(
        change: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static,
    ) -> Server {
        Server::with_places(move |request, reply, _| change(request, reply))
    }

    /// A hub whose answers are changed by what knows the addresses of both servers, the hub's own
    /// one first.
    pub(super) fn with_places(
        change: impl Fn(&Request, Reply, &[String; 2]) -> Reply + Send + Sync + 'static,
    ) -> Server {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let address = |it: &TcpListener| format!("http://{}", it.local_addr().unwrap());
        let places = [address(&listeners[0]), address(&listeners[1])];
        let requests = Arc::new(Mutex::new(Vec::new()));
        let own = places[0].clone();
        let change: Arc<Change> = Arc::new({
            let places = places.clone();
            move |request: &Request, reply| change(request, reply, &places)
        });
        for (elsewhere, listener) in [false, true].into_iter().zip(listeners) {
            let (seen, change) = (Arc::clone(&requests), Arc::clone(&change));
            let other = places[1].clone();
            // The threads end with the process.
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (seen, change) = (Arc::clone(&seen), Arc::clone(&change));
                    let other = other.clone();
                    std::thread::spawn(move || -> io::Result<()> {
                        let request = Request::read(&stream, elsewhere)?;
                        seen.lock().unwrap().push(request.clone());
                        let reply = sound_reply(&request, &other);
                        change(&request, reply).send(stream)
                    });
                }
            });
        }
        Server {
            own,
            requests,
            patience: PATIENT,
        }
    }

    /// The same hub, for clients that wait briefly.
    pub(super) fn for_the_impatient(mut self) -> Server {
        self.patience = IMPATIENT;
        self
    }

    /// A client of the hub with its cache in a folder.
    pub(super) fn client(&self, cache: &Path) -> Hub {
        let token = Some("secret".to_owned());
        Hub::with_patience(&self.own, cache, token, false, &|_| None, self.patience).unwrap()
    }

    /// Fetches the hub's model into `cache`.
    pub(super) fn fetch(&self, cache: &Path) -> Result<PathBuf, HubError> {
        let repository = Repository::parse("owner/tiny").unwrap();
        self.client(cache).fetch_path(&repository)
    }

    /// The requests so far.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// What the API says of a repository with these files.
pub(super) fn listing(commit: &str, files: &[&str]) -> Vec<u8> {
    let sibling = |name: &&str| serde_json::json!({"rfilename": name, "size": null});
    let siblings: Vec<_> = files.iter().map(sibling).collect();
    let listing = serde_json::json!({"sha": commit, "private": false, "siblings": siblings});
    listing.to_string().into_bytes()
}

/// The answer of a sound hub whose second server is at `other`.
fn sound_reply(request: &Request, other: &str) -> Reply {
    if !request.elsewhere && !request.token {
        return Reply::new(403, b"Access to this repository is restricted.".to_vec());
    }
    if request.about() == About::Listing {
        let files = [
            "README.md",
            "config.json",
            "tokenizer.json",
            "model.safetensors",
        ];
        return Reply::new(200, listing(COMMIT, &files));
    }
    let name = request.name();
    if !["config.json", "tokenizer.json", "model.safetensors"].contains(&name) {
        return Reply::new(404, b"Entry not found".to_vec());
    }
    let body = fixture(name);
    if request.elsewhere {
        return file(request, body).with("ETag", "\"of-the-store\"");
    }
    if name == "model.safetensors" {
        return Reply::redirect(&format!("{other}/store/{name}"))
            .with("X-Repo-Commit", COMMIT)
            .with("X-Linked-Etag", &format!("\"{}\"", sha256(&body)))
            .with("X-Linked-Size", &body.len().to_string())
            .with("ETag", "\"0-0\"");
    }
    small_file(request, body)
}

/// The answer of a sound hub about a small file with this content.
pub(super) fn small_file(request: &Request, body: Vec<u8>) -> Reply {
    let etag = format!("\"{}\"", git_hash(&body));
    file(request, body)
        .with("X-Repo-Commit", COMMIT)
        .with("ETag", &etag)
}

/// A file, or the part of it that is asked for.
fn file(request: &Request, body: Vec<u8>) -> Reply {
    let range = request.range.as_deref().map(|range| {
        let (first, last) = range
            .strip_prefix("bytes=")
            .unwrap()
            .split_once('-')
            .unwrap();
        let last = last.parse().unwrap_or(body.len() - 1);
        (first.parse::<usize>().unwrap(), last)
    });
    match range {
        None => Reply::new(200, body),
        Some((first, last)) => {
            let range = format!("bytes {first}-{last}/{}", body.len());
            Reply::new(206, body[first..=last].to_vec()).with("Content-Range", &range)
        }
    }
}
