"""DQN as one jitted JAX program: environment, replay and update in one scan."""

import os

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
import jax.numpy as jnp
from common import CAPACITY, EPSILON, FLAT_ACTIONS, FLAT_INPUTS, FLAT_STEPS, FLAT_STRIDE, GAMMA
from common import LEARNING_RATE, MAX_NORM, SIZES, TABLE, TARGET_EVERY, WARM_UP
from common import serve, timed

ready = {}
table = jnp.asarray(TABLE)


def cartpole_reset(key):
    return jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05), jnp.zeros(2, jnp.int32)


def cartpole_step(state, extra, action):
    x, x_dot, theta, theta_dot = state
    cos, sin = jnp.cos(theta), jnp.sin(theta)
    temp = (jnp.where(action == 1, 10.0, -10.0) + 0.05 * theta_dot**2 * sin) / 1.1
    theta_acc = (9.8 * sin - cos * temp) / (0.5 * (4.0 / 3.0 - 0.1 * cos * cos / 1.1))
    x_acc = temp - 0.05 * theta_acc * cos / 1.1
    state = jnp.array(
        [x + 0.02 * x_dot, x_dot + 0.02 * x_acc, theta + 0.02 * theta_dot, theta_dot + 0.02 * theta_acc]
    )
    extra = extra.at[0].add(1)
    fell = (jnp.abs(state[0]) > 2.4) | (jnp.abs(state[2]) > 12 * jnp.pi / 180)
    return state, extra, 1.0, fell, extra[0] >= 500


def flat_window(extra):
    return jax.lax.dynamic_slice(table, ((extra[0] + extra[1]) * FLAT_STRIDE,), (FLAT_INPUTS,))


def flat_reset(key):
    extra = jnp.array([0, jax.random.randint(key, (), 0, FLAT_ACTIONS)], jnp.int32)
    return flat_window(extra), extra


def flat_step(_state, extra, action):
    reward = jnp.where(action == extra[0] % FLAT_ACTIONS, 1.0, 0.0)
    extra = extra.at[0].add(1)
    return flat_window(extra), extra, reward, extra[0] >= FLAT_STEPS, False


def forward(p, x):
    x = jax.nn.relu(x @ p[0] + p[1])
    x = jax.nn.relu(x @ p[2] + p[3])
    return x @ p[4] + p[5]


def program(cell):
    inputs, actions = SIZES[cell["env"]]
    reset, step = (
        (cartpole_reset, cartpole_step) if cell["env"] == "cartpole" else (flat_reset, flat_step)
    )
    h, batch = cell["hidden"], cell["batch"]
    keys = jax.random.split(jax.random.PRNGKey(0), 8)
    shapes = [(inputs, h), (h,), (h, h), (h,), (h, actions), (actions,)]
    p = [jax.random.uniform(k, s, minval=-1, maxval=1) / s[0] ** 0.5 for k, s in zip(keys, shapes)]
    zeros = [jnp.zeros_like(w) for w in p]
    state, extra = reset(keys[7])
    replay = (
        jnp.zeros((CAPACITY, inputs)),
        jnp.zeros((CAPACITY, inputs)),
        jnp.zeros(CAPACITY, jnp.int32),
        jnp.zeros(CAPACITY),
        jnp.zeros(CAPACITY),
    )
    carry = (p, [w + 0 for w in p], zeros, [w + 0 for w in zeros], replay, state, extra, keys[6], 0, 0)

    def env_step(carry, _):
        p, target, m, v, replay, state, extra, key, steps, updates = carry
        key, k1, k2, k3 = jax.random.split(key, 4)
        greedy = jnp.argmax(forward(p, state))
        chosen = jnp.where(
            jax.random.uniform(k1) < EPSILON, jax.random.randint(k2, (), 0, actions), greedy
        )
        after, extra, reward, terminated, truncated = step(state, extra, chosen)
        at = steps % CAPACITY
        values = (state, after, chosen, reward, jnp.where(terminated, 0.0, GAMMA))
        replay = tuple(
            jax.lax.dynamic_update_index_in_dim(r, jnp.asarray(x, r.dtype), at, 0)
            for r, x in zip(replay, values)
        )
        state, extra = jax.lax.cond(
            terminated | truncated, lambda: reset(k3), lambda: (after, extra)
        )
        return (p, target, m, v, replay, state, extra, key, steps + 1, updates), None

    def update(carry):
        p, target, m, v, replay, state, extra, key, steps, updates = carry
        key, k = jax.random.split(key)
        index = jax.random.randint(k, (batch,), 0, jnp.minimum(steps, CAPACITY))
        s, following, chosen, reward, discount = (r[index] for r in replay)
        wanted = reward + discount * forward(target, following).max(1)

        def loss(p):
            q = jnp.take_along_axis(forward(p, s), chosen[:, None], 1)[:, 0]
            e = jnp.abs(q - wanted)
            return jnp.where(e <= 1.0, 0.5 * e * e, e - 0.5).mean()

        g = jax.grad(loss)(p)
        norm = jnp.sqrt(sum((w * w).sum() for w in g))
        scale = jnp.minimum(1.0, MAX_NORM / (norm + 1e-6))
        updates = updates + 1
        c1, c2 = 1 - 0.9**updates, 1 - 0.999**updates
        m = [0.9 * m + 0.1 * scale * g for m, g in zip(m, g)]
        v = [0.999 * v + 0.001 * (scale * g) ** 2 for v, g in zip(v, g)]
        p = [
            w - LEARNING_RATE * (m / c1) / (jnp.sqrt(v / c2) + 1e-8) for w, m, v in zip(p, m, v)
        ]
        target = jax.lax.cond(updates % TARGET_EVERY == 0, lambda: p, lambda: target)
        return (p, target, m, v, replay, state, extra, key, steps, updates)

    def block(carry, _):
        carry, _ = jax.lax.scan(env_step, carry, None, length=cell["every"], unroll=True)
        return update(carry), None

    warm_up = jax.jit(lambda c: jax.lax.scan(env_step, c, None, length=WARM_UP)[0], donate_argnums=0)
    # About a tenth of a second each.
    blocks = 16 if h * batch > 20_000 else 256
    learn = jax.jit(lambda c: jax.lax.scan(block, c, None, length=blocks)[0], donate_argnums=0)
    holder = [jax.block_until_ready(learn(warm_up(carry)))]

    def chunk():
        holder[0] = jax.block_until_ready(learn(holder[0]))
        return blocks * cell["every"]

    chunk()
    return chunk


def measure(cell):
    key = (cell["env"], cell["hidden"], cell["batch"], cell["every"])
    if key not in ready:
        ready.clear()
        ready[key] = program(cell)
    return timed(ready[key], cell["seconds"])


serve(measure)
