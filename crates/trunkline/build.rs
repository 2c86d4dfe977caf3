//! Notes the commit that a release is built from, by reading `.git`; `BUILD_COMMIT` in the environment wins.
//!
//! Other profiles do without, so that a commit does not mean another build.

use std::path::Path;

fn main() {
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let mut directives = vec!["cargo::rerun-if-env-changed=BUILD_COMMIT".to_owned()];
    if is_release && std::env::var_os("BUILD_COMMIT").is_none() {
        let git = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.git");
        directives.extend(commit(&git));
    }
    write(&directives);
}

/// The directives that set the first eight digits of the commit; none where there is no repository.
fn commit(git: &Path) -> Vec<String> {
    let head_file = git.join("HEAD");
    let Ok(head) = std::fs::read_to_string(&head_file) else { return Vec::new() };
    let mut directives = vec![format!("cargo::rerun-if-changed={}", head_file.display())];
    let id = match head.trim().strip_prefix("ref: ") {
        Some(reference) => {
            let file = git.join(reference);
            directives.push(format!("cargo::rerun-if-changed={}", file.display()));
            std::fs::read_to_string(file).ok().or_else(|| packed(git, reference))
        }
        None => Some(head),
    };
    let short = id.and_then(|id| id.trim().get(..8).map(str::to_owned));
    directives.extend(short.map(|short| format!("cargo::rustc-env=BUILD_COMMIT={short}")));
    directives
}

/// The commit of a reference that `git gc` has moved into one file.
fn packed(git: &Path, reference: &str) -> Option<String> {
    let packed = std::fs::read_to_string(git.join("packed-refs")).ok()?;
    packed.lines().find_map(|line| line.strip_suffix(reference)?.strip_suffix(' ').map(str::to_owned))
}

fn write(directives: &[String]) {
    for directive in directives {
        println!("{directive}");
    }
}
