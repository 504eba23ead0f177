//! The certificates of authorities that the environment names, for networks whose proxies have
//! authorities of their own.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

use super::error::HubError;
use crate::machine::regular_file;

/// The variables that name a file of certificates; the first that is set counts. They are those of
/// OpenSSL, requests and curl.
const VARIABLES: [&str; 3] = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];
/// Largest file in bytes. Those of systems have some 200 KB.
const MAX_FILE: u64 = 16 << 20;

/// The certificates that servers are checked against, instead of Mozilla's; `None` if no variable
/// names any.
///
/// # Errors
///
/// [`HubError::Certificates`] if a variable names no file of certificates.
pub(super) fn of_environment(
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Option<RootCerts>, HubError> {
    let set = |name: &&str| variable(name).is_some_and(|value| !value.is_empty());
    let Some(name) = VARIABLES.iter().find(|name| set(name)) else {
        return Ok(None);
    };
    let path = variable(name).unwrap_or_default();
    match read(Path::new(&path)) {
        Some(found) if !found.is_empty() => Ok(Some(RootCerts::Specific(Arc::new(found)))),
        _ => Err(HubError::Certificates((*name).to_owned())),
    }
}

/// The certificates in a file; `None` if it cannot be read, or is no PEM.
fn read(path: &Path) -> Option<Vec<Certificate<'static>>> {
    let (file, mut text) = (regular_file::open(path).ok()?, Vec::new());
    file.take(MAX_FILE).read_to_end(&mut text).ok()?;
    let mut found = Vec::new();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.ok()? {
            found.push(certificate);
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_certificates_is_read_and_anything_else_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let read = |name: &'static str| {
            let path = path.clone();
            of_environment(&move |asked| (asked == name).then(|| path.clone().into()))
        };
        assert!(read("OTHER").unwrap().is_none());
        for name in VARIABLES {
            let error = read(name).unwrap_err();
            assert!(
                matches!(&error, HubError::Certificates(got) if got == name),
                "{error}"
            );
        }
        // Only a server's handshake looks into a certificate.
        let pem = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, pem.repeat(2)).unwrap();
        let Some(RootCerts::Specific(found)) = read("SSL_CERT_FILE").unwrap() else {
            panic!("no certificates");
        };
        assert_eq!(found.len(), 2);
        std::fs::write(&path, "no certificate").unwrap();
        read("SSL_CERT_FILE").unwrap_err();
    }
}
