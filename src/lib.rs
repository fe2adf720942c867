//! godwit: reinforcement-learning trainer for migration policies.
