//! The page: one HTML file that needs no other.

use super::section::Section;
use metaplastic::runs::figure::style::{DARK, hex};
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde::Serialize;

const TEMPLATE: &str = include_str!("page.html");

/// What a report is of.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    pub title: &'a str,
    pub is_reproduction: bool,
    /// The command that it was made by.
    pub command: &'a str,
    /// Wall time of everything, where it says something.
    pub seconds: Option<f64>,
    pub sections: &'a [Section],
}

/// A colour of the figures by day, and what takes its place on a dark page.
#[derive(Serialize)]
struct Colour {
    day: String,
    night: String,
}

impl Page<'_> {
    pub fn html(&self) -> String {
        let colours = DARK.map(|(day, night)| Colour {
            day: hex(day),
            night: hex(night),
        });
        let seconds = self.seconds.map(|seconds| format!(" in {seconds:.1} s"));
        let mut environment = Environment::new();
        environment
            .add_template("page.html", TEMPLATE)
            .and_then(|()| environment.get_template("page.html"))
            .and_then(|template| {
                template.render(context! {
                    sections => Value::from(Serde(self.sections)),
                    colours => Value::from(Serde(&colours)),
                    title => self.title,
                    is_reproduction => self.is_reproduction,
                    command => self.command,
                    seconds => seconds.unwrap_or_default(),
                    version => env!("CARGO_PKG_VERSION"),
                })
            })
            .expect("the template takes every report")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metaplastic::runs::files::is_report;

    #[test]
    fn a_report_is_known_by_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        assert!(!is_report(&path));
        std::fs::write(&path, "<html>mine").unwrap();
        assert!(!is_report(&path));
        let page = Page {
            title: "<a>",
            is_reproduction: false,
            command: "c",
            seconds: None,
            sections: &[],
        };
        std::fs::write(&path, page.html()).unwrap();
        assert!(is_report(&path));
        assert!(page.html().contains("&lt;a&gt;"));
    }
}
