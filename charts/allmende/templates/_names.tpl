{{- define "allmende.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* Takes (list $ "api"). */}}
{{- define "allmende.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: allmende
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "allmende.labels" -}}
{{- $root := index . 0 -}}
{{ include "allmende.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: allmende
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end -}}

{{- define "allmende.documentsClaim" -}}
{{- default (printf "%s-documents" (include "allmende.fullname" .)) .Values.documents.existingClaim -}}
{{- end -}}

{{- define "allmende.etcdEndpoints" -}}
{{- if .Values.etcd.endpoints -}}
{{- if .Values.etcd.bundled.enabled -}}
{{- fail "etcd.endpoints and etcd.bundled.enabled exclude each other" -}}
{{- end -}}
{{- join "," .Values.etcd.endpoints -}}
{{- else if .Values.etcd.bundled.enabled -}}
http://{{ include "allmende.fullname" . }}-etcd:2379
{{- else -}}
{{- fail "give etcd.endpoints, or etcd.bundled.enabled=true for a lab" -}}
{{- end -}}
{{- end -}}
