//! Asks the hub over HTTP: which commit, what it says of a file, and the bytes of a file.
//!
//! No answer is trusted. Redirects are followed here, a few at most, and the token goes to the
//! hub's own server alone. Headers and listings have a largest size, and every wait ends.

use std::ffi::OsString;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::http::header::{AUTHORIZATION, LOCATION, RANGE, RETRY_AFTER};
use ureq::http::{HeaderMap, HeaderValue, Response, Uri};
use ureq::tls::TlsConfig;
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body, Proxy, Timeout};

use super::address::{names_server, redirected, same_server, server};
use super::announced::{Announced, Place, checked_part, is_metadata};
use super::certificates;
use super::error::HubError;
use super::hash::Commit;
use super::names::Names;
use super::proxy;
use super::repository::Repository;

/// Redirects that are followed for one question. The real hub needs two.
const MAX_REDIRECTS: usize = 5;
/// Largest head of an answer in bytes. The real hub's heads have less than 8 KiB.
const MAX_HEAD: usize = 64 << 10;
/// Largest listing in bytes. A repository of 100,000 files has some 10 MB.
const MAX_LISTING: u64 = 32 << 20;
/// At any point a body may have taken twice the time limit of silence, and once more for each of so
/// many bytes, so that a drip ends.
const SLOWEST: u64 = 1 << 10;
/// How often a question is asked again that the hub could not answer just then.
const RETRIES: u32 = 4;
/// Longest pause before that. A hub that asks for more is not asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A listing may take the time limit of silence so many times.
const LISTING_WAITS: u32 = 10;

/// How long to wait for a server. `huggingface_hub` waits for ten seconds, too.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Until there is a connection.
    pub(super) connect: Duration,
    /// Until an answer begins, and between any two parts of a body.
    pub(super) silence: Duration,
    /// Before a question is asked a second time; twice as long before the third, and so on.
    pub(super) pause: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(10),
            pause: Duration::from_secs(1),
        }
    }
}

/// What the API says of a repository at one revision. A name of a file becomes a path only if
/// [`is_file_name`](crate::store::is_file_name) allows it.
#[derive(Deserialize)]
pub(super) struct Listing {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Listing {
    /// The commit, if that is one.
    pub(super) fn commit(&self) -> Option<Commit> {
        Commit::parse(&self.sha)
    }

    /// The names of its files.
    pub(super) fn names(&self) -> Vec<&str> {
        let names = self.siblings.iter().map(|file| &*file.rfilename);
        names.collect()
    }
}

/// The bytes of a file, or of its end.
pub(super) struct Incoming<'a> {
    /// The file's name.
    what: &'a str,
    /// Whether they begin where they were asked to begin; else at the first byte of the file.
    pub(super) resumed: bool,
    reader: ureq::BodyReader<'static>,
    silence: Duration,
    begun: Instant,
    /// Bytes that have been read.
    read: u64,
}

impl Incoming<'_> {
    /// Reads a few bytes of the body.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, HubError> {
        let count = self.reader.read(buffer).map_err(|error| {
            let reason = match waited(ureq::Error::from(error), self.silence) {
                Ok(reason) => reason,
                Err(error) => format!("the connection broke ({error})"),
            };
            HubError::Silent {
                what: self.what.to_owned(),
                reason,
            }
        })?;
        self.read += count as u64;
        let allowed = time_for(self.read, self.silence);
        match count == 0 || self.begun.elapsed() <= allowed {
            true => Ok(count),
            false => Err(HubError::Silent {
                what: self.what.to_owned(),
                reason: format!(
                    "the hub sends too slowly ({} bytes in {allowed:?})",
                    self.read
                ),
            }),
        }
    }
}

/// How long so many bytes may take, if a server may be silent for so long.
fn time_for(bytes: u64, silence: Duration) -> Duration {
    let waits = u32::try_from(bytes / SLOWEST).unwrap_or(u32::MAX);
    silence.saturating_mul(waits.saturating_add(2))
}

