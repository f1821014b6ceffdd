//! Passwords: reading what Django stored, writing Argon2id, and doing the work away from the request threads.
//!
//! The one idea: every answer costs a real hash. A person that does not exist, has no password, or has one that is not
//! readable takes as long as a wrong password, so that time tells nobody which names exist.
//! Not here: where hashes are stored, who may try how often, and where the salt's randomness comes from.

mod encoding;
mod pool;
mod rules;

pub use encoding::{Encoded, Workspace, encode};
pub use pool::{HashError, Hasher, MAX_PASSWORD_BYTES, Verdict};
pub use rules::{Weakness, weakness};
