"""Checks the files of deploy/kubernetes as `kubectl apply --validate=strict` would: no field that is unknown, none
of another type. Prints them as JSON, for tests/it/deploy; or what is wrong, and fails.

    check.py DIRECTORY [CRDS]

CRDS is a directory with KEDA's definitions (CRD); without it KEDA's kinds are checked by custom.yaml, which has of them
what is used here. What Spin is told to do is checked by spin-up.yaml and runtime-config.yaml, likewise."""

import json
import sys
import tomllib
from pathlib import Path

import jsonschema
import kubernetes_validate
import referencing
import yaml

# The oldest that has all that is used: `trafficDistribution` of services. (`sleep` before the end came with 1.30.)
KUBERNETES = "1.33"
HERE = Path(__file__).parent


def documents(directory):
    """What kustomize would apply, as it stands in the files."""
    kustomization = yaml.safe_load((directory / "kustomization.yaml").read_text())
    listed = [*kustomization["resources"]]
    for generator in kustomization["configMapGenerator"]:
        for file in generator["files"]:
            (directory / file).read_text()
    for file in listed:
        yield from yaml.safe_load_all((directory / file).read_text())
    for file in directory.rglob("*.yaml"):
        name = str(file.relative_to(directory))
        if name not in [*listed, "kustomization.yaml"]:
            raise ValueError(f"{name}: it is not among the resources of kustomization.yaml")


def strict(schema):
    """Makes a schema refuse the fields that it does not name, in all its depth."""
    if isinstance(schema, dict):
        if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
        for value in schema.values():
            strict(value)
    elif isinstance(schema, list):
        for value in schema:
            strict(value)
    return schema


def custom_schemas(crds):
    """The schema of each kind that is not Kubernetes' own."""
    if crds is None:
        return strict(yaml.safe_load((HERE / "custom.yaml").read_text()))
    schemas = {}
    for file in sorted(Path(crds).glob("*.yaml")):
        crd = yaml.safe_load(file.read_text())["spec"]
        for version in crd["versions"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            # The API server knows what is in there; what we have of it is a name.
            schema["properties"]["metadata"] = {"type": "object"}
            schemas[f"{crd['group']}/{version['name']}/{crd['names']['kind']}"] = schema
    return schemas


def kubernetes_registry():
    definitions = kubernetes_validate.utils.schema_contents(
        f"kubernetes-json-schema/v{KUBERNETES}.0-local-strict/_definitions.json", KUBERNETES
    )
    return referencing.Resource.from_contents(definitions) @ referencing.Registry()


def told_to_spin(deployment):
    """What each Spin of a deployment is told, by the names of the options; one without a value is True."""
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        if "/spinframework/spin:" not in container["image"]:
            continue
        command, *arguments = container["args"]
        if command != "up":
            raise ValueError(f"spin {command}: it is not spin up")
        options = {}
        for argument in arguments:
            name, equals, value = argument.removeprefix("--").partition("=")
            if name in options or not argument.startswith("--"):
                raise ValueError(f"spin up: {argument}: it is no option, or it is there twice")
            options[name] = value if equals else True
        yield options


def main(directory, crds=None):
    directory = Path(directory)
    found = list(documents(directory))
    schemas = custom_schemas(crds)
    registry = kubernetes_registry()
    spin_up = yaml.safe_load((HERE / "spin-up.yaml").read_text())

    def check(what, document, schema):
        validator = jsonschema.Draft202012Validator(schema, registry=registry)
        for error in validator.iter_errors(document):
            problems.append(f"{what}: {error.json_path}: {error.message}")

    problems = []
    for document in found:
        what = f"{document['kind']} {document['metadata']['name']}"
        kind = f"{document['apiVersion']}/{document['kind']}"
        if kind in schemas:
            check(what, document, schemas[kind])
            continue
        try:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            problems.append(f"{what}: {error.json_path}: {error.message}")
        except kubernetes_validate.SchemaNotFoundError as error:
            problems.append(f"{what}: {error.message}")
        if document["kind"] == "Deployment":
            for options in told_to_spin(document):
                check(f"{what}: spin up", options, spin_up)
    runtime_config = tomllib.loads((directory / "runtime-config.toml").read_text())
    check("runtime-config.toml", runtime_config, yaml.safe_load((HERE / "runtime-config.yaml").read_text()))
    if problems:
        sys.exit("\n".join(problems))
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
