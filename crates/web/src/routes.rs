//! The table of routes: everything that router, guard, metrics, OpenAPI and the tests need, on one page per service.

use std::sync::Arc;

use axum::{
    extract::Request,
    handler::Handler,
    routing::{MethodFilter, MethodRouter, on},
};
use http::{Method, StatusCode};
use kernel::Operation;
use utoipa::{IntoParams, ToSchema};

use crate::{
    Guard,
    extract::ListParameters,
    metrics::RouteMetrics,
    openapi::{Body, Document},
};

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Anyone may call it; the text says why that is safe.
    Public(&'static str),
    /// Any caller with valid credentials; the text says what the use case limits the caller to.
    SignedIn(&'static str),
    /// The caller must be allowed what the use case asks of `access`, and it may ask for nothing but these.
    Operations(&'static [Operation]),
}

/// What one route is, for whoever walks over the table.
#[derive(Debug)]
pub struct RouteFacts {
    /// The service it belongs to.
    pub service: &'static str,
    /// The HTTP method.
    pub method: Method,
    /// The path with its parameters in braces, without a trailing slash.
    pub path: &'static str,
    /// Its name: the `method` label of the metrics and the operation id of the OpenAPI document.
    pub operation_id: &'static str,
    /// Who may call it.
    pub rule: Rule,
    /// The status of a success.
    pub status: StatusCode,
    pub(crate) metrics: RouteMetrics,
}

/// A route that still lacks its name; see [`Route::post`].
pub struct Unnamed<S> {
    method: Method,
    path: &'static str,
    mount: Mount<S>,
}

/// A route that still lacks its rule.
pub struct Unruled<S> {
    route: Unnamed<S>,
    operation_id: &'static str,
}

/// One route: method, path, handler, name, rule and what the documentation says about it.
///
/// ```
/// # use web::{Json, Route, Routes, Rule};
/// # const VIEW: kernel::Operation = kernel::Operation::new("clients", "view");
/// # async fn view() -> Json<u8> { Json(7) }
/// let routes: Routes = Routes::new("clients").add(
///     Route::get("/{domain}/clients/{client}", view)
///         .named("view_client")
///         .rule(Rule::Operations(&[VIEW]))
///         .summary("View a client")
///         .answers::<u8>(200),
/// );
/// assert_eq!(routes.iter().count(), 1);
/// ```
///
/// Without a rule it is no route:
///
/// ```compile_fail,E0308
/// # use web::{Json, Route, Routes};
/// # async fn view() -> Json<u8> { Json(7) }
/// let routes: Routes = Routes::new("clients").add(Route::get("/clients", view).named("view_client"));
/// ```
pub struct Route<S> {
    route: Unnamed<S>,
    operation_id: &'static str,
    rule: Rule,
    status: StatusCode,
    document: Document,
}

type Mount<S> = Box<dyn FnOnce(Arc<RouteFacts>) -> MethodRouter<S> + Send>;

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $method:ident;)*) => {
        impl<S: Clone + Send + Sync + 'static> Route<S> {$(
            $(#[$doc])*
            pub fn $name<H, T>(path: &'static str, handler: H) -> Unnamed<S>
            where
                H: Handler<T, S> + Sync,
                T: Send + 'static,
            {
                Unnamed::new(Method::$method, MethodFilter::$method, path, handler)
            }
        )*}
    };
}

methods! {
    /// `GET`, and `HEAD` with it.
    get = GET;
    /// `POST`.
    post = POST;
    /// `PUT`.
    put = PUT;
    /// `PATCH`.
    patch = PATCH;
    /// `DELETE`.
    delete = DELETE;
}

impl<S: Clone + Send + Sync + 'static> Unnamed<S> {
    fn new<H, T>(method: Method, filter: MethodFilter, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, S> + Sync,
        T: Send + 'static,
    {
        Self { method, path, mount: Box::new(move |route| on(filter, Guarded { route, handler })) }
    }
}

impl<S> Unnamed<S> {
    /// Gives the route the name under which metrics and OpenAPI know it (reference 07 §7.2).
    pub fn named(self, operation_id: &'static str) -> Unruled<S> {
        Unruled { route: self, operation_id }
    }
}

impl<S> Unruled<S> {
    /// Says who may call it.
    pub fn rule(self, rule: Rule) -> Route<S> {
        let Self { route, operation_id } = self;
        Route { route, operation_id, rule, status: StatusCode::OK, document: Document::default() }
    }
}

impl<S> Route<S> {
    /// One line about it.
    #[must_use]
    pub fn summary(mut self, summary: &'static str) -> Self {
        self.document.summary = summary;
        self
    }

    /// What one line cannot say.
    #[must_use]
    pub fn description(mut self, description: &'static str) -> Self {
        self.document.description = description;
        self
    }

