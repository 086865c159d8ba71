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
fn names_of(expression: &str) -> BTreeSet<String> {
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
    assert!(dashboard["version"].is_u64() && dashboard["tags"].is_array());
    assert!(dashboard.get("__inputs").is_none(), "it asks for nothing that the variables do not");
    for field in ["title", "refresh", "timezone"] {
        assert!(dashboard[field].is_string(), "{field}");
    }
    for field in ["from", "to"] {
        assert!(dashboard["time"][field].is_string(), "time.{field}");
    }
    let all = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in all {
        let title = panel["title"].as_str().filter(|title| !title.is_empty()).expect("a title");
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{title}: its id is taken");
        let grid = |side: &str| panel["gridPos"][side].as_u64().expect("a place");
        assert!(grid("x") + grid("w") <= 24, "{title} is too wide");
        assert!(grid("w") > 0 && grid("h") > 0, "{title} is not to be seen");
        for x in grid("x")..grid("x") + grid("w") {
            for y in grid("y")..grid("y") + grid("h") {
                assert!(cells.insert((x, y)), "{title} lies over another");
            }
        }
    }
    // Grafana would close holes, and show something else than what is written.
    let bottom = cells.iter().map(|(_, y)| y + 1).max().unwrap();
    assert_eq!(cells.len() as u64, 24 * bottom, "there are holes");
    for row in all.iter().filter(|panel| panel["type"] == "row") {
        // What is in a collapsed row is in the row, where no test here would look.
        assert_eq!(row["collapsed"], false, "{row}");
        assert_eq!(row["panels"].as_array().map(Vec::len), Some(0), "{row}");
        assert_eq!((&row["gridPos"]["w"], &row["gridPos"]["h"]), (&24.into(), &1.into()), "{row}");
    }
    panels(&dashboard).into_iter().for_each(has_the_form);
}

/// Units as Grafana calls them.
const UNITS: [&str; 6] = ["bytes", "ops", "percentunit", "reqps", "s", "short"];

fn has_the_form(panel: &Value) {
    let title = panel["title"].as_str().unwrap();
    let kind = panel["type"].as_str().unwrap();
    assert!(["timeseries", "stat", "table"].contains(&kind), "{title}: {kind}");
    let source = |of: &Value| {
        assert_eq!(of["datasource"]["type"], "prometheus", "{title}");
        assert_eq!(of["datasource"]["uid"], "${datasource}", "{title}");
    };
    source(panel);
    let is_text = |text: &Value| text.as_str().is_some_and(|text| !text.is_empty());
    assert!(is_text(&panel["description"]), "{title} says what it is");
    assert!(panel["options"].is_object(), "{title}");
    let defaults = &panel["fieldConfig"]["defaults"];
    let unit = |unit: &Value| assert!(UNITS.iter().any(|known| unit == known), "{title}: {unit}");
    unit(&defaults["unit"]);
    if defaults["unit"] == "percentunit" {
        assert!(defaults["min"] == 0 && defaults["max"] == 1, "{title}");
    }
    let mut refs = BTreeSet::new();
    let mut fields = BTreeSet::new();
    let targets = panel["targets"].as_array().expect("targets");
    assert!(!targets.is_empty(), "{title}");
    for target in targets {
        assert!(refs.insert(target["refId"].as_str().unwrap()), "{title}: a refId twice");
        source(target);
        let expression = target["expr"].as_str().unwrap();
        // A variable of many values is a pattern of all of them.
        assert!(expression.contains("namespace=~\"$namespace\""), "{title}: {expression}");
        assert!(!expression.contains("=\"$"), "{title}: {expression}");
        let legend = target["legendFormat"].as_str().expect("a legend");
        if kind == "table" {
            assert!(target["format"] == "table" && target["instant"] == true, "{title}");
        } else {
            assert_eq!(target["range"], true, "{title}");
            assert!(!legend.is_empty() && fields.insert(legend), "{title}: {legend:?}");
        }
        for label in legend.split("{{").skip(1) {
            let (label, _) = label.split_once("}}").expect("a label");
            let kept = expression.split("by (").nth(1).and_then(|rest| rest.split(')').next());
            let kept = kept.is_some_and(|kept| kept.split(", ").any(|known| known == label));
            assert!(kept, "{title}: {expression} has no {label}");
        }
    }
    if let Some(renamed) = panel["transformations"].as_array() {
        let names = renamed.iter().filter_map(|step| step["options"]["renameByName"].as_object());
        fields.extend(names.flat_map(|names| names.values()).filter_map(Value::as_str));
    }
    for changed in panel["fieldConfig"]["overrides"].as_array().unwrap() {
        let name = changed["matcher"]["options"].as_str().unwrap();
        assert!(fields.contains(name), "{title}: an override of {name}, which is not there");
        for property in changed["properties"].as_array().unwrap() {
            if property["id"] == "unit" {
                unit(&property["value"]);
            }
        }
    }
}

/// The queries of the variables: each a label of a metric.
pub(crate) fn label_queries(dashboard: &Value) -> Vec<(String, String)> {
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let queries = variables.iter().filter(|variable| variable["type"] == "query");
    queries
        .map(|variable| {
            let query = variable["query"]["query"].as_str().expect("a query");
            let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
            let (metric, label) = inner.and_then(|inner| inner.rsplit_once(", ")).expect(query);
            (metric.replace("$namespace", ".*"), label.to_owned())
        })
        .collect()
}

#[test]
fn the_variables_are_what_the_panels_ask_for() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<_> = variables.iter().map(|known| known["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["datasource", "namespace", "route"]);
    let [source, queries @ ..] = &variables[..] else { unreachable!("there are three") };
    assert_eq!((&source["type"], &source["query"]), (&"datasource".into(), &"prometheus".into()));
    for (known, (metric, label)) in queries.iter().zip(label_queries(&dashboard)) {
        assert_eq!(known["datasource"]["uid"], "${datasource}");
        assert_eq!(known["definition"], known["query"]["query"]);
        assert_eq!((&known["includeAll"], &known["allValue"]), (&true.into(), &".*".into()));
        assert_eq!(known["multi"], true);
        // Anew whenever another span of time is looked at.
        assert_eq!(known["refresh"], 2);
        assert_eq!(known["name"], *label);
        assert!(names_of(&metric).is_subset(&documented()), "{metric}");
    }
}

#[test]
fn the_dashboard_and_the_rules_use_what_is_documented_and_the_dashboard_all_of_it() {
    let documented = documented();
    let mut shown = BTreeSet::new();
    for (panel, expression) in expressions(&dashboard()) {
        let names = names_of(&expression);
        assert!(!names.is_empty(), "{panel}");
        for name in names {
            assert!(documented.contains(&name), "{panel}: {name} is not in docs/METRICS.md");
            shown.insert(name);
        }
    }
    assert_eq!(shown, documented);
    let rules = names_of(include_str!("../../dashboards/alerts.yml"));
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
