//! The program `trunkline`: commands, configuration, composition.
//!
//! The binary alone knows all capabilities. [`cli`] reads the command line, [`config`] turns flags, environment and file
//! into typed settings, [`serve`] is the life of a node from its data directory to its last line in the log.

mod announce;
mod bounds;
pub mod build_info;
pub mod cli;
mod commands;
pub mod compose;
pub mod config;
mod data_dir;
mod device;
mod doors;
mod help;
mod laid_out;
mod logging;
mod members;
mod open_files;
mod outside;
pub mod plane;
mod quickstart;
mod rescue;
mod revocations;
pub mod serve;
mod signals;
