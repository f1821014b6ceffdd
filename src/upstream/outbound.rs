//! Every call that leaves the machine: timed, bounded in size and number, without redirects, and only to addresses that
//! may be called.
//!
//! The guard is the resolver that the connection itself uses, so the address that was checked is the one that is
//! connected to. An origin that the operator wrote into `outbound.origin_map` is their choice and not guarded.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;
use url::{Host, Url};

use crate::settings::OutboundSettings;

/// The client of all calls.
pub(super) struct Outbound {
    guarded: reqwest::Client,
    unguarded: reqwest::Client,
    allow_private: bool,
    origin_map: BTreeMap<String, String>,
    timeout: Duration,
    max_answer_bytes: usize,
}

/// A question to a provider.
pub(super) struct Call<'a> {
    pub method: reqwest::Method,
    pub url: String,
    pub query: Vec<(&'a str, String)>,
    pub authorization: Option<String>,
    pub basic: Option<(&'a str, &'a str)>,
    pub body: Body,
}

pub(super) enum Body {
    None,
    Form(Vec<(&'static str, String)>),
    Json(serde_json::Value),
}

impl<'a> Call<'a> {
    pub(super) fn get(url: String) -> Self {
        Call {
            method: reqwest::Method::GET,
            url,
            query: Vec::new(),
            authorization: None,
            basic: None,
            body: Body::None,
        }
    }
}

/// What came back, whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub body: Bytes,
}

/// Nothing usable came back.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    #[error("no connection: {0}")]
    Unreachable(String),
    #[error("its address must not be called: {0}")]
    Blocked(String),
    #[error("an answer of more than {0} bytes")]
    TooLarge(usize),
    #[error("not an address to call")]
    BadUrl,
}

impl Outbound {
    pub(super) fn new(settings: &OutboundSettings) -> Result<Self, String> {
        // An embedder's tree may bring another provider; ours is named, not found.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .connect_timeout(settings.timeout)
                .timeout(settings.timeout)
                .pool_max_idle_per_host(settings.max_concurrent_calls)
        };
        let wrong = |error: reqwest::Error| format!("outbound: {}", crate::describe(&error));
        for (from, to) in &settings.origin_map {
            for origin in [from, to] {
                let parsed = Url::parse(origin)
                    .map_err(|error| format!("outbound.origin_map: `{origin}` is not an address: {error}"))?;
                if !matches!(parsed.scheme(), "http" | "https") {
                    return Err(format!("outbound.origin_map: `{origin}` is not an http or https address"));
                }
            }
        }
        Ok(Self {
            guarded: builder().dns_resolver(Arc::new(PublicOnly)).build().map_err(wrong)?,
            unguarded: builder().build().map_err(wrong)?,
            allow_private: settings.allow_private_addresses,
            origin_map: settings
                .origin_map
                .iter()
                .map(|(from, to)| (from.trim_end_matches('/').to_owned(), to.trim_end_matches('/').to_owned()))
                .collect(),
            timeout: settings.timeout,
            max_answer_bytes: settings.max_answer_bytes,
        })
    }

    /// Asks, and reads the whole answer. The time-out is for everything, also for waiting until fewer than
    /// `max_concurrent_calls` run.
    pub(super) async fn call(&self, gate: &Semaphore, call: Call<'_>) -> Result<Answer, CallError> {
        let work = async {
            let _permit = gate.acquire().await.map_err(|_| CallError::Unreachable("shutting down".to_owned()))?;
            self.call_now(call).await
        };
        tokio::time::timeout(self.timeout, work).await.unwrap_or(Err(CallError::TimedOut(self.timeout)))
    }

    async fn call_now(&self, call: Call<'_>) -> Result<Answer, CallError> {
        let asked = Url::parse(&call.url).map_err(|_| CallError::BadUrl)?;
        let (mut url, client) = match self.mapped(&asked)? {
            Some(mapped) => (mapped, &self.unguarded),
            None if self.allow_private => (asked, &self.unguarded),
            None => {
                check_literal(&asked)?;
                (asked, &self.guarded)
            }
        };
        if !matches!(url.scheme(), "http" | "https") {
            return Err(CallError::BadUrl);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = client.request(call.method, url).header("accept", "application/json");
        if let Some(value) = call.authorization {
            request = request.header("authorization", value);
        }
        if let Some((id, secret)) = call.basic {
            request = request.basic_auth(id, Some(secret));
        }
        request = match call.body {
            Body::None => request,
            Body::Form(pairs) => request.form(&pairs),
            Body::Json(json) => request.json(&json),
        };
        let mut response = request.send().await.map_err(|error| self.sorted(error))?;
        let status = response.status().as_u16();
        let too_large = CallError::TooLarge(self.max_answer_bytes);
        if response.content_length().is_some_and(|length| length > self.max_answer_bytes as u64) {
            return Err(too_large);
        }
        let mut body = BytesMut::new();
        // Chunk by chunk, after decompression: a bomb is cut where the limit is.
        while let Some(chunk) = response.chunk().await.map_err(|error| self.sorted(error))? {
            if body.len() + chunk.len() > self.max_answer_bytes {
                return Err(too_large);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, body: body.freeze() })
    }

    /// The address that the operator wants called in place of this one.
    fn mapped(&self, url: &Url) -> Result<Option<Url>, CallError> {
        let origin = url.origin().ascii_serialization();
        let Some(base) = self.origin_map.get(&origin) else { return Ok(None) };
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        Url::parse(&format!("{base}{}{query}", url.path())).map(Some).map_err(|_| CallError::BadUrl)
    }

    fn sorted(&self, error: reqwest::Error) -> CallError {
        if error.is_timeout() {
            return CallError::TimedOut(self.timeout);
        }
        let error = error.without_url(); // it may hold a token
        let mut source: Option<&dyn std::error::Error> = Some(&error);
        while let Some(cause) = source {
            if let Some(blocked) = cause.downcast_ref::<NotPublic>() {
                return CallError::Blocked(blocked.to_string());
            }
            source = cause.source();
        }
        CallError::Unreachable(crate::describe(&error))
    }
}

