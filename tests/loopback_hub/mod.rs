//! A hub on the loopback address that offers the fixture.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::git_hash::git_hash;

/// The repository.
pub(crate) const REPOSITORY: &str = "owner/tiny";
/// Its only commit.
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];

/// A server, which ends with the process.
pub(crate) struct Hub {
    pub(crate) endpoint: String,
}

impl Hub {
    pub(crate) fn start() -> Hub {
        Hub::that_leaves_after(usize::MAX)
    }

    /// A hub that sends so many bytes of bodies in all. Then it closes each connection where a body
    /// should follow.
    pub(crate) fn that_leaves_after(bytes: usize) -> Hub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let left = Arc::new(Mutex::new(bytes));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let left = Arc::clone(&left);
                // The other side may be killed at any time.
                thread::spawn(move || answer(stream, &left));
            }
        });
        Hub { endpoint }
    }
}

fn answer(mut stream: TcpStream, left: &Mutex<usize>) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let Some(first) = lines.next().transpose()? else {
        return Ok(());
    };
    let mut range = None;
    for line in lines {
        let line = line?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        range = line
            .strip_prefix("range: bytes=")
            .map(str::to_owned)
            .or(range);
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let (head, body) = match path.starts_with("/api/models/") {
        true => (String::new(), listing()),
        false => file(path.rsplit('/').next().unwrap_or_default(), range),
    };
    let status = if head.is_empty() {
        "200 OK"
    } else {
        "206 Partial Content"
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nConnection: close\r\n{head}Content-Length: {}\r\n\r\n",
        body.len()
    )?;
    let sent = {
        let mut left = left.lock().unwrap();
        let sent = body.len().min(*left);
        *left -= sent;
        sent
    };
    stream.write_all(&body[..sent])
}

fn listing() -> Vec<u8> {
    let file = |name: &&str| serde_json::json!({"rfilename": name});
    let files: Vec<_> = FILES.iter().map(file).collect();
    let listing = serde_json::json!({"sha": COMMIT, "siblings": files});
    listing.to_string().into_bytes()
}

/// The lines that describe the part of a file that is asked for, and its bytes.
fn file(name: &str, range: Option<String>) -> (String, Vec<u8>) {
    assert!(FILES.contains(&name), "{name} is asked for");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fixture-hf");
    let body = fs::read(folder.join(name)).unwrap();
    let (first, last) = match range.as_deref().and_then(|range| range.split_once('-')) {
        Some((first, last)) => (
            first.parse().unwrap(),
            last.parse().unwrap_or(body.len() - 1),
        ),
        None => (0, body.len() - 1),
    };
    let hash = git_hash(&body);
    let len = body.len();
    let head = format!(
        "Content-Range: bytes {first}-{last}/{len}\r\nETag: \"{hash}\"\r\nX-Repo-Commit: {COMMIT}\r\n"
    );
    (head, body[first..=last].to_vec())
}
