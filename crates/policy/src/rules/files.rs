//! Rule files on disk: one file, or every `*.json` below a directory.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

use super::Fault;

/// The largest rule file.
const MAX_FILE: u64 = 16 << 20;
/// The most files below a directory.
const MAX_FILES: usize = 1000;
/// How deep directories are looked into.
const MAX_DEPTH: usize = 16;

/// The files with one of these extensions at `path`, in the order of their names, with their texts. A file that is named
/// itself may have any name.
pub(crate) fn read(path: &Path, extension: &str) -> Result<Vec<(String, String)>, Fault> {
    let mut found = Vec::new();
    if path.is_dir() {
        walk(path, extension, 0, &mut found)?;
        found.sort();
    } else {
        found.push(path.to_owned());
    }
    found.into_iter().map(|file| Ok((file.display().to_string(), text(&file)?))).collect()
}

/// One file that is a document of its own.
pub(crate) fn read_document<T: DeserializeOwned>(path: &Path) -> Result<T, Fault> {
    super::document::read(&path.display().to_string(), &text(path)?)
}

fn walk(directory: &Path, extension: &str, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Fault> {
    let failed = |error: io::Error| unreadable(directory, &error.to_string());
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            if depth == MAX_DEPTH {
                return Err(unreadable(&path, "the directories are nested too deeply"));
            }
            walk(&path, extension, depth + 1, found)?;
        } else if path.extension().is_some_and(|other| other.eq_ignore_ascii_case(extension)) {
            if found.len() == MAX_FILES {
                return Err(unreadable(directory, "there are more than 1000 files"));
            }
            found.push(path);
        }
    }
    Ok(())
}

fn text(file: &Path) -> Result<String, Fault> {
    let length = fs::metadata(file).map_err(|error| unreadable(file, &error.to_string()))?.len();
    if length > MAX_FILE {
        return Err(unreadable(file, "it is larger than 16 MiB"));
    }
    fs::read_to_string(file).map_err(|error| unreadable(file, &error.to_string()))
}

fn unreadable(path: &Path, why: &str) -> Fault {
    Fault { file: path.display().to_string(), line: 0, column: 0, what: format!("cannot be read: {why}") }
}
