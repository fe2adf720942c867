//! The table of routes: the router and the OpenAPI document both come from it.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use godwit_envs::snapshot::Snapshot;
use schemars::{Schema, SchemaGenerator};
use tower_http::catch_panic::CatchPanicLayer;

use super::access::Access;
use super::app::Shared;
use super::decisions::{PlanQuery, ServedDecision};
use super::drift::Standing;
use super::error::ApiError;
use super::feedback::{Evaluation, Feedback};
use super::gate::gate;
use super::inference::{InferRequest, InferResponse, ModelMetadata, ModelReady, ServerMetadata};
use super::model::ModelInfo;
use super::simulate::{SimulateRequest, Simulation};
use super::{control, decisions, feedback, inference, simulate};

/// How the schema of a document is made.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// One route.
pub struct Route {
    /// Path, with parameters in braces.
    pub path: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// What it is answered for.
    pub access: Access,
    /// Whether clients may name their question, so that the same again is answered the same.
    pub repeatable: bool,
    /// What it takes in its query.
    pub query: Option<SchemaOf>,
    /// What it does, and with which method.
    pub endpoint: Endpoint,
    /// What it answers.
    pub answer: Answer,
    /// Statuses of errors besides those that every route has.
    pub errors: &'static [u16],
}

/// Method and handler.
pub enum Endpoint {
    /// GET.
    Get(fn() -> MethodRouter<Shared>),
    /// POST without a body.
    Post(fn() -> MethodRouter<Shared>),
    /// POST with this document.
    Send(SchemaOf, fn() -> MethodRouter<Shared>),
}

/// What a route answers.
pub enum Answer {
    /// JSON of this schema.
    Json(SchemaOf),
    /// Text for Prometheus.
    Text,
    /// Any JSON.
    Any,
}

/// Errors of routes that take a document.
const WORK: &[u16] = &[400, 408, 413, 415, 422, 500, 503];

