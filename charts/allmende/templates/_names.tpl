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
{{- $etcd := .Values.etcd -}}
{{- if and $etcd.auth.secretName (not $etcd.tls.secretName) -}}
{{- fail "etcd.auth.secretName needs etcd.tls.secretName: a password is sent under TLS alone" -}}
{{- end -}}
{{- if $etcd.endpoints -}}
{{- if $etcd.bundled.enabled -}}
{{- fail "etcd.endpoints and etcd.bundled.enabled exclude each other" -}}
{{- end -}}
{{- range $etcd.endpoints -}}
{{- if and (hasPrefix "https://" .) (not $etcd.tls.secretName) -}}
{{- fail (printf "%s needs etcd.tls.secretName" .) -}}
{{- end -}}
{{- if and (hasPrefix "http://" .) $etcd.tls.secretName -}}
{{- fail (printf "%s and etcd.tls.secretName exclude each other: write https://" .) -}}
{{- end -}}
{{- end -}}
{{- join "," $etcd.endpoints -}}
{{- else if $etcd.bundled.enabled -}}
{{- if ne (empty $etcd.tls.secretName) (empty $etcd.bundled.tls.secretName) -}}
{{- fail "etcd.tls.secretName and etcd.bundled.tls.secretName are given together or not at all" -}}
{{- end -}}
{{ ternary "https" "http" (not (empty $etcd.tls.secretName)) }}://{{ include "allmende.fullname" . }}-etcd:2379
{{- else -}}
{{- fail "give etcd.endpoints, or etcd.bundled.enabled=true for a lab" -}}
{{- end -}}
{{- end -}}
