//! One test binary: a file a flow, every test on SQLite and on PostgreSQL, over HTTP on a real socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test that meets what it did not expect has failed"
)]

mod harness;

mod account;
mod assertions;
mod authorize;
mod browser;
mod browser_login;
mod cas;
mod catalog;
mod clients;
mod codes;
mod connections;
mod console;
mod conversion;
mod dependencies;
mod devices;
mod example;
mod exchange;
mod hooks;
mod house;
mod id_tokens;
mod launches;
mod manual;
mod oauth1;
mod openapi;
mod openid;
mod openid2;
mod outage;
mod own_provider;
mod owners;
mod passwords;
mod people;
mod provider_pages;
mod provider_tokens;
mod quirks;
mod reference;
mod refresh;
mod registration;
mod request_shapes;
mod revocation;
#[cfg(feature = "saml")]
mod saml;
mod second_factor;
mod sender_constrained;
mod sessions;
mod setbacks;
mod statistics;
mod storage;