/// All routes.
pub const ROUTES: &[Route] = &[
    Route {
        path: "/v1/decide",
        summary: "Decide about a snapshot: at most one migration",
        repeatable: true,
        endpoint: Endpoint::Send(|g| g.subschema_for::<Snapshot>(), || post(decisions::decide)),
        answer: Answer::Json(|g| g.subschema_for::<ServedDecision>()),
        errors: WORK,
        ..PLAIN
    },
    Route {
        path: "/v1/plan",
        summary: "Plan for a snapshot: migrations in waves",
        query: Some(|g| g.subschema_for::<PlanQuery>()),
        repeatable: true,
        endpoint: Endpoint::Send(|g| g.subschema_for::<Snapshot>(), || post(decisions::plan)),
        answer: Answer::Json(|g| g.subschema_for::<ServedDecision>()),
        errors: WORK,
        ..PLAIN
    },
    Route {
        path: "/v1/simulate",
        summary: "Say what a given plan would do to a cluster, and which constraints it breaks",
        endpoint: Endpoint::Send(
            |g| g.subschema_for::<SimulateRequest>(),
            || post(simulate::simulate),
        ),
        answer: Answer::Json(|g| g.subschema_for::<Simulation>()),
        errors: WORK,
        ..PLAIN
    },
    Route {
        path: "/v1/feedback",
        summary: "Say what was carried out of a plan and how the cluster is since: what it gained",
        endpoint: Endpoint::Send(|g| g.subschema_for::<Feedback>(), || post(feedback::feedback)),
        answer: Answer::Json(|g| g.subschema_for::<Evaluation>()),
        errors: &[400, 404, 408, 409, 413, 415, 422, 500, 503],
        ..PLAIN
    },
    Route {
        path: "/v1/decisions/{id}",
        summary: "A recent decision as it was sent",
        access: Access::Read,
        endpoint: Endpoint::Get(|| get(decisions::find)),
        answer: Answer::Json(|g| g.subschema_for::<ServedDecision>()),
        errors: &[404],
        ..PLAIN
    },
    Route {
        path: "/v1/halt",
        summary: "Halt migrations: every plan is empty until they are resumed",
        endpoint: Endpoint::Post(|| post(control::halt)),
        answer: Answer::Json(|g| g.subschema_for::<control::HaltState>()),
        ..PLAIN
    },
    Route {
        path: "/v1/resume",
        summary: "Resume migrations",
        endpoint: Endpoint::Post(|| post(control::resume)),
        answer: Answer::Json(|g| g.subschema_for::<control::HaltState>()),
        ..PLAIN
    },
    Route {
        path: "/v1/model",
        summary: "The artifact that decides",
        access: Access::Read,
        endpoint: Endpoint::Get(|| get(control::model)),
        answer: Answer::Json(|g| g.subschema_for::<ModelInfo>()),
        ..PLAIN
    },
    Route {
        path: "/v1/model/reload",
        summary: "Read the artifact again; the old one stays if the new one fails a check or has other rules",
        query: Some(|g| g.subschema_for::<control::ReloadQuery>()),
        endpoint: Endpoint::Post(|| post(control::reload)),
        answer: Answer::Json(|g| g.subschema_for::<ModelInfo>()),
        errors: &[400, 409, 500],
        ..PLAIN
    },
    Route {
        path: "/v1/model/promote",
        summary: "Let a demoted policy decide again, without a record",
        endpoint: Endpoint::Post(|| post(control::promote)),
        answer: Answer::Json(|g| g.subschema_for::<Standing>()),
        ..PLAIN
    },
    Route {
        path: "/v2",
        summary: "The service (Open Inference Protocol)",
        access: Access::Read,
        endpoint: Endpoint::Get(|| get(inference::server)),
        answer: Answer::Json(|g| g.subschema_for::<ServerMetadata>()),
        ..PLAIN
    },
    Route {
        path: "/v2/health/live",
        summary: "Whether the process is alive",
        access: Access::Open,
        endpoint: Endpoint::Get(|| get(control::live)),
        answer: Answer::Json(|g| g.subschema_for::<control::Live>()),
        ..PLAIN
    },
    Route {
        path: "/v2/health/ready",
        summary: "Whether requests should be sent here",
        access: Access::Open,
        endpoint: Endpoint::Get(|| get(control::ready)),
        answer: Answer::Json(|g| g.subschema_for::<control::Ready>()),
        ..PLAIN
    },
    Route {
        path: "/v2/models/{model}",
        summary: "Inputs and outputs of the network",
        access: Access::Read,
        endpoint: Endpoint::Get(|| get(inference::model)),
        answer: Answer::Json(|g| g.subschema_for::<ModelMetadata>()),
        errors: &[404],
        ..PLAIN
    },
    Route {
        path: "/v2/models/{model}/versions/{version}",
        summary: "Inputs and outputs of this version of the network",
        access: Access::Read,
        endpoint: Endpoint::Get(|| get(inference::model)),
        answer: Answer::Json(|g| g.subschema_for::<ModelMetadata>()),
        errors: &[404],
        ..PLAIN
    },
    Route {
        path: "/v2/models/{model}/ready",
        summary: "Whether the network can be asked",
        access: Access::Read,
        endpoint: Endpoint::Get(|| get(inference::model_ready)),
        answer: Answer::Json(|g| g.subschema_for::<ModelReady>()),
        errors: &[404],
        ..PLAIN
    },
    Route {
        path: "/v2/models/{model}/versions/{version}/ready",
        summary: "Whether this version of the network can be asked",
        access: Access::Read,
        endpoint: Endpoint::Get(|| get(inference::model_ready)),
        answer: Answer::Json(|g| g.subschema_for::<ModelReady>()),
        errors: &[404],
        ..PLAIN
    },
    Route {
        path: "/v2/models/{model}/infer",
        summary: "Value the candidates of an observation",
        endpoint: Endpoint::Send(|g| g.subschema_for::<InferRequest>(), || post(inference::infer)),
        answer: Answer::Json(|g| g.subschema_for::<InferResponse>()),
        errors: &[400, 404, 408, 413, 415, 422, 500, 503],
        ..PLAIN
    },
    Route {
        path: "/v2/models/{model}/versions/{version}/infer",
        summary: "Value the candidates of an observation with this version",
        endpoint: Endpoint::Send(|g| g.subschema_for::<InferRequest>(), || post(inference::infer)),
        answer: Answer::Json(|g| g.subschema_for::<InferResponse>()),
        errors: &[400, 404, 408, 413, 415, 422, 500, 503],
        ..PLAIN
    },
    Route {
        path: "/metrics",
        summary: "What is counted and measured, for Prometheus",
        access: Access::Read,
        endpoint: Endpoint::Get(|| get(control::metrics)),
        answer: Answer::Text,
        ..PLAIN
    },
    Route {
        path: "/openapi.json",
        summary: "This interface as an OpenAPI document",
        access: Access::Read,
        endpoint: Endpoint::Get(|| get(control::openapi)),
        answer: Answer::Any,
        ..PLAIN
    },
];

