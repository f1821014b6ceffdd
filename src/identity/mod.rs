//! Our people: how a person proves who they are (`sign_in`, `password`, `second_factor`), which person a provider's word is about (`link`),
//! and what a person changes about the ways into their own account (`sign_up`, `address`, `new_password`).
//!
//! Nothing here knows grants, tokens or HTTP.

pub mod address;
pub mod details;
pub mod disconnect;
pub mod link;
mod mailed;
pub mod new_password;
pub mod password;
mod refuse;
mod sealed;
pub mod second_factor;
pub mod sign_in;
pub mod sign_up;
mod tokens;
pub mod username;
pub mod waiting;
