//! The OpenAPI 3.1 document, from the table of routes and the types of the documents.

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use godwit_decide::error_document::ErrorBody;

use super::access::Access;
use super::routes::{Answer, Endpoint, ROUTES, Route, is_inference};
use crate::serve::bodies::api_error::InferenceErrorBody;
use crate::serve::handlers::one_plan::IDEMPOTENCY_KEY;
use crate::serve::inference::binary;
use crate::serve::metrics::CONTENT_TYPE;

/// The document.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let settings = settings.with_transform(RecursiveTransform(without_null));
    let mut generator = settings.into_generator();
    let paths: Map<String, Value> = ROUTES
        .iter()
        .map(|route| (route.path.to_owned(), operation(route, &mut generator)))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "godwit-scorer",
            "summary": "Live migration decisions from cluster snapshots",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token of --token-file, which is taken everywhere",
                },
                "read_token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token of --read-token-file, which only reads",
                },
            },
        },
        // Where the service was started without a token, none is asked for.
        "security": [{"token": []}, {}],
    })
}

/// What may be left out is not null then: null is no value of its type.
fn without_null(schema: &mut Schema) {
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({"summary": route.summary, "responses": responses(route, generator)});
    let method = match route.endpoint {
        Endpoint::Get(_) | Endpoint::Interface => "get",
        Endpoint::Post(_) => "post",
        Endpoint::Send(body, _) => {
            let mut content = json!({"application/json": {"schema": body(generator)}});
            if is_infer(route) {
                content[binary::CONTENT] = json!({});
            }
            operation["requestBody"] = json!({"required": true, "content": content});
            "post"
        }
    };
    let parameters = parameters(route, generator);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if route.access == Access::Open {
        operation["security"] = json!([]);
    }
    if route.access == Access::Read {
        operation["security"] = json!([{"token": []}, {"read_token": []}, {}]);
    }
    json!({method: operation})
}

fn responses(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut ok = match route.answer {
        Answer::Json(answer) => json!({"application/json": {"schema": answer(generator)}}),
        Answer::Any => json!({"application/json": {}}),
        Answer::Text => json!({CONTENT_TYPE: {"schema": {"type": "string"}}}),
    };
    if is_infer(route) {
        ok[binary::CONTENT] = json!({});
    }
    let mut responses = Map::new();
    responses.insert("200".to_owned(), json!({"description": route.summary, "content": ok}));
    let schema = match is_inference(route.path) {
        true => generator.subschema_for::<InferenceErrorBody>(),
        false => generator.subschema_for::<ErrorBody>(),
    };
    let content = json!({"application/json": {"schema": schema}});
    let everywhere: &[u16] = if route.access == Access::Open { &[] } else { &[401, 403] };
    for status in everywhere.iter().chain(route.errors) {
        let description = axum::http::StatusCode::from_u16(*status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or("error");
        let response = json!({"description": description, "content": content});
        responses.insert(status.to_string(), response);
    }
    responses.into()
}

fn parameters(route: &Route, generator: &mut SchemaGenerator) -> Vec<Value> {
    let named = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = named
        .map(|name| {
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
        })
        .collect();
    if route.repeatable {
        parameters.push(json!({
            "name": IDEMPOTENCY_KEY, "in": "header", "required": false,
            "description": "What the client calls its question: the same again is answered the same",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        }));
    }
    if is_infer(route) {
        parameters.push(json!({
            "name": binary::LENGTH_HEADER,
            "in": "header",
            "required": false,
            "description": "Bytes of the JSON document, where elements of tensors are behind it.",
            "schema": {"type": "integer", "minimum": 0},
        }));
    }
    if let Some(query) = route.query {
        // Each field of the query is a parameter of its own.
        let reference: Schema = query(generator);
        let name = reference.get("$ref").and_then(Value::as_str).and_then(|r| r.rsplit('/').next());
        let definition = name.and_then(|name| generator.definitions_mut().remove(name));
        let mut definition = definition.and_then(|value| Schema::try_from(value).ok());
        if let Some(definition) = &mut definition {
            RecursiveTransform(without_null).transform(definition);
        }
        let fields = definition.as_ref().and_then(|d| d.get("properties")?.as_object());
        parameters.extend(fields.into_iter().flatten().map(|(name, schema)| {
            json!({"name": name, "in": "query", "required": false, "schema": schema})
        }));
    }
    parameters
}

/// Whether bodies of this route may be more than a document.
fn is_infer(route: &Route) -> bool {
    is_inference(route.path) && matches!(route.endpoint, Endpoint::Send(..))
}
