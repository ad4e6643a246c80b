"""
Values that the chart must take, and values that it must refuse, each with the words that say why.
"""

from typing import Any

Values = dict[str, Any]

TARGET = {"name": "research", "region": "cn-north-4", "project_id": "0123456789abcdef0123456789abcdef"}
LEAST: Values = {
    "image": {"registry": "registry.example.com", "repository": "ops/cost-guard"},
    "credentials": {"existingSecret": "modelarts"},
    "config": {"targets": [TARGET]},
}
POLICY = """\
# One policy: "quoted", 'quoted', {{ .Values.hidden }}, \u8bad\u7ec3, \N{ROCKET}, C:\\temp\t#
policies:
  - name: on
    description: "yes: --- {{ $labels.target }} %d"
    match: {name: "{{ .Release.Name }}", duration: {gt: 24h}}
"""
HOSTILE = {
    "crlf.yaml": "policies: []\r\n# second line\r\n",
    "no-newline.yml": "policies: []",
    "spaces.yaml": "  \n\npolicies: []\n\n\n",
    "policies.yaml": POLICY,
    "looks-like-a-document.yaml": "---\npolicies: []\n...\n",
    # Not read by the guard, which refuses some of these letters; they must arrive all the same.
    "odd.test.yaml": "# \N{NO-BREAK SPACE}\N{LINE SEPARATOR}\x7f\x9f\N{NEXT LINE}# \N{ZERO WIDTH NO-BREAK SPACE}tab\there\n"
    "# `$(HOSTNAME)` ${HOME} \\u0041 \\x41 <script>&amp;</script>\npolicies: []\n",
}


def on_top(more: Values, below: Values = LEAST) -> Values:
    """
    Return values laid over others, maps merged as Helm merges them.
    """
    merged = dict(below)
    for key, value in more.items():
        under = merged.get(key)
        merged[key] = on_top(value, under) if isinstance(value, dict) and isinstance(under, dict) else value
    return merged


