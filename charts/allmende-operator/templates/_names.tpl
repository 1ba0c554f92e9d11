{{- define "operator.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "operator.selector" -}}
app.kubernetes.io/name: allmende-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "operator.labels" -}}
{{ include "operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: allmende
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* The operator's user name, as admission sees it. */}}
{{- define "operator.user" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "operator.fullname" . }}
{{- end -}}

{{/* A CEL list of the users that the policies let pass. */}}
{{- define "operator.trusted" -}}
['{{ include "operator.user" . }}'{{ range .Values.policies.exemptUsers }}, '{{ . }}'{{ end }}]
{{- end -}}

{{/* A CEL list of strings. */}}
{{- define "operator.strings" -}}
[{{ range $i, $text := . }}{{ if $i }}, {{ end }}'{{ $text }}'{{ end }}]
{{- end -}}

{{/* Head of a policy: `include "operator.policy" (list $ "name")`. Everything fails closed. */}}
{{- define "operator.policy" -}}
{{- $root := index . 0 -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ include "operator.fullname" $root }}-{{ index . 1 }}
  labels:
    {{- include "operator.labels" $root | nindent 4 }}
{{- end -}}

{{/* The bindings of a file's policies: `include "operator.bindings" (list $ (list "name" …))`. */}}
{{- define "operator.bindings" -}}
{{- $root := index . 0 -}}
{{- range $policy := index . 1 }}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ include "operator.fullname" $root }}-{{ $policy }}
  labels:
    {{- include "operator.labels" $root | nindent 4 }}
spec:
  policyName: {{ include "operator.fullname" $root }}-{{ $policy }}
  validationActions: [Deny]
{{- end }}
{{- end -}}

{{/* Where a policy looks: in namespaces of tenants. The label is guarded by the policy of namespaces. */}}
{{- define "operator.tenants" -}}
namespaceSelector:
  matchLabels:
    allmende.eu/managed-by: allmende-operator
{{- end -}}

{{/* CEL: what was there before is not the operator's. */}}
{{- define "operator.unmanaged" -}}
oldObject == null || !has(oldObject.metadata.labels) || !('allmende.eu/managed-by' in oldObject.metadata.labels)
{{- end -}}
