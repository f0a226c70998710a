# The runtime of Python functions: it loads the handler and carries invocations between
# it and the Lambda Runtime API, over one kept-alive connection.
import importlib
import json
import logging
import os
import re
import socket
import sys
import time
import traceback

MATCH = re.match(r"^(.*?):(\d+)(/.*)?$", os.environ["AWS_LAMBDA_RUNTIME_API"])
HOST, PORT, PREFIX = MATCH.group(1), int(MATCH.group(2)), (MATCH.group(3) or "") + "/2018-06-01/runtime/"
TASK_ROOT = os.environ["LAMBDA_TASK_ROOT"]


class Connection:
    """The Runtime API, one request after the other."""

    def __init__(self):
        self.sock = socket.create_connection((HOST, PORT))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def send(self, method, target, body=None, headers=""):
        head = "%s %s%s HTTP/1.1\r\nHost: %s:%d\r\n%s" % (method, PREFIX, target, HOST, PORT, headers)
        if body is not None:
            head += "Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
        self.sock.sendall(head.encode("latin-1") + b"\r\n" + (body or b""))

    def receive(self):
        while True:
            end = self.buffer.find(b"\r\n\r\n")
            if end >= 0:
                break
            self.more()
        lines = self.buffer[:end].decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        total = end + 4 + int(headers.get("content-length", "0"))
        while len(self.buffer) < total:
            self.more()
        body, self.buffer = self.buffer[end + 4:total], self.buffer[total:]
        return int(lines[0][9:12]), headers, body

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            os._exit(1)  # without its Runtime API a runtime has nothing left to do
        self.buffer += data


class RuntimeFailure(Exception):
    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind = "Runtime." + kind
        self.trace = list(trace)


class CognitoIdentity:
    def __init__(self, data):
        data = data or {}
        self.cognito_identity_id = data.get("cognitoIdentityId")
        self.cognito_identity_pool_id = data.get("cognitoIdentityPoolId")


class Client:
    def __init__(self, data):
        for name in ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"):
            setattr(self, name, data.get(name))


class ClientContext:
    def __init__(self, data):
        self.custom = data.get("custom")
        self.env = data.get("env")
        self.client = Client(data["client"]) if data.get("client") else None


