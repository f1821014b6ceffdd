//! Routes as they are added, and the paths that have been: what is documented is held against them.

use axum::Router;
use axum::routing::MethodRouter;

use crate::context::Ctx;

/// A router that remembers its paths.
#[derive(Default)]
pub(super) struct Routes {
    /// The routes.
    pub router: Router<Ctx>,
    /// Their paths, as templates.
    pub paths: Vec<String>,
}

impl Routes {
    /// Adds an endpoint under this path.
    pub fn route(mut self, path: &str, endpoint: MethodRouter<Ctx>) -> Self {
        self.paths.push(path.to_owned());
        Self { router: self.router.route(path, endpoint), paths: self.paths }
    }
}
