//! All tests, several test programs at a time: `cargo test` runs one after the other, and most of ours wait for a cluster to react.
//!
//! Each program runs as cargo would run it, alone with its own tests; what it prints is shown whole when it ends. The longest of the last
//! run begin first. A program that does not end is ended, and that is told.

use std::{
    collections::BTreeMap,
    fs::File,
    io::BufRead,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::findings::Findings;

/// Longest run of one program: many times what the longest takes on a quiet machine.
const LIMIT: Duration = Duration::from_secs(30 * 60);
/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// A test program that cargo built.
struct Program {
    /// `operator tests/sync.rs`.
    title: String,
    executable: PathBuf,
    /// Cargo runs tests in their package's folder.
    folder: PathBuf,
}

/// What became of one.
struct Ended {
    title: String,
    time: Duration,
    /// Why it counts as failed.
    failure: Option<String>,
}

/// Builds and runs every test of the workspace, then the examples in the documentation.
///
/// # Errors
/// When something does not build, or the terminal refuses.
pub(crate) fn run() -> anyhow::Result<Findings> {
    let times = Times::read();
    let mut programs = build()?;
    programs.sort_by_key(|program| times.of(&program.title));
    let lanes = lanes();
    println!("{} test programs, {lanes} at a time", programs.len());
    let queue = Mutex::new(programs);
    let ended = Mutex::new(Vec::new());
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let workers: Vec<_> = (0..lanes).map(|_| scope.spawn(|| work(&queue, &ended))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a lane that does not panic"))
    })?;
    let mut ended = ended.into_inner().expect("all lanes have ended");
    ended.sort_by_key(|ended: &Ended| std::cmp::Reverse(ended.time));
    times.write(&ended)?;
    println!("\nlongest:");
    for ended in ended.iter().take(12) {
        println!("{:>7.1} s  {}", ended.time.as_secs_f64(), ended.title);
    }
    let mut findings = Findings { checked: format!("{} test programs", ended.len()), ..Findings::default() };
    findings.errors.extend(ended.iter().filter_map(|ended| {
        let failure = ended.failure.as_ref()?;
        Some(format!("{}: {failure}", ended.title))
    }));
    documentation(&mut findings)?;
    Ok(findings)
}

/// Two on a machine of two cores, and never more than four: each may start an API server and an etcd of its own.
fn lanes() -> usize {
    let told = std::env::var("ALLMENDE_TEST_LANES").ok().and_then(|text| text.parse().ok());
    told.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(1, 4)))
}

fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["test", "--workspace", "--locked"]);
    command
}

fn build() -> anyhow::Result<Vec<Program>> {
    let mut child = cargo()
        .args(["--no-run", "--message-format", "json-render-diagnostics"])
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo does not start")?;
    let messages = std::io::BufReader::new(child.stdout.take().context("cargo's messages")?);
    let mut programs = Vec::new();
    for line in messages.lines() {
        programs.extend(program(&serde_json::from_str(&line?)?));
    }
    if !child.wait()?.success() {
        bail!("the tests do not build");
    }
    Ok(programs)
}

/// The test program that a message of cargo tells of.
fn program(message: &Value) -> Option<Program> {
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let executable = PathBuf::from(message["executable"].as_str()?);
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    let source = Path::new(message["target"]["src_path"].as_str()?);
    let package = folder.file_name()?.to_string_lossy().into_owned();
    let title = format!("{package} {}", source.strip_prefix(&folder).unwrap_or(source).display());
    Some(Program { title, executable, folder })
}

fn work(queue: &Mutex<Vec<Program>>, ended: &Mutex<Vec<Ended>>) -> anyhow::Result<()> {
    loop {
        // A statement of its own, so that the queue is free while the program runs.
        let next = queue.lock().expect("the queue").pop();
        let Some(program) = next else { return Ok(()) };
        let output = tempfile::NamedTempFile::new()?;
        let begun = Instant::now();
        let failure = outcome(watch(&program, output.as_file())?);
        let result = Ended { title: program.title, time: begun.elapsed(), failure };
        let mut all = ended.lock().expect("the results");
        println!("\n--- {} ({:.1} s)", result.title, result.time.as_secs_f64());
        print!("{}", String::from_utf8_lossy(&std::fs::read(output.path())?));
        all.push(result);
    }
}

/// Runs it; none when it took too long and was ended.
#[expect(
    clippy::disallowed_methods,
    reason = "the condition is the end of a process, which the standard library only lets one ask for"
)]
fn watch(program: &Program, output: &File) -> anyhow::Result<Option<ExitStatus>> {
    let mut child = Command::new(&program.executable)
        .current_dir(&program.folder)
        .env("CARGO_MANIFEST_DIR", &program.folder)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        .spawn()
        .with_context(|| format!("{} does not start", program.title))?;
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() > LIMIT {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

fn outcome(status: Option<ExitStatus>) -> Option<String> {
    match status {
        Some(status) if status.success() => None,
        Some(status) => Some(format!("{status}")),
        None => Some(format!("did not end within {} minutes", LIMIT.as_secs() / 60)),
    }
}

fn documentation(findings: &mut Findings) -> anyhow::Result<()> {
    if !cargo().arg("--doc").status()?.success() {
        findings.errors.push("examples in the documentation fail".to_owned());
    }
    Ok(())
}

/// How long each program took last, in milliseconds, beside what cargo built.
struct Times {
    file: Option<PathBuf>,
    by_title: BTreeMap<String, u64>,
}

impl Times {
    fn read() -> Self {
        let file =
            std::env::var_os("CARGO_TARGET_DIR").map(|folder| Path::new(&folder).join("test-times.json"));
        let text = file.as_ref().and_then(|file| std::fs::read(file).ok()).unwrap_or_default();
        Self { file, by_title: serde_json::from_slice(&text).unwrap_or_default() }
    }

    /// The queue is taken from its end: the longest, and what was never seen, come last in it.
    fn of(&self, title: &str) -> u64 {
        self.by_title.get(title).copied().unwrap_or(u64::MAX)
    }

    fn write(&self, ended: &[Ended]) -> anyhow::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let times: BTreeMap<&str, u64> =
            ended.iter().map(|ended| (ended.title.as_str(), milliseconds(ended.time))).collect();
        std::fs::write(file, serde_json::to_vec(&times)?).context("the times of the tests are not kept")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_messages_of_test_programs_name_one() {
        let mut message = json!({
            "reason": "compiler-artifact",
            "manifest_path": "/w/operator/Cargo.toml",
            "target": {"src_path": "/w/operator/tests/sync.rs"},
            "profile": {"test": true},
            "executable": "/t/sync-1",
        });
        let found = program(&message).unwrap();
        assert_eq!(
            (found.title.as_str(), found.folder.as_path()),
            ("operator tests/sync.rs", Path::new("/w/operator"))
        );
        message["profile"]["test"] = json!(false);
        assert!(program(&message).is_none());
    }

    #[test]
    fn the_longest_of_the_last_run_and_new_ones_are_taken_first() {
        let times = Times { file: None, by_title: [("a".to_owned(), 5), ("b".to_owned(), 900)].into() };
        let mut titles = ["new", "b", "a"];
        titles.sort_by_key(|title| times.of(title));
        assert_eq!(titles, ["a", "b", "new"]);
    }
}
