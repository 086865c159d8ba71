//! `docs/HTTP.md`: its origin, its proxies, its commands, and what they print.

use std::path::Path;

use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::case::PATIENCE;
use crate::server::Server;

/// Where the page says that the two are.
const PROXY: &str = "127.0.0.1:3000";
const ORIGIN: &str = "127.0.0.1:8080";

#[tokio::test]
async fn every_command_prints_what_the_page_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/HTTP.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let mut origin: Option<Server> = None;
    let mut proxy: Option<Server> = None;
    let (mut answers, mut commands) = (0, 0);
    for (language, text) in blocks(&page) {
        match language {
            "sh" if text == "cargo run --example origin" => {
                origin = Some(Server::start("origin", &[]).await);
            }
            "origin" => {
                let origin = origin.as_ref().expect("the page starts it before");
                answers_so(origin, text).await;
                answers += 1;
            }
            "sh" => proxy = Some(start(text, origin.as_ref().expect("an origin")).await),
            "console" => {
                let proxy = proxy.as_ref().expect("the page starts one before");
                for (command, expected) in transcript(text) {
                    run(&command.replace(PROXY, proxy.address()), &expected).await;
                    commands += 1;
                }
            }
            other => panic!("a block of {other:?}"),
        }
    }
    assert!(answers >= 7 && commands >= 10, "{answers} answers, {commands} commands");
}

/// Asks the origin what a block says, and compares what it answers.
async fn answers_so(origin: &Server, text: &str) {
    let (request, response) = text.split_once("\n\n").expect("an empty line");
    let (head, body) = response.split_once("\n\n").unwrap_or((response, ""));
    let (first, fields) = lines(request);
    let (method, path) = first.split_once(' ').expect("method and target");
    let mut asked = origin.request(method.parse().expect("a method"), path);
    for (name, value) in fields {
        asked = asked.header(name, value);
    }
    let answer = asked.send().await.expect("an answer");
    let (status, fields) = lines(head);
    assert_eq!(format!("HTTP/1.1 {}", answer.status()), status, "{first}");
    for (name, value) in fields {
        assert_eq!(answer.headers()[&name], value, "{first}: {name}");
    }
    assert_eq!(answer.text().await.expect("a body").trim_end(), body.trim_end(), "{first}");
}

fn lines(head: &str) -> (&str, Vec<(String, String)>) {
    let mut lines = head.trim_end().lines();
    let first = lines.next().expect("a first line");
    let field = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?}"));
        (name.to_owned(), value.to_owned())
    };
    (first, lines.map(field).collect())
}

/// The fenced blocks of a page, each with its language.
pub(crate) fn blocks(page: &str) -> impl Iterator<Item = (&str, &str)> {
    let fenced = page.split("\n```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').expect("a language"))
}

async fn start(command: &str, origin: &Server) -> Server {
    let words = command.strip_prefix("cargo run --example caching_proxy -- ").expect(command);
    let words = words.replace(PROXY, "127.0.0.1:0").replace(ORIGIN, origin.address());
    let mut arguments: Vec<&str> = words.split_whitespace().collect();
    // Under load a look-up may take longer than a service would wait for it.
    arguments.extend(["--lookup-timeout", "2000"]);
    Server::start_with("caching_proxy", &arguments, &[]).await
}

/// Commands, each with what it prints.
pub(crate) fn transcript(text: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push((command.to_owned(), String::new()));
        } else {
            let (_, expected) = commands.last_mut().expect("a command comes first");
            expected.push_str(line);
            expected.push('\n');
        }
    }
    commands
}

/// Runs the command until it prints what is expected: an entry appears soon after its first response
/// has ended, not always before the next request.
pub(crate) async fn run(command: &str, expected: &str) {
    let is_curl = |part: &str| ["curl ", "sleep "].iter().any(|name| part.trim().starts_with(name));
    assert!(command.split(';').all(is_curl), "the page runs nothing else: {command}");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command).env_remove("http_proxy").env("NO_PROXY", "*");
        let output = timeout(PATIENCE, shell.output()).await.expect("in time").expect("sh runs");
        let printed = String::from_utf8(output.stdout).expect("UTF-8").replace('\r', "");
        if is_like(&printed, expected) {
            return;
        }
        assert!(Instant::now() < deadline, "$ {command}\n{printed}\nbut the page says\n{expected}");
        sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// Whether a text is the expected one, in which each `…` stands for anything within its line.
fn is_like(printed: &str, expected: &str) -> bool {
    let (mut printed, mut expected) = (printed.trim_end().lines(), expected.trim_end().lines());
    loop {
        match (printed.next(), expected.next()) {
            (None, None) => return true,
            (Some(line), Some(pattern)) if fits(line, pattern) => {}
            _ => return false,
        }
    }
}

fn fits(line: &str, pattern: &str) -> bool {
    let Some((before, after)) = pattern.split_once('…') else { return line == pattern };
    let Some(rest) = line.strip_prefix(before) else { return false };
    (0..=rest.len()).any(|at| rest.is_char_boundary(at) && fits(&rest[at..], after))
}

#[test]
fn placeholders_stand_for_anything_within_a_line() {
    for (line, pattern, expected) in [
        ("age: 1", "age: …", true),
        ("age: 1", "age: 2", false),
        ("a; ttl=5; b", "a; ttl=…; b", true),
        ("a; ttl=5; c", "a; ttl=…; b", false),
        ("ab", "…b…", true),
        ("", "…", true),
    ] {
        assert_eq!(fits(line, pattern), expected, "{line:?} {pattern:?}");
    }
    assert!(is_like("a\nb\n", "a\n…\n"));
    assert!(!is_like("a\nb\n", "…\n"));
}