class LambdaContext:
    def __init__(self, headers):
        env = os.environ
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self.log_group_name = env.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = env.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = env.get("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = env.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = env.get("AWS_LAMBDA_FUNCTION_VERSION")
        client = headers.get("lambda-runtime-client-context")
        self.client_context = ClientContext(json.loads(client)) if client else None
        identity = headers.get("lambda-runtime-cognito-identity")
        self.identity = CognitoIdentity(json.loads(identity) if identity else None)
        self._deadline = int(headers["lambda-runtime-deadline-ms"])

    def get_remaining_time_in_millis(self):
        return max(self._deadline - int(time.time() * 1000), 0)

    def log(self, message):
        sys.stdout.write(str(message))

    def __repr__(self):
        return "LambdaContext([aws_request_id=%s,function_name=%s])" % (self.aws_request_id, self.function_name)


class LogFilter(logging.Filter):
    request_id = ""

    def filter(self, record):
        record.aws_request_id = LogFilter.request_id
        return True


def set_up_logging():
    handler = logging.StreamHandler(sys.stdout)
    formatter = logging.Formatter("[%(levelname)s]\t%(asctime)s.%(msecs)dZ\t%(aws_request_id)s\t%(message)s\n", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    handler.terminator = ""
    handler.addFilter(LogFilter())
    logging.getLogger().addHandler(handler)


def describe(kind, message, request_id, trace):
    return {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": trace}


def described(error, request_id):
    if isinstance(error, RuntimeFailure):
        return describe(error.kind, str(error), request_id, error.trace)
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.filename != __file__]
    return describe(type(error).__name__, str(error), request_id, traceback.format_list(own))


def log_error(d):
    text = "[ERROR]"
    if d["errorType"]:
        text += " " + d["errorType"]
    if d["errorMessage"]:
        text += ": " + d["errorMessage"]
    if d["stackTrace"]:
        text += "\nTraceback (most recent call last):\n" + "".join(d["stackTrace"])
    sys.stdout.write(text.rstrip("\n").replace("\n", "\r") + "\n")
    sys.stdout.flush()


def error_header(d):
    return "Lambda-Runtime-Function-Error-Type: %s\r\n" % re.sub(r"[^\x20-\x7e]", "", d["errorType"])


def load():
    name = os.environ.get("_HANDLER", "")
    try:
        module_name, function_name = name.rsplit(".", 1)
    except ValueError as e:
        raise RuntimeFailure("MalformedHandlerName", "Bad handler '%s': %s" % (name, e))
    module_name = module_name.replace("/", ".")
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise RuntimeFailure("ImportModuleError", "Cannot use built-in module %s as a handler module" % module_name)
    try:
        module = importlib.import_module(module_name)
    except ImportError as e:
        raise RuntimeFailure("ImportModuleError", "Unable to import module '%s': %s" % (module_name, e))
    except SyntaxError as e:
        trace = ['  File "%s" Line %s\n    %s\n' % (e.filename, e.lineno, e.text)]
        raise RuntimeFailure("UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module_name, e), trace)
    handler = getattr(module, function_name, None)
    if handler is None:
        raise RuntimeFailure("HandlerNotFound", "Handler '%s' missing on module '%s'" % (function_name, module_name))
    return handler


def encode(value):
    import decimal
    if isinstance(value, decimal.Decimal):
        return float(value)
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


def main():
    sys.stdout.reconfigure(line_buffering=True)
    sys.stderr.reconfigure(line_buffering=True)
    # A module named like a handler's must be found in the package before anywhere else,
    # and this file's folder and name must not be in the way.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [TASK_ROOT] + [p for p in sys.path if p not in (TASK_ROOT, here)]
    for layers in os.environ.pop("MOAT_LAYERS", "").split(":"):
        if layers:
            version = "python%d.%d" % sys.version_info[:2]
            sys.path[1:1] = [os.path.join(layers, "python"), os.path.join(layers, "python", "lib", version, "site-packages")]
    sys.path.append(here)
    os.chdir(TASK_ROOT)
    set_up_logging()
    api = Connection()
    try:
        handler = load()
    except BaseException as e:
        if isinstance(e, SystemExit):
            raise
        d = described(e, "")
        log_error(d)
        api.send("POST", "init/error", json.dumps(d, ensure_ascii=False).encode("utf-8"), error_header(d))
        api.receive()
        sys.exit(1)
    api.send("GET", "invocation/next")
    while True:
        serve(api, handler)


def serve(api, handler):
    """Runs one invocation, and asks for the next in the same breath as answering it."""
    status, headers, body = api.receive()
    if status != 200:
        sys.exit(1)
    request_id = headers["lambda-runtime-aws-request-id"]
    LogFilter.request_id = request_id
    trace = headers.get("lambda-runtime-trace-id")
    if trace:
        os.environ["_X_AMZN_TRACE_ID"] = trace
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    d = None
    try:
        try:
            event = json.loads(body.decode("utf-8"))
        except ValueError as e:
            raise RuntimeFailure("UnmarshalError", "Unable to unmarshal input: %s" % e)
        result = handler(event, LambdaContext(headers))
        try:
            answer = json.dumps(result, ensure_ascii=False, default=encode).encode("utf-8")
        except Exception as e:
            raise RuntimeFailure("MarshalError", "Unable to marshal response: %s" % e)
    except Exception as e:
        d = described(e, request_id)
        log_error(d)
        answer = json.dumps(d, ensure_ascii=False).encode("utf-8", "replace")
    sys.stdout.flush()
    sys.stderr.flush()
    if d is None:
        api.send("POST", "invocation/%s/response" % request_id, answer)
    else:
        api.send("POST", "invocation/%s/error" % request_id, answer, error_header(d))
    api.send("GET", "invocation/next")
    api.receive()  # of the answer


main()
