{{- define "postgresql.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "postgresql.selector" -}}
app.kubernetes.io/name: postgresql
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "postgresql.labels" -}}
{{ include "postgresql.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: database
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.platform.member }}
allmende.eu/member: {{ . | quote }}
{{- end }}
{{- with .Values.platform.tenant }}
allmende.eu/tenant: {{ . | quote }}
{{- end }}
{{- end -}}
