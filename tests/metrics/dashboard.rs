//! The dashboard and the alert rules, as files.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

pub(crate) fn dashboard() -> Value {
    serde_json::from_str(include_str!("../../dashboards/grafana.json")).expect("JSON")
}

/// Every panel but the titles of rows.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let panels = dashboard["panels"].as_array().expect("panels");
    panels.iter().filter(|panel| panel["type"] != "row").collect()
}

/// Every expression, with the panel it is of, and what Grafana puts into it put in.
pub(crate) fn expressions(dashboard: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for panel in panels(dashboard) {
        let title = panel["title"].as_str().expect("a title");
        for target in panel["targets"].as_array().expect("targets") {
            let expression = target["expr"].as_str().expect("an expression");
            let bound = expression
                .replace("$__rate_interval", "1m")
                .replace("$__range", "1m")
                .replace("$namespace", ".*")
                .replace("$route", ".*");
            assert!(!bound.contains('$'), "{title}: an unknown variable in {expression}");
            found.push((format!("{title} {}", target["refId"]), bound));
        }
    }
    found
}

/// The names of metrics in an expression, without what histograms add to them.
fn names(expression: &str) -> BTreeSet<String> {
    let is_name = |byte: char| byte.is_ascii_alphanumeric() || byte == '_';
    let words = expression.split(|byte| !is_name(byte));
    let ours = words.filter(|word| word.starts_with("response_cache_"));
    let suffixes = ["_bucket", "_sum", "_count"];
    ours.map(|word| {
        let stripped = suffixes.into_iter().find_map(|suffix| word.strip_suffix(suffix));
        stripped.unwrap_or(word).to_owned()
    })
    .collect()
}

/// The names of the first table of docs/METRICS.md.
fn documented() -> BTreeSet<String> {
    let page = include_str!("../../docs/METRICS.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `response_cache_"));
    rows.map(|row| format!("response_cache_{}", row.split('`').next().unwrap())).collect()
}

#[test]
fn the_dashboard_has_the_form_that_grafana_reads() {
    let dashboard = dashboard();
    assert!(dashboard["id"].is_null(), "an id is given by the server that imports it");
    assert_eq!(dashboard["uid"], "tower-response-cache");
    assert!(dashboard["schemaVersion"].as_u64().is_some_and(|version| version >= 36));
    for field in ["title", "refresh", "timezone"] {
        assert!(dashboard[field].is_string(), "{field}");
    }
    for field in ["from", "to"] {
        assert!(dashboard["time"][field].is_string(), "time.{field}");
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variables: Vec<_> = variables.iter().map(|known| known["name"].as_str().unwrap()).collect();
    assert_eq!(variables, ["datasource", "namespace", "route"]);

    let all = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in all {
        let title = panel["title"].as_str().filter(|title| !title.is_empty()).expect("a title");
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{title}: its id is taken");
        let grid = |side: &str| panel["gridPos"][side].as_u64().expect("a place");
        assert!(grid("x") + grid("w") <= 24, "{title} is too wide");
        for x in grid("x")..grid("x") + grid("w") {
            for y in grid("y")..grid("y") + grid("h") {
                assert!(cells.insert((x, y)), "{title} lies over another");
            }
        }
    }
    for panel in panels(&dashboard) {
        let title = &panel["title"];
        let kind = panel["type"].as_str().unwrap();
        assert!(["timeseries", "stat", "table"].contains(&kind), "{title}: {kind}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has a unit");
        assert!(panel["options"].is_object(), "{title}");
        let mut refs = BTreeSet::new();
        for target in panel["targets"].as_array().unwrap() {
            assert!(refs.insert(target["refId"].as_str().unwrap()), "{title}: a refId twice");
            assert_eq!(target["datasource"]["type"], "prometheus", "{title}");
            assert!(target["legendFormat"].is_string(), "{title}");
        }
    }
}

#[test]
fn the_dashboard_and_the_rules_use_what_is_documented_and_the_dashboard_all_of_it() {
    let documented = documented();
    let mut shown = BTreeSet::new();
    for (panel, expression) in expressions(&dashboard()) {
        let names = names(&expression);
        assert!(!names.is_empty(), "{panel}");
        for name in names {
            assert!(documented.contains(&name), "{panel}: {name} is not in docs/METRICS.md");
            shown.insert(name);
        }
    }
    assert_eq!(shown, documented);
    let rules = names(include_str!("../../dashboards/alerts.yml"));
    assert!(rules.len() > 8 && rules.is_subset(&documented), "{rules:?}");
}

#[test]
fn promtool_accepts_the_rules_and_their_tests() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/dashboards");
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]] {
        let promtool = Command::new("promtool").args(arguments).current_dir(folder).output();
        let promtool = promtool.expect("promtool is there: scripts/test installs it");
        let said = String::from_utf8_lossy(&promtool.stdout);
        let errors = String::from_utf8_lossy(&promtool.stderr);
        assert!(promtool.status.success(), "{arguments:?}: {said} {errors}");
    }
    // Each rule has a test of its own.
    let tests = include_str!("../../dashboards/alerts_test.yml");
    let rules = include_str!("../../dashboards/alerts.yml");
    for rule in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname: {rule}\n")), "{rule} has no test");
    }
}
