//! `docs/guides`: each has a program that is an example, and commands that print what it says.

use std::path::Path;

use crate::proxy::http_md::{blocks, run, transcript};
use crate::server::Server;

/// Where the guides say that the program listens.
const HERE: &str = "127.0.0.1:3000";

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

async fn follow(guide: &str, example: &str, least: usize) {
    let page = read(&format!("docs/guides/{guide}.md"));
    let program = read(&format!("examples/{example}.rs"));
    assert!(
        page.contains(&format!("```rust,no_run\n{program}```\n")),
        "{guide}: its program is not that of examples/{example}.rs"
    );
    assert!(page.contains(&format!("```sh\ncargo run --example {example}\n```")), "{guide}");
    let server = Server::start(example, &[]).await;
    let mut commands = 0;
    for (language, text) in blocks(&page) {
        if language == "console" {
            for (command, expected) in transcript(text) {
                run(&command.replace(HERE, server.address()), &expected).await;
                commands += 1;
            }
        }
    }
    assert!(commands >= least, "{guide}: {commands} commands");
}

#[tokio::test]
async fn a_cached_route_is_added_as_the_guide_says() {
    follow("add-a-route", "add_route", 9).await;
}

#[tokio::test]
async fn a_background_job_invalidates_as_the_guide_says() {
    follow("background-job", "background_job", 4).await;
}

#[tokio::test]
async fn why_a_request_is_not_cached_is_found_as_the_guide_says() {
    follow("why-not-cached", "why_not_cached", 9).await;
}

#[tokio::test]
async fn layers_are_in_the_order_of_the_guide() {
    follow("layer-order", "layers", 9).await;
}

#[test]
fn each_guide_is_followed() {
    let guides =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guides")).unwrap();
    let this = include_str!("guides.rs");
    for guide in guides {
        let name = guide.unwrap().path();
        let name = name.file_stem().unwrap().to_str().unwrap();
        assert!(this.contains(&format!("follow(\"{name}\"")), "nobody follows {name}");
    }
}
