"""Selectors that choose nobody, or whom another chooses too: of Gateways, Sidecars, DestinationRules and Services.

Source    spec/gateway.md GW-1, spec/sidecar.md SIDE-2, spec/destination.md DR-12, spec/kubernetes.md SVC-1, SVC-2;
          istio/istio: pkg/config/analysis/analyzers/{gateway,sidecar,deployment}; kiali/kiali: business/checkers
Inputs    what is given of a mesh, which may be a part of it. Exactness: where a selector hardly misses a pod it
          is a warning that it chooses none; where nothing like it is given, a note.
Errors    none: the answer is findings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from meshroute.analysis.lint.catalogue import LintCode
from meshroute.analysis.lint.checks.world import World, as_note
from meshroute.analysis.lint.finding import Finding, found
from meshroute.compile.pods import Workload
from meshroute.compile.registry import SERVICE_NAME_LABEL, protocol_of, target_port
from meshroute.compile.resolve import age, is_subset_of
from meshroute.diagnostics import FieldPath
from meshroute.manifest.istio import DestinationRule
from meshroute.manifest.istio_gateway import Gateway
from meshroute.manifest.istio_services import WorkloadEntry
from meshroute.manifest.istio_sidecar import Sidecar
from meshroute.manifest.kubernetes import EndpointSlice, Service, ServicePort, ServiceType


def check_workloads(world: World) -> Iterator[Finding]:
    """Everything about whom selectors choose."""
    for gateway in world.gateways.values():
        yield from _gateway(gateway, world)
    yield from _sidecars(world)
    for rule in world.destination_rules:
        selector = rule.spec.workload_selector
        if selector is not None and selector.match_labels:
            yield from _nobody(rule, selector.match_labels, ("workloadSelector",), rule.namespace, world)
    yield from _services(world)


def _nobody(
    one: Gateway | Sidecar | DestinationRule,
    labels: Mapping[str, str],
    path: FieldPath,
    namespace: str | None,
    world: World,
) -> Iterator[Finding]:
    if world.pods(labels, namespace) or not world.pods({}, namespace):
        return
    nearly = world.nearly(labels, namespace)
    where = f"in namespace `{namespace}` " if namespace is not None else ""
    finding = found(
        LintCode.SELECTOR_CHOOSES_NOBODY,
        f"no pod that is given {where}has the labels {_text(labels)}: this {one.kind} is for nobody",
        one.at("spec", *path),
        one.subject,
        help=_meant(labels, nearly),
    )
    yield finding if nearly else as_note(finding)


def _text(labels: Mapping[str, str]) -> str:
    return ", ".join(f"`{key}: {value}`" for key, value in sorted(labels.items()))


def _meant(labels: Mapping[str, str], nearly: Workload | None) -> str:
    if nearly is None:
        return "if there are such pods, load them too"
    return f"pod `{nearly.full_name}` has {_text({key: nearly.labels[key] for key in labels})}"


def _gateway(gateway: Gateway, world: World) -> Iterator[Finding]:
    selector = gateway.spec.selector
    pods = world.pods(selector) if selector else []
    if not pods:
        if selector and (world.nearly(selector) or gateway.namespace in world.inhabited):
            yield from _nobody(gateway, selector, ("selector",), None, world)
        return
    leading = [
        one
        for one in world.services
        if one.spec.selector
        and any(pod.namespace == one.namespace and is_subset_of(one.spec.selector, pod.labels) for pod in pods)
    ]
    ports = {port.port for one in leading for port in one.spec.ports if port.protocol == "TCP"}
    # A server may be on the pod's port too: what a Service leads there comes to it.
    behind = {target_port(pod, port) for one in leading for port in one.spec.ports for pod in pods}
    for number, server in enumerate(gateway.spec.servers):
        if leading and server.port.number not in ports | behind:
            yield found(
                LintCode.GATEWAY_PORT_UNREACHABLE,
                f"no Service leads to port {server.port.number} of the Gateway's pods: {leading[0].subject} has "
                f"{', '.join(map(str, sorted(ports)))}",
                gateway.at("spec", "servers", number, "port", "number"),
                gateway.subject,
                help=f"add the port to the Service:\n- {{name: {server.port.name}, port: {server.port.number}}}",
                related=(leading[0].at("spec", "ports"),),
            )


def _sidecars(world: World) -> Iterator[Finding]:
    before: list[tuple[Sidecar, Mapping[str, str]]] = []
    for one in sorted(world.sidecars, key=age):
        if one.spec.workload_selector is None:
            continue
        labels = one.spec.workload_selector.labels
        yield from _nobody(one, labels, ("workloadSelector",), one.namespace, world)
        if one.namespace == world.config.root_namespace:
            yield found(
                LintCode.SIDECAR_IN_ROOT,
                f"this Sidecar is for pods of `{one.namespace}` alone: only one without `workloadSelector` is for "
                "the whole mesh",
                one.at("spec", "workloadSelector"),
                one.subject,
                help="leave the selector out, or put the Sidecar beside the pods that it is for",
            )
        for older, other in before:
            shared = [pod for pod in world.pods(labels, one.namespace) if is_subset_of(other, pod.labels)]
            if older.namespace == one.namespace and (shared or labels == other):
                who = f"pod `{shared[0].full_name}`" if shared else "whoever is chosen by both"
                yield found(
                    LintCode.SIDECARS_CONFLICT,
                    f"{who} follows {older.subject}, which is older, and not this one too",
                    one.at("spec", "workloadSelector"),
                    one.subject,
                    help="have no pod chosen by two Sidecars, and put what both say into one",
                    related=(older.at("spec", "workloadSelector"),),
                )
                break
        before.append((one, labels))


def _services(world: World) -> Iterator[Finding]:
    sliced = {
        (one.namespace, one.metadata.labels.get(SERVICE_NAME_LABEL, ""))
        for one in world.mesh.resources
        if isinstance(one, EndpointSlice)
    }
    entered = {one.namespace for one in world.mesh.resources if isinstance(one, WorkloadEntry)}
    behind: dict[tuple[str, int], list[tuple[Service, ServicePort]]] = {}
    for service in world.services:
        selector = service.spec.selector
        if not selector or service.spec.type is ServiceType.EXTERNAL_NAME:
            continue
        pods = world.pods(selector, service.namespace)
        for number, port in enumerate(service.spec.ports):
            if port.protocol != "TCP":
                continue
            targets = [(pod, target) for pod in pods if (target := target_port(pod, port)) is not None]
            if pods and not targets and (service.namespace, service.name) not in sliced:
                yield found(
                    LintCode.TARGET_PORT_UNKNOWN,
                    f"no pod of this Service has a port with the name `{port.target_port}`: nobody answers on port "
                    f"{port.port}, and requests fail with 503 UH",
                    service.at("spec", "ports", number, "targetPort"),
                    service.subject,
                    help="name a port of the container so, or write its number",
                )
            if service.spec.cluster_ip != "None":
                for pod, target in targets:
                    behind.setdefault((pod.full_name, target), []).append((service, port))
        if pods or (service.namespace, service.name) in sliced or service.namespace in entered:
            continue
        if service.namespace in world.inhabited:
            nearly = world.nearly(selector, service.namespace)
            finding = found(
                LintCode.SERVICE_WITHOUT_PODS,
                f"no pod that is given in namespace `{service.namespace}` has the labels {_text(selector)}: requests "
                "to this Service fail with 503 UH",
                service.at("spec", "selector"),
                service.subject,
                help=_meant(selector, nearly),
            )
            yield finding if nearly else as_note(finding)
    yield from _shared(behind)


def _shared(behind: Mapping[tuple[str, int], list[tuple[Service, ServicePort]]]) -> Iterator[Finding]:
    """One port of a pod behind several Services that read it differently, or have it under other numbers."""
    told: set[tuple[str, str]] = set()
    for (pod, target), some in behind.items():
        service, port = some[0]
        for other, its in some[1:]:
            if other is service or (service.subject, other.subject) in told:
                continue
            one_way, another = protocol_of(port), protocol_of(its)
            if one_way is not another or port.port != its.port:
                told.add((service.subject, other.subject))
                reads = f"as `{one_way}` by {service.subject} and as `{another}` by this one"
                numbers = f"as port {port.port} of {service.subject} and as port {its.port} of this one"
                yield found(
                    LintCode.PODS_SHARED,
                    f"port {target} of pod `{pod}` is known {reads if one_way is not another else numbers}: the pod's "
                    "own proxy knows it in one way only",
                    other.at("spec", "ports", other.spec.ports.index(its)),
                    other.subject,
                    help="have one Service lead to a port of a pod, or all of them in the same way",
                    related=(service.at("spec", "ports", service.spec.ports.index(port)),),
                )