/// A name that resolves to addresses which must not be called.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not a public address; outbound.allow_private_addresses would allow it")]
struct NotPublic(IpAddr);

/// Resolves names as the system does, and lets only public addresses through. If one of a name's addresses is not
/// public, none is called: a name that has both is being played with.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            match found.iter().find(|address| !is_public(address.ip())) {
                Some(private) => Err(NotPublic(private.ip()).into()),
                None => Ok(Box::new(found.into_iter()) as Addrs),
            }
        })
    }
}

/// An address written out is never resolved, so it is looked at here.
fn check_literal(url: &Url) -> Result<(), CallError> {
    let address: IpAddr = match url.host() {
        Some(Host::Ipv4(address)) => address.into(),
        Some(Host::Ipv6(address)) => address.into(),
        Some(Host::Domain(_)) => return Ok(()),
        None => return Err(CallError::BadUrl),
    };
    if is_public(address) { Ok(()) } else { Err(CallError::Blocked(NotPublic(address).to_string())) }
}

/// Whether the whole internet could call this address (IANA's special-purpose registries; RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || a == 127
        || address.is_private()
        || address.is_link_local()
        || (a == 100 && (64..128).contains(&b)) // carrier-grade NAT, RFC 6598
        || (a == 192 && b == 0 && c == 0) // protocol assignments
        || address.is_documentation()
        || (a == 192 && b == 88 && c == 99) // 6to4 relays
        || (a == 198 && (b == 18 || b == 19)) // benchmarks
        || a >= 224) // multicast, reserved, broadcast
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] => embedded(high, low), // mapped
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low), // NAT64
        [0x2002, high, low, ..] => embedded(high, low),            // 6to4
        // 2000::/3 is what has been given out; of that not Teredo, ORCHID, benchmarks and documentation.
        [first, second, ..] => {
            (first & 0xe000) == 0x2000
                && !(first == 0x2001 && (second < 0x200 || second == 0xdb8))
                && !(first == 0x3fff && second < 0x1000)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_public;

    #[test]
    fn private_and_special_addresses_are_not_public_in_any_spelling() {
        // attack 235
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "::127.0.0.1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }
}
