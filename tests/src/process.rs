//! The programs as they are shipped, as child processes that can be killed and started again.

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// One program with what it is started with; ends with the value.
#[derive(Debug)]
pub struct Program {
    name: &'static str,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    child: Option<Child>,
}

/// Where a program of this workspace was built: beside the test that runs.
///
/// # Panics
/// When it is not there.
pub fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join(name);
    assert!(
        path.is_file(),
        "{} is missing: run `cargo build -p allmende-api -p allmende-operator -p allmende-billing` first, or `make faults`",
        path.display()
    );
    path
}

impl Program {
    /// Starts it; its log goes to a file.
    pub fn start(
        name: &'static str,
        arguments: Vec<String>,
        environment: Vec<(String, String)>,
        log: PathBuf,
    ) -> Self {
        let mut program = Self { name, arguments, environment, log, child: None };
        program.start_again();
        program
    }

    /// Starts it with the same arguments.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_again(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(&self.log).unwrap();
        let child = Command::new(built(self.name))
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            // A group of its own stands for its container: what it started ends with it.
            .process_group(0)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it was not started.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map(Child::id).unwrap()
    }

    /// Whether it runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// SIGKILL for it and for what it started, as when its container is killed.
    ///
    /// # Panics
    /// When it did not run any more.
    pub fn kill(&mut self) {
        assert!(self.is_alive(), "{} had ended before it was killed: {}", self.name, self.last_lines());
        signal("KILL", &format!("-{}", self.pid()));
        self.child.take().unwrap().wait().unwrap();
    }

    /// The end of its log.
    pub fn last_lines(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- the end of {}'s log\n{}", self.name, self.last_lines());
        }
        if self.is_alive() {
            signal("KILL", &format!("-{}", self.pid()));
            let _ = self.child.take().map(|mut child| child.wait());
        }
    }
}

/// Sends a signal to a process, or to a group when the id has a minus in front.
///
/// # Panics
/// When it cannot be sent: the process is not there.
pub fn signal(name: &str, id: &str) {
    let status = Command::new("kill").args(["-s", name, "--", id]).status().unwrap();
    assert!(status.success(), "kill -s {name} -- {id}");
}

/// The Helm process that a program started for a namespace, while it runs.
pub fn helm_of(parent: u32, namespace: &str) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").ok()?;
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    ids.into_iter().find(|id| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // The name in brackets may hold blanks; the parent's id is the second field behind it.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let arguments = std::fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let mut arguments = arguments.split('\0');
        fields.split_whitespace().nth(1) == Some(&parent.to_string())
            && arguments.next().is_some_and(|program| program.ends_with("/helm"))
            && arguments.any(|argument| argument == namespace)
    })
}
