//! One test binary: a file a flow, every test on SQLite and on PostgreSQL, over HTTP on a real socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test that meets what it did not expect has failed"
)]

mod harness;

mod browser;
mod clients;
mod conversion;
mod dependencies;
mod example;
mod house;
mod id_tokens;
mod manual;
mod outage;
mod passwords;
mod reference;
mod refresh;
mod request_shapes;
mod revocation;
mod storage;
