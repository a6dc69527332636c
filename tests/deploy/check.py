"""Checks the files of deploy/kubernetes as `kubectl apply --validate=strict` would: no field that is unknown, none
of another type. Prints them as JSON, for tests/it/deploy; or what is wrong, and fails.

    check.py DIRECTORY [CRDS]

CRDS is a directory with the definitions (CRD) of SpinKube and KEDA; without it their kinds are checked by
custom.yaml, which has of them what is used here."""

import json
import sys
import tomllib
from pathlib import Path

import jsonschema
import kubernetes_validate
import referencing
import yaml

# The oldest that has all that is used: `trafficDistribution` of services.
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


def main(directory, crds=None):
    directory = Path(directory)
    found = list(documents(directory))
    schemas = custom_schemas(crds)
    registry = kubernetes_registry()

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
    runtime_config = tomllib.loads((directory / "runtime-config.toml").read_text())
    check("runtime-config.toml", runtime_config, yaml.safe_load((HERE / "runtime-config.yaml").read_text()))
    if problems:
        sys.exit("\n".join(problems))
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
