//! The report of a reproduction: one HTML file that needs no other.

use metaplastic::runs::Summary;
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde::Serialize;

const TEMPLATE: &str = include_str!("report.html");

/// One experiment of the report.
#[derive(Serialize)]
pub(super) struct Section<'a> {
    pub title: String,
    pub account: String,
    pub summary: &'a Summary,
    pub row: [String; 6],
    /// SVG texts.
    pub curve: String,
    pub network: String,
    pub heat_maps: String,
    /// Networks that did not solve the task.
    pub unsolved: Vec<Unsolved>,
    /// The recipe, as TOML.
    pub recipe: String,
}

#[derive(Serialize)]
pub(super) struct Unsolved {
    pub seed: u64,
    pub error: String,
}

/// The text of the report.
pub(super) fn html(sections: &[Section<'_>], command: &str, seconds: f64, device: &str) -> String {
    let mut environment = Environment::new();
    environment
        .add_template("report.html", TEMPLATE)
        .and_then(|()| environment.get_template("report.html"))
        .and_then(|template| {
            template.render(context! {
                sections => Value::from(Serde(sections)),
                command,
                seconds => format!("{seconds:.1}"),
                device,
                version => env!("CARGO_PKG_VERSION"),
            })
        })
        .expect("the template takes every report")
}
