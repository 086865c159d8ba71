//! The page as people meet it: in a real browser.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use serde_json::json;
use tokio::time::sleep;
use tower_response_cache::{CacheBuilder, RedisStore, Store};

use crate::driver::{Browser, Kind, makes_pictures, serve};
use crate::fixture::{of_tenant, operator};
use crate::support::Backend;
use crate::support::app::{App, Source};

/// The browser and the test ask under different hosts, and see the same entries all the same.
fn config(store: Arc<dyn Store>) -> CacheBuilder {
    crate::fixture::config(store).ignore_target_fields()
}

fn app(store: Arc<dyn Store>) -> App {
    App::with(config(store), Source::default())
}

async fn start(app: &App) -> String {
    serve(Router::new().nest("/admin", operator(app)).merge(app.router.clone())).await
}

/// Reads that go on until the flag is set: nine of ten are hits. Now and then something is written.
fn traffic(app: &App, over: &Arc<AtomicBool>) -> tokio::task::JoinHandle<()> {
    let (app, over) = (app.clone(), Arc::clone(over));
    tokio::spawn(async move {
        for round in 0_u32.. {
            if over.load(Ordering::Relaxed) {
                return;
            }
            for tenant in ["4", "5", "city-centre"] {
                app.get(tenant, &format!("/users/{}", round % 7)).await;
                app.get(tenant, "/users?role=member").await;
                app.get(tenant, &format!("/users/{}/stats", round % 3)).await;
            }
            if round % 4 == 0 {
                app.get("4", &format!("/users?role=member{round}")).await;
                app.get("", "/users").await.assert_bypass("bad-tenant");
            }
            if round % 25 == 24 {
                app.put("4", &format!("/users/{}", round % 7), "changed").await;
            }
            sleep(Duration::from_millis(20)).await;
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_move_under_traffic() {
    let backend = Backend::redis().await;
    let app = app(backend.store.clone());
    let url = start(&app).await;
    let browser = Browser::start(Kind::default()).await;
    browser.open(&format!("{url}/admin")).await;
    assert_eq!(browser.text("#requests").await, "0");
    assert_eq!(browser.text("#hit-ratio").await, "–");
    assert!(browser.text("#health").await.starts_with("Well."));
    // The styles are let in by the policy.
    let background = browser
        .run("return getComputedStyle(document.querySelector('.cards > div')).backgroundColor")
        .await;
    assert_eq!(background, "rgb(244, 245, 247)");

    let over = Arc::new(AtomicBool::new(false));
    let running = traffic(&app, &over);
    let count = |text: &str| text.parse::<u64>().unwrap_or_default();
    // Without a reload: the script fetches them.
    let before = count(&browser.wait_text("#requests", |text| count(text) > 0).await);
    browser.wait_text("#requests", |text| count(text) > before).await;
    browser
        .wait_text("#hit-ratio", |text| {
            text.trim_end_matches(" %").parse::<f64>().is_ok_and(|r| r > 50.0)
        })
        .await;
    browser.wait_text("#outcome-hit", |text| count(text) > 10).await;
    browser.wait_text("#by-route", |text| text.contains("GET /users/{id}")).await;
    browser.wait_text("#by-tenant", |text| text.contains("city-centre")).await;
    browser.wait_text("#a-run", |text| text.ends_with('s')).await;
    browser.wait_text("#recent", |text| text.contains("subtree:/users/")).await;
    browser.wait_text("#ratio-caption", |text| !text.contains("last 0")).await;
    assert!(browser.has("svg polyline.line").await && browser.has("svg rect.hit").await);
    // With some minutes in the chart it is worth a picture.
    if makes_pictures() {
        sleep(Duration::from_secs(40)).await;
    }
    browser.picture("admin.png", Some((1100, 1900))).await;

    browser.click("#pause").await;
    assert_eq!(browser.text("#pause").await, "Go on updating");
    // One that was under way may still come.
    sleep(Duration::from_secs(3)).await;
    let paused = browser.text("#at").await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(browser.text("#at").await, paused);
    browser.click("#pause").await;
    browser.wait_text("#at", |text| text != paused).await;
    over.store(true, Ordering::Relaxed);
    running.await.unwrap();
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_looked_up_and_invalidated() {
    let backend = Backend::redis().await;
    let app = app(backend.store.clone());
    app.source.put("4", "1", "Ada");
    app.warm("4", "/users/1").await;
    let url = start(&app).await;
    let browser = Browser::start(Kind::default()).await;
    look_up_and_invalidate(&browser, &url, &app).await;
    browser.close().await;
}

async fn look_up_and_invalidate(browser: &Browser, url: &str, app: &App) {
    browser.open(&format!("{url}/admin")).await;
    browser.fill("#lookup-tenant", "4").await;
    browser.fill("#lookup-target", "/users/1").await;
    browser.follow("#lookup button").await;
    assert_eq!(browser.text("#state").await, "fresh.");
    assert!(browser.text("main").await.contains("subtree:/users/1"));
    assert!(!browser.source().await.contains("Ada"), "no body unless asked for");
    browser.picture("admin-key.png", Some((1100, 1000))).await;
    browser.follow("main form button").await;
    assert_eq!(browser.text("#body").await, "4/1=Ada");

    browser.follow("nav a").await;
    browser.fill("#list-tenant", "4").await;
    browser.fill("#list-glob", "/users/*").await;
    browser.follow("#list button").await;
    browser.follow("td.key a").await;
    assert_eq!(browser.text("h1").await, "GET /users/1");

    browser.follow("nav a").await;
    browser.fill("#change-tenant", "4").await;
    browser.choose("#change-kind", "subtree").await;
    browser.fill("#change-value", "/users/{id}").await;
    browser.click("#change summary").await;
    browser.fill("#change-with", "id=1").await;
    browser.follow("#change button").await;
    assert_eq!(browser.text("#confirm-scopes").await, "subtree:/users/1");
    assert_eq!(browser.text("#confirm-tenant").await, "4");
    browser.picture("admin-confirm.png", Some((1100, 640))).await;
    app.get("4", "/users/1").await.assert_hit();
    browser.follow("#confirm").await;
    assert!(browser.text("#outcome").await.starts_with("Done."));
    assert_eq!(browser.text("#moved").await, "1");
    app.get("4", "/users/1").await.assert_miss();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_it_works_without_scripts() {
    let backend = Backend::redis().await;
    let app = app(backend.store.clone());
    app.source.put("4", "1", "Ada");
    app.warm("4", "/users/1").await;
    let url = start(&app).await;
    let browser = Browser::start(Kind { without_scripts: true, ..Kind::default() }).await;
    browser.open(&format!("{url}/admin")).await;
    let before = browser.text("#requests").await;
    let at = browser.text("#at").await;
    assert!(!browser.is_shown("#pause").await, "there is nothing to pause");
    assert!(browser.text("#by-route").await.contains("GET /users/{id}"));
    app.get("4", "/users/1").await.assert_hit();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(browser.text("#at").await, at, "no script runs");
    browser.client.refresh().await.unwrap();
    assert_ne!(browser.text("#requests").await, before);
    look_up_and_invalidate(&browser, &url, &app).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_said_with_what_to_do() {
    let mut backend = Backend::redis().await;
    let app = App::with(
        config(backend.store.clone()).invalidate_timeout(Duration::from_millis(500)),
        Source::default(),
    );
    app.warm("4", "/users/1").await;
    let url = start(&app).await;
    let browser = Browser::start(Kind::default()).await;

    browser.open(&format!("{url}/admin")).await;
    browser.fill("#lookup-tenant", "4").await;
    browser.fill("#lookup-target", "/users/77").await;
    browser.follow("#lookup button").await;
    assert_eq!(browser.text("#state").await, "absent.");
    assert!(browser.text("#explanation").await.contains("the next request runs the handler"));
    for (tenant, target, words) in [
        ("4", "/posts/1", "compare it with the list of routes"),
        ("4", "users/1", "is a path with its query"),
        ("", "/users/1", "say whose keys are meant"),
    ] {
        browser.open(&format!("{url}/admin")).await;
        browser.fill("#lookup-tenant", tenant).await;
        browser.fill("#lookup-target", target).await;
        browser.follow("#lookup button").await;
        assert!(browser.text("#problem").await.contains(words), "{target}");
    }
    // One whose cookie has gone meanwhile.
    browser.open(&format!("{url}/admin/invalidate?kind=path&value=/users/1&tenant=4")).await;
    browser.client.delete_all_cookies().await.unwrap();
    browser.follow("#confirm").await;
    assert!(browser.text("#problem").await.contains("confirm again"));
    app.get("4", "/users/1").await.assert_hit();

    browser.open(&format!("{url}/admin")).await;
    backend.server.as_mut().unwrap().kill();
    let trouble = browser.wait_text("#health", |text| text.starts_with("Trouble.")).await;
    assert!(trouble.contains("past the cache"), "{trouble}");
    browser.picture("admin-store-away.png", Some((1100, 900))).await;
    browser.open(&format!("{url}/admin/invalidate?kind=path&value=/users/1&tenant=4")).await;
    browser.follow("#confirm").await;
    let outcome = browser.text("#outcome").await;
    assert!(
        outcome.starts_with("Not confirmed.") && outcome.contains("goes on trying"),
        "{outcome}"
    );
    browser.open(&format!("{url}/admin/keys?tenant=4")).await;
    assert!(browser.text("#problem").await.contains("See to the store"));
    browser.open(&format!("{url}/admin")).await;
    assert!(browser.text("#unconfirmed").await.contains("not confirmed"));
    assert!(browser.text("#recent").await.contains("not confirmed"));

    backend.server.as_mut().unwrap().restart();
    browser.wait_text("#health", |text| text.starts_with("Well.")).await;
    browser.wait_text("#recent", |text| !text.contains("not confirmed")).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_when_it_can_not_be_updated() {
    let app = app(Backend::memory().store);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stop = Arc::new(tokio::sync::Notify::new());
    let stopped = Arc::clone(&stop);
    let router = Router::new().nest("/admin", operator(&app));
    let server = tokio::spawn(async move {
        tokio::select! {
            _ = axum::serve(listener, router) => {}
            () = stopped.notified() => {}
        }
    });
    let browser = Browser::start(Kind::default()).await;
    browser.open(&format!("{url}/admin")).await;
    assert!(!browser.is_shown("#trouble").await);
    stop.notify_one();
    server.await.unwrap();
    browser.wait_text("#trouble", |text| text.contains("Reload it")).await;
    browser.close().await;
}

/// Every page, with long names in it.
async fn pages(app: &App, url: &str) -> Vec<String> {
    let long = "a-name-that-has-no-end-".repeat(5);
    app.warm(&long, &format!("/users/{long}")).await;
    let own = |page: &str| format!("{url}/admin/{page}tenant={long}");
    vec![
        format!("{url}/admin"),
        own(&format!("key?target=/users/{long}&body=true&")),
        own("key?target=/nothing&"),
        own("keys?"),
        own(&format!("invalidate?kind=path&value=/users/{long}&")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_shows_all_of_it_without_sideways_scrolling() {
    let backend = Backend::redis().await;
    let app = app(backend.store.clone());
    app.put("4", "/users/1", "x").await;
    let url = start(&app).await;
    for dark in [false, true] {
        let browser = Browser::start(Kind { phone: true, dark, ..Kind::default() }).await;
        for page in pages(&app, &url).await {
            browser.open(&page).await;
            let width =
                browser.run("return [innerWidth, document.documentElement.scrollWidth]").await;
            assert_eq!(width, json!([360, 360]), "{page}");
            let small = browser.run(
                "return [...document.querySelectorAll('button, input[type=text], select, textarea')]
                     .filter(e => e.offsetParent && e.getBoundingClientRect().height < 36)
                     .map(e => e.outerHTML)",
            );
            assert_eq!(small.await, json!([]), "too small for a finger on {page}");
        }
        browser.open(&format!("{url}/admin")).await;
        browser.picture(if dark { "admin-phone-dark.png" } else { "admin-phone.png" }, None).await;
        browser.close().await;
    }
}

/// The contrast of each text with what is behind it (WCAG 2.2, success criterion 1.4.3), as far as it
/// is too small.
const FAINT: &str = "
    const channel = v => (v /= 255, v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const parse = c => c.match(/[\\d.]+/g).map(Number);
    const light = c => { const [r, g, b] = parse(c).map(channel); return .2126 * r + .7152 * g + .0722 * b; };
    const behind = e => {
        for (; e; e = e.parentElement) {
            const colour = parse(getComputedStyle(e).backgroundColor);
            if (colour.length < 4 || colour[3] > 0) return colour.slice(0, 3).join(' ');
        }
        return '255 255 255';
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const faint = [];
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !element.offsetParent || element.closest('svg, script, style')) continue;
        const [one, other] = [light(getComputedStyle(element).color), light(behind(element))];
        const contrast = (Math.max(one, other) + .05) / (Math.min(one, other) + .05);
        if (contrast < 4.5) faint.push(contrast.toFixed(2) + ' ' + texts.currentNode.data.trim());
    }
    return faint;";

#[tokio::test(flavor = "multi_thread")]
async fn dark_and_light_are_both_legible() {
    let backend = Backend::redis().await;
    let app = app(backend.store.clone());
    app.put("4", "/users/1", "x").await;
    let url = start(&app).await;
    let mut backgrounds = Vec::new();
    for dark in [false, true] {
        let browser = Browser::start(Kind { dark, ..Kind::default() }).await;
        for page in pages(&app, &url).await {
            browser.open(&page).await;
            assert_eq!(browser.run(FAINT).await, json!([]), "dark: {dark}, {page}");
        }
        browser.open(&format!("{url}/admin")).await;
        let background = "return getComputedStyle(document.body).backgroundColor";
        backgrounds.push(browser.run(background).await);
        if dark {
            browser.picture("admin-dark.png", Some((1100, 1900))).await;
        }
        browser.close().await;
    }
    assert_eq!(backgrounds, ["rgb(255, 255, 255)", "rgb(20, 23, 27)"]);
}

/// What a screen reader would miss: controls and charts without a name, tables without a caption or a
/// scope, ids that are there twice, headings that skip a level.
const NAMELESS: &str = "
    const found = [];
    const all = s => [...document.querySelectorAll(s)];
    for (const e of all('input:not([type=hidden]), select, textarea'))
        if (!e.labels.length || !e.labels[0].textContent.trim()) found.push(e.outerHTML);
    for (const e of all('button, a')) if (!e.textContent.trim()) found.push(e.outerHTML);
    for (const e of all('table')) if (!e.caption?.textContent.trim()) found.push('table without caption');
    for (const e of all('th')) if (!e.scope) found.push(e.outerHTML);
    for (const e of all('svg'))
        if (!document.getElementById(e.getAttribute('aria-labelledby'))) found.push('svg without name');
    for (const e of all('[tabindex]')) if (e.tabIndex > 0) found.push('tabindex');
    for (const e of all('.scroll')) if (!e.getAttribute('aria-label')) found.push('region without name');
    const ids = all('[id]').map(e => e.id);
    for (const id of ids) if (ids.indexOf(id) != ids.lastIndexOf(id)) found.push('twice: ' + id);
    if (all('h1').length != 1 || all('main').length != 1) found.push('h1 or main');
    if (!document.documentElement.lang || !document.title) found.push('lang or title');
    let level = 0;
    for (const e of all('h1, h2, h3')) {
        if (+e.tagName[1] > level + 1) found.push('skips a level: ' + e.textContent);
        level = +e.tagName[1];
    }
    return found;";

/// What has the focus. It may be made anew at any time, so it is asked for within the page.
const FOCUS: &str = "const it = document.activeElement;
    return [it.id, it.textContent, getComputedStyle(it).outlineStyle]";

#[tokio::test(flavor = "multi_thread")]
async fn keyboards_and_screen_readers_find_their_way() {
    let backend = Backend::redis().await;
    let app = app(backend.store.clone());
    app.put("4", "/users/1", "x").await;
    app.warm("4", "/users/1").await;
    let url = start(&app).await;
    let browser = Browser::start(Kind::default()).await;
    for page in pages(&app, &url).await {
        browser.open(&page).await;
        assert_eq!(browser.run(NAMELESS).await, json!([]), "{page}");
    }
    browser.open(&format!("{url}/admin")).await;
    let tab = "\u{e004}";
    browser.press(tab).await;
    assert_eq!(browser.run(FOCUS).await[1], "Skip to the content");
    // With nothing but the tabulator and return.
    let mut reached = false;
    for _ in 0..60 {
        let focus = browser.run(FOCUS).await;
        reached = focus[0] == "lookup-tenant";
        if reached {
            break;
        }
        assert_eq!(focus[2], "solid", "it can be seen where the focus is: {focus}");
        browser.press(tab).await;
    }
    assert!(reached, "the tabulator leads to the form");
    browser.press("4").await;
    browser.press(tab).await;
    browser.press(tab).await;
    browser.press("/users/1\u{e007}").await;
    browser.wait_text("#state", |text| text == "fresh.").await;
    browser.close().await;
}

/// The page of one tenant has no field for another, and no numbers of all.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_tenant_is_its_own() {
    let backend = Backend::redis().await;
    let another = RedisStore::connect(&backend.server.as_ref().unwrap().url()).await.unwrap();
    let app = app(Arc::new(another));
    app.warm("4", "/users/1").await;
    app.warm("5", "/users/1").await;
    let router = Router::new().nest("/gyms/4/cache", of_tenant(&app, "4"));
    let url = serve(router).await;
    let browser = Browser::start(Kind::default()).await;
    browser.open(&format!("{url}/gyms/4/cache")).await;
    assert!(browser.text(".name").await.ends_with("tenant 4"));
    assert!(!browser.has("[name=tenant], [name=tenantless], #requests").await);
    browser.fill("#lookup-target", "/users/1").await;
    browser.follow("#lookup button").await;
    assert_eq!(browser.text("#state").await, "fresh.");
    browser.follow("nav a").await;
    browser.choose("#change-kind", "everything").await;
    browser.follow("#change button").await;
    browser.follow("#confirm").await;
    assert!(browser.text("#outcome").await.starts_with("Done."));
    app.get("4", "/users/1").await.assert_miss();
    app.get("5", "/users/1").await.assert_hit();
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_ends_with_its_test() {
    let browser = Browser::start(Kind::default()).await;
    let process = browser.process().expect("it runs").to_string();
    let runs = || {
        let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // One that has ended may wait to be buried by whoever it was left to.
        !state.is_empty() && !state.contains(") Z ")
    };
    assert!(runs());
    // As where a test fails.
    drop(browser);
    let began = std::time::Instant::now();
    while runs() {
        assert!(began.elapsed() < crate::driver::PATIENCE, "process {process} is left over");
        sleep(Duration::from_millis(50)).await;
    }
}