    /// The JSON that the request's body holds.
    #[must_use]
    pub fn takes<T: ToSchema>(mut self) -> Self {
        self.document.request = Some(Body::of::<T>());
        self
    }

    /// The request's body holds a list of these.
    #[must_use]
    pub fn takes_list<T: ToSchema>(mut self) -> Self {
        self.document.request = Some(Body::list_of::<T>());
        self
    }

    /// The request's body holds bytes of this content type.
    #[must_use]
    pub fn takes_bytes(mut self, content_type: &'static str) -> Self {
        self.document.request = Some(Body::bytes(content_type));
        self
    }

    /// The parameters that the query may hold.
    #[must_use]
    pub fn queries<Q: IntoParams>(mut self) -> Self {
        self.document.query.extend(Q::into_params(|| Some(utoipa::openapi::path::ParameterIn::Query)));
        self
    }

    /// The parameters that the query of every list may hold; the handler takes them as [`crate::List`].
    #[must_use]
    pub fn lists(self) -> Self {
        self.queries::<ListParameters>()
    }

    /// A success has this status and this JSON. A handler that answers a plain 200 is given the status.
    #[must_use]
    pub fn answers<T: ToSchema>(mut self, status: u16) -> Self {
        self.document.response = Some(Body::of::<T>());
        self.answers_empty(status)
    }

    /// A success has this status and a list of these as JSON.
    #[must_use]
    pub fn answers_list<T: ToSchema>(mut self, status: u16) -> Self {
        self.document.response = Some(Body::list_of::<T>());
        self.answers_empty(status)
    }

    /// A success has this status and bytes of this content type.
    #[must_use]
    pub fn answers_bytes(mut self, status: u16, content_type: &'static str) -> Self {
        self.document.response = Some(Body::bytes(content_type));
        self.answers_empty(status)
    }

    /// A success has this status and, unless another `answers` said so before, no body.
    #[must_use]
    pub fn answers_empty(mut self, status: u16) -> Self {
        self.status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
        self
    }
}

/// The routes of one or more services, before ([`Routes::with`]) or after they were given their state.
pub struct Routes<S = ()> {
    service: &'static str,
    rows: Vec<Row<S>>,
}

pub(crate) struct Row<S> {
    pub(crate) facts: Arc<RouteFacts>,
    pub(crate) document: Document,
    pub(crate) handlers: MethodRouter<S>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// The empty table of `service`: `clients` is described as `clients service` by the health check, tagged `clients`
    /// in the OpenAPI document and counted as `clients_api_…`.
    pub const fn new(service: &'static str) -> Self {
        Self { service, rows: Vec::new() }
    }

    /// Adds a route.
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "a table of routes is no sum; `add` is what one does to it"
    )]
    pub fn add(mut self, route: Route<S>) -> Self {
        let Route { route: Unnamed { method, path, mount }, operation_id, rule, status, document } = route;
        let metrics = RouteMetrics::new(self.service, operation_id);
        let facts =
            Arc::new(RouteFacts { service: self.service, method, path, operation_id, rule, status, metrics });
        let handlers = mount(Arc::clone(&facts));
        self.rows.push(Row { facts, document, handlers });
        self
    }

    /// Adds all routes of another table; they stay with their service.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.rows.extend(other.rows);
        self
    }

    /// Leaves out the routes of some paths.
    pub(crate) fn without(mut self, left_out: impl Fn(&'static str) -> bool) -> Self {
        self.rows.retain(|row| !left_out(row.facts.path));
        self
    }

    /// Gives the handlers the state that they take as [`axum::extract::State`].
    pub fn with(self, state: S) -> Routes {
        let Self { service, rows } = self;
        let rows = rows.into_iter().map(|Row { facts, document, handlers }| Row {
            facts,
            document,
            handlers: handlers.with_state(state.clone()),
        });
        Routes { service, rows: rows.collect() }
    }

    /// What is in the table, in the order in which it was written.
    pub fn iter(&self) -> impl Iterator<Item = &RouteFacts> {
        self.rows.iter().map(|row| row.facts.as_ref())
    }

    pub(crate) fn documents(&self) -> impl Iterator<Item = (&RouteFacts, &Document)> {
        self.rows.iter().map(|row| (row.facts.as_ref(), &row.document))
    }

    pub(crate) fn into_rows(self) -> Vec<Row<S>> {
        self.rows
    }
}

/// The handler of a route, which first tells the guard which route it is.
#[derive(Clone)]
struct Guarded<H> {
    route: Arc<RouteFacts>,
    handler: H,
}

impl<H, T, S> Handler<T, S> for Guarded<H>
where
    H: Handler<T, S> + Sync,
    T: Send + 'static,
    S: Send + Sync + 'static,
{
    type Future = H::Future;

    fn call(self, request: Request, state: S) -> Self::Future {
        if let Some(guard) = request.extensions().get::<Guard>() {
            guard.enter(&self.route);
        }
        self.handler.call(request, state)
    }
}
