"""gRPC calls by grpcio, driven by lines on standard input.

    grpc_client.py HOST:PORT [ca=FILE] [cert=FILE key=FILE]

Without `ca` nothing is encrypted. What the messages are like is learned from the server, by reflection. Input, one call a
line: `services`, `health NAME`, or a method such as `auth.v1.AuthService/Authenticate` with the request as JSON. Output,
one line of JSON for each: its number, the code, and the answer or the message.
"""

import json
import sys

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

DEADLINE = 20


def read(path):
    with open(path, "rb") as file:
        return file.read()


def connect(address, options):
    if "ca" not in options:
        return grpc.insecure_channel(address)
    key, cert = (read(options[name]) if name in options else None for name in ("key", "cert"))
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(read(options["ca"]), key, cert))


class Server:
    def __init__(self, channel):
        self.channel = channel
        self.described = ProtoReflectionDescriptorDatabase(channel)
        self.pool = descriptor_pool.DescriptorPool(self.described)

    def services(self):
        return sorted(self.described.get_services())

    def health(self, service):
        ask = health_pb2.HealthCheckRequest(service=service)
        answer = health_pb2_grpc.HealthStub(self.channel).Check(ask, timeout=DEADLINE)
        return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)

    def call(self, path, request):
        service, method = path.split("/")
        method = self.pool.FindServiceByName(service).FindMethodByName(method)
        ask, answer = (message_factory.GetMessageClass(kind) for kind in (method.input_type, method.output_type))
        send = self.channel.unary_unary(
            "/" + path, request_serializer=ask.SerializeToString, response_deserializer=answer.FromString
        )
        return json_format.MessageToDict(
            send(json_format.ParseDict(json.loads(request), ask()), timeout=DEADLINE),
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )


def main():
    server = Server(connect(sys.argv[1], dict(option.split("=", 1) for option in sys.argv[2:])))
    for number, line in enumerate(sys.stdin):
        what, _, rest = line.rstrip("\n").partition(" ")
        said = {"number": number, "code": "OK"}
        try:
            if what == "services":
                said["answer"] = server.services()
            elif what == "health":
                said["answer"] = server.health(rest)
            else:
                said["answer"] = server.call(what, rest)
        except grpc.RpcError as error:
            said.update(code=error.code().name, message=error.details())
        print(json.dumps(said), flush=True)


main()
