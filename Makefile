# Every target provides libtorch first (`setup`), which does nothing when it is there.
.DEFAULT_GOAL := help
.PHONY: help setup setup-milp setup-clients demo demo-live test test-kubernetes test-python test-mpi wheel docs reference bench lint clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## put libtorch under .libtorch (downloads it once, about 0.55 GB without a GPU)
	@command -v python3 >/dev/null || { echo "setup: python3 is missing, install it (Debian: apt-get install python3 python3-pip)" >&2; exit 1; }
	@python3 scripts/setup_libtorch.py

# Only what solves exactly is built with these: `make demo` does without.
setup-milp: setup
	@python3 scripts/setup_milp.py

# Tests that use them are skipped where they cannot be had.
setup-clients: setup
	@python3 scripts/setup_clients.py

demo: setup ## train, export, verify and evaluate a small policy, then decide a migration with it
	@scripts/demo.sh

demo-live: ## move running guests of QEMU between three hosts on this machine; needs qemu-system-x86_64
	@scripts/demo_live.sh

test: setup-milp setup-clients ## run all tests
	@python3 scripts/check_docs.py
	cargo test --workspace --features milp
	@python3 scripts/python_package.py test

test-kubernetes: ## test godwit-live against a real kube-apiserver; needs Go, builds for five minutes once
	@folder=$$(python3 scripts/setup_kubernetes.py) && \
		GODWIT_KUBERNETES=$$folder cargo test -p godwit-live --test kubernetes -- real --nocapture

test-python: ## build the Python package and run its tests
	@python3 scripts/python_package.py test

wheel: ## build the wheel of the Python package into target/wheels
	@python3 scripts/python_package.py wheel

test-mpi: setup ## run the tests of several processes; needs MPI, installs nothing
	@scripts/check_mpi.sh
	BINDGEN_EXTRA_CLANG_ARGS="-I$$($${CC:-cc} -print-file-name=include)" cargo test --features mpi --test mpi -- --nocapture --test-threads=1

docs: setup ## build the book (target/book) and the API docs (target/doc)
	@python3 scripts/check_docs.py
	@python3 scripts/setup_mdbook.py
	.mdbook/bin/mdbook build docs
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --workspace

# Both pages come from the doc comments of the types that files are read into. A file is replaced
# once its text is complete.
reference: setup ## write the book's pages of scenario fields and training settings anew
	cargo build --bin godwit
	cargo run --quiet --bin godwit -- scenarios schema --markdown > target/scenario-fields.md
	cargo run --quiet --bin godwit -- train --list-settings --markdown > target/training-settings.md
	mv target/scenario-fields.md target/training-settings.md docs/src/reference/

bench: setup-milp ## measure speeds on this machine
	cargo bench --workspace --features milp
	cargo run --release --bin godwit -- bench env founding-10x50

# Also without the feature, as `make demo` builds it.
lint: setup-milp ## check formatting, lints and doc comments
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features milp -- -D warnings
	cargo clippy --workspace -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps --workspace

clean: ## remove what was built; keeps checkpoints and the downloaded libtorch
	cargo clean
