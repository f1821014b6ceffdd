//! `vestibule dev`
mod kept;
mod person;
pub mod provider;
mod signing;
