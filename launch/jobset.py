"""A training as Kubernetes reads it: a JobSet of one job, and what it may do.

A pod is a host. Its supervisor begins the training again while that helps. If a pod
ends or is lost nevertheless, all pods begin again: at will if a node was taken away, so
often as max_restarts says if not, and not at all where no restart helps.
"""

from __future__ import annotations  # Python 3.9

import dataclasses
import re

import codes
import node_pools

GROUP = "jobset.sigs.k8s.io"
SUPERVISOR = ("python", "/opt/afgan/launch/supervise.py", "--")
START = 1800  # seconds for all pods to start: each pulls the image
GRACE = 120  # seconds to save after SIGTERM; spot nodes allow less
KEPT = 86400  # seconds for which an ended JobSet can be looked at
SPOT = "cloud.google.com/gke-spot"
LABELS = {"app": "afgan"}
ON_GPUS = {
    "XLA_FLAGS": "--xla_gpu_enable_latency_hiding_scheduler=true",
    "NCCL_DEBUG": "WARN",
    "LD_LIBRARY_PATH": "/usr/local/nvidia/lib64",  # where GKE puts the driver
}


@dataclasses.dataclass(frozen=True)
class Training:
    """What is trained, and on what. Raises ValueError if that cannot be.

    nodes: with GPUs; None: one. command: of each pod. max_hours: since the last start.
    """

    name: str
    namespace: str
    pool: node_pools.Pool
    nodes: int | None
    image: str
    spot: bool
    max_hours: int
    max_restarts: int
    service_account: str
    command: list

    def __post_init__(self):
        if self.pool.is_tpu and self.nodes is not None:
            raise ValueError("--nodes is for GPUs: a TPU's topology says how many")
        if not any(re.match("--workdir=(gs|s3)://", a) for a in self.command):
            raise ValueError(
                "a pod's disk is lost with it: give --workdir=gs://BUCKET/... after --"
            )

    @property
    def pods(self) -> int:
        return self.pool.pods or self.nodes or 1

    @property
    def supervised(self) -> list:
        """tini: the first process of a container may ignore signals."""
        several = ["--coordinator=auto", f"--initialization-seconds={START}"]
        flags = [f"--exit-stopped={codes.STOPPED}"]
        flags += several if self.pods > 1 else []
        return ["tini", "--", *SUPERVISOR, *self.command, *flags]


def manifest(training: Training) -> dict:
    """All that `kubectl apply` needs."""
    items = [*_permissions(training), _jobset(training)]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _permissions(training: Training) -> list:
    """The service account; with GPUs JAX looks up by its rights where process 0 is."""
    meta = {"name": training.service_account, "namespace": training.namespace}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
    if training.pool.is_tpu:
        return [account]
    group = "rbac.authorization.k8s.io"
    read = ["get", "list"]
    role = {
        "apiVersion": f"{group}/v1",
        "kind": "Role",
        "metadata": meta,
        "rules": [
            {"apiGroups": [""], "resources": ["pods", "services"], "verbs": read},
            {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": read},
        ],
    }
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": meta,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": meta["name"]},
        "subjects": [{"kind": "ServiceAccount", **meta}],
    }
    return [account, role, binding]


def _jobset(training: Training) -> dict:
    meta = {"name": training.name, "namespace": training.namespace, "labels": LABELS}
    if training.pool.is_tpu and training.pods > 1:
        # Two slices must not share the hosts of a node pool.
        topology = f"alpha.{GROUP}/exclusive-topology"
        meta["annotations"] = {topology: "cloud.google.com/gke-nodepool"}
    job = {"name": "train", "replicas": 1, "template": {"spec": _job(training)}}
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": meta,
        "spec": {
            "failurePolicy": _failure_policy(training.max_restarts),
            "ttlSecondsAfterFinished": KEPT,
            "replicatedJobs": [job],
        },
    }


def _failure_policy(max_restarts: int) -> dict:
    """By the reason of a job's failure and its message, which quotes the pod's."""
    preempted = {
        "name": "preempted",
        "action": "RestartJobSetAndIgnoreMaxRestarts",
        "onJobFailureReasons": ["PodFailurePolicy"],
        "onJobFailureMessagePatterns": ["condition DisruptionTarget"],
    }
    hopeless = {
        "name": "hopeless",
        "action": "FailJobSet",
        "onJobFailureReasons": ["PodFailurePolicy", "DeadlineExceeded"],
    }
    return {"maxRestarts": max_restarts, "rules": [preempted, hopeless]}


def _job(training: Training) -> dict:
    disrupted = {"type": "DisruptionTarget", "status": "True"}
    final = {
        "containerName": "train",
        "operator": "In",
        "values": [codes.FAILED, *codes.FINAL],
    }
    rules = [
        {"action": "FailJob", "onPodConditions": [disrupted]},
        {"action": "FailJob", "onExitCodes": final},
    ]
    return {
        "parallelism": training.pods,
        "completions": training.pods,
        "completionMode": "Indexed",
        "backoffLimit": 0,
        "activeDeadlineSeconds": 3600 * training.max_hours,
        "podFailurePolicy": {"rules": rules},
        "template": {"metadata": {"labels": LABELS}, "spec": _pod(training)},
    }


def _pod(training: Training) -> dict:
    pool = training.pool
    container = {
        "name": "train",
        "image": training.image,
        "command": training.supervised,
        "resources": {"limits": {pool.resource: pool.per_pod}},
        "volumeMounts": [{"name": "shared", "mountPath": "/dev/shm"}],
    }
    pod = {
        "restartPolicy": "Never",
        "serviceAccountName": training.service_account,
        "terminationGracePeriodSeconds": GRACE,
        "nodeSelector": dict(pool.labels),
        "containers": [container],
        "volumes": [{"name": "shared", "emptyDir": {"medium": "Memory"}}],
    }
    if training.spot:
        pod["nodeSelector"][SPOT] = "true"
        pod["tolerations"] = [{"key": SPOT, "operator": "Exists"}]
    if pool.is_tpu:  # not with GPUs: JAX tells those pods apart by their addresses
        pod |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    else:
        container["env"] = [{"name": n, "value": v} for n, v in ON_GPUS.items()]
    return pod