/// What most routes have.
const PLAIN: Route = Route {
    path: "",
    summary: "",
    access: Access::Write,
    repeatable: false,
    query: None,
    endpoint: Endpoint::Get(MethodRouter::new),
    answer: Answer::Any,
    errors: &[],
};

/// The route with this path.
pub fn route(path: &str) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.path == path)
}

/// Whether this is a path of the Open Inference Protocol.
pub fn is_inference(path: &str) -> bool {
    path.strip_prefix("/v2").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Everything that is served.
pub fn router(app: &Shared) -> Router {
    let routes = ROUTES.iter().fold(Router::new(), |router, route| {
        let (Endpoint::Get(handler) | Endpoint::Post(handler) | Endpoint::Send(_, handler)) =
            route.endpoint;
        router.route(route.path, handler())
    });
    around(routes, app)
}

/// The routes behind everything that every request passes.
fn around(routes: Router<Shared>, app: &Shared) -> Router {
    let metrics = Arc::clone(&app.metrics);
    let panicked = move |_: Box<dyn Any + Send>| {
        metrics.panics.inc();
        ApiError::internal().into_response()
    };
    routes
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::clone(app), gate))
        .with_state(Arc::clone(app))
}

async fn unknown_route() -> Response {
    let message = "expected a route of /openapi.json, got another path";
    ApiError::new(StatusCode::NOT_FOUND, "unknown_route", message).into_response()
}

async fn wrong_method() -> Response {
    let message = "expected a method of this route (see /openapi.json), got another";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message).into_response()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tokio::time::Instant;
    use tower::ServiceExt;

    use super::*;
    use crate::serve::app::Arrival;
    use crate::serve::app::tests::{app, arrival};

    #[tokio::test]
    async fn a_handler_that_panics_is_answered_and_counted() {
        let app = app("");
        let broken = Router::new().route("/broken", get(|| async { panic!("on purpose") as () }));
        let request = Request::get("/broken").body(Body::empty()).unwrap();
        let response = around(broken, &app).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 500);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error"]["code"], "internal");
        assert_eq!(app.metrics.panics.get(), 1);
    }

    #[tokio::test]
    async fn a_worker_that_panics_is_replaced() {
        let app = app("");
        let arrival = arrival(&app);
        // More than there are threads: one for everything, and one for small bodies.
        for count in 1..=3 {
            let broken = app
                .work(&arrival, Body::empty(), |_, _, _| -> Result<(), _> { panic!("on purpose") });
            assert_eq!(broken.await.unwrap_err().into_response().status(), 500);
            assert_eq!(app.metrics.panics.get(), count);
        }
        let sound = app.work(&arrival, Body::empty(), |_, _, _| Ok(7));
        assert_eq!(sound.await.unwrap(), 7);
        assert_eq!(app.metrics.panics.get(), 3);
    }

    #[tokio::test]
    async fn work_that_takes_too_long_is_given_up_and_what_waits_for_it_is_skipped() {
        let app = app("");
        let until = Instant::now() + Duration::from_millis(20);
        let arrival = Arrival { id: "test".to_owned(), at: Instant::now(), until };
        let slow = || {
            app.work(&arrival, Body::empty(), |_, _, _| {
                std::thread::sleep(Duration::from_millis(200));
                Ok(())
            })
        };
        let waiting = app.work(&arrival, Body::empty(), |app, _, _| {
            app.metrics.panics.inc();
            Ok(())
        });
        // One for the worker, and one for its second for small bodies.
        let (first, second, waiting) = tokio::join!(slow(), slow(), waiting);
        for given_up in [first, second, waiting] {
            assert_eq!(given_up.unwrap_err().into_response().status(), 503);
        }
        let until = Instant::now() + Duration::from_secs(10);
        let later = Arrival { until, ..arrival };
        let next = app.work(&later, Body::empty(), |_, _, _| Ok(7));
        assert_eq!(next.await.unwrap(), 7);
        assert_eq!(app.metrics.panics.get(), 0, "work was done that nobody waited for");
    }
}