/// A question: about what, the part of the file that it asks for, and how long its answer may take
/// in all.
struct Question<'a> {
    what: &'a str,
    range: Option<String>,
    limit: Duration,
}

/// Asks one hub.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    /// Without a slash at its end.
    endpoint: String,
    address: Uri,
    proxy: Option<Proxy>,
    /// Marked as sensitive, so that it is not shown.
    token: Option<HeaderValue>,
    patience: Patience,
}

impl Client {
    /// A client of the hub at the address `endpoint`. `variable` gives the value of a variable of
    /// the environment, which may name a proxy and certificates.
    pub(super) fn new(
        endpoint: &str,
        token: Option<&str>,
        variable: &dyn Fn(&str) -> Option<OsString>,
        patience: Patience,
    ) -> Result<Client, HubError> {
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let address = endpoint.parse::<Uri>().ok().filter(|address| {
            matches!(address.scheme_str(), Some("http" | "https")) && names_server(address)
        });
        let address = address.ok_or_else(|| HubError::endpoint(&endpoint))?;
        let token = token.map(|token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).ok()?;
            value.set_sensitive(true);
            // ureq sends visible ASCII alone.
            value.to_str().is_ok().then_some(value)
        });
        let token = match token {
            Some(token) => Some(token.ok_or(HubError::Token)?),
            None => None,
        };
        let scheme = address.scheme_str().unwrap_or_default();
        let proxy = proxy::of_environment(scheme, variable)?;
        let mut tls = TlsConfig::builder();
        if let Some(roots) = certificates::of_environment(variable)? {
            tls = tls.root_certs(roots);
        }
        let config = Agent::config_builder()
            .proxy(proxy.clone())
            .tls_config(tls.build())
            .http_status_as_error(false)
            .max_redirects(0)
            .max_response_header_size(MAX_HEAD)
            .user_agent(concat!("llmzip/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_resolve(Some(patience.connect))
            .timeout_connect(Some(patience.connect))
            .timeout_send_request(Some(patience.silence))
            .timeout_recv_response(Some(patience.silence))
            .timeout_per_read(Some(patience.silence))
            .build();
        Ok(Client {
            agent: Agent::with_parts(config, DefaultConnector::default(), Names),
            endpoint,
            address,
            proxy,
            token,
            patience,
        })
    }

    /// What the hub says of a repository at its revision.
    pub(super) fn listing(&self, repository: &Repository) -> Result<Listing, HubError> {
        let (id, revision) = (&*repository.id, repository.revision.replace('/', "%2F"));
        let at = self.place(&format!("/api/models/{id}/revision/{revision}"))?;
        let question = Question {
            what: id,
            range: None,
            limit: self.patience.silence.saturating_mul(LISTING_WAITS),
        };
        let (mut response, at) = self.follow(&question, at, |_| false)?;
        expect(id, &response, &[200])?;
        checked_encoding(id, response.headers())?;
        let mut text = Vec::new();
        let mut reader = response.body_mut().as_reader().take(MAX_LISTING + 1);
        reader
            .read_to_end(&mut text)
            .map_err(|error| self.explain(id, &at.uri, error.into()))?;
        if text.len() as u64 > MAX_LISTING {
            let reason = format!("its listing has more than {MAX_LISTING} bytes");
            return Err(HubError::answer(id, reason));
        }
        serde_json::from_slice(&text)
            .map_err(|error| HubError::answer(id, format!("its listing is unreadable ({error})")))
    }

    /// What the hub says of a file. Everything about the file follows from this answer: where its
    /// bytes are, how many, and which hash they must have.
    pub(super) fn announced(
        &self,
        repository: &Repository,
        commit: &Commit,
        name: &str,
    ) -> Result<Announced, HubError> {
        let at = self.place(&format!("/{}/resolve/{commit}/{name}", repository.id))?;
        let question = Question {
            what: name,
            range: Some("bytes=0-0".to_owned()),
            limit: self.patience.silence,
        };
        let (response, mut at) = self.follow(&question, at, is_metadata)?;
        if is_redirect(&response) {
            at = self.next(name, &at, response.headers())?;
        } else {
            expect(name, &response, &[200, 206])?;
        }
        let status = response.status().as_u16();
        Announced::read(name, commit, status, response.headers(), at)
            .map_err(|reason| HubError::answer(name, reason))
    }

    /// The bytes of an announced file from the byte `start` on, or all of them if the server has no
    /// parts to offer.
    pub(super) fn bytes<'a>(
        &self,
        name: &'a str,
        announced: &Announced,
        start: u64,
    ) -> Result<Incoming<'a>, HubError> {
        let question = Question {
            what: name,
            range: (start > 0).then(|| format!("bytes={start}-")),
            limit: time_for(announced.size, self.patience.silence),
        };
        let (response, _) = self.follow(&question, announced.at.clone(), |_| false)?;
        expect(name, &response, &[200, 206])?;
        checked_encoding(name, response.headers())?;
        let status = response.status().as_u16();
        let resumed = start > 0 && status == 206;
        let start = if resumed { start } else { 0 };
        checked_part(status, response.headers(), start, announced.size)
            .map_err(|reason| HubError::answer(name, reason))?;
        Ok(Incoming {
            what: name,
            resumed,
            reader: response.into_body().into_reader(),
            silence: self.patience.silence,
            begun: Instant::now(),
            read: 0,
        })
    }

    /// The address of a path on the hub.
    fn place(&self, path: &str) -> Result<Place, HubError> {
        let uri = format!("{}{path}", self.endpoint).parse();
        let uri = uri.map_err(|_| HubError::endpoint(&self.endpoint))?;
        Ok(Place {
            uri,
            from_hub: true,
        })
    }

    /// Asks at a place and follows redirects up to the first answer that `is_last` accepts, or that
    /// is no redirect. Returns it with the place that gave it.
    fn follow(
        &self,
        question: &Question<'_>,
        start: Place,
        is_last: impl Fn(&HeaderMap) -> bool,
    ) -> Result<(Response<Body>, Place), HubError> {
        let mut at = start;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.ask_until_answered(question, &at)?;
            if !is_redirect(&response) || is_last(response.headers()) {
                return Ok((response, at));
            }
            at = self.next(question.what, &at, response.headers())?;
        }
        let reason = format!("the hub redirects more than {MAX_REDIRECTS} times");
        Err(HubError::answer(question.what, reason))
    }

    /// Asks one server, and again after a pause while it says that it cannot answer now.
    fn ask_until_answered(
        &self,
        question: &Question<'_>,
        at: &Place,
    ) -> Result<Response<Body>, HubError> {
        let mut pause = self.patience.pause;
        for _ in 0..RETRIES {
            let response = self.ask_once(question, at)?;
            let wait = retry_after(response.headers()).unwrap_or(pause);
            if !is_passing(response.status().as_u16()) || wait > LONGEST_PAUSE {
                return Ok(response);
            }
            std::thread::sleep(wait);
            pause = pause.saturating_mul(2);
        }
        self.ask_once(question, at)
    }

    fn ask_once(&self, question: &Question<'_>, at: &Place) -> Result<Response<Body>, HubError> {
        let answer = self.ask(question, at);
        answer.map_err(|error| self.explain(question.what, &at.uri, error))
    }

    /// Asks one server once. The token goes to the hub's own server alone, and only to places that
    /// this server chose: what a stranger says must not decide what is asked with it.
    fn ask(&self, question: &Question<'_>, at: &Place) -> Result<Response<Body>, ureq::Error> {
        let mut request = self.agent.get(&at.uri);
        if let Some(range) = &question.range {
            request = request.header(RANGE, range);
        }
        if let Some(token) = &self.token
            && at.from_hub
            && same_server(&at.uri, &self.address)
        {
            request = request.header(AUTHORIZATION, token);
        }
        request
            .config()
            .timeout_recv_body(Some(question.limit))
            .build()
            .call()
    }

    /// Where a redirect leads that came from a place.
    fn next(&self, what: &str, from: &Place, headers: &HeaderMap) -> Result<Place, HubError> {
        let wrong = |reason: String| HubError::answer(what, reason);
        let location = headers.get(LOCATION);
        let location =
            location.ok_or_else(|| wrong("the hub redirects, but not where to".to_owned()))?;
        Ok(Place {
            uri: redirected(&from.uri, location.as_bytes(), &self.address).map_err(wrong)?,
            from_hub: from.from_hub && same_server(&from.uri, &self.address),
        })
    }

    /// A server, and the proxy in front of it, if there is one.
    fn way_to(&self, uri: &Uri) -> String {
        let server = server(uri);
        match self.proxy.as_ref().filter(|proxy| !proxy.is_no_proxy(uri)) {
            Some(proxy) => format!("{server} through the proxy {}", proxy::shown(proxy)),
            None => server,
        }
    }

    /// Turns an error of `ureq` about `what`, from the server at `uri`, into one of ours.
    fn explain(&self, what: &str, uri: &Uri, error: ureq::Error) -> HubError {
        let unreachable = |reason: String| HubError::Unreachable {
            server: self.way_to(uri),
            reason,
        };
        match error {
            ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
                unreachable(format!("no connection within {:?}", self.patience.connect))
            }
            ureq::Error::LargeResponseHeader(..) => {
                let reason = format!("the head of the answer has more than {MAX_HEAD} bytes");
                HubError::answer(what, reason)
            }
            ureq::Error::Protocol(error) => {
                let reason = format!("the answer is not HTTP ({:?})", error.to_string());
                HubError::answer(what, reason)
            }
            error => match waited(error, self.patience.silence) {
                Ok(reason) => HubError::Silent {
                    what: what.to_owned(),
                    reason,
                },
                Err(error) => unreachable(error.to_string()),
            },
        }
    }
}

