//! Vestibule.
pub mod clock;
pub mod settings;
pub use vestibule_protocol as protocol;
