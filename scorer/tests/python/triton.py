"""Ask a service with the client of Triton: triton.py HOST:PORT REQUEST.json

The request is one of the Open Inference Protocol with its elements in the document; they are sent
once like that and once as bytes, and the answers must be equal. Prints the answer as JSON.
"""

import json
import sys

import numpy
import tritonclient.http as http

TYPES = {"FP32": numpy.float32, "INT32": numpy.int32, "BOOL": numpy.bool_}


def refused(call):
    """Status and message of a call that must fail."""
    try:
        call()
    except http.InferenceServerException as error:
        return error.status(), error.message()
    sys.exit("expected a refusal, got an answer")


client = http.InferenceServerClient(sys.argv[1])
with open(sys.argv[2]) as file:
    request = json.load(file)

assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("policy")
assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
metadata = client.get_model_metadata("policy")
assert {tensor["name"] for tensor in metadata["inputs"]} == {t["name"] for t in request["inputs"]}
(version,) = metadata["versions"]
assert client.is_model_ready("policy", version)
assert client.get_model_metadata("policy", version) == metadata
assert not client.is_model_ready("policy", "1")


def infer(binary_in, outputs, version=""):
    inputs = []
    for tensor in request["inputs"]:
        data = numpy.array(tensor["data"], TYPES[tensor["datatype"]]).reshape(tensor["shape"])
        entry = http.InferInput(tensor["name"], tensor["shape"], tensor["datatype"])
        entry.set_data_from_numpy(data, binary_data=binary_in)
        inputs.append(entry)
    return client.infer("policy", inputs, version, outputs=outputs, request_id="mine")


def wanted(binary):
    return [http.InferRequestedOutput(name, binary_data=binary) for name in ("q", "action")]


answers = [
    infer(binary_in, outputs, at)
    for binary_in in (False, True)
    for outputs in (wanted(False), wanted(True), None)
    for at in ("", version)
]
first = answers[0]
assert first.as_numpy("q").dtype == numpy.float32 and first.as_numpy("action").dtype == numpy.int64
for answer in answers:
    assert answer.get_response()["id"] == "mine"
    for name in ("q", "action"):
        one, other = first.as_numpy(name), answer.as_numpy(name)
        assert one.shape == other.shape and one.tobytes() == other.tobytes(), (name, one, other)
only = infer(True, [http.InferRequestedOutput("action")])
assert [output["name"] for output in only.get_response()["outputs"]] == ["action"]

status, message = refused(lambda: client.get_model_metadata("other"))
assert str(status) == "404" and message == "expected the model policy, got another", (status, message)
status, message = refused(lambda: infer(True, [http.InferRequestedOutput("value")]))
assert str(status) == "400" and "expected q and action" in message, (status, message)
print(json.dumps({name: first.as_numpy(name).tolist() for name in ("q", "action")}))
