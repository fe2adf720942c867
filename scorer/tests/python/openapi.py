"""Check an OpenAPI document: openapi.py DOCUMENT.json"""

import json
import sys

from openapi_spec_validator import OpenAPIV31SpecValidator

with open(sys.argv[1]) as file:
    errors = list(OpenAPIV31SpecValidator(json.load(file)).iter_errors())
for error in errors:
    print(f"{'/'.join(map(str, error.absolute_path))}: {error.message}", file=sys.stderr)
sys.exit(1 if errors else 0)
