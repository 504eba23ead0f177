//! Looks up the names of servers.
//!
//! `ureq` does it on a thread, so that the wait can end, and panics where no thread can be had.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use ureq::unversioned::transport::time::Duration;

/// As the resolver of `ureq`, but an error where there is no thread.
#[derive(Debug)]
pub(super) struct Names;

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let (uri, config) = (uri.clone(), config.clone());
        let without_end = NextTimeout {
            after: Duration::NotHappening,
            ..timeout
        };
        let (sender, receiver) = mpsc::sync_channel(1);
        // The thread may outlive the wait; then nobody takes what it sends.
        thread::Builder::new().spawn(move || {
            let _ = sender.send(DefaultResolver::default().resolve(&uri, &config, without_end));
        })?;
        match receiver.recv_timeout(*timeout.after) {
            Ok(found) => found,
            Err(RecvTimeoutError::Timeout) => Err(ureq::Error::Timeout(timeout.reason)),
            Err(RecvTimeoutError::Disconnected) => Err(ureq::Error::HostNotFound),
        }
    }
}
