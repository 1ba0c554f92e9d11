{{/* How a program reaches etcd: variables, mounts and volumes. The first takes (list $ "API"), the others the root. */}}
{{- define "allmende.etcdVariables" -}}
{{- $root := index . 0 -}}
{{- $prefix := printf "ALLMENDE_%s_ETCD" (index . 1) -}}
- { name: {{ $prefix }}_ENDPOINTS, value: {{ include "allmende.etcdEndpoints" $root | quote }} }
{{- if $root.Values.etcd.tls.secretName }}
- { name: {{ $prefix }}_CA, value: /run/etcd/tls/ca.crt }
- { name: {{ $prefix }}_CERT, value: /run/etcd/tls/tls.crt }
- { name: {{ $prefix }}_KEY, value: /run/etcd/tls/tls.key }
{{- end }}
{{- with $root.Values.etcd.auth.secretName }}
- { name: {{ $prefix }}_USER, valueFrom: { secretKeyRef: { name: {{ . }}, key: username } } }
- { name: {{ $prefix }}_PASSWORD_FILE, value: /run/etcd/user/password }
{{- end }}
{{- end -}}

{{- define "allmende.etcdMounts" -}}
{{- if .Values.etcd.tls.secretName }}
- { name: etcd-tls, mountPath: /run/etcd/tls, readOnly: true }
{{- end }}
{{- if .Values.etcd.auth.secretName }}
- { name: etcd-user, mountPath: /run/etcd/user, readOnly: true }
{{- end }}
{{- end -}}

{{- define "allmende.etcdVolumes" -}}
{{- with .Values.etcd.tls.secretName }}
- name: etcd-tls
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items: [{ key: ca.crt, path: ca.crt }, { key: tls.crt, path: tls.crt }, { key: tls.key, path: tls.key }]
{{- end }}
{{- with .Values.etcd.auth.secretName }}
- name: etcd-user
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items: [{ key: password, path: password }]
{{- end }}
{{- end -}}
