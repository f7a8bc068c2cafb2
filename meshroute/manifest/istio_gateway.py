"""Istio's Gateway: which hosts a proxy at the edge serves on which ports, every field.

Source    istio/api: networking/v1alpha3/gateway.proto and kubernetes/customresourcedefinitions.gen.yaml
          (networking.istio.io; v1, v1beta1 and v1alpha3 share one schema)
Inputs    what the CRD schema accepts, after unknown fields and nulls are gone.
Exactness absent scalars have the protobuf default (0, empty, false); None means absent wherever presence has a meaning.
Errors    ValidationError in Python, diagnostics through the loader.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from pydantic import StrictBool as Bool

from meshroute.manifest.istio import ISTIO_VERSIONS, IstioVersion
from meshroute.manifest.metadata import Labels, Model, OneOf, Resource, Str, UInt32


class ServerTLSMode(StrEnum):
    """What becomes of TLS: read here, or passed on by the name that the client asks for."""

    PASSTHROUGH = "PASSTHROUGH"
    SIMPLE = "SIMPLE"
    MUTUAL = "MUTUAL"
    AUTO_PASSTHROUGH = "AUTO_PASSTHROUGH"
    ISTIO_MUTUAL = "ISTIO_MUTUAL"
    OPTIONAL_MUTUAL = "OPTIONAL_MUTUAL"


class TLSProtocol(StrEnum):
    """Versions of TLS; TLS_AUTO leaves them to the proxy."""

    TLS_AUTO = "TLS_AUTO"
    TLSV1_0 = "TLSV1_0"
    TLSV1_1 = "TLSV1_1"
    TLSV1_2 = "TLSV1_2"
    TLSV1_3 = "TLSV1_3"


class TLSCertificate(Model):
    """One certificate of several, as files."""

    server_certificate: Str = ""
    private_key: Str = ""
    ca_certificates: Str = ""


class ServerTLSSettings(OneOf):
    """TLS towards clients. `https_redirect` sends plain HTTP to https."""

    # The third pair, `credentialName` and `tlsCertificates`, the schema means to refuse and does not; the webhook does.
    one_of = (("credentialNames", "tlsCertificates"), ("credentialName", "credentialNames"))

    https_redirect: Bool = False
    mode: ServerTLSMode = ServerTLSMode.PASSTHROUGH
    server_certificate: Str = ""
    private_key: Str = ""
    ca_certificates: Str = ""
    ca_crl: Str = ""
    credential_name: Str | None = None
    credential_names: Annotated[tuple[Str, ...], Field(min_length=1, max_length=2)] | None = None
    tls_certificates: Annotated[tuple[TLSCertificate, ...], Field(min_length=1, max_length=2)] | None = None
    ca_cert_credential_name: Str = ""
    subject_alt_names: tuple[Str, ...] = ()
    insecure_skip_verify: Bool | None = None
    verify_certificate_spki: tuple[Str, ...] = ()
    verify_certificate_hash: tuple[Str, ...] = ()
    min_protocol_version: TLSProtocol = TLSProtocol.TLS_AUTO
    max_protocol_version: TLSProtocol = TLSProtocol.TLS_AUTO
    cipher_suites: tuple[Str, ...] = ()
    ecdh_curves: tuple[Str, ...] = ()


class GatewayPort(Model):
    """A port that clients connect to. `target_port` is deprecated and means nothing here."""

    number: UInt32
    protocol: Str
    name: Str
    target_port: UInt32 = 0


class Server(Model):
    """Hosts on one port: `host`, or `namespace/host` for the VirtualServices of that namespace only."""

    port: GatewayPort
    bind: Str = ""
    hosts: tuple[Str, ...]
    tls: ServerTLSSettings | None = None
    default_endpoint: Str = ""
    name: Str = ""


class GatewaySpec(Model):
    """Servers of the proxies that have all labels of `selector`."""

    servers: tuple[Server, ...] = ()
    selector: Labels = Field(default_factory=dict)


class Gateway(Resource):
    """What a proxy at the edge listens for. Source: istio/api: networking/v1alpha3/gateway.proto."""

    api_versions: ClassVar[tuple[str, ...]] = ISTIO_VERSIONS

    api_version: IstioVersion = "networking.istio.io/v1"
    kind: Literal["Gateway"] = "Gateway"
    spec: GatewaySpec = Field(default_factory=GatewaySpec)
    status: Any = None
