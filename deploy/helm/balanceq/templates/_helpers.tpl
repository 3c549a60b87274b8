{{/* Names and labels. All of them are quoted where they are used: a release may be called y, which is a boolean in YAML. */}}
{{- define "balanceq.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{/* At most 52: a StatefulSet's pods have to carry its name, "-", a hash of 10 characters, in a label of 63. */}}
{{- define "balanceq.fullname" -}}
{{- $name := include "balanceq.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "balanceq.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "balanceq.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{/* What is the release's: instances and doctor. */}}
{{- define "balanceq.releaseLabels" -}}
app.kubernetes.io/name: {{ include "balanceq.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* What selects the instances. */}}
{{- define "balanceq.selectorLabels" -}}
{{ include "balanceq.releaseLabels" . }}
app.kubernetes.io/component: "instance"
{{- end }}

{{- define "balanceq.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
{{ include "balanceq.releaseLabels" . }}
app.kubernetes.io/version: {{ default .Chart.AppVersion .Values.image.tag | replace "+" "_" | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
{{- end }}

{{- define "balanceq.image" -}}
{{- $repository := required "image.repository: name the image in your registry, for example registry.example.com/balanceq" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end }}

{{/* Whether names of pods have to last: "true" or nothing. */}}
{{- define "balanceq.namesLast" -}}
{{- if or .Values.staticMembership (eq (toString .Values.config.delivery) "exactly-once") }}true{{ end -}}
{{- end }}

{{- define "balanceq.kind" -}}
{{- $last := include "balanceq.namesLast" . -}}
{{- $kind := default (ternary "StatefulSet" "Deployment" (eq $last "true")) .Values.workload.kind -}}
{{- if and $last (ne $kind "StatefulSet") -}}
{{- fail "workload.kind: staticMembership and config.delivery exactly-once need names that last, which a Deployment's pods have not; leave workload.kind out, or set it to StatefulSet" -}}
{{- end -}}
{{- $kind -}}
{{- end }}
