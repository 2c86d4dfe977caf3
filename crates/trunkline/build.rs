//! Notes the commit that a release is built from and its time, by reading `.git`; `BUILD_COMMIT` and `BUILD_TIME` in the
//! environment win. The time is the commit's and not the clock's, so that a build can be repeated.
//!
//! Other profiles do without, so that a commit does not mean another build.

use std::path::Path;

fn main() {
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let mut directives: Vec<String> = ["BUILD_COMMIT", "BUILD_TIME"]
        .map(|variable| format!("cargo::rerun-if-env-changed={variable}"))
        .into();
    if is_release && std::env::var_os("BUILD_TIME").is_none() {
        directives.extend(time().map(|time| format!("cargo::rustc-env=BUILD_TIME={time}")));
    }
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

/// When the commit was made, in UTC, as the reference writes it; none where git cannot tell.
fn time() -> Option<String> {
    let shown = std::process::Command::new("git")
        .args(["log", "-1", "--format=%cd", "--date=format-local:%Y-%m-%d_%H:%M:%S"])
        .env("TZ", "UTC")
        .output()
        .ok()?;
    let time = String::from_utf8(shown.stdout).ok()?.trim().to_owned();
    (shown.status.success() && !time.is_empty()).then_some(time)
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
