//! Vestibule.
pub mod clock;
pub mod identity;
pub mod settings;
pub use vestibule_protocol as protocol;
