"""Validates what a deployment consists of, and prints it as JSON for the test.

manifests.py kubernetes VERSION…   standard input: YAML documents; each must be valid in each version of Kubernetes
manifests.py compose FILE          a file for Docker Compose, with the variables of this process filled in
"""

import json
import os
import re
import sys

import kubernetes_validate
import yaml
from cloudcoil.models.prometheus_operator.v1 import ServiceMonitor
from compose_spec import PyCompose


def kubernetes(versions):
    objects = list(yaml.safe_load_all(sys.stdin))
    for one in objects:
        if one["kind"] == "ServiceMonitor":
            # The model ignores what it does not know. Then it is not in what comes back.
            known = ServiceMonitor.model_validate(one).model_dump(mode="json", by_alias=True, exclude_unset=True)
            if known != one:
                sys.exit(f"ServiceMonitor has unknown fields: {one} is read as {known}")
            continue
        for version in versions:
            kubernetes_validate.validate(one, version, strict=True)
    return objects


def compose(path):
    with open(path) as file:
        text = file.read()
    PyCompose.from_yaml(text).validate()
    whole = interpolated(yaml.safe_load(text))
    for name, service in whole["services"].items():
        for other in service.get("depends_on", {}):
            # A service of a profile may depend on one that always runs, but not the other way round.
            profiles = set(whole["services"][other].get("profiles", []))
            if not profiles <= set(service.get("profiles", [])):
                sys.exit(f"{name} depends on {other}, which is not always there")
        for volume in service.get("volumes", []):
            if volume.split(":")[0] not in whole["volumes"]:
                sys.exit(f"{name} has the volume {volume}, which is nowhere")
    return whole


def interpolated(node):
    """The same with ${NAME-default}, ${NAME:-default} and ${NAME:?message} filled in."""

    def value(match):
        name, empty_counts_as_unset, kind, rest = match.groups()
        found = os.environ.get(name)
        if found is None or (empty_counts_as_unset and not found):
            if kind == "?":
                sys.exit(f"{name} is not set: {rest}")
            return rest
        return found

    match node:
        case str():
            if "$" in (text := re.sub(r"\$\{(\w+)(:?)([-?])([^}]*)\}", value, node)):
                sys.exit(f"a $ is left over in {text}")
            return text
        case dict():
            return {name: interpolated(inner) for name, inner in node.items()}
        case list():
            return [interpolated(inner) for inner in node]
        case _:
            return node


if __name__ == "__main__":
    print(json.dumps(kubernetes(sys.argv[2:]) if sys.argv[1] == "kubernetes" else compose(sys.argv[2])))
