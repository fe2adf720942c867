//! The table of routes: the router and the OpenAPI document both come from it.

use axum::routing::{MethodRouter, get, post};
use godwit_envs::snapshot::Snapshot;
use schemars::{Schema, SchemaGenerator};

use super::access::Access;
use crate::serve::app::Shared;
use crate::serve::handlers::feedback::{self, Feedback};
use crate::serve::handlers::one_plan::{PlanQuery, ServedDecision};
use crate::serve::handlers::simulate::{self, SimulateRequest, Simulation};
use crate::serve::handlers::{control, plan_routes, recall};
use crate::serve::inference::documents::{
    InferRequest, InferResponse, ModelMetadata, ModelReady, ServerMetadata,
};
use crate::serve::inference::infer_routes;
use crate::serve::model::live_model::ModelInfo;
use godwit_decide::outcomes::drift::Standing;
use godwit_decide::outcomes::evaluation::Evaluation;

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
    /// GET, answered with what this table says.
    Interface,
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
        endpoint: Endpoint::Send(|g| g.subschema_for::<Snapshot>(), || post(plan_routes::decide)),
        answer: Answer::Json(|g| g.subschema_for::<ServedDecision>()),
        errors: WORK,
        ..PLAIN
    },
    Route {
        path: "/v1/plan",
        summary: "Plan for a snapshot: migrations in waves",
        query: Some(|g| g.subschema_for::<PlanQuery>()),
        repeatable: true,
        endpoint: Endpoint::Send(|g| g.subschema_for::<Snapshot>(), || post(plan_routes::plan)),
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
        endpoint: Endpoint::Get(|| get(recall::find)),
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
        endpoint: Endpoint::Get(|| get(infer_routes::server)),
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
        endpoint: Endpoint::Get(|| get(infer_routes::model)),
        answer: Answer::Json(|g| g.subschema_for::<ModelMetadata>()),
        errors: &[404],
        ..PLAIN
    },
    Route {
        path: "/v2/models/{model}/versions/{version}",
        summary: "Inputs and outputs of this version of the network",
        access: Access::Read,
        endpoint: Endpoint::Get(|| get(infer_routes::model)),
        answer: Answer::Json(|g| g.subschema_for::<ModelMetadata>()),
        errors: &[404],
        ..PLAIN
    },
    Route {
        path: "/v2/models/{model}/ready",
        summary: "Whether the network can be asked",
        access: Access::Read,
        endpoint: Endpoint::Get(|| get(infer_routes::model_ready)),
        answer: Answer::Json(|g| g.subschema_for::<ModelReady>()),
        errors: &[404],
        ..PLAIN
    },
    Route {
        path: "/v2/models/{model}/versions/{version}/ready",
        summary: "Whether this version of the network can be asked",
        access: Access::Read,
        endpoint: Endpoint::Get(|| get(infer_routes::model_ready)),
        answer: Answer::Json(|g| g.subschema_for::<ModelReady>()),
        errors: &[404],
        ..PLAIN
    },
    Route {
        path: "/v2/models/{model}/infer",
        summary: "Value the candidates of an observation",
        endpoint: Endpoint::Send(
            |g| g.subschema_for::<InferRequest>(),
            || post(infer_routes::infer),
        ),
        answer: Answer::Json(|g| g.subschema_for::<InferResponse>()),
        errors: &[400, 404, 408, 413, 415, 422, 500, 503],
        ..PLAIN
    },
    Route {
        path: "/v2/models/{model}/versions/{version}/infer",
        summary: "Value the candidates of an observation with this version",
        endpoint: Endpoint::Send(
            |g| g.subschema_for::<InferRequest>(),
            || post(infer_routes::infer),
        ),
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
        endpoint: Endpoint::Interface,
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
