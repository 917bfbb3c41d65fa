.PHONY: demo test lint ci

demo:
	python3 run.py demo

test:
	python3 run.py test

lint:
	.venv/bin/python -m pip install --quiet --editable '.[lint]'
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy

ci:
	.ci/run
