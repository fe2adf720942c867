//! The long ends of help texts.

/// Below the options of `serve`.
pub const SERVE_HELP: &str = "\
Examples:
  godwit-scorer serve --model policy.pt
  curl --data-binary @cluster.json http://127.0.0.1:8980/v1/plan?max_moves=5

  # Policy and baseline side by side; the baseline's plans are returned
  godwit-scorer serve --model policy.pt --mode shadow --baseline best-single-move --return baseline

  # A baseline plans where the policy is too slow, refused or demoted
  godwit-scorer serve --model policy.pt --fallback best-single-move --decision-deadline-ms 50

  # Plans are carried out, and remembered across restarts
  godwit-scorer serve --model policy.pt --mode active --limits limits.toml --state state

  # Keep enough of every decision to make it again
  godwit-scorer serve --model policy.pt --decision-log decisions
  godwit-scorer replay decisions --model policy.pt

  # For other machines: tokens and TLS
  head -c 24 /dev/urandom | base64 > token && chmod 600 token
  godwit-scorer serve --model policy.pt --mode active --listen 0.0.0.0:8980 \\
    --token-file token --read-token-file read-token --tls-cert server.pem --tls-key server.key

GET /openapi.json describes every route. SIGTERM and SIGINT finish the requests in flight; a
second one ends at once. POST /v1/halt makes every plan empty until POST /v1/resume. A changed
artifact file is loaded within about a second if it passes every check: a regular file of at most
256 MiB, read within 10 seconds, with the resources, features and rules of the one that decides.

The decision log is JSON lines, each appended whole with one write. With --log-sync always a
decision's record is on the disk before the next one is written (before the answer, with
--log-required); with interval, a loss of power costs about the last second; with never, what the
system has not written by itself. A killed process costs what was still queued, and at most tears
the last line: readers skip it, and a new file is begun at each start. When records cannot be
written decisions go on, the loss is counted in /metrics and logged once, unless --log-required is
given. Nobody can flush the log: records of the last --log-keep-s seconds stay, and a log that they
fill takes no more (godwit_scorer_decision_log_full), so that with --log-required decisions are
answered 503 until there is room. Inputs that are refused as malformed are no decisions and are not kept.";

/// Below the options of `replay`.
pub const REPLAY_HELP: &str = "\
Example:
  godwit-scorer replay decisions --model policy.pt

Each record is decided again with the artifact, limits, time and memory that it names; the answer
must be the same in every bit, but for timing. Plans that a deadline cut short are made again with
as many decisions as there was time for. Torn last lines are counted and skipped.

Exit codes: 0 every decision was made again and is equal, 1 some differ, 2 some could not be made
again (another artifact, unreadable lines) or bad usage.";
