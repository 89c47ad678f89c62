//! The files for Prometheus and Grafana in `docs/deploy`: every query can be parsed by Prometheus' own parser and names metrics that
//! the server has, and `docs/monitoring.md` explains each alert.

use super::pages;
use crate::support::{crate_root, installed, yaml};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

const RULES: &str = "docs/deploy/prometheus.rules.yml";
const DASHBOARD: &str = "docs/deploy/grafana.json";

/// What Prometheus itself knows of a server that it asks.
const OF_PROMETHEUS: &str = "up";

fn page() -> String {
    let mut pages = pages::all().into_iter();
    pages.find(|page| page.name() == "docs/monitoring.md").unwrap().text
}

/// The first cells of the table below a heading, without backticks.
fn first_cells(page: &str, heading: &str) -> BTreeSet<String> {
    let (_, rest) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = rest.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| "));
    rows.skip(1)
        .map(|row| row.split('|').nth(1).unwrap().trim().trim_matches('`').to_owned())
        .collect()
}

/// What is wrong with queries: they cannot be parsed, or name what the server does not have.
fn faults(queries: &[String]) -> Vec<String> {
    let folder = installed::npm_for_ci();
    let mut node = Command::new("node")
        .arg(folder.join("promql.mjs"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let request = serde_json::to_vec(queries).unwrap();
    node.stdin.take().unwrap().write_all(&request).unwrap();
    let answer = node.wait_with_output().unwrap();
    assert!(answer.status.success(), "{answer:?}");
    let parsed: Vec<Value> = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(parsed.len(), queries.len());
    let known = first_cells(&page(), "Metrics");
    let mut faults = Vec::new();
    for (query, parsed) in queries.iter().zip(&parsed) {
        let metrics = parsed["metrics"].as_array().unwrap();
        let syntax = parsed["faults"].as_array().unwrap();
        faults.extend(syntax.iter().map(|fault| format!("{query}: {fault}")));
        if metrics.is_empty() {
            faults.push(format!("{query}: names no metric"));
        }
        for metric in metrics.iter().filter_map(Value::as_str) {
            let family = metric.strip_suffix("_bucket").unwrap_or(metric);
            if metric != OF_PROMETHEUS && !known.contains(family) {
                faults.push(format!("{query}: there is no metric {metric}"));
            }
        }
    }
    faults
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("{value} has no {name}"))
}

#[test]
fn queries_that_cannot_be_answered_are_faults() {
    let query = |text: &str| faults(&[text.to_owned()]);
    assert_eq!(query("rate(torso_requests_total[5m]) > 1"), [""; 0]);
    assert_eq!(query("torso_no_such > 1").len(), 1);
    assert!(!query("sum(torso_ready").is_empty());
    assert_eq!(query("1 > 0").len(), 1);
}

#[test]
fn alerts_for_prometheus_are_those_of_the_page() {
    let rules = yaml::content(&crate_root().join(RULES));
    let groups = rules["groups"].as_array().unwrap();
    let rules: Vec<&Value> = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .collect();
    let names: BTreeSet<String> = rules.iter().map(|rule| text(rule, "alert").to_owned()).collect();
    assert_eq!(names.len(), rules.len(), "two alerts have one name");
    assert_eq!(names, first_cells(&page(), "Alerts"), "left: {RULES}, right: the page");
    for rule in &rules {
        assert!(
            ["page", "ticket"].contains(&text(&rule["labels"], "severity")),
            "{rule}"
        );
        let annotations = &rule["annotations"];
        assert!(!text(annotations, "summary").is_empty() && !text(annotations, "description").is_empty());
    }
    let queries: Vec<String> = rules.iter().map(|rule| text(rule, "expr").to_owned()).collect();
    assert_eq!(faults(&queries), [""; 0]);
}

#[test]
fn prometheus_configuration_reads_the_rules() {
    let configuration = yaml::content(&crate_root().join("docs/deploy/prometheus.yml"));
    let file = configuration["rule_files"][0].as_str().unwrap();
    assert!(crate_root().join("docs/deploy").join(file).is_file());
    // The alerts look for servers by this name.
    assert_eq!(configuration["scrape_configs"][0]["job_name"], "torso");
}

#[test]
fn dashboard_for_grafana_has_queries_that_are_answered() {
    let dashboard = std::fs::read_to_string(crate_root().join(DASHBOARD)).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 10);
    let (mut queries, mut ids, mut places) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert!(!text(panel, "title").is_empty() && !text(panel, "description").is_empty());
        let place = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        for (x, y) in (0..place("w")).flat_map(|x| (0..place("h")).map(move |y| (x, y))) {
            assert!(
                places.insert((place("x") + x, place("y") + y)),
                "{} is over another",
                panel["title"]
            );
        }
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}");
            let query = text(target, "expr").replace("$__rate_interval", "5m");
            queries.push(query.replace("$instance", ".*"));
        }
    }
    assert_eq!(faults(&queries), [""; 0]);
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<_> = variables.iter().map(|variable| text(variable, "name")).collect();
    assert_eq!(names, ["datasource", "instance"]);
}
