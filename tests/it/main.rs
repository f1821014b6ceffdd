//! One binary for all tests that need more than one room.

mod dependencies;

mod house;