/// What a server did that made a wait end; an error of another kind comes back.
fn waited(error: ureq::Error, silence: Duration) -> Result<String, ureq::Error> {
    match error {
        ureq::Error::Timeout(Timeout::RecvBody) => {
            Ok("the hub sends so slowly that it would never end".to_owned())
        }
        ureq::Error::Timeout(_) => Ok(format!("the hub was silent for {silence:?}")),
        // A read of a socket that took too long.
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
            Ok(format!("the hub was silent for {silence:?}"))
        }
        error => Err(error),
    }
}

/// Whether a status says that the same question may be answered later.
fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// The seconds in `Retry-After`. A date, which the hub does not send, and a number that is too
/// large count as too long; what is neither, as nothing.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match is_number || text.ends_with(" GMT") {
        true => Some(text.parse().map_or(Duration::MAX, Duration::from_secs)),
        false => None,
    }
}

/// Whether an answer is a redirect that names its target in `Location`.
fn is_redirect(response: &Response<Body>) -> bool {
    matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn expect(what: &str, response: &Response<Body>, statuses: &[u16]) -> Result<(), HubError> {
    let status = response.status().as_u16();
    match statuses.contains(&status) {
        true => Ok(()),
        false => Err(HubError::Status {
            what: what.to_owned(),
            status,
            retry_after: retry_after(response.headers()),
        }),
    }
}

/// Refuses a compressed body: nobody asked for one, and a hash is that of the plain bytes.
fn checked_encoding(what: &str, headers: &HeaderMap) -> Result<(), HubError> {
    match headers.get("content-encoding") {
        Some(coding) if coding != "identity" => {
            let reason = format!("the hub sent it with the encoding {coding:?}, not as it is");
            Err(HubError::answer(what, reason))
        }
        _ => Ok(()),
    }
}
