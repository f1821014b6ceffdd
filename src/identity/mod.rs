//! Our people: how a person proves who they are (`sign_in`, `password`, `second_factor`), and which person a provider's word is about
//! (`link`).
//!
//! Nothing here knows grants, tokens or HTTP.

mod details;
pub mod disconnect;
pub mod link;
pub mod password;
mod refuse;
mod sealed;
pub mod second_factor;
pub mod sign_in;
mod tokens;
mod username;
pub mod waiting;
