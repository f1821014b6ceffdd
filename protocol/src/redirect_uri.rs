//! What a redirect URI may look like when an application is registered (RFC 6749 §3.1.2, RFC 8252 §7, RFC 9700 §4.1).

use url::Url;

/// Whether this can be registered as a redirect URI; the answer is the sentence that tells why not.
///
/// # Errors
/// A sentence for the operator: not absolute, with a fragment, with user information, or plain `http` off the machine.
pub fn check(uri: &str) -> Result<(), String> {
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
    use super::check;

    #[test]
    fn https_loopback_and_custom_schemes_can_be_registered() {
        for good in [
            "https://app.example/cb",
            "http://127.0.0.1/cb",
            "http://[::1]:8080/",
            "http://localhost/cb",
            "com.example.app:/cb",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
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
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
