//! Orders that restart pods, written down in the cluster before anything happens to the pod: one
//! ConfigMap each, by whose name an order is known again and cannot be begun twice.

use std::collections::BTreeMap;

use godwit_envs::hex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::cluster::CallError;
use crate::clusters::kubernetes::api::Api;
use crate::clusters::kubernetes::rights::CONFIG_MAPS;

/// The label of everything that is created here.
const LABELS: (&str, &str) = ("app.kubernetes.io/managed-by", "godwit-live");

/// For how long orders are kept, seconds: whoever asks for one does so within hours.
const KEPT_S: f64 = 7.0 * 86_400.0;

/// What is written down of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub order: String,
    pub workload: String,
    pub namespace: String,
    pub pod: String,
    pub uid: String,
    pub owner_kind: String,
    pub owner_name: String,
    /// When it was written, seconds since 1970.
    pub began_s: f64,
    /// The numbers of the owner's pods at that time, by uid.
    pub numbers: BTreeMap<String, u32>,
}

/// The name of what is created for an order: letters and digits that Kubernetes allows, at most 63.
pub(super) fn object_name(order: &str) -> String {
    let name = format!("order-{order}");
    let whole = |part: &str| {
        let ends = [part.bytes().next(), part.bytes().last()];
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        part.bytes().all(inner)
            && ends.iter().flatten().all(|&end| end != b'-')
            && ends[0].is_some()
    };
    match name.len() <= 63 && name.split('.').all(whole) {
        true => name,
        false => format!("order-{}", &hex(&Sha256::digest(order.as_bytes()))[..40]),
    }
}

/// Labels and annotations of what is created for an order.
pub(super) fn metadata(order: &str) -> Value {
    let (label, value) = LABELS;
    json!({
        "name": object_name(order),
        "labels": { label: value },
        "annotations": { "godwit/order": order },
    })
}

/// The orders that are written down in a namespace.
pub(crate) struct Records {
    pub api: Api,
    pub namespace: String,
}

impl Records {
    /// Writes an order down.
    ///
    /// # Errors
    /// [`CallError::Refused`] when it has been begun before.
    pub(super) fn write(&self, record: &Record) -> Result<(), CallError> {
        let doing = "write the order down";
        let text = serde_json::to_string(record)
            .map_err(|error| CallError::Refused(format!("{doing}: {error}")))?;
        let body = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": metadata(&record.order),
            "data": { "order.json": text },
        });
        let answer = self.api.call("create", CONFIG_MAPS, Some(&self.namespace), None, Some(&body));
        let answer = answer.map_err(|silence| silence.failure(doing))?;
        match answer.ok() {
            Ok(_) => Ok(()),
            Err(answer) if answer.status().as_u16() == 409 => {
                let order = &record.order;
                Err(CallError::Refused(format!("{doing}: expected a new order, got {order} again")))
            }
            Err(answer) => Err(answer.failure(doing)),
        }
    }

    /// What is written of an order; `None` where nothing is.
    pub(super) fn read(&self, order: &str) -> Result<Option<Record>, CallError> {
        let (doing, name) = ("read what is written of the order", object_name(order));
        let Some(map) = self.api.get(CONFIG_MAPS, Some(&self.namespace), &name, doing)? else {
            return Ok(None);
        };
        let text = map["data"]["order.json"].as_str();
        let record = text.and_then(|text| serde_json::from_str(text).ok());
        record.map(Some).ok_or_else(|| {
            let expected = "expected an order, got a ConfigMap that holds none";
            CallError::Refused(format!("{doing}: {}/{name}: {expected}", self.namespace))
        })
    }

    /// Strikes an order that came to nothing, so that it can be begun again.
    pub(super) fn strike(&self, order: &str) {
        let name = object_name(order);
        // It stays, then, and the order counts as begun: it ends as one that came to nothing.
        let doing = "strike the order";
        if let Err(failure) = self.api.delete(CONFIG_MAPS, Some(&self.namespace), &name, doing) {
            tracing::warn!("{failure}");
        }
    }

    /// All orders, the oldest first; those of long ago are thrown away.
    pub(crate) fn all(&self, now_s: f64) -> Result<Vec<Record>, CallError> {
        let doing = "list the orders";
        let answer = self.api.call("list", CONFIG_MAPS, Some(&self.namespace), None, None);
        let text = match answer.map_err(|silence| silence.unread(doing))?.ok() {
            Ok(text) => text,
            Err(answer) => return Err(answer.unread(doing)),
        };
        let list: ConfigMaps = serde_json::from_str(&text).map_err(|error| CallError::Later {
            reason: format!("{doing}: {error}"),
            after: None,
        })?;
        let records = list.items.iter().filter_map(ConfigMap::record);
        let (mut kept, old): (Vec<Record>, Vec<Record>) =
            records.partition(|record| now_s - record.began_s < KEPT_S);
        old.iter().for_each(|record| self.strike(&record.order));
        kept.sort_by(|a, b| a.began_s.total_cmp(&b.began_s));
        Ok(kept)
    }
}

#[derive(Debug, Default, Deserialize)]
struct ConfigMaps {
    items: Vec<ConfigMap>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ConfigMap {
    data: BTreeMap<String, String>,
}

impl ConfigMap {
    /// The order that it holds; other ConfigMaps may stand beside.
    fn record(&self) -> Option<Record> {
        serde_json::from_str(self.data.get("order.json")?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::object_name;

    #[test]
    fn things_are_named_after_orders_where_kubernetes_allows_it() {
        assert_eq!(object_name("7f3a.0"), "order-7f3a.0");
        for order in ["A.1", "a-.1", "a..1", "a.", &"a".repeat(63)] {
            let name = object_name(order);
            assert!(name.len() == 46 && name.starts_with("order-"), "{order}: {name}");
        }
        assert_ne!(object_name("A.1"), object_name("A.2"));
    }
}
