//! The proxy that the environment names, as `curl` and `requests` find it.

use std::ffi::OsString;

use ureq::Proxy;
use ureq::http::Uri;

use super::address::names_server;
use super::error::HubError;

/// The value of a variable of the environment.
type Variable<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The proxy for a hub whose address has this scheme; `None` if the environment names none. Lower
/// case goes before upper case, and the variable of the scheme before that of all schemes.
///
/// # Errors
///
/// [`HubError::Proxy`] if a variable is set to what is no address of a proxy.
pub(super) fn of_environment(
    scheme: &str,
    variable: Variable<'_>,
) -> Result<Option<Proxy>, HubError> {
    let own = format!("{scheme}_proxy");
    let names = [
        own.to_ascii_uppercase(),
        "all_proxy".to_owned(),
        "ALL_PROXY".to_owned(),
    ];
    for name in [own].into_iter().chain(names) {
        let Some(value) = variable(&name).filter(|value| !value.is_empty()) else {
            continue;
        };
        let bypassed = ["no_proxy", "NO_PROXY"].into_iter().find_map(variable);
        let bypassed = bypassed.unwrap_or_default();
        let proxy = value
            .to_str()
            .and_then(|value| parse(value.trim(), &bypassed.to_string_lossy()));
        return proxy.map(Some).ok_or(HubError::Proxy(name));
    }
    Ok(None)
}

/// The proxy at an address, which need not have a scheme. It is not asked for the hosts of
/// `bypassed`, nor for those below them.
fn parse(address: &str, bypassed: &str) -> Option<Proxy> {
    let address = match address.contains("://") {
        true => address.to_owned(),
        false => format!("http://{address}"),
    };
    let uri: Uri = address.parse().ok()?;
    let (path, query) = (uri.path(), uri.query());
    if !names_server(&uri) || !matches!(path, "" | "/") || query.is_some() {
        return None;
    }
    let read = Proxy::new(&address).ok()?;
    let mut proxy = Proxy::builder(read.protocol())
        .host(read.host())
        .port(read.port())
        .resolve_target(read.resolve_target());
    if let Some(name) = read.username() {
        proxy = proxy.username(name);
    }
    if let Some(password) = read.password() {
        proxy = proxy.password(password);
    }
    let hosts = bypassed.split([',', ' ']).filter(|host| !host.is_empty());
    for host in hosts {
        proxy = proxy.no_proxy(host);
        if host.contains(':') {
            // An address of IPv6, which stands in brackets where there may be a port.
            proxy = proxy.no_proxy(&format!("[{host}]"));
        }
        if !host.starts_with(['.', '*']) {
            proxy = proxy.no_proxy(&format!(".{host}"));
        }
    }
    proxy.build().ok()
}

/// Host and port of a proxy, as messages show them.
pub(super) fn shown(proxy: &Proxy) -> String {
    format!("{}:{}", proxy.host(), proxy.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(scheme: &str, variables: &[(&str, &str)]) -> Result<Option<Proxy>, HubError> {
        of_environment(scheme, &|asked| {
            let found = variables.iter().find(|(name, _)| *name == asked);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn the_variable_of_the_scheme_goes_first() {
        let all = [
            ("ALL_PROXY", "d:1"),
            ("all_proxy", "c:1"),
            ("HTTPS_PROXY", "b:1"),
            ("https_proxy", "a:1"),
        ];
        for (count, expected) in [(4, "a:1"), (3, "b:1"), (2, "c:1"), (1, "d:1")] {
            let found = proxy("https", &all[..count]).unwrap().unwrap();
            assert_eq!(shown(&found), expected);
        }
        assert_eq!(shown(&proxy("http", &all).unwrap().unwrap()), "c:1");
        assert!(proxy("https", &[]).unwrap().is_none());
        assert!(
            proxy("https", &[("HTTP_PROXY", "a:1"), ("ALL_PROXY", "")])
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn what_is_no_address_of_a_proxy_is_refused() {
        let read = |value: &str| proxy("https", &[("HTTPS_PROXY", value)]);
        for (value, expected) in [
            ("http://127.0.0.1:3128", "127.0.0.1:3128"),
            (" http://127.0.0.1:3128/ ", "127.0.0.1:3128"),
            ("proxy.example:8080/", "proxy.example:8080"),
            ("proxy.example", "proxy.example:80"),
            ("https://proxy.example", "proxy.example:443"),
            ("socks5h://name:word@proxy.example", "proxy.example:1080"),
        ] {
            assert_eq!(shown(&read(value).unwrap().unwrap()), expected, "{value}");
        }
        for bad in [
            "http://127.0.0.1:99999",
            "http://127.0.0.1:0",
            "127.0.0.1:+80",
            "127.0.0.1:",
            "ftp://proxy.example",
            "http://",
            "\\",
            "http://proxy.example/path",
            "http://proxy.example:secret@",
        ] {
            let error = read(bad).unwrap_err();
            assert!(
                matches!(&error, HubError::Proxy(name) if name == "HTTPS_PROXY"),
                "{bad}"
            );
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn names_and_passwords_are_taken_as_they_are_meant() {
        let found = proxy("https", &[("HTTPS_PROXY", "http://n%40me:p%3Aw+d@h:1")]);
        let found = found.unwrap().unwrap();
        assert_eq!(found.username(), Some("n@me"));
        assert_eq!(found.password(), Some("p:w+d"));
    }

    #[test]
    fn hosts_can_be_spared() {
        let variables = [
            ("ALL_PROXY", "a:1"),
            ("NO_PROXY", "hub.example, .org,127.0.0.1,::1"),
        ];
        let found = proxy("https", &variables).unwrap().unwrap();
        let spared = |uri: &'static str| found.is_no_proxy(&Uri::from_static(uri));
        for host in [
            "https://hub.example/a",
            "https://cdn.hub.example",
            "https://a.org",
            "http://127.0.0.1:80",
            "http://[::1]:80",
        ] {
            assert!(spared(host), "{host}");
        }
        for host in [
            "https://org",
            "https://example",
            "https://anotherhub.example",
        ] {
            assert!(!spared(host), "{host}");
        }
    }
}
