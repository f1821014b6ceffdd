//! Values that fit their key's type and still cannot be meant stop the start with one line.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets what it did not expect has failed")]

mod program;

use program::{Place, text};

#[test]
fn a_value_with_which_nothing_could_work_is_refused_and_its_key_named() {
    for (key, configuration) in [
        ("database.max_connections", "[database]\nmax_connections = 0"),
        ("database.cleanup_interval", "[database]\ncleanup_interval = '0s'"),
        ("database.acquire_timeout", "[database]\nacquire_timeout = '0s'"),
        ("http.max_body_bytes", "[http]\nmax_body_bytes = 0"),
        ("http.request_timeout", "[http]\nrequest_timeout = '0s'"),
        ("http.header_timeout", "[http]\nheader_timeout = '0s'"),
        ("outbound.timeout", "[outbound]\ntimeout = '0s'"),
        ("outbound.max_answer_bytes", "[outbound]\nmax_answer_bytes = 0"),
        ("outbound.max_concurrent_calls", "[outbound]\nmax_concurrent_calls = 0"),
        ("log.level", "[log]\nlevel = 'loud'"),
        ("log.level", "[log]\nlevel = 'info,vestibul'"),
        ("providers.a b", "[providers.'a b']\nprotocol = 'oidc'\nissuer = 'https://a.example'\nclient_id = 'x'"),
        ("providers.a/b", "[providers.'a/b']\nprotocol = 'oidc'\nissuer = 'https://a.example'\nclient_id = 'x'"),
    ] {
        let place = Place::sqlite();
        place.configure(configuration);

        let output = place.run(&["user", "list"], "");

        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{configuration}: {told}");
        assert!(
            told.starts_with(&format!("vestibule: {key}: ")) && told.lines().count() == 1,
            "{configuration}: {told}"
        );
    }
}

#[test]
fn every_filter_that_tracing_takes_is_taken() {
    for level in ["info", "TRACE", "off", "warn,vestibule=debug", "vestibule[request]=trace", ""] {
        let place = Place::sqlite();
        place.configure(&format!("[log]\nlevel = '{level}'"));
        let output = place.run(&["user", "list"], "");
        assert!(output.status.success(), "{level}: {}", text(&output.stderr));
    }
}
