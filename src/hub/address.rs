//! Addresses of servers, and where a redirect leads.

use ureq::http::Uri;

/// Characters of an address that an error shows.
const SHOWN: usize = 120;

/// Whether two addresses name the same server: scheme, host and port.
pub(super) fn same_server(left: &Uri, right: &Uri) -> bool {
    let server = |uri: &Uri| {
        let port = uri.port_u16().unwrap_or(match is_https(uri) {
            true => 443,
            false => 80,
        });
        let host = uri.host().map(str::to_ascii_lowercase);
        (is_https(uri), host, port)
    };
    server(left) == server(right)
}

/// Scheme, host and port as an address, without the name and password that it may hold.
pub(super) fn server(uri: &Uri) -> String {
    let (scheme, host) = (uri.scheme_str(), uri.host());
    let port = uri
        .port_u16()
        .map_or(String::new(), |port| format!(":{port}"));
    format!(
        "{}://{}{port}",
        scheme.unwrap_or_default(),
        host.unwrap_or_default()
    )
}

/// Whether an address names a server to connect to: a host, and a port if there is a colon behind
/// it. What the parser does not take for a port would be left out silently.
pub(super) fn names_server(uri: &Uri) -> bool {
    let (Some(authority), Some(host)) = (uri.authority(), uri.host()) else {
        return false;
    };
    let server = authority.as_str().rsplit('@').next().unwrap_or_default();
    let is_port = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit())
            && text.parse::<u16>().is_ok_and(|port| port > 0)
    };
    let port = server.strip_prefix(host).unwrap_or(server);
    !host.is_empty() && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

fn is_https(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

/// The address that `Location: location` means in an answer from `from`. It may be unencrypted only
/// if that of the hub, `endpoint`, is. The error says what is wrong with it.
pub(super) fn redirected(from: &Uri, location: &[u8], endpoint: &Uri) -> Result<Uri, String> {
    let shown: String = String::from_utf8_lossy(location)
        .chars()
        .take(SHOWN)
        .collect();
    let refused = |why: &str| format!("the hub redirects to {shown:?}, {why}");
    let unreadable = || refused("which is no address of a server");
    let text = std::str::from_utf8(location).map_err(|_| unreadable())?;
    let scheme = from.scheme_str().unwrap_or_default();
    let whole = match text {
        _ if text.starts_with("//") => format!("{scheme}:{text}"),
        _ if text.starts_with('/') => format!("{}{text}", server(from)),
        _ => text.to_owned(),
    };
    let to: Uri = whole.parse().map_err(|_| unreadable())?;
    let authority = to.authority().ok_or_else(unreadable)?;
    match to.scheme_str() {
        Some("https") => {}
        Some("http") if !is_https(endpoint) => {}
        Some("http") => return Err(refused("which is not encrypted")),
        _ => return Err(refused("which is neither https nor http")),
    }
    // ureq would send the part before the @ as a name and a password.
    match authority.as_str().contains('@') || !names_server(&to) {
        true => Err(unreadable()),
        false => Ok(to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn a_server_is_scheme_host_and_port() {
        let hub = uri("https://hub.example/a");
        for same in ["https://HUB.example/b?c", "https://hub.example:443"] {
            assert!(same_server(&hub, &uri(same)), "{same}");
        }
        for other in [
            "http://hub.example/a",
            "https://hub.example:444/a",
            "https://hub.example.evil/a",
            "https://cdn.hub.example/a",
        ] {
            assert!(!same_server(&hub, &uri(other)), "{other}");
        }
    }

    #[test]
    fn a_port_is_a_number_that_there_is() {
        for sound in [
            "http://h",
            "http://h/a:b",
            "http://h:80",
            "http://h:65535/a",
            "http://[::1]",
            "http://[::1]:8000",
            "http://name:word@h:8000",
        ] {
            assert!(names_server(&uri(sound)), "{sound}");
        }
        for bad in [
            "h:65536",
            "h:99999",
            "h:",
            "h:abc",
            "h:+80",
            "h:0",
            "[::1]:99999",
            "a:b@h:70000",
        ] {
            let parsed = format!("http://{bad}/").parse::<Uri>();
            assert!(!parsed.is_ok_and(|uri| names_server(&uri)), "{bad}");
        }
    }

    #[test]
    fn redirects_lead_to_servers_and_never_to_less_encryption() {
        let from = uri("https://hub.example:8443/a/b");
        let to = |location: &str| redirected(&from, location.as_bytes(), &from);
        let leads = |location: &str, target: &str| {
            assert_eq!(to(location).unwrap().to_string(), target, "{location}");
        };
        leads("/c?d", "https://hub.example:8443/c?d");
        leads("//cdn.example/c", "https://cdn.example/c");
        leads("https://cdn.example:1/c", "https://cdn.example:1/c");
        for bad in [
            "",
            "?x",
            "c/d",
            "http://[::1",
            "https://cdn.example:99999/c",
            "https://cdn.example:/c",
            "//cdn.example:abc/c",
            "http://cdn.example/c",
            "file:///etc/passwd",
            "ftp://cdn.example/c",
            "https://user:secret@cdn.example/c",
            "https://",
            "javascript:alert(1)",
            "https://cdn.example/\u{1b}[2J",
            "https://cdn.example/\r\nX: y",
        ] {
            let error = to(bad).unwrap_err();
            assert!(!error.contains(char::is_control), "{error}");
        }
        assert!(redirected(&from, b"https://\xff", &from).is_err());
        let plain = uri("http://127.0.0.1:8000/a");
        assert!(redirected(&plain, b"http://localhost/b", &plain).is_ok());
        assert!(redirected(&plain, b"file:///etc/passwd", &plain).is_err());
        let long = format!("x{}", "y".repeat(100_000));
        assert!(to(&long).unwrap_err().len() < 300);
    }
}
