"""The verdicts of Python's jsonschema on the cases that a schema can tell."""

import json
import pathlib
import sys

from jsonschema import Draft202012Validator

folder = pathlib.Path(sys.argv[1])
validators = {}
checked, wrong = 0, []
for case in json.loads((folder / "cases.json").read_text())["cases"]:
    try:
        message = json.loads((folder / case["file"]).read_bytes())
    except ValueError:
        checked += 1
        if case["by"] != "json":
            wrong.append(f"{case['file']}: is no JSON")
        continue
    if case["by"] == "json":
        wrong.append(f"{case['file']}: was parsed, though {case['rule']}")
    if case["by"] != "schema":
        continue
    name = case["schema"]
    if name not in validators:
        schema = json.loads((folder / name).read_text())
        Draft202012Validator.check_schema(schema)
        validators[name] = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    checked += 1
    errors = [error.message for error in validators[name].iter_errors(message)]
    if (not errors) != case["valid"]:
        wrong.append(f"{case['file']}: valid is {not errors}: {errors} ({case.get('rule')})")
print(f"jsonschema: {checked} cases")
if wrong or checked < 30:
    sys.exit("\n".join(wrong))
