//! Runs of the program.

use std::fmt;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A run that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a run ended.
pub(crate) struct Ran {
    /// The exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Ran {
    /// Whether not even the program's libraries could be loaded, before any of its own code ran.
    pub(crate) fn never_started(&self) -> bool {
        let loader = ["error while loading shared libraries", "cannot allocate"];
        self.code == Some(127) && loader.iter().any(|said| self.stderr.contains(said))
    }

    /// Whether it took too long, and was ended.
    pub(crate) fn hung(&self) -> bool {
        self.took >= PATIENCE
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = self.took.as_millis();
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit {code} after {took} ms")?,
            (None, signal) => write!(f, "signal {} after {took} ms", signal.unwrap_or(0))?,
        }
        write!(f, ", standard error: {:?}", self.stderr)
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ran {
    run_with(command, |_| {})
}

/// Runs a command to its end; `meanwhile` gets it after its start.
pub(crate) fn run_with(command: &mut Command, meanwhile: impl FnOnce(&mut Child)) -> Ran {
    let start = Instant::now();
    // In a group of its own, all that it starts can be ended with it.
    let mut child = command
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    thread::scope(|scope| {
        let read = |mut from: Box<dyn Read + Send>| {
            scope.spawn(move || {
                let mut bytes = Vec::new();
                // Its end may come early: `meanwhile` can close it, or a process be killed.
                let _ = from.read_to_end(&mut bytes);
                bytes
            })
        };
        let stderr = child.stderr.take().map(|from| read(Box::new(from)));
        meanwhile(&mut child);
        let stdout = child.stdout.take().map(|from| read(Box::new(from)));
        let status = wait(&mut child, start);
        let took = start.elapsed();
        // What it writes there is not looked at, but must be read for the program to go on.
        drop(stdout);
        let stderr = stderr.map(|reader| reader.join().unwrap());
        Ran {
            code: status.code(),
            signal: status.signal(),
            stderr: String::from_utf8_lossy(&stderr.unwrap_or_default()).into_owned(),
            took,
        }
    })
}

fn wait(child: &mut Child, start: Instant) -> ExitStatus {
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > PATIENCE {
            send("KILL", &format!("-{}", child.id()));
            return child.wait().unwrap();
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Sends a signal to a process, or to the group whose number follows a minus sign.
pub(crate) fn send(signal: &str, process: &str) {
    let kill = Command::new("kill")
        .args(["-s", signal, "--", process])
        // It may have ended already.
        .stderr(Stdio::null())
        .status();
    kill.expect("kill runs");
}

/// Whether a tool is there and works with these arguments.
pub(crate) fn works(tool: &str, args: &[&str]) -> bool {
    let status = Command::new(tool)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}
