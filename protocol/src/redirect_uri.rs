//! What a redirect URI may look like when an application is registered, and whether one in a request is registered
//! (RFC 6749 §3.1.2, RFC 8252 §7, RFC 9700 §2.1).
//!
//! Registered and presented are compared letter by letter, the host's too. Two exceptions: the port of a loopback address,
//! and a leading `*` in the host where the operator allows wildcards.

use url::Url;

/// Whether this can be registered as a redirect URI; the answer is the sentence that tells why not.
///
/// # Errors
/// A sentence for the operator: not absolute, with a fragment, with user information, plain `http` off the machine, or a
/// wildcard where `wildcards` does not allow one.
pub fn check(uri: &str, wildcards: bool) -> Result<(), String> {
    if let Some(rest) = uri.strip_prefix("https://*") {
        if !wildcards {
            return Err(format!(
                "redirect URI `{uri}` has a wildcard; `authorization.allow_uri_wildcards` must be on for that"
            ));
        }
        // At least two labels of the operator's own behind it: `*.example.com`, never `*.com`.
        let host = rest.split(['/', '?', ':']).next().unwrap_or_default();
        if !host.starts_with(['.', '-']) || host.matches('.').count() < 2 || host.contains('*') {
            return Err(format!(
                "redirect URI `{uri}`: a wildcard stands at the beginning of a host such as *.preview.example.com"
            ));
        }
        return check(&format!("https://x{rest}"), false);
    }
    if uri.contains('*')
        && uri.split("://").nth(1).is_some_and(|rest| rest.split('/').next().unwrap_or_default().contains('*'))
    {
        return Err(format!("redirect URI `{uri}`: a wildcard stands at the beginning of an https host only"));
    }
    let parsed = Url::parse(uri).map_err(|error| format!("redirect URI `{uri}` is not an absolute URI: {error}"))?;
    if uri.contains(char::is_whitespace) || uri.chars().any(char::is_control) {
        return Err(format!("redirect URI `{uri}` holds blanks or control characters"));
    }
    if parsed.fragment().is_some() {
        return Err(format!("redirect URI `{uri}` must not have a fragment (RFC 6749 §3.1.2)"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(format!("redirect URI `{uri}` must not hold a user name or password"));
    }
    match parsed.scheme() {
        "javascript" | "data" | "vbscript" | "file" | "about" | "blob" => {
            Err(format!("redirect URI `{uri}` has a scheme that runs or shows what it is given"))
        }
        "http" if !is_loopback(&parsed) => {
            Err(format!("redirect URI `{uri}` must be https; http is for loopback addresses only (RFC 8252 §7.3)"))
        }
        _ => Ok(()),
    }
}

/// Whether a presented redirect URI is one of the registered ones.
pub fn is_registered(registered: &[String], presented: &str, wildcards: bool) -> bool {
    registered.iter().any(|own| {
        own == presented || is_same_but_for_port(own, presented) || wildcards && fits_wildcard(own, presented)
    })
}

/// RFC 8252 §7.3: a native application listens on whatever port is free, on a loopback IP address.
fn is_same_but_for_port(registered: &str, presented: &str) -> bool {
    ["http://127.0.0.1", "http://[::1]"].iter().any(|host| {
        let rest = |uri: &'_ str| -> Option<String> {
            let rest = uri.strip_prefix(host)?;
            let digits =
                rest.strip_prefix(':').map_or(0, |port| 1 + port.bytes().take_while(u8::is_ascii_digit).count());
            // A lone colon is no port, and what follows must not belong to the host.
            let rest = rest.get(digits..).filter(|_| digits != 1 && digits <= 6)?;
            (rest.is_empty() || rest.starts_with(['/', '?'])).then(|| rest.to_owned())
        };
        matches!((rest(registered), rest(presented)), (Some(one), Some(other)) if one == other)
    })
}

/// One label, or the beginning of one, where the registered host has its `*`.
fn fits_wildcard(registered: &str, presented: &str) -> bool {
    let label = registered
        .strip_prefix("https://*")
        .and_then(|rest| presented.strip_prefix("https://").and_then(|presented| presented.strip_suffix(rest)));
    label.is_some_and(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}

fn is_loopback(uri: &Url) -> bool {
    match uri.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{check, is_registered};

    #[test]
    fn https_loopback_and_custom_schemes_can_be_registered() {
        for good in [
            "https://app.example/cb",
            "http://127.0.0.1/cb",
            "http://[::1]:8080/",
            "http://localhost/cb",
            "com.example.app:/cb",
        ] {
            assert_eq!(check(good, false), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_could_leak_a_code_cannot() {
        for bad in [
            "/cb",
            "app.example/cb",
            "https://app.example/cb#x",
            "http://app.example/cb",
            "javascript:alert(1)",
            "https://user@evil.example/cb",
            "http://127.0.0.1.evil.example/cb",
            "https://app.example/c b",
            "https://*.example.com/cb",
        ] {
            assert!(check(bad, false).is_err(), "{bad}");
        }
        assert_eq!(check("https://*.preview.example.com/cb", true), Ok(()));
        for bad in [
            "https://*.com/cb",
            "https://*/cb",
            "https://a.*.example.com/",
            "http://*.example.com/",
            "https://*@evil.example.com/",
        ] {
            assert!(check(bad, true).is_err(), "{bad}");
        }
    }

    fn registered(own: &str, presented: &str) -> bool {
        is_registered(&[own.to_owned()], presented, false)
    }

    #[test]
    fn a_redirect_uri_is_compared_letter_by_letter() {
        // attacks 21, 23, 27
        let own = "https://app.example/cb";
        assert!(registered(own, own));
        for other in [
            "https://app.example/cb/",
            "https://app.example/cb?x=1",
            "https://app.example/cb#x",
            "https://app.example/CB",
            "https://APP.example/cb",
            "HTTPS://app.example/cb",
            "https://app.example.evil.com/cb",
            "https://app.example@evil.com/cb",
            "https://app.example:443/cb",
            "https://app.example/cb%20",
            "",
        ] {
            assert!(!registered(own, other), "{other}");
        }
        assert!(registered("https://app.example/cb?x=1", "https://app.example/cb?x=1"));
        assert!(!registered("https://app.example/cb?x=1", "https://app.example/cb?x=2"));
    }

    #[test]
    fn a_native_application_may_use_any_port_of_its_loopback_address() {
        // attack 25
        for own in ["http://127.0.0.1/cb", "http://127.0.0.1:1/cb"] {
            assert!(registered(own, "http://127.0.0.1:51004/cb") && registered(own, "http://127.0.0.1/cb"));
            for other in [
                "http://127.0.0.1.evil.com/cb",
                "http://127.0.0.1:51004/other",
                "http://127.0.0.1:51004@evil.com/cb",
                "http://127.0.0.1:/cb",
                "http://127.0.0.1:123456/cb",
                "https://127.0.0.1:51004/cb",
                "http://127.0.0.2:51004/cb",
                "http://localhost:51004/cb",
                "http://127.0.0.1:51004/cb?x",
            ] {
                assert!(!registered(own, other), "{other}");
            }
        }
        assert!(registered("http://[::1]/cb", "http://[::1]:9/cb"));
    }

    #[test]
    fn a_wildcard_stands_for_one_label_and_only_where_the_operator_allows_it() {
        let own = ["https://*.preview.example.com/cb".to_owned()];
        assert!(is_registered(&own, "https://pr-7.preview.example.com/cb", true));
        assert!(!is_registered(&own, "https://pr-7.preview.example.com/cb", false));
        for other in [
            "https://.preview.example.com/cb",
            "https://a.b.preview.example.com/cb",
            "https://evil.com/.preview.example.com/cb",
            "https://evil.com?.preview.example.com/cb",
            "https://x@preview.example.com/cb",
            "https://pr-7.preview.example.com/cb2",
        ] {
            assert!(!is_registered(&own, other, true), "{other}");
        }
    }
}
