//! What holds on both engines, tested on both with the same functions.

mod functions;
mod jobs;
mod migrations;
mod statements;
mod words;
