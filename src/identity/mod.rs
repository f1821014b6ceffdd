//! Our people: how a person proves who they are, and which person a proof belongs to.
//!
//! Nothing here knows grants, tokens or HTTP; it answers "who is this?" to those that do.
pub mod password;
