"""The manifests: built by kustomize, valid by Kubernetes' own schemas, restricted, and in the agent's own words."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import kubernetes_validate
import pytest
import yaml

from agent.exit import Exit
from agent.figures import FIGURES, PREFIX
from agent.report import Outcome
from collectors.errors import GapKind
from tests.command import UNSET, Agent

ROOT = Path(__file__).parents[1]
OVERLAYS = ("cronjob", "daemon", "shards")
COMPONENTS = ("components/aws-irsa", "components/aws-pod-identity", "monitoring")
VERSION = "1.36"


def built(folder):
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl here: the manifests are not built")
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [thing for thing in yaml.safe_load_all(done.stdout) if thing]


@pytest.fixture(scope="module", params=OVERLAYS)
def overlay(request):
    return built(ROOT / "kubernetes/overlays" / request.param)


def one(things, kind):
    (thing,) = [thing for thing in things if thing["kind"] == kind]
    return thing


def pod(things):
    """The template of the one thing that makes pods."""
    for thing in things:
        match thing["kind"]:
            case "CronJob":
                return thing["spec"]["jobTemplate"]["spec"]["template"]
            case "Deployment":
                return thing["spec"]["template"]
    raise AssertionError("nothing makes pods")


def test_valid(overlay):
    """Each manifest has only what its kind has, by the published schemas, strictly."""
    for thing in overlay:
        kubernetes_validate.validate(thing, VERSION, strict=True)


def with_component(component, directory):
    """The service's overlay with a component, and without it."""
    kubernetes = directory / "kubernetes"
    shutil.copytree(ROOT / "kubernetes", kubernetes)
    mine = kubernetes / "mine"
    mine.mkdir()
    files = {"resources": ["../overlays/daemon"], "components": [f"../{component}"]}
    (mine / "kustomization.yaml").write_text(yaml.safe_dump({"namespace": "chequr-agent", **files}))
    return built(mine), built(kubernetes / "overlays/daemon")


@pytest.mark.parametrize("component", COMPONENTS)
def test_components(component, tmp_path):
    """Each component goes with an overlay, and changes it."""
    things, without = with_component(component, tmp_path)
    assert things != without
    for thing in things:
        if "monitoring.coreos.com" not in thing["apiVersion"]:
            kubernetes_validate.validate(thing, VERSION, strict=True)


def test_the_pod_identity_agent_is_reached(tmp_path):
    """In a cluster of either family: EKS has it listen on both addresses."""
    things, _ = with_component("components/aws-pod-identity", tmp_path)
    policies = {thing["metadata"]["name"]: thing["spec"] for thing in things if thing["kind"] == "NetworkPolicy"}
    to = policies["chequr-agent"]["egress"][-1]["to"]
    assert {each["ipBlock"]["cidr"] for each in to} == {"169.254.170.23/32", "fd00:ec2::23/128"}


