//! `gym_api` with its admin pages: off without a token, behind it otherwise; and `docs/ADMIN.md`, whose
//! commands are run against it.

use std::path::Path;

use reqwest::{Method, StatusCode};

use crate::proxy::http_md::{blocks, run, transcript};
use crate::server::{Server, send};

const TOKEN: &str = "open-sesame";

/// Where the page says that the service is.
const ADDRESS: &str = "127.0.0.1:3000";

#[tokio::test]
async fn without_a_token_there_are_no_pages() {
    for settings in [&[][..], &[("ADMIN_TOKEN", "")]] {
        let server = Server::start("gym_api", settings).await;
        for path in ["/admin", "/admin/v1/stats"] {
            let answer = send(server.request(Method::GET, path)).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn the_token_opens_the_pages_and_nothing_else_does() {
    let server = Server::start("gym_api", &[("ADMIN_TOKEN", TOKEN)]).await;
    for path in ["/admin", "/admin/v1/stats", "/admin/v1/nothing", "/admin/key?tenant=4"] {
        let ask = || server.request(Method::GET, path);
        for request in [
            ask(),
            ask().bearer_auth("open-sesam"),
            ask().bearer_auth(""),
            ask().basic_auth(TOKEN, Some("")),
            ask().basic_auth("ada", Some("open-sesame ")),
            ask().header("authorization", "Basic"),
            ask().header("authorization", "Basic %%%"),
        ] {
            let answer = send(request).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}: {answer:?}");
        }
    }
    let stats = server.request(Method::GET, "/admin/v1/stats");
    assert_eq!(send(stats.bearer_auth(TOKEN)).await.status, StatusCode::OK);
    let page = server.request(Method::GET, "/admin").basic_auth("ada", Some(TOKEN));
    assert!(send(page).await.text.contains("/operating-hours"));
}

#[tokio::test]
async fn every_command_of_the_page_prints_what_it_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ADMIN.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let server = Server::start("gym_api", &[("ADMIN_TOKEN", TOKEN)]).await;
    let mut commands = 0;
    for (language, text) in blocks(&page).filter(|(language, _)| *language == "console") {
        assert_eq!(language, "console");
        for (command, expected) in transcript(text) {
            let expected = expected.replace(&in_keys(ADDRESS), &in_keys(server.address()));
            run(&command.replace(ADDRESS, server.address()), &expected).await;
            commands += 1;
        }
    }
    assert!(commands >= 10, "{commands} commands");
}

/// An address as it stands in keys.
fn in_keys(address: &str) -> String {
    address.replace(':', "%3A")
}
