//! A small server for tests that answers as the hub does, faults included.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::client::{Hub, INDEX};
use super::error::HubError;
use super::repository::Repository;
use crate::store::hex;

/// The only commit of the server's repository.
pub(super) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the server does wrong.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Fault {
    Nothing,
    Forbidden,
    ShortBody,
    LongBody,
    WrongByte,
    NoHash,
    NotJson,
    BadShard,
}

/// A server on the loopback address that answers as the hub does. It lists the repository, sends
/// small files directly with git's hash as `ETag`, and redirects requests for large files, with
/// their SHA-256, to an address that serves ranges.
pub(super) struct Server {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

/// A file of the fixture model, which the server offers.
pub(super) fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fixture-hf");
    fs::read(folder.join(name)).unwrap()
}

/// The content of a file in the repository, if it is there.
fn content(name: &str, fault: Fault) -> Option<Vec<u8>> {
    match name {
        INDEX if fault == Fault::BadShard => {
            Some(br#"{"weight_map": {"a": "../../evil.safetensors"}}"#.to_vec())
        }
        "config.json" | "tokenizer.json" | "model.safetensors" => Some(fixture(name)),
        _ => None,
    }
}

impl Server {
    /// Starts a server with one fault.
    pub(super) fn start(fault: Fault) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (base, seen) = (address.clone(), Arc::clone(&requests));
        // The thread ends with the process; the tests make a few dozen requests.
        std::thread::spawn(move || {
            for stream in listener.incoming().take(64).flatten() {
                let _ = answer(stream, fault, &base, &seen);
            }
        });
        Server { address, requests }
    }

    /// Fetches the server's model into `cache`.
    pub(super) fn fetch(&self, cache: &Path) -> Result<PathBuf, HubError> {
        let hub = Hub::new(&self.address, cache, Some("secret".into()), false).unwrap();
        hub.fetch(&Repository::parse("owner/tiny").unwrap())
    }

    /// The paths requested so far.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// A request: its path, the range of bytes it asks for, and whether it carries the right token.
struct Request {
    path: String,
    range: Option<(usize, Option<usize>)>,
    token: bool,
}

impl Request {
    fn read(stream: &TcpStream) -> io::Result<Request> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut range, mut token) = (None, false);
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let header = header.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(bytes) = header.strip_prefix("range: bytes=") {
                let (from, to) = bytes.split_once('-').unwrap_or((bytes, ""));
                range = Some((from.parse().unwrap_or(0), to.parse::<usize>().ok()));
            }
            token |= header == "authorization: bearer secret";
        }
        Ok(Request { path, range, token })
    }
}

struct Response {
    status: &'static str,
    /// Each header ends in a line break.
    headers: String,
    body: Vec<u8>,
}

impl Response {
    fn new(status: &'static str, body: &[u8]) -> Response {
        Response {
            status,
            headers: String::new(),
            body: body.to_vec(),
        }
    }

    fn send(&self, mut stream: TcpStream) -> io::Result<()> {
        let Response {
            status,
            headers,
            body,
        } = self;
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
        )?;
        stream.write_all(body)
    }
}

fn answer(
    stream: TcpStream,
    fault: Fault,
    base: &str,
    seen: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let request = Request::read(&stream)?;
    seen.lock().unwrap().push(request.path.clone());
    response(&request, fault, base).send(stream)
}

fn response(request: &Request, fault: Fault, base: &str) -> Response {
    let path = request.path.as_str();
    if fault == Fault::Forbidden || !request.token && !path.starts_with("/cdn/") {
        return Response::new("403 Forbidden", b"Access to this repository is restricted.");
    }
    if path == "/api/models/owner/tiny/revision/main" {
        return Response::new("200 OK", listing(fault).as_bytes());
    }
    let direct = format!("/owner/tiny/resolve/{COMMIT}/");
    let (name, redirected) = match (path.strip_prefix(&direct), path.strip_prefix("/cdn/")) {
        (Some(name), _) => (name, false),
        (_, Some(name)) => (name, true),
        _ => return Response::new("404 Not Found", b""),
    };
    let Some(body) = content(name, fault) else {
        return Response::new("404 Not Found", b"");
    };
    match name.ends_with(".safetensors") && !redirected {
        true => redirection(name, &body, base),
        false => file(name, body, request.range, fault),
    }
}

/// What the API says of the repository.
fn listing(fault: Fault) -> String {
    let weights = match fault {
        Fault::NotJson => return "<html>welcome</html>".to_owned(),
        Fault::BadShard => INDEX,
        _ => "model.safetensors",
    };
    let files = format!(r#"{{"rfilename":"config.json"}},{{"rfilename":"{weights}"}}"#);
    format!(r#"{{"sha":"{COMMIT}","siblings":[{files}]}}"#)
}

fn redirection(name: &str, body: &[u8], base: &str) -> Response {
    let (hash, size) = (hex(&Sha256::digest(body)), body.len());
    Response {
        headers: format!(
            "X-Repo-Commit: {COMMIT}\r\nAccept-Ranges: bytes\r\nLocation: {base}/cdn/{name}\r\n\
             X-Linked-Etag: \"{hash}\"\r\nX-Linked-Size: {size}\r\nETag: \"0-0\"\r\n"
        ),
        ..Response::new("302 Found", b"")
    }
}

/// A range of a file, or what a fault makes of it.
fn file(
    name: &str,
    mut body: Vec<u8>,
    range: Option<(usize, Option<usize>)>,
    fault: Fault,
) -> Response {
    let mut git = Sha1::new();
    git.update(format!("blob {}\0", body.len()));
    git.update(&body);
    let etag = match fault {
        Fault::NoHash => "W/\"v1\"".to_owned(),
        _ => format!("\"{}\"", hex(&git.finalize())),
    };
    let size = body.len();
    let (from, to) = range.unwrap_or((0, None));
    let to = to.map_or(size, |last| size.min(last + 1));
    let large = name.ends_with(".safetensors");
    if fault == Fault::WrongByte && large {
        body[size / 2] ^= 1;
    }
    let mut part = body[from..to].to_vec();
    if large && part.len() > 1 {
        match fault {
            Fault::ShortBody => part.truncate(part.len() / 2),
            Fault::LongBody => part.extend_from_slice(b"more"),
            _ => {}
        }
    }
    Response {
        headers: format!(
            "X-Repo-Commit: {COMMIT}\r\nAccept-Ranges: bytes\r\nETag: {etag}\r\n\
             Content-Range: bytes {from}-{}/{size}\r\n",
            to - 1
        ),
        ..Response::new("206 Partial Content", &part)
    }
}
