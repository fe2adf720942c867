//! Kubernetes clusters, from their API's answers to what is done to them.

mod speed;
