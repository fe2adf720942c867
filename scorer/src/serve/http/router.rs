//! The router that the table of routes makes, behind what every request passes.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;

use super::gate::gate;
use super::openapi;
use super::routes::{Endpoint, ROUTES};
use crate::serve::app::Shared;
use crate::serve::bodies::api_error::{ApiError, json};

/// Everything that is served.
pub fn router(app: &Shared) -> Router {
    let routes = ROUTES.iter().fold(Router::new(), |router, route| {
        let handler = match route.endpoint {
            Endpoint::Get(handler) | Endpoint::Post(handler) | Endpoint::Send(_, handler) => {
                handler()
            }
            Endpoint::Interface => get(interface),
        };
        router.route(route.path, handler)
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

/// `GET /openapi.json`.
async fn interface() -> Response {
    json(StatusCode::OK, &openapi::document())
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
    use crate::serve::test_app::{app, arrival};

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