EVERYTHING: Values = {
    "commonLabels": {"team": "platform", "app.kubernetes.io/name": "not-this"},
    "commonAnnotations": {"owner": "platform@example.com"},
    "imagePullSecrets": [{"name": "registry"}],
    "image": {"digest": "sha256:" + "0" * 64, "pullPolicy": "Always"},
    "config": {
        "armed": True,
        "targets": [
            {**TARGET, "endpoint": "https://modelarts.example.com:8443", "workspaces": ["0", "abc"], "credentials": "prod"},
            {"name": "lab", "region": "cn-east-3", "project_id": "1" * 32, "endpoint": "https://10.0.0.7"},
        ],
        "scan_interval": "30s",
        "walk_interval": "1h",
        "keep_ended": "90d",
        "limits": {"window": "2h", "max_terminations": 5, "max_percent_of_running": 12.5},
        "clock": "duration",
        "timezone": "Asia/Shanghai",
        "confirm_timeout": "15m",
        "savings_horizon": "48h",
        "api_rate": 7.5,
        "api_in_flight": 8,
    },
    "paused": True,
    "policies": {"files": HOSTILE},
    "prices": {"book": "currency: CNY\nprices: {modelarts.vm.gpu.p100.eco: 3.50}\n"},
    "credentials": {"as": "file", "key": "credentials.ini"},
    "persistence": {
        "storageClass": "ssd",
        "accessModes": ["ReadWriteOncePod"],
        "size": "20Gi",
        "annotations": {"backup": "yes"},
        "retain": False,
    },
    "listener": {"address": "[::]", "port": 9443, "tls": {"existingSecret": "tls"}, "token": {"existingSecret": "token"}},
    "service": {"port": 443, "labels": {"monitored": "yes"}, "annotations": {"note": "x"}},
    "serviceAccount": {"name": "guard", "automount": True, "annotations": {"a": "b"}},
    "serviceMonitor": {
        "enabled": True,
        "namespace": "monitoring",
        "labels": {"release": "prometheus"},
        "annotations": {"a": "b"},
        "interval": "15s",
        "honorLabels": True,
        "relabelings": [{"action": "labeldrop", "regex": "pod"}],
        "metricRelabelings": [{"action": "drop", "sourceLabels": ["__name__"], "regex": "python_.*"}],
        "tlsConfig": {"insecureSkipVerify": True},
        "tokenKey": "prometheus",
    },
    "prometheusRule": {
        "enabled": True,
        "labels": {"release": "prometheus"},
        "additionalGroups": [
            {"name": "own", "rules": [{"alert": "Own", "expr": "up == 0", "annotations": {"summary": "{{ $labels.job }}"}}]}
        ],
    },
    "dashboards": {"enabled": True, "annotations": {"k8s-sidecar-target-directory": "guard"}},
    "networkPolicy": {
        "ingress": {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]},
        "egress": {
            "extraPorts": [3128],
            "cidrs": ["10.0.0.0/8", "2001:db8::/32"],
            "extraRules": [{"to": [{"podSelector": {}}]}],
        },
    },
    "podLabels": {"sidecar.example.com/inject": "false"},
    "podAnnotations": {"note": "1"},
    "deploymentAnnotations": {"note": "2"},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]}
                ]
            }
        }
    },
    "priorityClassName": "high",
    "runtimeClassName": "kata",
    "hostAliases": [{"ip": "10.0.0.7", "hostnames": ["modelarts.example.com"]}],
    "dnsPolicy": "None",
    "dnsConfig": {"nameservers": ["10.0.0.2"]},
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}],
    "extraEnvFrom": [{"configMapRef": {"name": "proxy"}}],
    "extraArgs": ["--config", "/etc/cost-guard/config/guard.yaml"],
    "extraVolumes": [{"name": "bundle", "configMap": {"name": "bundle"}}],
    "extraVolumeMounts": [{"name": "bundle", "mountPath": "/etc/bundle", "readOnly": True}],
    "extraContainers": [{"name": "beside", "image": "registry.example.com/beside:1"}],
    "extraInitContainers": [{"name": "before", "image": "registry.example.com/before:1"}],
    "extraObjects": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-own"}, "data": {"a": "b"}}
    ],
}
SHARED: Values = {
    "replicaCount": 3,
    "ledger": {"type": "postgresql", "existingSecret": "database"},
    "podDisruptionBudget": {"enabled": True, "maxUnavailable": 1},
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/component": "daemon"}},
        }
    ],
}
GOOD: dict[str, Values] = {
    "least": {},
    "everything": EVERYTHING,
    "armed": {"config": {"armed": True}},
    "limits-removed": {"config": {"limits": "none"}},
    "a-limit-removed": {"config": {"limits": {"max_terminations": None}}},
    "paused": {"paused": True},
    "policies": {"policies": {"files": {"economic.yaml": POLICY}}},
    "hostile-texts": {"policies": {"files": HOSTILE}},
    "own-policies": {"policies": {"existingConfigMap": "team-policies"}},
    "prices": {"prices": {"book": "currency: CNY\nprices: {}\n"}},
    "own-prices": {"prices": {"existingConfigMap": "price-book", "key": "book.yaml"}},
    "credentials-file": {"credentials": {"as": "file"}, "config": {"targets": [{**TARGET, "credentials": "prod"}]}},
    "iam-user": {"credentials": {"as": "iamUser"}},
    "metadata": {"credentials": {"existingSecret": "", "metadata": True}},
    "no-volume": {"persistence": {"enabled": False}},
    "own-claim": {"persistence": {"existingClaim": "kept"}},
    "shared-ledger": SHARED,
    "half-may-go": on_top({"podDisruptionBudget": {"maxUnavailable": "50%"}}, SHARED),
    "one-must-stay": on_top({"podDisruptionBudget": {"maxUnavailable": "", "minAvailable": 1}}, SHARED),
    "tls": {"listener": {"tls": {"existingSecret": "tls"}}},
    "token": {"listener": {"token": {"existingSecret": "token"}}, "serviceMonitor": {"enabled": True}},
    "pod-monitor": {"podMonitor": {"enabled": True}, "service": {"enabled": False}},
    "pod-monitor-with-token": {"podMonitor": {"enabled": True}, "listener": {"token": {"existingSecret": "token"}}},
    "rules": {"prometheusRule": {"enabled": True}},
    "dashboards": {"dashboards": {"enabled": True, "label": "dash", "labelValue": "yes", "namespace": "grafana"}},
    "no-network-policy": {"networkPolicy": {"enabled": False}},
    "no-probes": {one: {"enabled": False} for one in ("livenessProbe", "readinessProbe", "startupProbe")},
    "default-account": {"serviceAccount": {"create": False}},
    "names": {"fullnameOverride": "guard", "nameOverride": "g", "namespaceOverride": "elsewhere"},
    "long-names": {"nameOverride": "n" * 70},
    "tag": {"image": {"registry": "", "tag": "1.2.3-rc.1"}},
    "no-test": {"test": {"enabled": False}},
    "other-user": {"podSecurityContext": {"runAsUser": 1000, "fsGroup": 1000}, "resources": {"limits": {"cpu": "1"}}},
    "node-port": {"service": {"type": "NodePort"}},
    "stopped": {"replicaCount": 0},
    # Names that YAML would take for numbers.
    "digits": {
        "fullnameOverride": "guard",
        "namespaceOverride": "456",
        "credentials": {"existingSecret": "789", "as": "file"},
        "policies": {"existingConfigMap": "1"},
        "prices": {"existingConfigMap": "2", "key": "3"},
        "persistence": {"existingClaim": "0x1", "size": "1"},
        "listener": {"tls": {"existingSecret": "4"}, "token": {"existingSecret": "5", "key": "6"}},
        "serviceAccount": {"create": False, "name": "1e3"},
        "serviceMonitor": {"enabled": True, "namespace": "456"},
        "priorityClassName": "7",
        "runtimeClassName": "8",
        "tmpSizeLimit": "1000000",
        "image": {"tag": "2024"},
    },
    "above": {"global": {"imageRegistry": "ignored"}},
}
BAD: dict[str, tuple[Values, str]] = {
    "no-image": ({"image": {"repository": ""}}, "image.repository: name the image that you built"),
    "no-targets": ({"config": {"targets": []}}, "config.targets: name at least one target"),
    "no-credentials": ({"credentials": {"existingSecret": ""}}, "credentials: name a Secret in credentials.existingSecret"),
    "two-credentials": ({"credentials": {"metadata": True}}, "credentials.existingSecret and credentials.metadata exclude"),
    "section-of-no-file": (
        {"config": {"targets": [{**TARGET, "credentials": "prod"}]}},
        "research names the section prod of a credentials file, so credentials.as must be file",
    ),
    "endpoint-without-tls": (
        {"config": {"targets": [{**TARGET, "endpoint": "http://10.0.0.7"}]}},
        "research: expected an endpoint of https://, got http://10.0.0.7",
    ),
    "two-pods-on-sqlite": (
        {"replicaCount": 2},
        "replicaCount: 2 pods need a shared ledger, because one process acts on a SQLite",
    ),
    "no-database": ({"ledger": {"type": "postgresql"}}, "ledger.type=postgresql needs ledger.existingSecret"),
    "database-without-type": ({"ledger": {"existingSecret": "db"}}, "ledger.existingSecret is for ledger.type=postgresql"),
    "armed-without-memory": (
        {"config": {"armed": True}, "persistence": {"enabled": False}},
        "persistence: an armed guard needs persistence.enabled=true",
    ),
    "two-policies": (
        {"policies": {"files": {"a.yaml": "policies: []"}, "existingConfigMap": "x"}},
        "policies.files and policies.existingConfigMap exclude each other",
    ),
    "two-price-books": (
        {"prices": {"book": "currency: CNY", "existingConfigMap": "x"}},
        "prices.book and prices.existingConfigMap exclude each other",
    ),
    "budget-of-both": (
        on_top({"podDisruptionBudget": {"minAvailable": 1}}, SHARED),
        "podDisruptionBudget: set one of minAvailable and maxUnavailable",
    ),
    "budget-of-none": (
        on_top({"podDisruptionBudget": {"maxUnavailable": ""}}, SHARED),
        "podDisruptionBudget: set one of minAvailable and maxUnavailable",
    ),
    "budget-of-one": (
        {"podDisruptionBudget": {"enabled": True, "minAvailable": 1}},
        "podDisruptionBudget: with one pod it would keep the node from being drained",
    ),
    "monitor-without-service": (
        {"serviceMonitor": {"enabled": True}, "service": {"enabled": False}},
        "serviceMonitor: it scrapes the Service, so service.enabled must be true",
    ),
    "scraped-twice": (
        {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}},
        "podMonitor: beside serviceMonitor every sample would be scraped twice",
    ),
    "armed-by-a-variable": (
        {"extraEnv": [{"name": "GUARD_ARMED", "value": "true"}]},
        "extraEnv: GUARD_ARMED is a setting; it belongs into config",
    ),
    "volume-of-the-chart": (
        {"extraVolumes": [{"name": "state", "emptyDir": {}}]},
        "extraVolumes: state is the name of a volume of the chart",
    ),
    "name-of-digits": ({"fullnameOverride": "123"}, "at '/fullnameOverride': '123' does not match pattern"),
    "release-of-digits": ({}, "fullnameOverride: 123-cost-guard cannot be the name of a Service"),
    "system-namespace": ({"namespaceOverride": "kube-system"}, "does not belong into kube-system"),
    "unknown-value": ({"replicas": 1}, "additional properties 'replicas' not allowed"),
    "unknown-setting": ({"config": {"armd": True}}, "at '/config': additional properties 'armd' not allowed"),
    "setting-of-the-chart": (
        {"config": {"listen": "0.0.0.0:1"}},
        "at '/config': additional properties 'listen' not allowed",
    ),
    "armed-as-text": ({"config": {"armed": "false"}}, "at '/config/armed': got string, want boolean"),
    "bare-number-for-a-span": ({"config": {"scan_interval": 60}}, "at '/config/scan_interval': got number, want string"),
    "unit-that-is-none": (
        {"config": {"walk_interval": "20 minutes"}},
        "at '/config/walk_interval': '20 minutes' does not match",
    ),
    "project-of-digits": (
        {"config": {"targets": [{**TARGET, "project_id": 12345}]}},
        "at '/config/targets/0/project_id': got number, want string",
    ),
    "target-without-region": (
        {"config": {"targets": [{"name": "a", "project_id": "b"}]}},
        "at '/config/targets/0': missing property 'region'",
    ),
    "unknown-clock": ({"config": {"clock": "larger"}}, "at '/config/clock': value must be one of"),
    "limit-below-nothing": ({"config": {"limits": {"max_terminations": -1}}}, "minimum: got -1, want 0"),
    "policy-that-is-no-yaml": ({"policies": {"files": {"economic.txt": "x"}}}, "invalid propertyName 'economic.txt'"),
    "policy-as-a-map": (
        {"policies": {"files": {"a.yaml": {"policies": []}}}},
        "at '/policies/files/a.yaml': got object, want string",
    ),
    "port-of-root": ({"listener": {"port": 80}}, "at '/listener/port': minimum: got 80, want 1,024"),
    "digest-of-a-tag": ({"image": {"digest": "latest"}}, "at '/image/digest': 'latest' does not match pattern"),
    "no-time-to-end": ({"terminationGracePeriodSeconds": 5}, "at '/terminationGracePeriodSeconds': minimum: got 5, want 30"),
    "ledger-of-another-kind": (
        {"ledger": {"type": "mysql"}},
        "at '/ledger/type': value must be one of 'sqlite', 'postgresql'",
    ),
    "many-as-text": ({"replicaCount": "1"}, "at '/replicaCount': got string, want integer"),
}
# Names of releases other than "test", by the set.
RELEASES = {"digits": "123", "bad release-of-digits": "123"}
