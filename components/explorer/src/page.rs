//! The page: files inside the component.

use provider_connection_cache::http::answer::Answer;
use provider_connection_cache::http::preconditions::{Preconditions, tag_of_content};

/// The rules for the browser (Content Security Policy, level 3).
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// A file of the page.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    path: &'static str,
    content_type: &'static str,
    content: &'static [u8],
}

const FILES: &[File] = &[
    File {
        path: "/",
        content_type: "text/html; charset=utf-8",
        content: include_bytes!("../assets/index.html"),
    },
    File {
        path: "/app.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_bytes!("../assets/app.js"),
    },
    File {
        path: "/charts.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_bytes!("../assets/charts.js"),
    },
    File {
        path: "/style.css",
        content_type: "text/css; charset=utf-8",
        content: include_bytes!("../assets/style.css"),
    },
    File {
        path: "/icon.svg",
        content_type: "image/svg+xml",
        content: include_bytes!("../assets/icon.svg"),
    },
];

/// Returns the file of a path under the route.
pub fn file(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

impl File {
    /// Answers with the file.
    pub fn answer(&self, preconditions: &Preconditions) -> Answer {
        let answer = Answer::new(200).body(self.content_type, self.content.to_vec());
        preconditions.apply(answer, tag_of_content(self.content))
    }
}
