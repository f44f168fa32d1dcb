# Each target sets up all it needs: git, make and python3 (3.11 or newer, with pip and venv) are enough.
PYTHON ?= python3
NOX := .venv/bin/nox

.PHONY: test check demo bench soak docs lint generate clean

test: $(NOX)
	$(NOX) -s tests

check: $(NOX)
	$(NOX) --parallel 2

demo lint bench soak docs generate: $(NOX)
	$(NOX) -s $@

$(NOX): Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "python3 3.11 or newer is needed; name one: make PYTHON=...")'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet 'nox[uv]>=2026.8.10,<2027'
	@touch $@

clean:
	rm -rf .ansible .hypothesis .mypy_cache .nox .pytest_cache .ruff_cache .venv .work