def test_restricted(overlay):
    """Pods keep to the restricted standard that their namespace enforces, and hold no key of the cluster."""
    assert one(overlay, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    spec = pod(overlay)["spec"]
    (container,) = spec["containers"]
    assert spec["automountServiceAccountToken"] is spec["enableServiceLinks"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert container["resources"]["limits"]["memory"]
    assert f"USER {spec['securityContext']['runAsUser']}" in (ROOT / "Dockerfile").read_text()


def test_secrets_are_files(overlay):
    """No secret is in the environment, and none in a manifest."""
    (container,) = pod(overlay)["spec"]["containers"]
    assert all("secretKeyRef" not in variable.get("valueFrom", {}) for variable in container["env"])
    assert "envFrom" not in container
    assert not [thing for thing in overlay if thing["kind"] == "Secret"]
    directory = next(variable["value"] for variable in container["env"] if variable["name"] == "CREDENTIALS_DIRECTORY")
    assert directory in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_what_is_mounted_is_what_the_agent_uses(overlay, tmp_path):
    """Configuration and state are where the agent looks for them, and the arguments are understood."""
    (container,) = pod(overlay)["spec"]["containers"]
    paths = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert (paths["config"], paths["state"]) == ("/etc/chequr-agent", "/var/lib/chequr-agent")
    agent = Agent(tmp_path, "https://api.chequr.example/v1", {"CHEQUR_TOKEN": UNSET})
    assert agent.run(*container["args"], "--help").code == Exit.WELL
    data = one(overlay, "ConfigMap")["data"]
    agent.config.write_text(data["config.toml"])
    assert agent.run("config", "check").code == Exit.WELL


def given_up(job):
    """What is done about codes that another try does not mend, unless the pod only had to make room."""
    disrupted, failed = job["podFailurePolicy"]["rules"]
    assert (disrupted["action"], disrupted["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert failed["onExitCodes"]["values"] == sorted([Exit.GAPS, Exit.UNDELIVERED, Exit.REFUSED, Exit.CONFIGURATION])
    return failed["action"]


def test_a_job_is_not_tried_again_in_vain():
    """What trying again does not mend ends the job at once; runs do not overlap, and none lasts until the next."""
    job = one(built(ROOT / "kubernetes/overlays/cronjob"), "CronJob")["spec"]
    assert job["concurrencyPolicy"] == "Forbid"
    assert job["timeZone"]
    within = job["jobTemplate"]["spec"]
    assert within["activeDeadlineSeconds"] < 86400
    assert given_up(within) == "FailJob"
    assert within["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize("name", ["cronjob", "daemon"])
def test_a_pod_is_the_agent_that_the_last_one_was(name):
    """The host's name stays: a Pushgateway replaces its figures, and daily runs keep their time."""
    assert pod(built(ROOT / "kubernetes/overlays" / name))["spec"]["hostname"] == "chequr-agent"


def test_the_image_is_named_once(overlay):
    """Every way of running uses the image that the component names."""
    (image,) = yaml.safe_load((ROOT / "kubernetes/components/image/kustomization.yaml").read_text())["images"]
    (container,) = pod(overlay)["spec"]["containers"]
    assert container["image"] == f"{image['newName']}:{image['newTag']}"


def test_each_shard_is_one_pod():
    """There are as many pods as shards, each with an outbox, and one that fails is tried again or given up alone."""
    things = built(ROOT / "kubernetes/overlays/shards")
    job = one(things, "CronJob")["spec"]["jobTemplate"]["spec"]
    (container,) = job["template"]["spec"]["containers"]
    (shards,) = [part.removeprefix("--shard=") for part in container["args"] if part.startswith("--shard=")]
    assert (job["completionMode"], job["completions"], job["parallelism"]) == ("Indexed", int(shards), int(shards))
    assert job["backoffLimitPerIndex"] > 0
    assert given_up(job) == "FailIndex"
    assert "backoffLimit" not in job
    assert "--instance=shard-$(JOB_COMPLETION_INDEX)" in container["args"]  # for a Pushgateway
    names = [variable["name"] for variable in container["env"]]
    assert names.index("JOB_COMPLETION_INDEX") < names.index("CHEQUR_AGENT__STATE_DIR")
    assert container["env"][names.index("CHEQUR_AGENT__CHEQUR__SHARED_KEY")]["value"] == "true"
    assert container["env"][names.index("CHEQUR_AGENT__STATE_DIR")]["value"].endswith("shard-$(JOB_COMPLETION_INDEX)")
    assert one(things, "PersistentVolumeClaim")["spec"]["accessModes"] == ["ReadWriteMany"]


def test_one_at_a_time_has_the_outbox():
    """The volume is for one pod, and a new one waits until the old one has ended."""
    things = built(ROOT / "kubernetes/overlays/daemon")
    assert one(things, "PersistentVolumeClaim")["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert one(things, "Deployment")["spec"]["strategy"] == {"type": "Recreate"}


def test_alarms_are_of_metrics_that_there_are():
    """Each rule looks at a metric that the agent has, and says what to do."""
    (rules,) = yaml.safe_load_all((ROOT / "kubernetes/monitoring/rules.yaml").read_text())
    for rule in rules["spec"]["groups"][0]["rules"]:
        for name in re.findall(r"chequr_agent_\w+", rule["expr"]):
            assert name.removeprefix(PREFIX) in FIGURES
        for kinds in re.findall(r'kind=~"([^"]+)"', rule["expr"]):
            assert set(kinds.split("|")) <= set(get_args(GapKind))
        for outcome in re.findall(r'outcome="([^"]+)"', rule["expr"]):
            assert outcome in get_args(Outcome)
        assert rule["annotations"]["action"]


def test_there_is_an_alarm_for_evidence_that_was_refused_and_for_a_run_that_broke():
    """A run in which nothing could be read ends in time: its gaps raise the alarm, from the first one on."""
    (rules,) = yaml.safe_load_all((ROOT / "kubernetes/monitoring/rules.yaml").read_text())
    expressions = [rule["expr"] for rule in rules["spec"]["groups"][0]["rules"]]
    for series in (
        'chequr_agent_gaps_total{kind=~"unauthenticated|denied"}',
        'chequr_agent_collections_total{outcome="failed"}',
    ):
        assert f"increase({series}[1d]) > 0 or ({series} > 0 unless {series} offset 1d)" in expressions


def test_the_dashboard_draws_metrics_that_there_are():
    """Each panel asks for metrics that the agent has; no two lie on one place."""
    dashboard = json.loads((ROOT / "kubernetes/monitoring/dashboard.json").read_text())
    places = set()
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            names = re.findall(r"chequr_agent_\w+", target["expr"])
            assert names
            for name in names:
                assert re.sub(r"_(sum|count|bucket)$", "", name.removeprefix(PREFIX)) in FIGURES, name
        place = {(x, y) for x in _span(panel, "x", "w") for y in _span(panel, "y", "h")}
        assert not place & places
        places |= place
    things = yaml.safe_load((ROOT / "kubernetes/monitoring/kustomization.yaml").read_text())
    assert things["configMapGenerator"][0]["files"] == ["dashboard.json"]


def _span(panel, start, length):
    at = panel["gridPos"]
    return range(at[start], at[start] + at[length])


def test_an_api_server_takes_them(overlay):
    """A real API server, where TEST_KUBECONFIG names one, takes each manifest."""
    config = os.environ.get("TEST_KUBECONFIG")
    if not config:
        pytest.skip("TEST_KUBECONFIG names no API server: the manifests were held to schemas only")
    command = ["kubectl", f"--kubeconfig={config}", "apply", "--dry-run=server", "--filename=-"]
    done = subprocess.run(command, input=yaml.safe_dump_all(overlay), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
