{{- define "cost-guard.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "cost-guard.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 48 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- (contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name)) | trunc 48 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "cost-guard.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{/* A text in quotes, whatever stands in it: JSON, and what YAML would take for a line break or refuse escaped. */}}
{{- define "cost-guard.text" -}}
{{- $text := toJson . -}}
{{- range $code := append (untilStep 127 160 1) 65279 -}}
{{- $text = replace (printf "%c" $code) (printf "\\u%04x" $code) $text -}}
{{- end -}}
{{- $text -}}
{{- end -}}

{{/* What selects the pods of the daemon: never a version, and never what a person may change later. */}}
{{- define "cost-guard.selectorLabels" -}}
app.kubernetes.io/name: {{ include "cost-guard.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: daemon
{{- end -}}

{{/* Everything but the component, which must stay another one for the pod of `helm test`. */}}
{{- define "cost-guard.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: cost-guard
{{- end -}}

{{/* metadata of an object. Takes: root, name, and optionally namespace, labels, annotations, component. */}}
{{- define "cost-guard.metadata" -}}
{{- $own := fromYaml (include "cost-guard.selectorLabels" .root) -}}
{{- if .component -}}{{- $_ := set $own "app.kubernetes.io/component" .component -}}{{- end -}}
{{- $labels := mergeOverwrite (dict) (default dict .root.Values.commonLabels) (default dict .labels) (fromYaml (include "cost-guard.commonLabels" .root)) $own -}}
{{- $annotations := mergeOverwrite (dict) (default dict .root.Values.commonAnnotations) (default dict .annotations) -}}
name: {{ .name | quote }}
namespace: {{ default (include "cost-guard.namespace" .root) .namespace | quote }}
labels:
  {{- toYaml $labels | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "cost-guard.image" -}}
{{- $name := .Values.image.repository -}}
{{- if .Values.image.registry -}}{{- $name = printf "%s/%s" (trimSuffix "/" .Values.image.registry) $name -}}{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "cost-guard.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "cost-guard.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "cost-guard.armed" -}}
{{- if .Values.config.armed -}}true{{- else -}}false{{- end -}}
{{- end -}}

{{- define "cost-guard.scheme" -}}
{{- if .Values.listener.tls.existingSecret -}}https{{- else -}}http{{- end -}}
{{- end -}}

{{- define "cost-guard.hasPrices" -}}
{{- if or .Values.prices.book .Values.prices.existingConfigMap -}}true{{- end -}}
{{- end -}}

{{/* The settings file of the daemon: what the person set, and over it what follows from the rest of the values. */}}
{{- define "cost-guard.settings" -}}
{{- $settings := deepCopy .Values.config -}}
{{- $_ := set $settings "armed" (eq (include "cost-guard.armed" .) "true") -}}
{{- $_ := set $settings "policies" "/etc/cost-guard/policies" -}}
{{- $_ := set $settings "listen" (printf "%s:%d" .Values.listener.address (int .Values.listener.port)) -}}
{{- $_ := set $settings "pause_file" "/etc/cost-guard/pause/pause" -}}
{{- if eq .Values.ledger.type "sqlite" -}}
{{- $_ := set $settings "ledger" "sqlite:////var/lib/cost-guard/guard.db" -}}
{{- end -}}
{{- if include "cost-guard.hasPrices" . -}}
{{- $_ := set $settings "prices" (printf "/etc/cost-guard/prices/%s" (empty .Values.prices.existingConfigMap | ternary "prices.yaml" .Values.prices.key)) -}}
{{- end -}}
{{- if .Values.listener.tls.existingSecret -}}
{{- $_ := set $settings "listen_certificate" "/etc/cost-guard/tls/tls.crt" -}}
{{- $_ := set $settings "listen_key" "/etc/cost-guard/tls/tls.key" -}}
{{- end -}}
{{- if .Values.listener.token.existingSecret -}}
{{- $_ := set $settings "listen_token_file" (printf "/etc/cost-guard/token/%s" .Values.listener.token.key) -}}
{{- end -}}
{{- toPrettyJson $settings -}}
{{- end -}}

{{- define "cost-guard.probe" -}}
httpGet:
  path: {{ .path }}
  port: http
  scheme: {{ include "cost-guard.scheme" .root | upper }}
periodSeconds: {{ .probe.periodSeconds }}
timeoutSeconds: {{ .probe.timeoutSeconds }}
failureThreshold: {{ .probe.failureThreshold }}
{{- end -}}

{{/* How the Prometheus operator scrapes. Takes: root, monitor. */}}
{{- define "cost-guard.endpoint" -}}
- port: {{ .port }}
  path: /metrics
  scheme: {{ include "cost-guard.scheme" .root }}
  interval: {{ .monitor.interval | quote }}
  scrapeTimeout: {{ .monitor.scrapeTimeout | quote }}
  honorLabels: {{ .monitor.honorLabels }}
  {{- with .monitor.tlsConfig }}
  tlsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .root.Values.listener.token }}
  {{- if .existingSecret }}
  authorization:
    type: Bearer
    credentials:
      name: {{ .existingSecret | quote }}
      key: {{ default .key $.monitor.tokenKey | quote }}
  {{- end }}
  {{- end }}
  {{- with .monitor.relabelings }}
  relabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .monitor.metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
