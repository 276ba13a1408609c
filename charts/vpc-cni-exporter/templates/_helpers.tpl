{{- define "vpc-cni-exporter.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "vpc-cni-exporter.fullname" -}}
{{- $name := include "vpc-cni-exporter.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What pods are selected by; it never changes, since a Deployment's selector cannot. */}}
{{- define "vpc-cni-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "vpc-cni-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "vpc-cni-exporter.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "vpc-cni-exporter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "vpc-cni-exporter.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "vpc-cni-exporter.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "vpc-cni-exporter.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* The settings that are set, by values or by what the chart mounts. */}}
{{- define "vpc-cni-exporter.config" -}}
{{- $config := deepCopy .Values.config }}
{{- with .Values.webConfig.secretName }}
{{- $_ := set $config "web_config" (printf "/etc/vpc-cni-exporter/web/%s" $.Values.webConfig.key) }}
{{- end }}
{{- if and $config.web_config (not $config.health_address) }}
{{- /* Probes know no certificates. */}}
{{- $_ := set $config "health_address" ":61682" }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* All settings, so that ports and rights follow them. */}}
{{- define "vpc-cni-exporter.settings" -}}
{{- $defaults := .Files.Get "files/settings.yaml" | fromYaml }}
{{- toYaml (mergeOverwrite $defaults (include "vpc-cni-exporter.config" . | fromYaml)) }}
{{- end }}

{{/* A setting as its variable has it. */}}
{{- define "vpc-cni-exporter.variable" -}}
{{- if kindIs "slice" . }}{{ join "," . }}{{ else if kindIs "string" . }}{{ . }}{{ else }}{{ toJson . }}{{ end }}
{{- end }}

{{/* The port at the end of an address. */}}
{{- define "vpc-cni-exporter.port" -}}
{{- regexFind "[0-9]+$" . }}
{{- end }}

{{- define "vpc-cni-exporter.variables" -}}
{{- range $name, $value := include "vpc-cni-exporter.config" . | fromYaml }}
- name: EXPORTER_{{ upper $name }}
  value: {{ include "vpc-cni-exporter.variable" $value | quote }}
{{- end }}
{{- if .Values.aws.nodeRole }}
- name: AWS_EC2_METADATA_DISABLED
  value: "false"
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
