//! A real `redis-server` for one test: on a port of its own, without persistence, gone at the end.

// Each test binary is a crate of its own and uses some of it.
#![allow(dead_code, unreachable_pub)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// In the directory of a server; a server started again writes on.
const LOG: &str = "redis.log";

/// A running server. Dropping it kills the process and removes its directory.
pub struct RedisServer {
    child: Option<Child>,
    port: u16,
    args: Vec<String>,
    dir: TempDir,
}

impl RedisServer {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    ///
    /// If there is no `redis-server`, or it doesn't come up.
    pub fn start() -> Self {
        Self::with_args(&[])
    }

    /// Starts one with further arguments, such as `["--maxmemory", "4mb"]`.
    pub fn with_args(args: &[&str]) -> Self {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        // Somebody who is no test of ours may take the port before the server has it.
        for _ in 0..5 {
            let dir = TempDir::new().expect("a temporary directory");
            let mut server = Self { child: None, port: free_port(), args: args.clone(), dir };
            if server.launch() {
                return server;
            }
        }
        panic!("redis-server does not come up");
    }

    /// `redis://127.0.0.1:{port}`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Adds arguments for when it is started again.
    pub fn add_args(&mut self, args: &[&str]) {
        self.args.extend(args.iter().map(|&arg| arg.to_owned()));
    }

    /// Whether it was started, and not killed or stopped since.
    pub fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// The file that SAVE writes, and that a restart loads if it is there.
    pub fn snapshot(&self) -> PathBuf {
        self.dir.path().join("dump.rdb")
    }

    /// Kills it at once, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("SIGKILL");
            child.wait().expect("the process ends");
        }
    }

    /// Lets it shut down in its own way.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal(&child, "TERM");
            let began = Instant::now();
            while child.try_wait().expect("wait").is_none() {
                if began.elapsed() > Duration::from_secs(5) {
                    child.kill().expect("SIGKILL");
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// Freezes it: connections stay open and nothing answers.
    pub fn pause(&self) {
        signal(self.child.as_ref().expect("a running server"), "STOP");
    }

    /// Wakes it up again.
    pub fn resume(&self) {
        signal(self.child.as_ref().expect("a running server"), "CONT");
    }

    /// Kills it, if it runs, and starts one on the same port: an empty one, unless a snapshot was
    /// saved.
    pub fn restart(&mut self) {
        self.kill();
        for _ in 0..5 {
            if self.launch() {
                return;
            }
        }
        panic!("redis-server does not come up again on port {}", self.port);
    }

    /// Starts it again with these arguments instead of the ones it had, and does not wait until it
    /// is ready: it may be reading a snapshot.
    pub fn restart_unready(&mut self, args: &[&str]) {
        self.kill();
        self.args = args.iter().map(|&arg| arg.to_owned()).collect();
        self.spawn();
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The last lines of its log.
    pub fn last_words(&self, lines: usize) -> String {
        let log = self.log();
        let from = log.lines().count().saturating_sub(lines);
        log.lines().skip(from).fold(String::new(), |text, line| text + line + "\n")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join(LOG)).unwrap_or_default()
    }

    /// Its directory.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Sends one command and answers what comes back within a moment, raw.
    pub fn raw(&self, command: &[&[u8]]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(2))).expect("a read time-out");
        let mut request = format!("*{}\r\n", command.len()).into_bytes();
        for part in command {
            request.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
            request.extend_from_slice(part);
            request.extend_from_slice(b"\r\n");
        }
        stream.write_all(&request).expect("the command is sent");
        let mut reply = vec![0; 65_536];
        let length = stream.read(&mut reply).expect("a reply");
        String::from_utf8_lossy(&reply[..length]).into_owned()
    }

    fn spawn(&mut self) {
        let port = self.port.to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--daemonize", "no", "--logfile"])
            .arg(self.dir.path().join(LOG))
            .arg("--dir")
            .arg(self.dir.path())
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        self.child = Some(child);
    }

    fn launch(&mut self) -> bool {
        let before = self.log().len();
        self.spawn();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(10) {
            let ended = self
                .child
                .as_mut()
                .is_none_or(|child| child.try_wait().expect("the state of the process").is_some());
            if ended {
                break;
            }
            // Who answers may be another one, if this one did not get the port.
            let log = self.log();
            let said = log.get(before..).unwrap_or_default();
            if said.contains("Ready to accept connections") && answers(self.port) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill();
        false
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A port that nobody listens on, and that no other test is given as long as this process lives: it
/// holds the UDP port of that number, which nobody uses otherwise. It lies below those that the system
/// gives to whoever connects, so that a server which is started again finds it free.
pub fn free_port() -> u16 {
    static CLAIMS: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
    for _ in 0..1000 {
        let port = fastrand::u16(10_000..32_000);
        let Ok(claim) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) else { continue };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            CLAIMS.lock().expect("no thread has panicked with it").push(claim);
            return port;
        }
    }
    panic!("there is no free port")
}

/// Whether the server answers, be it that it wants a password first.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let mut reply = [0; 7];
    stream.set_read_timeout(Some(Duration::from_millis(500))).is_ok()
        && stream.write_all(b"PING\r\n").is_ok()
        && stream.read_exact(&mut reply).is_ok()
        && (reply == *b"+PONG\r\n" || reply == *b"-NOAUTH")
}

/// The standard library sends no signal but SIGKILL.
fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(status.expect("kill is installed").success(), "SIG{name}");
}
